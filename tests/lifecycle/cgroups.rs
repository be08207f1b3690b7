//! cgroups: where they are, what is written into them, and that they go away.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::sandbox::require_v1_controller;
use runsig_tests::{Bundle, Case, Container, Value, cases, cgroup, harness, json, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "cgroups": init_is_in_its_cgroup, default_path_is_the_id, relative_path, nested_cgroups_are_removed,
        missing_controller_fails_cleanly, hugetlb_limit, unified_value, device_rules_hold, device_rules_allow_more,
        unified_key_that_is_not_there, existing_cgroup_of_another;
    V1 "cgroups": init_is_in_its_cgroup, default_path_is_the_id, nested_cgroups_are_removed, memory_limits,
        pids_limit, cpu_values, cpuset_values, blkio_weight, device_list, pids_limit_works, frozen_by_nobody;
    Host "cgroups": init_is_in_its_cgroup, memory_limits, pids_limit, device_rules_hold;
];

fn sleeper(resources: Value) -> Bundle {
    Bundle::new().args(&["sleep", "1000"]).with(|config| {
        if !resources.is_null() {
            config["linux"]["resources"] = resources;
        }
    })
}

fn init_is_in_its_cgroup() {
    let container = Container::new(sleeper(Value::Null));
    let before = Before::now(&container.runtime);
    container.create().ok();
    let pid = container.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc");
    // A hierarchy that the sandbox does not show, or named ones, may have it elsewhere.
    assert!(text.lines().any(|line| line.ends_with(&container.bundle.cgroup())), "{text}");
    assert_eq!(cgroup::processes(&container.bundle.cgroup()), [pid]);
    container.start().ok();
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn default_path_is_the_id() {
    let bundle = sleeper(Value::Null).with(|config| {
        config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    });
    let container = Container::running(bundle);
    let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("/proc");
    assert!(text.lines().any(|line| line.ends_with(&format!("/{}", container.id()))), "{text}");
    let id = container.id().to_string();
    container.delete_force().ok();
    assert!(cgroup::directories(&id).is_empty());
}

fn relative_path() {
    let path = format!("{}/sub", harness::tag());
    let container = Container::running(
        sleeper(Value::Null).with(|config| config["linux"]["cgroupsPath"] = path.clone().into()),
    );
    let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("/proc");
    assert!(text.lines().any(|line| line.ends_with(&path)), "{text}");
}

fn nested_cgroups_are_removed() {
    let container = Container::new(sleeper(Value::Null));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    for dir in cgroup::directories(&container.bundle.cgroup()) {
        fs::create_dir_all(dir.join("made/by/someone")).expect("mkdir");
    }
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn missing_controller_fails_cleanly() {
    if fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|list| list.contains("memory")) {
        skip("the memory controller is here");
    }
    let _ = Container::new(sleeper(json!({"memory": {"limit": 100_000_000}}))).create_refused();
}

fn expect_value(container: &Container, file: &str, value: &str) {
    assert_eq!(cgroup::read(&container.bundle.cgroup(), file).as_deref(), Some(value), "{file}");
}

fn hugetlb_limit() {
    if !fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|list| list.contains("hugetlb")) {
        skip("no hugetlb controller");
    }
    let container =
        Container::running(sleeper(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]})));
    expect_value(&container, "hugetlb.2MB.max", "4194304");
}

fn unified_value() {
    let container = Container::running(sleeper(json!({"unified": {"cgroup.max.descendants": "5"}})));
    expect_value(&container, "cgroup.max.descendants", "5");
}

fn unified_key_that_is_not_there() {
    for key in ["no.such.file", "../cgroup.procs"] {
        let said = Container::new(sleeper(json!({"unified": {key: "5"}}))).create_refused();
        assert!(said.contains(key), "{said}");
    }
}

fn existing_cgroup_of_another() {
    require_runsig("runc 1.1 warns only");
    let first = Container::running(sleeper(Value::Null));
    let path = first.bundle.cgroup();
    let second =
        Container::new(sleeper(Value::Null).with(|config| config["linux"]["cgroupsPath"] = path.into()));
    let outcome = second.create();
    // Whether it is refused or shared, the first one lives on.
    drop(outcome);
    second.delete_force().ok();
    assert_eq!(first.status(), "running");
    assert!(cgroup::processes(&first.bundle.cgroup()).contains(&first.pid()));
}

/// fuse: a device that anyone may open, in no runtime's default list.
const FUSE: (u32, u32) = (10, 229);

