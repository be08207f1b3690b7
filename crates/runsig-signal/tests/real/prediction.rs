//! Predictions about real programs, and whether they come true.

use runsig_signal::disposition::{self, Disposition, Wait};
use runsig_signal::policy::{OnDropped, StopScope};
use runsig_signal::procfs;
use runsig_signal::table::{StopWould, table};
use runsig_signal::{PidNamespace, Signal};

use crate::world::{self, Container, Group, eventually, python, shell};

fn predicted(container: &Container, signal: Signal) -> Disposition {
    disposition::predict(container.pid(), signal).unwrap().disposition
}

/// A program needs a moment after `ready` to get into its call; then the prediction must stay.
fn becomes(container: &Container, expected: Disposition) {
    eventually(expected.word(), || predicted(container, Signal::TERM) == expected);
}

/// After TERM the program is alive (`None`) or has exited with this code.
fn after_term(mut container: Container, code: Option<i32>) {
    container.target.send(Signal::TERM).unwrap();
    match code {
        Some(code) => assert_eq!(container.ended_with(), code),
        None => {
            std::thread::sleep(std::time::Duration::from_millis(60));
            assert!(container.lives());
        }
    }
}

pub(crate) fn shells() {
    let deaf = shell("echo ready; while true; do sleep 1; done");
    becomes(&deaf, Disposition::Dropped);
    assert!(disposition::will_be_dropped(deaf.pid(), Signal::TERM));
    assert_eq!(predicted(&deaf, Signal::KILL), Disposition::Fatal);
    assert_eq!(predicted(&deaf, Signal::WINCH), Disposition::Dropped);
    after_term(deaf, None);
    let trap = shell("trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done");
    becomes(&trap, Disposition::Handled);
    assert!(!disposition::will_be_dropped(trap.pid(), Signal::TERM));
    after_term(trap, Some(3));
    let ignoring = shell("trap '' TERM; echo ready; while true; do sleep 1; done");
    becomes(&ignoring, Disposition::Ignored);
    after_term(ignoring, None);
}

pub(crate) fn python_programs() {
    for (how, expected, code) in [
        ("default", Disposition::Dropped, None),
        ("handler", Disposition::Handled, Some(3)),
        ("ignored", Disposition::Ignored, None),
        ("blocked", Disposition::BlockedQueued, None),
        ("sigwait", Disposition::WaitedFor, Some(4)),
        ("sigwaitinfo", Disposition::WaitedFor, Some(4)),
        ("sigtimedwait", Disposition::WaitedFor, Some(4)),
        ("sigwait_other", Disposition::Dropped, None),
        ("signalfd", Disposition::WaitedFor, Some(4)),
        ("signalfd_unblocked", Disposition::Dropped, None),
        ("ppoll", Disposition::Handled, Some(3)),
    ] {
        let container = python(how);
        eprintln!("{how}");
        becomes(&container, expected);
        let deaf = disposition::will_be_dropped(container.pid(), Signal::TERM);
        assert_eq!(deaf, expected == Disposition::Dropped, "{how}");
        after_term(container, code);
    }
}

pub(crate) fn threads() {
    for (how, expected, code) in [
        ("sigwait_thread", Disposition::WaitedFor, Some(4)),
        ("thread_handles", Disposition::Handled, Some(3)),
        ("thread_drops", Disposition::Dropped, None),
        ("threads_block", Disposition::BlockedQueued, None),
        ("leader_gone", Disposition::WaitedFor, Some(4)),
    ] {
        let container = python(how);
        eprintln!("{how}");
        becomes(&container, expected);
        assert!(container.target.running_init().is_ok(), "{how}");
        after_term(container, code);
    }
}

pub(crate) fn how_it_waits() {
    let wait = |how: &str, expected: Wait| {
        let container = python(how);
        eventually(how, || {
            disposition::predict(container.pid(), Signal::TERM).unwrap().wait == Some(expected)
        });
    };
    wait("sigwait", Wait::Sigtimedwait);
    wait("signalfd", Wait::Signalfd);
}

fn init_program(command: &[&str], code: i32) {
    let mut full = command.to_vec();
    full.extend(["busybox", "sh", "-c", "echo ready; exec sleep 100"]);
    let mut container = world::start(&full);
    becomes(&container, Disposition::WaitedFor);
    container.target.send(Signal::TERM).unwrap();
    assert_eq!(container.ended_with(), code);
}

