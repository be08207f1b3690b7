//! `checkpoint` and `restore`: their arguments. What CRIU makes of a container needs a machine CRIU works on.

use runsig_tests::{Bundle, Case, Container, cases};

use crate::calls::{Row, refused, row, usual};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "checkpoint": bad_calls, bad_calls_of_restore];

fn bad_calls() {
    let mut rows = usual("checkpoint", 1, "exactly 1", &[]);
    rows.push(row(&["checkpoint", "ID", "more"], 1, &["\"checkpoint\" requires exactly 1 argument(s)"]));
    rows.push(row(
        &["checkpoint", "--status-fd", "x", "ID"],
        1,
        &["invalid value \"x\" for flag -status-fd: "],
    ));
    for flag in [
        "leave-running",
        "tcp-established",
        "ext-unix-sk",
        "shell-job",
        "lazy-pages",
        "file-locks",
        "pre-dump",
    ] {
        let words = format!("-{flag}: parse error");
        rows.push(row(&["checkpoint", &format!("--{flag}=maybe"), "ID"], 1, &[&words]));
    }
    for flag in ["image-path", "work-path", "parent-path", "page-server", "manage-cgroups-mode", "empty-ns"] {
        rows.push(row(&["checkpoint", &format!("--{flag}")], 1, &["flag needs an argument: -"]));
    }
    refused(&in_state("running"), &rows);
}

fn bad_calls_of_restore() {
    let counts = "\"restore\" requires exactly 1 argument(s)";
    let mut rows: Vec<Row> = vec![
        row(&["restore"], 1, &[counts]),
        row(&["restore", "a", "b"], 1, &[counts]),
        row(&["restore", "--no-such-flag", "x"], 1, &["flag provided but not defined: -no-such-flag"]),
    ];
    for flag in
        ["image-path", "work-path", "bundle", "pid-file", "console-socket", "manage-cgroups-mode", "empty-ns"]
    {
        rows.push(row(&["restore", &format!("--{flag}")], 1, &["flag needs an argument: -"]));
    }
    for flag in
        ["detach", "no-subreaper", "no-pivot", "tcp-established", "shell-job", "auto-dedup", "lazy-pages"]
    {
        let words = format!("-{flag}: parse error");
        rows.push(row(&["restore", &format!("--{flag}=maybe"), "x"], 1, &[&words]));
    }
    refused(&Container::new(Bundle::new()), &rows);
}
