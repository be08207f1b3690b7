//! `pause` and `resume`.

use runsig_tests::{Case, cases};

use crate::calls::{refused, row, usual};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "pause": bad_calls, there_and_back, in_each_status, resume_in_each_status;
    V1 "pause": there_and_back, in_each_status, resume_in_each_status;
    Host "pause": there_and_back;
];

fn bad_calls() {
    let container = in_state("running");
    for verb in ["pause", "resume"] {
        refused(&container, &usual(verb, 1, "exactly 1", &[]));
        let words = format!("{verb:?} requires exactly 1 argument(s)");
        refused(&container, &[row(&[verb, "ID", "more"], 1, &[&words])]);
    }
    assert_eq!(container.status(), "running");
}

fn there_and_back() {
    let container = in_state("running");
    for (verb, status) in
        [("pause", "paused"), ("resume", "running"), ("pause", "paused"), ("resume", "running")]
    {
        let outcome = container.verb(verb, &[]).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        assert_eq!(container.status(), status);
    }
}

fn in_each_status() {
    for status in ["paused", "stopped"] {
        let container = in_state(status);
        refused(&container, &[row(&["pause", "ID"], 1, &["container not running"])]);
        assert_eq!(container.status(), status);
    }
    let created = in_state("created");
    created.verb("pause", &[]).ok();
    assert_eq!(created.status(), "paused");
    created.verb("resume", &[]).ok();
    assert_eq!(created.status(), "created");
}

fn resume_in_each_status() {
    for status in ["created", "running", "stopped"] {
        let container = in_state(status);
        refused(&container, &[row(&["resume", "ID"], 1, &["container not paused"])]);
        assert_eq!(container.status(), status);
    }
}
