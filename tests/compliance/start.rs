//! `start`.

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::Running;
use runsig_tests::{Bundle, Case, Container, cases, procs, wait};

use crate::calls::{refused, row, usual};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "start": bad_calls, in_each_status, paused_before_it_started, program_runs_only_then, says_nothing, program_that_cannot_be_executed;
    V1 "start": in_each_status;
    Host "start": in_each_status;
];

fn bad_calls() {
    refused(&in_state("created"), &usual("start", 1, "exactly 1", &[]));
    refused(
        &in_state("created"),
        &[row(&["start", "ID", "more"], 1, &["\"start\" requires exactly 1 argument(s)"])],
    );
}

fn in_each_status() {
    for (status, words) in [
        ("running", "cannot start an already running container"),
        ("stopped", "cannot start a container that has stopped"),
        ("paused", "cannot start a container in the paused state"),
    ] {
        let container = in_state(status);
        refused(&container, &[row(&["start", "ID"], 1, &[words])]);
        assert_eq!(container.status(), status);
    }
}

/// What waits for `start` and is paused has to be resumed first.
fn paused_before_it_started() {
    let container = in_state("created");
    container.verb("pause", &[]).ok();
    refused(&container, &[row(&["start", "ID"], 1, &["cannot start a container in the paused state"])]);
    container.verb("resume", &[]).ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
}

fn program_runs_only_then() {
    let container = Container::created(Bundle::script("echo ran > /ran; sleep 1000"));
    assert!(procs::alive(container.pid()));
    assert!(!container.bundle.rootfs().join("ran").exists());
    container.start().ok();
    assert_eq!(container.wait_for_file("/ran").trim(), "ran");
}

fn says_nothing() {
    let outcome = Container::created(sleeper()).start().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

/// Nobody sees at `create` that the kernel will not execute it, and `start` is over before it tries.
fn program_that_cannot_be_executed() {
    let container = Container::new(Bundle::new().file("/bin/odd", "\0\0\0\0", 0o755).args(&["/bin/odd"]));
    let before = Before::now(&container.runtime);
    let mut creation = Running::start(container.command("create", &[]));
    wait::expect("the creation", || creation.child.try_wait().expect("wait").is_some());
    container.start().ok();
    container.expect_status("stopped");
    // Engines show the container's standard error, which is that of `create` here.
    let outcome = creation.finish(wait::SOON).ok();
    assert_eq!(outcome.stderr.trim_end(), "exec /bin/odd: exec format error");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}
