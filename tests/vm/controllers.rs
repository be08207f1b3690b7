//! Every setting of the v2 controllers, as the kernel reads it back.

use std::fs;

use runsig_tests::{Case, Container, Value, cases, json, needs, require_runsig, skip};

use crate::{sleeper, value};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "controllers": memory, memory_without_limits, swap_below_memory_is_refused, swap_equal_to_memory_is_none,
        usage_is_checked_before_the_limit, cpu, cpu_shares_of_all_sizes, cpu_burst, cpu_idle, cpuset,
        cpuset_of_no_cpu_is_refused, pids, throttled_devices, throttle_of_no_device_is_refused,
        io_weight_by_the_scheduler_there, unified, unified_wins, everything_at_once, statistics,
        created_has_its_limits_before_it_starts, parents_hand_down_their_controllers;
];

fn running(controllers: &[&str], resources: Value) -> Container {
    needs::controllers(controllers);
    Container::running(sleeper(resources))
}

/// A `create` that fails and leaves nothing; what it said.
fn refused(controllers: &[&str], resources: Value) -> String {
    needs::controllers(controllers);
    Container::new(sleeper(resources)).create_refused()
}

fn memory() {
    let container = running(
        &["memory"],
        json!({"memory": {"limit": 104_857_600, "reservation": 52_428_800, "swap": 157_286_400}}),
    );
    assert_eq!(value(&container, "memory.max"), "104857600");
    assert_eq!(value(&container, "memory.low"), "52428800");
    // v2 counts swap alone, the specification both together.
    assert_eq!(value(&container, "memory.swap.max"), "52428800");
}

fn memory_without_limits() {
    let container = running(&["memory"], json!({"memory": {"limit": -1, "swap": -1}}));
    assert_eq!(value(&container, "memory.max"), "max");
    assert_eq!(value(&container, "memory.swap.max"), "max");
}

fn swap_below_memory_is_refused() {
    let words = refused(&["memory"], json!({"memory": {"limit": 67_108_864, "swap": 33_554_432}}));
    assert!(words.contains("memory"), "{words}");
}

fn swap_equal_to_memory_is_none() {
    let container = running(&["memory"], json!({"memory": {"limit": 67_108_864, "swap": 67_108_864}}));
    assert_eq!(value(&container, "memory.swap.max"), "0");
}

fn usage_is_checked_before_the_limit() {
    let container = running(&["memory"], json!({"memory": {"limit": 67_108_864}}));
    let too_little = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}).to_string();
    let file = container.bundle.dir.join("limits.json");
    fs::write(&file, too_little).expect("write");
    let outcome = container.verb("update", &["--resources", file.to_str().expect("utf-8")]);
    outcome.fails(1, &["rejecting memory limit"]);
    assert_eq!(value(&container, "memory.max"), "67108864");
    container.expect_status("running");
}

fn cpu() {
    let container = running(&["cpu"], json!({"cpu": {"shares": 1024, "quota": 50_000, "period": 100_000}}));
    assert_eq!(value(&container, "cpu.max"), "50000 100000");
    let unlimited = running(&["cpu"], json!({"cpu": {"quota": -1}}));
    assert_eq!(value(&unlimited, "cpu.max"), "max 100000");
}

fn cpu_shares_of_all_sizes() {
    require_runsig("the formula of runc 1.4 and crun 1.23; before, 1024 shares weighed 39");
    for (shares, weight) in [(2, "1"), (1024, "100"), (262_144, "10000")] {
        let container = running(&["cpu"], json!({"cpu": {"shares": shares}}));
        assert_eq!(value(&container, "cpu.weight"), weight, "{shares}");
    }
}

fn cpu_burst() {
    require_runsig("cpu.burst came to runc in 1.2 and to crun in 1.9");
    let container = running(&["cpu"], json!({"cpu": {"quota": 50_000, "burst": 20_000}}));
    assert_eq!(value(&container, "cpu.max.burst"), "20000");
}

fn cpu_idle() {
    require_runsig("cpu.idle came to runc in 1.2");
    let container = running(&["cpu"], json!({"cpu": {"idle": 1}}));
    assert_eq!(value(&container, "cpu.idle"), "1");
}

fn cpuset() {
    let container = running(&["cpuset"], json!({"cpu": {"cpus": "0", "mems": "0"}}));
    assert_eq!(value(&container, "cpuset.cpus"), "0");
    assert_eq!(value(&container, "cpuset.mems"), "0");
    let inside =
        container.runtime.call(&["exec", container.id(), "grep", "Cpus_allowed_list", "/proc/self/status"]);
    assert!(inside.ok().text().ends_with("\t0"));
}

