//! `state`.

use runsig_tests::leftovers::Before;
use runsig_tests::{Case, Container, cases, procs};

use crate::calls::{refused, usual};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "state": bad_calls, fields, of_each_status, without_annotations;
    Host "state": of_each_status;
];

fn bad_calls() {
    let container = in_state("running");
    refused(&container, &usual("state", 1, "exactly 1", &[]));
    assert_eq!(container.status(), "running");
}

fn fields() {
    let bundle = sleeper().with(|config| config["annotations"]["org.example.key"] = "<value>".into());
    let container = Container::running(bundle);
    let outcome = container.verb("state", &[]).ok();
    let state = outcome.json();
    let keys: Vec<_> = state.as_object().expect("an object").keys().cloned().collect();
    let mut expected =
        ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], container.bundle.dir.to_str().expect("utf-8"));
    assert_eq!(state["rootfs"], container.bundle.rootfs().to_str().expect("utf-8"));
    assert_eq!(state["annotations"]["org.example.key"], "<value>");
    assert_eq!(state["owner"], "");
    // The version that the state is of, not the bundle's.
    let features = container.runtime.call(&["features"]).ok().json();
    assert_ne!(state["ociVersion"], container.bundle.config["ociVersion"]);
    assert_eq!(state["ociVersion"], features["ociVersionMax"]);
    assert!(
        state["created"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
        "{state}"
    );
    assert!(procs::alive(i32::try_from(state["pid"].as_i64().expect("pid")).expect("pid")));
    // The form is Go's MarshalIndent: two blanks, this order, `<` escaped, no newline at the end.
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert!(lines[0] == "{" && lines[1].starts_with("  \"ociVersion\": ") && !outcome.stdout.ends_with('\n'));
    assert!(outcome.stdout.contains("\\u003cvalue\\u003e"), "{outcome:#?}");
}

fn of_each_status() {
    for status in ["created", "running", "paused", "stopped"] {
        let container = in_state(status);
        let before = Before::now(&container.runtime);
        let state = container.state();
        assert_eq!(state["status"], status);
        let pid = state["pid"].as_i64().expect("a number");
        assert_eq!(pid == 0, status == "stopped", "{state}");
        assert_eq!(before.new_things(&container.runtime), Vec::<String>::new());
    }
}

fn without_annotations() {
    let state = in_state("created").state();
    assert!(state.get("annotations").is_none(), "{state}");
}
