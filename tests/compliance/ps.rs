//! `ps`.

use runsig_tests::{Case, Container, cases, json};

use crate::calls::{Row, refused, row, usual};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "ps": bad_calls, table, options_of_ps, json_lists_pids, paused, created_and_stopped;
    V1 "ps": table, json_lists_pids;
];

fn rows() -> Vec<Row> {
    let mut rows = usual("ps", 1, "a minimum of 1", &[]);
    rows.extend([
        row(&["ps", "--format"], 1, &["flag needs an argument: -"]),
        row(&["ps", "--format", "yaml", "ID"], 1, &["invalid format option"]),
        row(&["ps", "ID", "-o", "user"], 1, &["couldn't find PID field in ps output"]),
        row(&["ps", "ID", "--no-such-option-of-ps"], 1, &["exit status 1: error: unknown gnu long option"]),
    ]);
    rows
}

fn bad_calls() {
    refused(&in_state("running"), &rows());
}

fn two() -> Container {
    let container = Container::running(sleeper());
    container.runtime.call(&["exec", "--detach", container.id(), "sleep", "2000"]).ok();
    let _ = container.wait_for_command("sleep 2000");
    container
}

fn table() {
    let container = two();
    for args in [&["ps"][..], &["ps", "-f", "table"]] {
        let outcome = container.runtime.call(&[args, &[container.id()]].concat()).ok();
        let mut lines = outcome.stdout.lines();
        let header: Vec<_> = lines.next().expect("a header").split_whitespace().collect();
        assert_eq!(header, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        let rest: Vec<_> = lines.collect();
        assert_eq!(rest.len(), 2, "{outcome:#?}");
        assert!(rest[0].ends_with("sleep 1000") && rest[1].ends_with("sleep 2000"), "{outcome:#?}");
    }
}

/// What follows the id is for ps(1), also what looks like a flag of ours.
fn options_of_ps() {
    let container = two();
    let outcome = container.runtime.call(&["ps", container.id(), "-e", "-o", "pid,args"]).ok();
    assert_eq!(outcome.stdout.lines().count(), 3, "{outcome:#?}");
    let outcome = container.runtime.call(&["ps", container.id(), "-e", "-f", "--no-headers", "-o", "pid"]);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
}

fn json_lists_pids() {
    let container = two();
    let mut expected = vec![container.pid(), container.wait_for_command("sleep 2000")];
    expected.sort_unstable();
    for flag in ["-f", "--format"] {
        let outcome = container.runtime.call(&["ps", flag, "json", container.id()]).ok();
        assert!(outcome.stdout.ends_with("]\n") && outcome.stdout.lines().count() == 1, "{outcome:#?}");
        let mut pids: Vec<i32> = serde_json::from_value(outcome.json()).expect("numbers");
        pids.sort_unstable();
        assert_eq!(pids, expected);
    }
}

fn paused() {
    let container = in_state("paused");
    let pids = container.runtime.call(&["ps", "-f", "json", container.id()]).ok().json();
    assert_eq!(pids, json!([container.pid()]));
}

fn created_and_stopped() {
    let container = in_state("created");
    let pids = container.runtime.call(&["ps", "-f", "json", container.id()]).ok().json();
    assert_eq!(pids, json!([container.pid()]));
    container.kill("KILL").ok();
    container.expect_status("stopped");
    let outcome = container.runtime.call(&["ps", container.id()]).ok();
    assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:#?}");
    let outcome = container.runtime.call(&["ps", "-f", "json", container.id()]).ok();
    assert!(["[]", "null"].contains(&outcome.text()), "{outcome:#?}");
}
