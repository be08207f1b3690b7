//! Signals to everybody, against programs that fork as fast as they can.

use std::collections::BTreeSet;
use std::time::Duration;

use runsig_signal::broadcast::{Whom, broadcast};
use runsig_signal::identity;
use runsig_signal::procfs::{self, Status};
use runsig_signal::{PidNamespace, Signal, Target};

use crate::world::{self, Container, Group, eventually, shell};

const CHAINS: usize = 8;

/// The numbers of everybody but init, when there are as many as chains and nobody is just ending.
fn chains(container: &Container) -> Option<BTreeSet<i32>> {
    let pids: BTreeSet<i32> = container.members().into_iter().filter(|pid| *pid != container.pid()).collect();
    let asleep = pids.iter().all(|pid| Status::of(*pid).is_some_and(|status| status.state == 'S'));
    (pids.len() == CHAINS && asleep).then_some(pids)
}

/// After the broadcast every chain must stand still: a process that missed it would go on forking.
fn everybody_handles(container: &Container) {
    let members = || -> BTreeSet<i32> { container.members().into_iter().collect() };
    let first = members();
    eventually("the chains fork", || !members().is_subset(&first));
    broadcast(&container.target, Signal::USR1, Whom::All).unwrap();
    eventually("all chains stand still", || chains(container).is_some());
    let still = chains(container).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(chains(container), Some(still));
}

fn nobody_lives(container: &mut Container) {
    let held = container.held().unwrap();
    broadcast(&container.target, Signal::KILL, Whom::All).unwrap();
    eventually("init has ended", || held.has_ended());
    eventually("nobody lives", || {
        container.members().into_iter().all(|pid| procfs::Stat::of(pid).is_none_or(|stat| stat.is_dead()))
    });
}

fn storm(namespace: PidNamespace, group: Group) {
    let program = world::chains().display().to_string();
    let number = CHAINS.to_string();
    for _ in 0..10 {
        let mut container = world::start_in(&[&program, &number], namespace, group);
        everybody_handles(&container);
        nobody_lives(&mut container);
    }
    // KILL in the middle of the storm.
    for _ in 0..10 {
        let mut container = world::start_in(&[&program, &number], namespace, group);
        nobody_lives(&mut container);
    }
}

pub(crate) fn own_namespace() {
    storm(PidNamespace::Own, Group::None);
}
pub(crate) fn shared_v2() {
    storm(PidNamespace::Shared, Group::V2);
}
pub(crate) fn shared_v1() {
    storm(PidNamespace::Shared, Group::V1);
}

pub(crate) fn others_only() {
    let mut container =
        shell("trap 'exit 9' USR1; sleep 100 & sleep 100 & echo ready; wait; wait; echo alone; read x");
    eventually("children", || container.members().len() == 3);
    broadcast(&container.target, Signal::USR1, Whom::Others).unwrap();
    assert_eq!(container.line(), "alone");
    assert!(container.lives());
    // Nobody else is left: no error.
    broadcast(&container.target, Signal::USR1, Whom::Others).unwrap();
    broadcast(&container.target, Signal::USR1, Whom::All).unwrap();
    assert_eq!(container.ended_with(), 9);
}

pub(crate) fn stopped() {
    let mut container = shell("echo ready; exec sleep 100");
    container.target.send(Signal::KILL).unwrap();
    assert_eq!(container.ended_with(), 137);
    for signal in [Signal::TERM, Signal::KILL] {
        broadcast(&container.target, signal, Whom::All).unwrap();
    }
    // In a shared PID namespace init's end ends nobody else; KILL does.
    let command = ["busybox", "sh", "-c", "sleep 100 & echo ready; exec sleep 200"];
    let mut shared = world::start_in(&command, PidNamespace::Shared, Group::V2);
    eventually("two processes", || shared.members().len() == 2);
    shared.target.send(Signal::TERM).unwrap();
    assert_eq!(shared.ended_with(), 143);
    eventually("one is left", || shared.members().len() == 1);
    broadcast(&shared.target, Signal::KILL, Whom::All).unwrap();
    eventually("nobody is left", || shared.members().is_empty());
    broadcast(&shared.target, Signal::KILL, Whom::All).unwrap();
}

/// What this thread has run: a busy machine does not change it.
fn own_cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_ascii_whitespace().next().unwrap().parse().unwrap())
}

pub(crate) fn thousand() {
    let mut container = world::start(&["python3", &world::program("waits.py"), "sleepers", "1000"]);
    assert_eq!(container.children().len(), 1000);
    let before = own_cpu_time();
    broadcast(&container.target, Signal::KILL, Whom::All).unwrap();
    let spent = own_cpu_time() - before;
    assert_eq!(container.ended_with(), 137);
    // A few system calls however many there are. A look at each of a thousand takes longer than this.
    assert!(spent < Duration::from_millis(2), "{spent:?}");
}

pub(crate) fn nested_cgroups() {
    let command = ["busybox", "sh", "-c", "sleep 100 & echo ready; wait"];
    let container = world::start_in(&command, PidNamespace::Shared, Group::V2);
    eventually("two processes", || container.members().len() == 2);
    let child = container.children()[0];
    let root = world::unified_mount().unwrap();
    let cgroup = std::fs::read_to_string(format!("/proc/{child}/cgroup")).unwrap();
    let relative = cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let nested = root.join(relative).join("inner");
    std::fs::create_dir(&nested).unwrap();
    std::fs::write(nested.join("cgroup.procs"), child.to_string()).unwrap();
    let held = identity::open_pid(child).unwrap().unwrap();
    broadcast(&container.target, Signal::TERM, Whom::Others).unwrap();
    eventually("the nested process has ended", || held.has_ended());
    eventually("its cgroup can go", || std::fs::remove_dir(&nested).is_ok());
}

/// As [`user_namespace`], by somebody who is not root.
pub(crate) fn rootless() {
    let binary = std::env::temp_dir().join(format!("runsig-rootless-{}", std::process::id()));
    std::fs::copy(world::ourselves(), &binary).unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let passed = world::inside(&nobody, &binary, "user-namespace");
    std::fs::remove_file(&binary).unwrap();
    assert!(passed);
}

/// The PID namespace belongs to a user namespace below ours.
pub(crate) fn user_namespace() {
    let script = "sleep 100 & echo ready; wait";
    let mut launched = world::start_in(
        &[
            "unshare",
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "busybox",
            "sh",
            "-c",
            script,
        ],
        PidNamespace::Host,
        Group::None,
    );
    let pid = launched.children()[0];
    let target = Target {
        id: "userns".into(),
        init: identity::Identity::of(pid),
        pid_namespace: PidNamespace::Own,
        namespace_inode: procfs::pid_namespace(pid),
        created: false,
        creator: None,
        group: None,
        annotations: Default::default(),
        resident: None,
    };
    eventually("a child", || procfs::children(pid).len() == 1);
    let child = identity::open_pid(procfs::children(pid)[0]).unwrap().unwrap();
    broadcast(&target, Signal::TERM, Whom::Others).unwrap();
    eventually("the child has ended", || child.has_ended());
    assert_eq!(launched.ended_with(), 0, "the shell has nobody left to wait for");
}