fn device_bundle(script: &str, rules: Value) -> Container {
    if !fs::read_to_string("/proc/misc").is_ok_and(|list| list.contains(" fuse")) {
        skip("this kernel has no fuse");
    }
    let container = Container::new(Bundle::script(script).with(|config| {
        config["linux"]["devices"] =
            json!([{"path": "/dev/mine", "type": "c", "major": FUSE.0, "minor": FUSE.1, "fileMode": 0o666}]);
        config["linux"]["resources"] = json!({"devices": rules});
    }));
    if container.runtime.kind() == "crun" {
        skip("crun 1.8 cannot load its device program without CAP_SYS_RESOURCE");
    }
    container
}

const OPEN: &str = "for d in null zero mine; do (: < /dev/$d) 2>/dev/null && echo $d yes || echo $d no; done";

fn device_rules_hold() {
    let container = device_bundle(
        OPEN,
        json!([
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}
        ]),
    );
    assert_eq!(container.run().ok().text(), "null yes\nzero yes\nmine no");
}

fn device_rules_allow_more() {
    let rules = |access: &str| {
        json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": FUSE.0, "minor": FUSE.1, "access": access}
        ])
    };
    let script =
        "(: < /dev/mine) 2>/dev/null && echo read; (: >> /dev/mine) 2>/dev/null && echo written; true";
    assert_eq!(device_bundle(script, rules("rw")).run().ok().text(), "read\nwritten");
    assert_eq!(device_bundle(script, rules("r")).run().ok().text(), "read");
    assert_eq!(device_bundle(script, rules("m")).run().ok().text(), "");
}

fn memory_limits() {
    require_v1_controller("memory");
    let container = Container::running(sleeper(json!({"memory": {
        "limit": 104_857_600, "reservation": 52_428_800, "swappiness": 30, "disableOOMKiller": false
    }})));
    expect_value(&container, "memory.limit_in_bytes", "104857600");
    expect_value(&container, "memory.soft_limit_in_bytes", "52428800");
    expect_value(&container, "memory.swappiness", "30");
}

fn pids_limit() {
    require_v1_controller("pids");
    let container = Container::running(sleeper(json!({"pids": {"limit": 17}})));
    expect_value(&container, "pids.max", "17");
    for none in [json!({"limit": -1}), json!({}), json!({"limit": null})] {
        let unlimited = Container::running(sleeper(json!({"pids": none})));
        expect_value(&unlimited, "pids.max", "max");
    }
}

fn pids_limit_works() {
    require_v1_controller("pids");
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done 2>&1; echo end";
    let container = Container::new(Bundle::script(script).with(|config| {
        config["linux"]["resources"] = json!({"pids": {"limit": 4}});
    }));
    let outcome = container.run();
    assert!(outcome.stdout.contains("fork"), "{outcome:#?}");
}

fn cpu_values() {
    require_v1_controller("cpu");
    let container =
        Container::running(sleeper(json!({"cpu": {"shares": 512, "quota": 50000, "period": 100_000}})));
    expect_value(&container, "cpu.shares", "512");
    expect_value(&container, "cpu.cfs_quota_us", "50000");
    expect_value(&container, "cpu.cfs_period_us", "100000");
}

fn cpuset_values() {
    require_v1_controller("cpuset");
    let container = Container::running(sleeper(json!({"cpu": {"cpus": "0", "mems": "0"}})));
    expect_value(&container, "cpuset.cpus", "0");
    expect_value(&container, "cpuset.mems", "0");
}

fn blkio_weight() {
    require_v1_controller("blkio");
    let container = Container::new(sleeper(json!({"blockIO": {"weight": 300}})));
    let outcome = container.create();
    let file = ["blkio.bfq.weight", "blkio.weight"]
        .into_iter()
        .find_map(|file| cgroup::read("/", file).map(|_| file));
    match file {
        // The root has no weight file on some kernels: the container's own tells.
        None if outcome.code != 0 => skip("this kernel has no blkio weight"),
        _ => {}
    }
    outcome.ok();
    let found = ["blkio.bfq.weight", "blkio.weight"]
        .into_iter()
        .find_map(|file| cgroup::read(&container.bundle.cgroup(), file));
    match found {
        Some(value) => assert!(value.contains("300"), "{value}"),
        None => skip("this kernel has no blkio weight, and the runtime passes over it"),
    }
}

fn device_list() {
    require_v1_controller("devices");
    let container = Container::running(sleeper(json!({"devices": [
        {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}
    ]})));
    let list = cgroup::read(&container.bundle.cgroup(), "devices.list").expect("a list");
    assert!(list.contains("c 1:11 r") && list.contains("c 1:3 rwm") && !list.contains("a *:*"), "{list}");
}

fn frozen_by_nobody() {
    require_v1_controller("freezer");
    let container = Container::running(sleeper(Value::Null));
    expect_value(&container, "freezer.state", "THAWED");
}
