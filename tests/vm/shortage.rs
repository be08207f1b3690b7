//! Limits that are reached: what the container, the report of its end and `events` say.

use std::time::Duration;

use runsig_tests::runtime::Running;
use runsig_tests::{Bundle, Case, Container, Value, cases, json, needs, require_runsig, wait};

use crate::value;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "shortage": out_of_memory_ends_the_program, out_of_memory_of_a_child_spares_init, events_tell_of_out_of_memory,
        create_with_too_little_memory_says_so, no_more_processes, exec_needs_one_process_more, no_process_left_for_exec,
        cpu_quota_holds_back, group_kill_takes_all, stop_of_a_container_at_its_limits;
];

/// Takes memory until it has 64 MiB, in a shell of busybox.
const EATER: &str = "tail -c 64m /dev/zero > /dev/null";

fn limited(script: &str, resources: Value) -> Container {
    needs::controllers(&["memory", "pids", "cpu"]);
    Container::new(Bundle::script(script).with(|config| config["linux"]["resources"] = resources))
}

fn little_memory() -> Value {
    json!({"memory": {"limit": 16_777_216, "swap": 16_777_216}})
}

fn out_of_memory_ends_the_program() {
    let container = limited(&format!("exec {EATER}"), little_memory());
    let outcome = container.run();
    assert_eq!(outcome.code, 137, "{outcome:#?}");
}

fn out_of_memory_of_a_child_spares_init() {
    let container = limited(
        &format!("{EATER}; echo child $?; grep oom_kill /sys/fs/cgroup/memory.events"),
        little_memory(),
    );
    let outcome = container.run().ok();
    assert!(outcome.stdout.contains("child 137") && outcome.stdout.contains("oom_kill 1"), "{outcome:#?}");
}

fn events_tell_of_out_of_memory() {
    let container =
        limited(&format!("while [ ! -e /go ]; do sleep 0.1; done; {EATER}; sleep 1000"), little_memory());
    container.create().ok();
    container.start().ok();
    let events = Running::start(container.command("events", &["--interval", "100ms"]));
    wait::expect("events to look", || events.stdout().contains("stats"));
    std::fs::write(container.bundle.rootfs().join("go"), "").expect("write");
    wait::expect("the event", || events.stdout().contains(r#""type":"oom""#));
    container.delete_force().ok();
    events.finish(Duration::from_secs(10)).ok();
}

fn create_with_too_little_memory_says_so() {
    require_runsig("runc leaves it to the kernel's words");
    let container = limited("true", json!({"memory": {"limit": 4096, "swap": 4096}}));
    let before = runsig_tests::leftovers::Before::now(&container.runtime);
    let outcome = container.create();
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(!outcome.stderr.trim().is_empty(), "{outcome:#?}");
    before.assert_clean(&container.runtime, &container.bundle);
}

fn no_more_processes() {
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done 2>&1; echo end";
    let outcome = limited(script, json!({"pids": {"limit": 4}})).run();
    assert!(outcome.stdout.contains("fork"), "{outcome:#?}");
}

fn exec_needs_one_process_more() {
    let container = limited("exec sleep 1000", json!({"pids": {"limit": 3}}));
    container.create().ok();
    container.start().ok();
    assert_eq!(container.runtime.call(&["exec", container.id(), "echo", "hi"]).ok().text(), "hi");
}

fn no_process_left_for_exec() {
    let container = limited("exec sleep 1000", json!({"pids": {"limit": 1}}));
    container.create().ok();
    container.start().ok();
    let outcome = container.runtime.call(&["exec", container.id(), "true"]);
    assert_eq!(outcome.code, 255, "{outcome:#?}");
    container.expect_status("running");
    assert_eq!(value(&container, "pids.current"), "1");
}

fn cpu_quota_holds_back() {
    let container = limited("while :; do :; done", json!({"cpu": {"quota": 5000, "period": 50_000}}));
    container.create().ok();
    container.start().ok();
    wait::expect("the program to be held back", || {
        let stats = container.verb("events", &["--stats"]).ok().json();
        stats["data"]["cpu"]["throttling"]["throttledPeriods"].as_u64().is_some_and(|count| count > 3)
    });
}

fn group_kill_takes_all() {
    let mut resources = little_memory();
    resources["unified"] = json!({"memory.oom.group": "1"});
    let container = limited(&format!("sleep 1000 & {EATER}; sleep 1000"), resources);
    container.create().ok();
    container.start().ok();
    container.expect_status("stopped");
}

fn stop_of_a_container_at_its_limits() {
    require_runsig("runc has no stop");
    let script = "trap 'exit 3' TERM; sleep 1000 & sleep 1000 & wait";
    let container = limited(script, json!({"pids": {"limit": 3}, "memory": {"limit": 16_777_216}}));
    container.create().ok();
    container.start().ok();
    wait::expect("both to run", || value(&container, "pids.current") == "3");
    let outcome = container.verb("stop", &["--format", "json"]).ok();
    assert!(outcome.stdout.contains(r#""exited""#) || outcome.stdout.contains('3'), "{outcome:#?}");
    container.expect_status("stopped");
}
