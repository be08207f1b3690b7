//! `checkpoint` and `restore`: their arguments. What CRIU makes of a container needs a machine CRIU works on.

use runsig_tests::{Bundle, Case, Container, cases};

use crate::calls::{Row, refused, row, usual};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] =
    cases![V2 "checkpoint": bad_calls, in_each_status, bad_calls_of_restore, bad_places_of_restore];

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
    let server = "Use --page-server ADDRESS:PORT to specify page server";
    for (flag, value, words) in [
        ("manage-cgroups-mode", "bogus", "nvalid manage"),
        ("page-server", "x", server),
        ("page-server", ":5", server),
        ("page-server", "1.2.3.4:", server),
        ("page-server", "x:y", "Invalid port number"),
        ("empty-ns", "bogus", "namespace \"bogus\" is not supported"),
        ("empty-ns", "pid", "namespace \"pid\" is not supported"),
        ("image-path", "/dev/null", "mkdir /dev/null: not a directory"),
        ("image-path", "/dev/null/x", "not a directory"),
        ("parent-path", "/runsig-test-none", "--parent-path must be relative"),
        ("parent-path", "../none", "invalid --parent-path: stat "),
    ] {
        rows.push(row(&["checkpoint", &format!("--{flag}"), value, "ID"], 1, &[words]));
    }
    let container = in_state("running");
    refused(&container, &rows);
    container.expect_status("running");
}

fn in_each_status() {
    for status in ["created", "stopped"] {
        let words = format!("Container cannot be checkpointed in {status} state");
        refused(&in_state(status), &[row(&["checkpoint", "ID"], 1, &[&words])]);
    }
}

/// Before CRIU is asked. The container is one of another bundle: its cgroup must be free.
fn bad_places_of_restore() {
    let (other, container) = (Bundle::new(), in_state("running"));
    other.save();
    let bundle = other.dir.to_str().expect("utf-8");
    // It is made.
    let no_images = format!("{bundle}/no-images");
    let call = |args: &[&str], words: &str| {
        row(&[&["restore", "--bundle", bundle, "--image-path", "DIR"], args].concat(), 1, &[words])
    };
    refused(
        &container,
        &[
            call(&["ID"], "container with given ID already exists").runsig(
                1,
                &["descriptors.json: no such file or directory"],
                "an ID is claimed last: one of a restore that was killed is free again",
            ),
            call(&[""], "container id cannot be empty"),
            call(&["../x"], "invalid container ID format"),
            call(
                &["--bundle", "/runsig-test-none", "x"],
                "chdir /runsig-test-none: no such file or directory",
            ),
            call(&["--bundle", "DIR", "x"], "JSON specification file config.json not found"),
            call(&["--image-path", "/dev/null", "x"], "mkdir /dev/null: not a directory"),
            call(&["--empty-ns", "bogus", "x"], "namespace \"bogus\" is not supported"),
            call(&["--image-path", &no_images, "x"], &no_images),
        ],
    );
    assert!(!runsig_tests::cgroup::directories(&container.bundle.cgroup()).is_empty());
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
