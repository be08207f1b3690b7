//! Too few descriptors, too little memory, no more processes.

use std::fs;
use std::process::Command;

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{LIMIT, finish};
use runsig_tests::{Bundle, Case, Container, cases, cgroup, harness, procs, require_runsig, sandbox, spec};

use crate::world::{limited, running, says, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "limits": create_with_few_descriptors, verbs_with_few_descriptors, create_with_little_memory,
        stop_and_delete_with_little_memory, stop_that_can_watch_nobody;
    V1 "limits": create_with_few_descriptors, no_more_processes_for_create;
    Host "limits": create_with_few_descriptors;
];

const TOO_MANY: &str = "too many open files";
/// Enough for every verb.
const PLENTY: u32 = 40;

fn descriptors(most: u32) -> Vec<String> {
    // The soft limit only: a container's own limit may have to be above it again.
    vec![format!("--nofile={most}:")]
}

/// With each descriptor more it gets a step further; every failure says why and leaves nothing.
fn create_with_few_descriptors() {
    let container = Container::new(sleeper().with(|config| {
        config["process"].as_object_mut().expect("an object").remove("rlimits");
    }));
    let before = Before::now(&container.runtime);
    for most in 3..PLENTY {
        let outcome = limited(&container.command("create", &[]), &descriptors(most));
        if outcome.code == 0 {
            container.delete_force().ok();
            before.assert_clean(&container.runtime, &container.bundle);
            assert!(most > 3, "three descriptors cannot be enough");
            return;
        }
        says(outcome, TOO_MANY);
        before.assert_clean(&container.runtime, &container.bundle);
    }
    panic!("{PLENTY} descriptors are not enough for create");
}

fn verbs_with_few_descriptors() {
    let container = running();
    let pid = container.pid();
    let id = container.id();
    let verbs: &[&[&str]] = &[
        &["state", id],
        &["list"],
        &["kill", id, "0"],
        &["exec", id, "true"],
        &["pause", id],
        &["resume", id],
        &["ps", "--format", "json", id],
        &["delete", "--force", id],
    ];
    for verb in verbs {
        let done = (3..PLENTY).find(|most| {
            let outcome = limited(&container.runtime.command(verb), &descriptors(*most));
            if outcome.code == 0 && !outcome.stderr.is_empty() {
                // list goes on without a container that it cannot look at, and says so.
                assert!(outcome.stderr.contains(TOO_MANY), "{outcome:#?}");
                return false;
            }
            if outcome.code != 0 {
                assert!(procs::alive(pid) || verb.contains(&"delete"), "{verb:?} with {most}");
                says(outcome, TOO_MANY);
                return false;
            }
            true
        });
        assert!(done.is_some(), "{verb:?} does not work with {PLENTY} descriptors");
    }
    assert!(!procs::alive(pid));
}

/// An allocation that fails ends the program wherever it is: what it has begun can be taken off again.
fn create_with_little_memory() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    for kib in (1024..16_384).step_by(256) {
        let limit = format!("--as={}", kib * 1024);
        let outcome = limited(&container.command("create", &[]), &[limit]);
        container.delete_force().ok();
        before.assert_clean(&container.runtime, &container.bundle);
        if outcome.code == 0 {
            assert!(kib > 1024, "one MiB cannot be enough");
            return;
        }
    }
    panic!("16 MiB of addresses are not enough for create");
}

fn stop_and_delete_with_little_memory() {
    let container = running();
    let pid = container.pid();
    for kib in (1024..16_384).step_by(256) {
        let limit = format!("--as={}", kib * 1024);
        let outcome = limited(&container.runtime.command(&["delete", "--force", container.id()]), &[limit]);
        if outcome.code == 0 {
            assert!(!procs::alive(pid), "it is gone when delete says so");
            assert!(!container.runtime.root.join(container.id()).exists());
            return;
        }
    }
    panic!("16 MiB of addresses are not enough for delete");
}

/// The runtime itself is in a cgroup whose pids limit is reached.
fn no_more_processes_for_create() {
    sandbox::require_v1_controller("pids");
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    let dir = std::path::PathBuf::from(format!("/sys/fs/cgroup/pids/{}.full", harness::tag()));
    fs::create_dir(&dir).expect("a cgroup of the test's own");
    fs::write(dir.join("pids.max"), "1").expect("a limit");
    let create = container.command("create", &[]);
    let mut shell = Command::new("sh");
    // `exec` keeps the one process that there may be.
    shell.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&dir);
    shell.arg(create.get_program()).args(create.get_args());
    let outcome = finish(shell, LIMIT);
    let empty = runsig_tests::wait::until(runsig_tests::wait::SOON, || fs::remove_dir(&dir).is_ok());
    assert!(empty, "nobody is left in the runtime's cgroup");
    says(outcome, "resource temporarily unavailable");
    before.assert_clean(&container.runtime, &container.bundle);
    container.create().ok();
}

/// Where nobody zaps them, processes that there is no descriptor for are alive all the same.
fn stop_that_can_watch_nobody() {
    require_runsig("stop is Runsig's own");
    for most in [8, 10, 12, 14, 16, 20, 30, 60] {
        let many = "trap 'exit 3' TERM; for n in $(seq 60); do sleep 1000 & done; echo up > /up; \
                    while :; do sleep 0.05; done";
        let container =
            Container::running(Bundle::script(many).with(|config| spec::drop_namespace(config, "pid")));
        let _ = container.wait_for_file("/up");
        let command = container.command("stop", &["--timeout", "1s"]);
        let outcome = limited(&command, &[format!("--nofile={most}:{most}")]);
        let left = cgroup::processes(&container.bundle.cgroup());
        assert!(outcome.code != 0 || left.is_empty(), "with {most}: {left:?} live: {outcome:#?}");
        container.delete_force().ok();
    }
}
