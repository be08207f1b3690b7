//! `kill --all`: everybody, without a race, against programs that fork as fast as they can.

use std::collections::BTreeSet;

use runsig_tests::procs::{self, command_line};
use runsig_tests::{Bundle, Case, Container, cases, require_runsig, spec, wait};

use crate::world::{compile, expect_members, members, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "broadcast": own_namespace, shared_namespace, host_namespace, everybody_has_it, init_comes_last, thousand_are_killed,
        nested_cgroups_too;
    Host "broadcast": own_namespace, shared_namespace, host_namespace;
    V1 "broadcast": own_namespace, shared_namespace;
];

const CHAINS: usize = 8;
const SOURCE: &str = include_str!("../../crates/runsig-signal/tests/real/programs/chains.c");

/// Eight processes that do nothing but fork a successor and end; a process that has USR1 stands still,
/// and so does whatever it forks.
fn storm(change: impl FnOnce(&mut runsig_tests::Value)) -> Container {
    require_runsig("--all with any signal is Runsig's own");
    let bundle = Bundle::new().args(&["/chains", &CHAINS.to_string()]).with(change);
    compile(SOURCE, &bundle.rootfs().join("chains"));
    let container = Container::running(bundle);
    let pids = || -> BTreeSet<i32> { members(&container).into_iter().collect() };
    // A chain that init forks after the others have the signal and before it has its own was not
    // there at the call: it would go on, rightly.
    let init = container.pid();
    wait::expect("init to have forked them all", || sleeps_at_last(init));
    let first = pids();
    wait::expect("the chains to fork", || !pids().is_subset(&first));
    container
}

/// Whether it sleeps in wait or, where it is nobody's reaper, in pause: wait4 and pause or ppoll by
/// their numbers on x86-64 and arm64.
fn sleeps_at_last(pid: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    ["61 ", "34 ", "260 ", "73 "].iter().any(|number| call.starts_with(number))
}

/// All chains asleep: nobody missed the signal, or it would go on forking for ever.
fn still(container: &Container) -> Option<Vec<i32>> {
    let pids = members(container);
    let asleep = pids.iter().all(|pid| procs::state(*pid) == Some('S'));
    (pids.len() == CHAINS + 1 && asleep).then_some(pids)
}

/// Who is there, in which state, with which signals pending.
fn describe(container: &Container) -> String {
    let one = |pid: &i32| {
        let field = |name| procs::status_field(*pid, name).unwrap_or_default();
        let (state, pending, blocked) = (field("State"), field("ShdPnd"), field("SigBlk"));
        format!("\n{pid} {}: {state}, pending {pending}, blocked {blocked}", command_line(*pid))
    };
    members(container).iter().map(one).collect()
}

fn rounds(container: impl Fn() -> Container) {
    for _ in 0..3 {
        let container = container();
        container.runtime.call(&["kill", "--all", container.id(), "USR1"]).ok();
        let mut now = None;
        wait::until(wait::SOON, || {
            now = still(&container);
            now.is_some()
        });
        let now = now.unwrap_or_else(|| panic!("not every chain stands still: {}", describe(&container)));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(still(&container), Some(now), "a process that was not reached goes on forking");
        container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
        expect_members(&container, 0);
        container.expect_status("stopped");
        container.delete().ok();
    }
    // KILL into the storm itself.
    for _ in 0..3 {
        let container = container();
        container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
        expect_members(&container, 0);
        container.expect_status("stopped");
        container.delete().ok();
    }
}

fn own_namespace() {
    rounds(|| storm(|_| {}));
}

fn shared_namespace() {
    let owner = up("echo up > /up; while :; do sleep 0.02; done");
    let path = format!("/proc/{}/ns/pid", owner.pid());
    rounds(|| storm(|config| spec::set_namespace(config, "pid", Some(&path))));
    assert_eq!(owner.status(), "running", "who shares the namespace is no part of the container");
}

fn host_namespace() {
    rounds(|| storm(|config| spec::drop_namespace(config, "pid")));
}

const FIVE: &str = "for n in 1 2 3 4; do (trap \"echo $n >> /got\" USR1; while :; do sleep 0.05; done) & done; \
                    trap 'echo init >> /got' USR1; echo up > /up; while :; do sleep 0.05; done";

fn everybody_has_it() {
    let container = up(FIVE);
    wait::expect("the traps", || handlers(&container) == 5);
    container.runtime.call(&["kill", "--all", container.id(), "USR1"]).ok();
    let file = container.bundle.rootfs().join("got");
    let mut lines = Vec::new();
    wait::expect("five lines", || {
        lines = std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_string).collect();
        lines.len() == 5
    });
    lines.sort_unstable();
    assert_eq!(lines, ["1", "2", "3", "4", "init"]);
}

/// Processes with a handler for USR1.
fn handlers(container: &Container) -> usize {
    let caught =
        |pid: &i32| procs::status_field(*pid, "SigCgt").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    members(container).iter().filter(|pid| caught(pid).is_some_and(|mask| mask & (1 << 9) != 0)).count()
}

/// An init that ends on the signal takes the others along; they have had theirs by then.
fn init_comes_last() {
    let script = "(trap 'echo child > /got' TERM; while :; do sleep 0.02; done) & \
                  trap 'sleep 0.5; exit 0' TERM; echo up > /up; while :; do sleep 0.02; done";
    let container = up(script);
    container.runtime.call(&["kill", "--all", container.id(), "TERM"]).ok();
    assert_eq!(container.wait_for_file("/got").trim(), "child");
    container.expect_status("stopped");
}

fn thousand_are_killed() {
    let script = "n=0; while [ $n -lt 1000 ]; do sleep 1000 & n=$((n+1)); done; echo up > /up; wait";
    let container = up(script);
    let sleepers = members(&container).iter().filter(|pid| command_line(**pid).starts_with("sleep")).count();
    assert!(sleepers > 900, "{sleepers}");
    container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
    expect_members(&container, 0);
    container.delete().ok();
}

fn nested_cgroups_too() {
    let owner = up("echo up > /up; while :; do sleep 0.02; done");
    let path = format!("/proc/{}/ns/pid", owner.pid());
    let container = crate::world::up_with("sleep 2010 & echo up > /up; exec sleep 2011", |config| {
        spec::set_namespace(config, "pid", Some(&path));
    });
    expect_members(&container, 2);
    let child = container.wait_for_command("sleep 2010");
    for dir in runsig_tests::cgroup::directories(&container.bundle.cgroup()) {
        std::fs::create_dir_all(dir.join("a/b")).expect("mkdir");
        std::fs::write(dir.join("a/b/cgroup.procs"), child.to_string()).expect("cgroup.procs");
    }
    container.runtime.call(&["kill", "--all", container.id(), "TERM"]).ok();
    expect_members(&container, 0);
    container.expect_status("stopped");
    container.delete().ok();
    assert!(runsig_tests::cgroup::directories(&container.bundle.cgroup()).is_empty());
}
