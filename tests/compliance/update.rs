//! `update`. What limits do is tests/lifecycle's matter.

use std::fs;
use std::process::Command;

use runsig_tests::harness::test_dir;
use runsig_tests::runtime::finish;
use runsig_tests::sandbox::require_v1_controller;
use runsig_tests::{Case, Container, cases, cgroup, require_runsig, wait};

use crate::calls::{Row, refused, refused_since, row, usual};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "update": bad_calls, bad_calls_of_later_versions, bad_files, no_limits_at_all, stopped;
    V1 "update": by_flags, by_file_and_standard_input, keys_in_any_case, what_is_not_given_stays;
];

fn rows() -> Vec<Row> {
    let mut rows = usual("update", 1, "exactly 1", &[]);
    for flag in ["cpu-period", "cpu-quota", "cpu-share", "cpu-rt-period", "cpu-rt-runtime"] {
        let words = format!("invalid value for {flag}: ");
        let call = |value: &str| row(&["update", &format!("--{flag}"), value, "ID"], 1, &[&words]);
        rows.extend([call("much"), call("1.5"), call("99999999999999999999"), call("5k")]);
    }
    for flag in ["cpu-burst", "cpu-idle"] {
        let words = format!("invalid value for {flag}: ");
        rows.push(row(&["update", &format!("--{flag}"), "much", "ID"], 1, &[&words]).since("1.2"));
    }
    for flag in ["memory", "memory-swap", "memory-reservation"] {
        let words = format!("invalid value for {flag}: ");
        let call = |value: &str| row(&["update", &format!("--{flag}"), value, "ID"], 1, &[&words]);
        rows.extend([call("much"), call("-2"), call("5x"), call("M"), call("1mm")]);
    }
    for flag in ["--pids-limit", "--blkio-weight"] {
        let words = format!("invalid value \"much\" for flag {}: ", &flag[1..]);
        rows.push(row(&["update", flag, "much", "ID"], 1, &[&words]));
    }
    rows.extend([
        row(&["update", "--memory"], 1, &["flag needs an argument: -"]),
        row(&["update", "--cpu-period", "-1", "ID"], 1, &["invalid value for cpu-period: "]),
        row(&["update", "--cpu-share", "-1", "ID"], 1, &["invalid value for cpu-share: "]),
        row(
            &["update", "--resources", "/runsig-test-none/file", "ID"],
            1,
            &["open /runsig-test-none/file: no such file or directory"],
        ),
        row(&["update", "-r", "DIR", "ID"], 1, &["is a directory"]),
        row(&["update", "-r", "-", "ID"], 1, &["EOF"]),
    ]);
    if !fs::exists("/sys/fs/resctrl/schemata").unwrap_or_default() {
        rows.extend([
            row(
                &["update", "--l3-cache-schema", "L3:0=f", "ID"],
                1,
                &["Intel RDT/CAT: l3 cache schema is not enabled"],
            ),
            row(
                &["update", "--mem-bw-schema", "MB:0=50", "ID"],
                1,
                &["Intel RDT/MBA: memory bandwidth schema is not enabled"],
            ),
        ]);
    }
    rows
}

fn bad_calls() {
    let container = in_state("running");
    refused(&container, &rows());
    assert_eq!(container.status(), "running");
}

fn bad_calls_of_later_versions() {
    refused_since(&in_state("running"), &rows());
}

