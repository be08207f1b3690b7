//! `update` of every v2 limit, by flag and by JSON.

use std::fs;

use runsig_tests::{Case, Container, Outcome, Value, cases, json, needs, require_runsig};

use crate::{sleeper, value};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "updates": memory, memory_and_swap_together, no_limit_again, reservation, cpu, cpu_quota_alone_keeps_the_period,
        cpu_burst_and_idle, cpuset, pids, by_json, by_standard_input, throttle_by_json, unified_by_json,
        what_is_not_given_stays, created_one, paused_one_stays_paused, refused_one_goes_on, stopped_one_is_refused;
];

const ALL: [&str; 5] = ["memory", "cpu", "cpuset", "pids", "io"];

fn start() -> Container {
    needs::controllers(&ALL);
    Container::running(sleeper(json!({"memory": {"limit": 134_217_728}, "pids": {"limit": 40}})))
}

fn update(container: &Container, args: &[&str]) -> Outcome {
    container.verb("update", args)
}

fn update_json(container: &Container, resources: &Value) -> Outcome {
    let file = container.bundle.dir.join("limits.json");
    fs::write(&file, resources.to_string()).expect("write");
    update(container, &["-r", file.to_str().expect("utf-8")])
}

fn expect(container: &Container, file: &str, expected: &str) {
    assert_eq!(value(container, file), expected, "{file}");
}

fn memory() {
    let container = start();
    update(&container, &["--memory", "64M"]).ok();
    expect(&container, "memory.max", "67108864");
    update(&container, &["--memory", "268435456"]).ok();
    expect(&container, "memory.max", "268435456");
}

fn memory_and_swap_together() {
    let container = start();
    update(&container, &["--memory", "64M", "--memory-swap", "96M"]).ok();
    expect(&container, "memory.max", "67108864");
    expect(&container, "memory.swap.max", "33554432");
    update(&container, &["--memory", "64M", "--memory-swap", "-1"]).ok();
    expect(&container, "memory.swap.max", "max");
}

fn no_limit_again() {
    let container = start();
    update(&container, &["--memory", "-1", "--pids-limit", "-1"]).ok();
    expect(&container, "memory.max", "max");
    expect(&container, "pids.max", "max");
}

fn reservation() {
    let container = start();
    update(&container, &["--memory-reservation", "32M"]).ok();
    expect(&container, "memory.low", "33554432");
}

fn cpu() {
    let container = start();
    update(&container, &["--cpu-quota", "40000", "--cpu-period", "80000", "--cpu-share", "2"]).ok();
    expect(&container, "cpu.max", "40000 80000");
    expect(&container, "cpu.weight", "1");
}

fn cpu_quota_alone_keeps_the_period() {
    let container = start();
    update(&container, &["--cpu-quota", "40000", "--cpu-period", "80000"]).ok();
    update(&container, &["--cpu-quota", "20000"]).ok();
    expect(&container, "cpu.max", "20000 80000");
    update(&container, &["--cpu-quota", "-1"]).ok();
    expect(&container, "cpu.max", "max 80000");
}

fn cpu_burst_and_idle() {
    require_runsig("both came to runc in 1.2");
    let container = start();
    update(&container, &["--cpu-quota", "40000"]).ok();
    update(&container, &["--cpu-burst", "10000"]).ok();
    expect(&container, "cpu.max.burst", "10000");
    update(&container, &["--cpu-idle", "1"]).ok();
    expect(&container, "cpu.idle", "1");
    update(&container, &["--cpu-idle", "0"]).ok();
    expect(&container, "cpu.idle", "0");
}

fn cpuset() {
    let container = start();
    update(&container, &["--cpuset-cpus", "1", "--cpuset-mems", "0"]).ok();
    expect(&container, "cpuset.cpus", "1");
    expect(&container, "cpuset.mems", "0");
    let list = runsig_tests::procs::status_field(container.pid(), "Cpus_allowed_list");
    assert_eq!(list.as_deref(), Some("1"));
}

fn pids() {
    let container = start();
    update(&container, &["--pids-limit", "7"]).ok();
    expect(&container, "pids.max", "7");
}

fn by_json() {
    let container = start();
    let resources = json!({
        "memory": {"limit": 67_108_864, "reservation": 16_777_216}, "cpu": {"shares": 262_144, "quota": 30_000},
        "pids": {"limit": 11}
    });
    update_json(&container, &resources).ok();
    expect(&container, "memory.max", "67108864");
    expect(&container, "memory.low", "16777216");
    expect(&container, "cpu.weight", "10000");
    expect(&container, "cpu.max", "30000 100000");
    expect(&container, "pids.max", "11");
}

fn by_standard_input() {
    // As containerd does.
    let container = start();
    let file = container.bundle.dir.join("limits.json");
    fs::write(&file, r#"{"pids":{"limit":13}}"#).expect("write");
    let script = format!(
        "exec {} --root {} update --resources=- {} < {}",
        container.runtime.program.display(),
        container.runtime.root.display(),
        container.id(),
        file.display()
    );
    let status = std::process::Command::new("sh").args(["-c", &script]).status().expect("sh");
    assert!(status.success());
    expect(&container, "pids.max", "13");
}

fn throttle_by_json() {
    let container = start();
    let device = fs::read_to_string("/sys/block/vda/dev").expect("the guest's disk");
    let (major, minor) = device.trim().split_once(':').expect("two numbers");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let rate = json!([{"major": number(major), "minor": number(minor), "rate": 1_048_576}]);
    update_json(&container, &json!({"blockIO": {"throttleWriteBpsDevice": rate}})).ok();
    assert!(value(&container, "io.max").contains("wbps=1048576"));
}

fn unified_by_json() {
    let container = start();
    update_json(&container, &json!({"unified": {"memory.high": "33554432"}})).ok();
    expect(&container, "memory.high", "33554432");
}

fn what_is_not_given_stays() {
    require_runsig("runc takes the limit of processes off again");
    let container = start();
    update(&container, &["--cpu-quota", "40000"]).ok();
    update_json(&container, &json!({"memory": {"limit": 67_108_864}})).ok();
    expect(&container, "cpu.max", "40000 100000");
    expect(&container, "pids.max", "40");
}

fn created_one() {
    needs::controllers(&ALL);
    let container = Container::created(sleeper(json!({})));
    update(&container, &["--memory", "64M", "--pids-limit", "5"]).ok();
    container.start().ok();
    expect(&container, "memory.max", "67108864");
    expect(&container, "pids.max", "5");
}

fn paused_one_stays_paused() {
    let container = start();
    container.verb("pause", &[]).ok();
    update(&container, &["--memory", "64M"]).ok();
    expect(&container, "memory.max", "67108864");
    container.expect_status("paused");
    container.verb("resume", &[]).ok();
}

fn refused_one_goes_on() {
    let container = start();
    for args in [["--cpuset-cpus", "4000"], ["--cpu-quota", "1"], ["--memory-swap", "1"]] {
        let outcome = update(&container, &args);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
    }
    container.expect_status("running");
    expect(&container, "memory.max", "134217728");
    update(&container, &["--pids-limit", "5"]).ok();
    expect(&container, "pids.max", "5");
}

fn stopped_one_is_refused() {
    let container = start();
    container.kill("KILL").ok();
    container.expect_status("stopped");
    update(&container, &["--memory", "64M"]).fails(1, &["container not running"]);
}
