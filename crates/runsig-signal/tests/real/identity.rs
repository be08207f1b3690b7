//! Never a stranger, and the truth about an init that does not end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use runsig_signal::broadcast::{Whom, broadcast};
use runsig_signal::deliver::deliver;
use runsig_signal::identity::{self, Identity, Life};
use runsig_signal::policy::KillPolicy;
use runsig_signal::stop::Silent;
use runsig_signal::target::send_exec;
use runsig_signal::wait::{Waited, wait};
use runsig_signal::{Error, PidNamespace, Signal, Target};
use runsig_sys::process::ExitStatus;

use crate::stop;
use crate::world::{self, Container, eventually, shell};

/// Runs [`recycled_inside`] in a PID namespace of its own, where nobody else makes processes.
pub(crate) fn recycled() {
    let own_pids = ["unshare", "--fork", "--pid", "--kill-child=KILL", "--mount-proc", "--"];
    assert!(world::inside(&own_pids, &world::ourselves(), "recycled"));
}

pub(crate) fn recycled_inside() {
    let sleeper = || Command::new("sleep").arg("100").spawn().unwrap();
    let mut first = sleeper();
    let pid = first.id() as i32;
    let known = Identity::of(pid).unwrap();
    // Start times are in ticks of ten milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(30));
    first.kill().unwrap();
    first.wait().unwrap();
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let mut newcomer = sleeper();
    assert_eq!(newcomer.id() as i32, pid, "the number was not given again");

    // By start time alone, and by pidfs inode alone.
    let by_time = Identity { inode: None, ..known };
    assert!(identity::open(&by_time).unwrap().is_none());
    if known.inode.is_some() {
        let new_time = Identity::of(pid).unwrap().start_time;
        assert!(identity::open(&Identity { start_time: new_time, ..known }).unwrap().is_none());
    }
    let target = Target {
        id: "recycled".into(),
        init: Some(by_time),
        pid_namespace: PidNamespace::Own,
        namespace_inode: None,
        created: false,
        creator: None,
        group: None,
        annotations: Default::default(),
        resident: None,
    };
    for signal in [Signal::TERM, Signal::KILL] {
        assert_eq!(target.send(signal).unwrap_err().to_string(), "container not running");
        let delivered = deliver(&target, signal, &KillPolicy::default());
        assert!(matches!(delivered, Err(Error::NotRunning)));
        broadcast(&target, signal, Whom::All).unwrap();
        let message = send_exec("sh", &by_time, signal, true).unwrap_err().to_string();
        assert_eq!(message, "exec \"sh\": no such process");
    }
    assert_eq!(wait(&target, None).unwrap(), Waited::Ended(None));
    assert!(newcomer.try_wait().unwrap().is_none(), "the newcomer was hit");
    newcomer.kill().unwrap();
    newcomer.wait().unwrap();
}

/// A process in the container's PID namespace whose parent is outside and does not reap it.
pub(crate) struct Outsider {
    parent: Child,
    pub(crate) pid: i32,
}

impl Outsider {
    pub(crate) fn new(container: &Container) -> Self {
        let mut parent = Command::new("python3")
            .args([world::program("outsider.py"), container.pid().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let pid = line.strip_prefix("ready ").unwrap().trim().parse().unwrap();
        Self { parent, pid }
    }
    pub(crate) fn reap(&mut self) {
        self.parent.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        assert!(self.parent.wait().unwrap().success());
    }
}

pub(crate) fn zap() {
    let mut container = world::start(&["sh", "-c", "echo ready; exec sleep 100"]);
    let mut outsider = Outsider::new(&container);
    let held = container.held().unwrap();
    container.target.send(Signal::KILL).unwrap();
    eventually("init is exiting", || held.life() == Life::Exiting);
    eventually("the other one is a zombie", || {
        runsig_signal::procfs::Stat::of(outsider.pid).is_some_and(|stat| stat.state == 'Z')
    });
    let error = container.target.send(Signal::TERM).unwrap_err();
    assert!(error.is_not_running());
    let message = error.to_string();
    let expected = format!("container not running: init (process {}) is exiting", container.pid());
    assert!(message.starts_with(&expected), "{message}");
    let Error::Exiting(zap) = error else { panic!("{message}") };
    let parent = outsider.parent.id() as i32;
    let blockers: Vec<_> = zap.blockers.iter().map(|b| (b.pid, b.state, b.parent)).collect();
    assert_eq!(blockers, [(outsider.pid, 'Z', parent)]);
    assert!(message.contains("outsider.py"), "{message}");
    assert!(matches!(broadcast(&container.target, Signal::USR1, Whom::All), Err(Error::Exiting(_))));

    // A stop gives it the time of the plan's KILL and then says who is in the way.
    let report = stop::run(&container, "KILL:100ms", &mut Silent);
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains("\"still-running\"") && json.contains("outsider.py"), "{json}");
    assert_eq!(report.exit_code(), 1);
    assert!(container.lives());

    outsider.reap();
    assert_eq!(container.ended_with(), 137);
    assert!(!held.life().exists());
    assert!(matches!(container.target.send(Signal::TERM), Err(Error::NotRunning)));
}

pub(crate) fn waiting() {
    let container = shell("trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done");
    let (read, write) = runsig_signal::wait::interrupter().unwrap();
    runsig_sys::fs::write_all(write.as_fd(), b"x").unwrap();
    assert_eq!(wait(&container.target, Some(read.as_fd())).unwrap(), Waited::Interrupted);
    container.target.send(Signal::TERM).unwrap();
    let Waited::Ended(status) = wait(&container.target, None).unwrap() else { panic!("interrupted") };
    // Reaped or not yet: this kernel (6.15 or later) tells in both cases.
    if status.is_none() {
        return eprintln!("no exit status behind a pidfd before Linux 6.15");
    }
    assert_eq!(status, Some(ExitStatus::Exited(7)));
}