fn cpuset_of_no_cpu_is_refused() {
    let words = refused(&["cpuset"], json!({"cpu": {"cpus": "4000"}}));
    assert!(words.contains("cpuset.cpus"), "{words}");
}

fn pids() {
    let container = running(&["pids"], json!({"pids": {"limit": 17}}));
    assert_eq!(value(&container, "pids.max"), "17");
    let unlimited = running(&["pids"], json!({"pids": {"limit": -1}}));
    assert_eq!(value(&unlimited, "pids.max"), "max");
}

/// The guest's virtio disk.
fn disk() -> (u64, u64) {
    let Ok(text) = fs::read_to_string("/sys/block/vda/dev") else { skip("no disk vda") };
    let (major, minor) = text.trim().split_once(':').expect("two numbers");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

fn throttled_devices() {
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let container = running(
        &["io"],
        json!({"blockIO": {
            "throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
            "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)
        }}),
    );
    let expected = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200");
    assert_eq!(value(&container, "io.max"), expected);
}

fn throttle_of_no_device_is_refused() {
    let device = json!([{"major": 4000, "minor": 4000, "rate": 1000}]);
    let words = refused(&["io"], json!({"blockIO": {"throttleReadBpsDevice": device}}));
    assert!(words.contains("io.max"), "{words}");
}

fn io_weight_by_the_scheduler_there() {
    let container = running(&["io"], json!({"blockIO": {"weight": 500}}));
    let found = ["io.bfq.weight", "io.weight"]
        .into_iter()
        .find_map(|file| runsig_tests::cgroup::read(&container.bundle.cgroup(), file));
    let Some(weight) = found else { skip("this kernel weighs no I/O") };
    assert!(weight.contains("500") || weight.contains("4950"), "{weight}");
}

fn unified() {
    let container = running(
        &["memory", "pids", "cpu"],
        json!({"unified": {
            "memory.high": "33554432", "memory.min": "8388608", "memory.oom.group": "1", "pids.max": "99",
            "cpu.weight": "42", "cgroup.max.depth": "3"
        }}),
    );
    for (file, expected) in [
        ("memory.high", "33554432"),
        ("memory.min", "8388608"),
        ("memory.oom.group", "1"),
        ("pids.max", "99"),
        ("cpu.weight", "42"),
        ("cgroup.max.depth", "3"),
    ] {
        assert_eq!(value(&container, file), expected, "{file}");
    }
}

fn unified_wins() {
    let container = running(&["pids"], json!({"pids": {"limit": 10}, "unified": {"pids.max": "20"}}));
    assert_eq!(value(&container, "pids.max"), "20");
}

fn everything_at_once() {
    let (major, minor) = disk();
    let container = running(
        &["memory", "cpu", "cpuset", "pids", "io", "hugetlb"],
        json!({
            "memory": {"limit": 134_217_728}, "cpu": {"quota": 80_000, "cpus": "0-1"}, "pids": {"limit": 50},
            "blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1_048_576}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 0}], "unified": {"memory.high": "100000000"}
        }),
    );
    let before = [
        ("memory.max", "134217728"),
        ("cpu.max", "80000 100000"),
        ("cpuset.cpus", "0-1"),
        ("pids.max", "50"),
        ("hugetlb.2MB.max", "0"),
        ("memory.high", "99999744"),
    ];
    for (file, expected) in before {
        assert_eq!(value(&container, file), expected, "{file}");
    }
}

fn statistics() {
    let container = running(
        &["memory", "cpu", "pids", "io"],
        json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 20}, "cpu": {"quota": 50_000}}),
    );
    let stats = container.verb("events", &["--stats"]).ok().json();
    let data = &stats["data"];
    assert_eq!(data["memory"]["usage"]["limit"], json!(67_108_864), "{stats}");
    assert!(data["memory"]["usage"]["usage"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
    assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(20)), "{stats}");
    assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|ns| ns > 0), "{stats}");
}

fn created_has_its_limits_before_it_starts() {
    needs::controllers(&["memory", "pids"]);
    let container =
        Container::created(sleeper(json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 9}})));
    assert_eq!(value(&container, "memory.max"), "67108864");
    assert_eq!(value(&container, "pids.max"), "9");
    assert_eq!(value(&container, "pids.current"), "1");
}

fn parents_hand_down_their_controllers() {
    needs::controllers(&["memory", "pids", "cpu"]);
    let bundle =
        sleeper(json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 9}, "cpu": {"quota": 30_000}}));
    let path = format!("{}.parent/a/b", bundle.cgroup());
    let container = Container::running(bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()));
    assert_eq!(value(&container, "memory.max"), "67108864");
    assert_eq!(value(&container, "pids.max"), "9");
    assert_eq!(value(&container, "cpu.max"), "30000 100000");
}