pub(crate) fn tini() {
    init_program(&["tini", "--"], 143);
}
pub(crate) fn dumb_init() {
    init_program(&["dumb-init", "--"], 143);
}
pub(crate) fn catatonit() {
    init_program(&["catatonit", "--"], 143);
}

pub(crate) fn nginx() {
    // Everything it writes, and removes when it ends, is in a directory of the test's own.
    let dir = std::env::temp_dir().join(format!("runsig-nginx-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let conf = format!(
        "daemon off; pid {}; error_log {}; events {{}} http {{ access_log off; server {{ listen unix:{}; }} }}",
        file("pid"),
        file("log"),
        file("socket")
    );
    std::fs::write(dir.join("conf"), conf).unwrap();
    let script = "echo ready; exec nginx -c \"$1\"";
    let mut container = world::start(&["sh", "-c", script, "sh", &file("conf")]);
    for name in ["TERM", "QUIT", "HUP", "USR1", "WINCH"] {
        let signal = Signal::parse(name).unwrap();
        eventually(name, || predicted(&container, signal) == Disposition::Handled);
    }
    // It loses a TERM that comes before its first worker: it sets a flag and then sleeps for ever.
    eventually("a worker", || !container.children().is_empty());
    container.target.send(Signal::TERM).unwrap();
    assert_eq!(container.ended_with(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

pub(crate) fn not_pid_1() {
    let container = shell("sleep 100 & echo ready; wait");
    eventually("a child", || !container.children().is_empty());
    let child = container.children()[0];
    for (signal, expected) in [
        (Signal::TERM, Disposition::Fatal),
        (Signal::WINCH, Disposition::NoEffect),
        (Signal::CONT, Disposition::NoEffect),
        (Signal::TSTP, Disposition::Stops),
        (Signal::STOP, Disposition::Stops),
    ] {
        assert_eq!(disposition::predict(child, signal).unwrap().disposition, expected, "{signal}");
    }
    container.target.send_pid(child, Signal::STOP, false).unwrap();
    eventually("stopped", || {
        disposition::predict(child, Signal::CONT).unwrap().disposition == Disposition::Continues
    });
    // Without a PID namespace init is a process like any other.
    let plain = world::start_in(&["sh", "-c", "echo ready; exec sleep 100"], PidNamespace::Host, Group::None);
    assert_eq!(predicted(&plain, Signal::TERM), Disposition::Fatal);
    assert_eq!(disposition::predict(i32::MAX, Signal::TERM), None);
}

pub(crate) fn tables() {
    let container = shell("sleep 100 & sleep 200 & echo ready; wait");
    // Forked, and running their program.
    let sleeps = |pid: &i32| procfs::command(*pid).starts_with("sleep ");
    eventually("children", || container.members().iter().filter(|pid| sleeps(pid)).count() == 2);
    let rows = table(&container.target, Signal::TERM, StopScope::Init, OnDropped::Forward).unwrap();
    let summary: Vec<_> = rows.iter().map(|row| (row.inside, row.init, row.disposition, row.stop)).collect();
    assert_eq!(summary[0], (Some(1), true, Disposition::Dropped, StopWould::Wait));
    for row in &summary[1..] {
        assert_eq!((row.1, row.2, row.3), (false, Disposition::Fatal, StopWould::Forward));
    }
    let commands: Vec<&str> = rows[1..].iter().map(|row| row.command.as_str()).collect();
    assert!(commands.iter().all(|command| command.starts_with("sleep ")), "{commands:?}");
    let warn = table(&container.target, Signal::TERM, StopScope::Init, OnDropped::Warn).unwrap();
    assert_eq!(warn[1].stop, StopWould::Zap);
    let all = table(&container.target, Signal::TERM, StopScope::OthersFirst, OnDropped::Warn).unwrap();
    assert_eq!(all[1].stop, StopWould::Signal);
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!((json["disposition"].as_str(), json["inside"].as_i64()), (Some("dropped"), Some(1)));
    let lonely = world::start(&["sh", "-c", "echo ready; exec sleep 100"]);
    let rows = table(&lonely.target, Signal::TERM, StopScope::Init, OnDropped::Forward).unwrap();
    assert_eq!((rows.len(), rows[0].stop), (1, StopWould::Kill));
}