fn bad_files() {
    let container = in_state("running");
    let rows: Vec<Row> = [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", ""),
        ("text", ""),
        (r#"{"memory": {"limit": "5M"}}"#, ""),
        (r#"{"memory": 7}"#, ""),
        (r#"{"cpu": {"shares": -1}}"#, ""),
        (r#"{"pids": {"limit": 1.5}}"#, ""),
    ]
    .iter()
    .enumerate()
    .map(|(number, (content, words))| {
        let path = test_dir().join(format!("r{number}"));
        fs::write(&path, content).expect("write");
        row(&["update", "-r", &path.to_string_lossy(), "ID"], 1, &[words])
    })
    .collect();
    refused(&container, &rows);
}

fn no_limits_at_all() {
    for status in ["created", "running", "paused"] {
        let container = in_state(status);
        let outcome = container.verb("update", &[]).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        assert_eq!(container.status(), status);
    }
}

fn stopped() {
    let container = in_state("stopped");
    refused(
        &container,
        &[
            row(&["update", "ID"], 1, &["container not running"]),
            row(&["update", "--pids-limit", "5", "ID"], 1, &["container not running"]),
        ],
    );
}

fn limits() -> Container {
    require_v1_controller("pids");
    require_v1_controller("memory");
    require_v1_controller("cpu");
    in_state("running")
}

fn read(container: &Container, file: &str) -> String {
    cgroup::read(&container.bundle.cgroup(), file).unwrap_or_else(|| panic!("no {file}"))
}

fn by_flags() {
    let container = limits();
    for (flags, file, value) in [
        (&["--pids-limit", "17"][..], "pids.max", "17"),
        (&["--pids-limit", "-1"], "pids.max", "max"),
        (&["--memory", "50M"], "memory.limit_in_bytes", "52428800"),
        (&["--memory", "67108864"], "memory.limit_in_bytes", "67108864"),
        (&["--memory", "0.0625g"], "memory.limit_in_bytes", "67108864"),
        (&["--memory-reservation", "33554432"], "memory.soft_limit_in_bytes", "33554432"),
        (&["--cpu-share", "512"], "cpu.shares", "512"),
        (&["--cpu-period", "50000", "--cpu-quota", "25000"], "cpu.cfs_quota_us", "25000"),
        (&["--cpu-period", "50000", "--cpu-quota", "25000"], "cpu.cfs_period_us", "50000"),
        (&["--cpu-quota", "30000"], "cpu.cfs_quota_us", "30000"),
    ] {
        let outcome = container.verb("update", flags).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        assert_eq!(read(&container, file), value, "{flags:?}");
    }
}

fn by_file_and_standard_input() {
    let container = limits();
    let file = test_dir().join("limits.json");
    fs::write(&file, r#"{"memory": {"limit": 67108864}} and what follows"#).expect("write");
    // Other flags do not count beside it.
    container.verb("update", &["--resources", file.to_str().expect("utf-8"), "--memory", "90M"]).ok();
    assert_eq!(read(&container, "memory.limit_in_bytes"), "67108864");
    let inner = container.command("update", &["-r", "-"]);
    let mut command = Command::new("bash");
    command.args(["-c", "echo '{\"pids\": {\"limit\": 23}}' | \"$@\"", "bash"]);
    command.arg(inner.get_program()).args(inner.get_args());
    finish(command, wait::SOON).ok();
    assert_eq!(read(&container, "pids.max"), "23");
}

/// Go's parser does not look at the case of keys, and two objects for one field are one.
fn keys_in_any_case() {
    let container = limits();
    let file = test_dir().join("limits.json");
    let text =
        r#"{"MEMORY": {"Limit": 67108864}, "memory": {"reservation": 33554432}, "Pids": {"LIMIT": 31}}"#;
    fs::write(&file, text).expect("write");
    container.verb("update", &["-r", file.to_str().expect("utf-8")]).ok();
    assert_eq!(read(&container, "memory.limit_in_bytes"), "67108864");
    assert_eq!(read(&container, "memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(read(&container, "pids.max"), "31");
}

fn what_is_not_given_stays() {
    require_runsig("runc takes the limit of processes off again when an update does not mention it");
    let container = limits();
    container.verb("update", &["--pids-limit", "17"]).ok();
    container.verb("update", &["--memory", "50M"]).ok();
    assert_eq!(read(&container, "pids.max"), "17");
}
