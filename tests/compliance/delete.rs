//! `delete`.

use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, cases};

use crate::calls::{refused, row, usual};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "delete": bad_calls, in_each_status, force_in_each_status, force_of_an_unknown_id, twice, says_nothing,
        state_directory_without_state, many_processes;
    V1 "delete": in_each_status, force_in_each_status, many_processes;
    Host "delete": in_each_status, force_in_each_status;
];

fn bad_calls() {
    let container = in_state("running");
    refused(&container, &usual("delete", 1, "exactly 1", &[]));
    refused(
        &container,
        &[
            row(&["delete", "ID", "more"], 1, &["\"delete\" requires exactly 1 argument(s)"]),
            row(&["delete", "--force", "../x"], 1, &["invalid container ID format"]),
            row(&["delete", "--force", ""], 1, &["container id cannot be empty"]),
            row(&["delete", "--force=perhaps", "ID"], 1, &["-force: parse error"]),
        ],
    );
    assert_eq!(container.status(), "running");
}

fn in_each_status() {
    for status in ["running", "paused"] {
        let container = in_state(status);
        let words = format!("cannot delete container {} that is not stopped: {status}", container.id());
        refused(&container, &[row(&["delete", "ID"], 1, &[&words])]);
        assert_eq!(container.status(), status);
    }
    for status in ["created", "stopped"] {
        let container = Container::new(sleeper());
        let before = Before::now(&container.runtime);
        container.create().ok();
        if status == "stopped" {
            container.kill("KILL").ok();
        }
        container.expect_status(status);
        container.delete().ok();
        before.assert_clean(&container.runtime, &container.bundle);
    }
}

fn force_in_each_status() {
    for status in ["created", "running", "paused", "stopped"] {
        for flag in ["--force", "-f"] {
            let before = Before::now(&runsig_tests::Runtime::new());
            let container = in_state(status);
            container.verb("delete", &[flag]).ok();
            before.assert_clean(&container.runtime, &container.bundle);
        }
    }
}

/// Engines delete what may be gone.
fn force_of_an_unknown_id() {
    let container = Container::new(Bundle::new());
    let outcome = container.delete_force().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

fn twice() {
    let container = in_state("stopped");
    container.delete().ok();
    refused(&container, &[row(&["delete", "ID"], 1, &["container does not exist"])]);
}

fn says_nothing() {
    let outcome = in_state("stopped").delete().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

/// What a runtime that was killed at the wrong moment leaves.
fn state_directory_without_state() {
    let container = Container::new(Bundle::new());
    let before = Before::now(&container.runtime);
    std::fs::create_dir(container.runtime.root.join(container.id())).expect("mkdir");
    container.delete().fails(1, &["container does not exist"]).one_line();
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn many_processes() {
    let container = Container::new(Bundle::script("sleep 1000 & sleep 1001 & sleep 1002"));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    for words in ["sleep 1000", "sleep 1001", "sleep 1002"] {
        let _ = container.wait_for_command(words);
    }
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}
