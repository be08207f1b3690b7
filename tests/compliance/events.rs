//! `events`.

use runsig_tests::runtime::Running;
use runsig_tests::{Case, cases, json, require_runsig, wait};

use crate::calls::{Row, refused, refused_since, row, usual};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "events": bad_calls, bad_calls_of_later_versions, stopped, statistics, ends_with_the_container;
    V1 "events": statistics, ends_with_the_container;
];

fn rows() -> Vec<Row> {
    let mut rows = usual("events", 1, "exactly 1", &[]);
    rows.extend([
        row(&["events", "--interval"], 1, &["flag needs an argument: -"]),
        row(&["events", "--stats=maybe", "ID"], 1, &["-stats: parse error"]),
        row(&["events", "--interval", "soon", "ID"], 1, &["invalid value \"soon\" for flag -interval: "]),
        row(&["events", "--interval", "5 s", "ID"], 1, &["invalid value \"5 s\" for flag -interval: "]),
        row(&["events", "--interval", "5", "ID"], 1, &["invalid value \"5\" for flag -interval: "]),
        row(&["events", "--interval", "5", "ID"], 1, &["time: missing unit in duration \"5\""]).since("1.4"),
        row(&["events", "--interval", "0s", "ID"], 1, &["duration interval must be greater than 0"]),
        row(&["events", "--interval", "0", "ID"], 1, &["duration interval must be greater than 0"]),
        row(&["events", "--interval", "-5s", "ID"], 1, &["duration interval must be greater than 0"]),
        row(&["events", "--interval", "soon", "ID"], 1, &["time: invalid duration \"soon\""]).since("1.4"),
    ]);
    rows
}

fn bad_calls() {
    refused(&in_state("running"), &rows());
}

fn bad_calls_of_later_versions() {
    refused_since(&in_state("running"), &rows());
}

fn stopped() {
    let container = in_state("stopped");
    let words = format!("container with id {} is not running", container.id());
    refused(
        &container,
        &[row(&["events", "ID"], 1, &[&words]), row(&["events", "--stats", "ID"], 1, &[&words])],
    );
}

fn statistics() {
    for status in ["running", "paused"] {
        let container = in_state(status);
        let outcome = container.verb("events", &["--stats"]).ok();
        assert_eq!(outcome.stdout.lines().count(), 1);
        let stats = outcome.json();
        assert_eq!((&stats["type"], &stats["id"]), (&json!("stats"), &json!(container.id())));
        let data = &stats["data"];
        for key in ["cpu", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"] {
            assert!(data.get(key).is_some(), "{key}: {stats}");
        }
        assert_eq!(data["pids"]["current"], json!(1), "{stats}");
        assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|ns| ns > 0), "{stats}");
        assert_eq!(container.status(), status);
    }
}

fn ends_with_the_container() {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    if controllers.is_ok_and(|list| !list.contains("memory")) {
        require_runsig("runc wants the memory controller for it, and this v2 hierarchy has none");
    }
    let container = in_state("running");
    let events = Running::start(container.command("events", &["--interval", "50ms"]));
    wait::expect("two lines of statistics", || events.stdout().lines().count() >= 2);
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete_force().ok();
    events.finish(wait::SOON).ok();
}
