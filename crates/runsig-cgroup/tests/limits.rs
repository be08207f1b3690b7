//! Limits and device filters on real cgroups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::{Cgroup, Creation, Host, Mode, Paths, Request, merge};
use support::{Scratch, not_in_namespace, run_in_pure_v2, skipped, unique};

fn limits(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

fn on_v1() -> bool {
    !skipped() && {
        let v1 = matches!(Host::detect().unwrap().mode(), Mode::Hybrid | Mode::Legacy);
        if !v1 {
            println!("skipped: this host has no cgroup v1");
        }
        v1
    }
}

fn read(scratch: &Scratch, controller: &str, file: &str) -> String {
    let paths = scratch.0.paths();
    let dir = paths.v1(controller).unwrap_or_else(|| paths.v2().unwrap());
    std::fs::read_to_string(dir.join(file)).unwrap().trim().to_owned()
}

#[test]
fn v1_limits() {
    if !on_v1() {
        return;
    }
    let scratch = Scratch::new("limits");
    let cgroup = &scratch.0;
    cgroup
        .apply(
            Some(&limits(
                r#"{"memory":{"limit":67108864,"reservation":33554432,"swappiness":7},
                    "cpu":{"shares":512,"quota":50000,"period":200000,"cpus":"0","mems":"0"},
                    "pids":{"limit":77},
                    "blockIO":{"throttleReadBpsDevice":[]},
                    "rdma":{},"hugepageLimits":[]}"#,
            )),
            &[],
        )
        .unwrap();
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "7"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "200000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "77"),
    ] {
        assert_eq!(read(&scratch, controller, file), value, "{file}");
    }
    // Changes leave the rest alone; memory and swap grow and shrink together in either order.
    let mut all = limits(r#"{"memory":{"limit":67108864}}"#);
    for (memory, sum) in [(1 << 27, 1 << 28), (1 << 25, 1 << 26), (1 << 28, 1 << 29)] {
        let change = limits(&format!(r#"{{"memory":{{"limit":{memory},"swap":{sum}}}}}"#));
        merge(&mut all, &change);
        cgroup.update(&all).unwrap();
        assert_eq!(read(&scratch, "memory", "memory.limit_in_bytes"), memory.to_string());
        assert_eq!(read(&scratch, "memory", "memory.memsw.limit_in_bytes"), sum.to_string());
    }
    cgroup.update(&limits(r#"{"pids":{"limit":0}}"#)).unwrap();
    assert_eq!(read(&scratch, "pids", "pids.max"), "1");
    cgroup.update(&limits(r#"{"pids":{"limit":-1}}"#)).unwrap();
    assert_eq!(read(&scratch, "pids", "pids.max"), "max");
    assert_eq!(read(&scratch, "cpu", "cpu.shares"), "512");
    cgroup.update(&limits(r#"{"memory":{"limit":-1}}"#)).unwrap();
    assert_eq!(
        read(&scratch, "memory", "memory.memsw.limit_in_bytes"),
        read(&scratch, "memory", "memory.limit_in_bytes")
    );
}

#[test]
fn v1_errors() {
    if !on_v1() {
        return;
    }
    let scratch = Scratch::new("errors");
    for (json, words) in [
        (
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#,
            "cannot set hugetlb limit: container could not join or create cgroup",
        ),
        (
            r#"{"network":{"classID":5}}"#,
            "cannot set net_cls limit: container could not join or create cgroup",
        ),
        (r#"{"unified":{"memory.max":"1"}}"#, "invalid configuration: cannot use unified on cgroup v1"),
        (r#"{"memory":{"swappiness":101}}"#, "invalid memory swappiness value: 101 (valid range is 0-100)"),
        (r#"{"cpu":{"shares":1}}"#, "the minimum allowed cpu-shares is 2"),
        (r#"{"cpu":{"shares":9999999999}}"#, "the maximum allowed cpu-shares is 262144"),
    ] {
        let error = scratch.0.update(&limits(json)).unwrap_err().to_string();
        assert_eq!(error, words);
    }
    let error = scratch.0.update(&limits(r#"{"cpu":{"quota":1}}"#)).unwrap_err().to_string();
    assert!(error.starts_with("failed to write \"1\": write /sys/fs/cgroup/cpu"), "{error}");
    assert!(error.ends_with("cpu.cfs_quota_us: invalid argument"), "{error}");
    let mut cgroup = Cgroup::new(support::paths(&format!("/{}", unique("unified"))));
    let error = cgroup.create(Some(&limits(r#"{"unified":{"memory.max":"1"}}"#))).unwrap_err();
    assert_eq!(error.to_string(), "invalid configuration: cannot use unified on cgroup v1");
    assert!(!cgroup.exists());
    // No CPU 9999: made, refused, and gone again.
    let mut cgroup = Cgroup::new(support::paths(&format!("/{}/below", unique("cpus"))));
    let error = cgroup.create(Some(&limits(r#"{"cpu":{"cpus":"9999"}}"#))).unwrap_err();
    assert!(error.to_string().contains("cpuset.cpus"), "{error}");
    for (_, path) in support::paths("/x").by_controller() {
        let made = path.with_file_name(cgroup.paths().v2().unwrap().parent().unwrap().file_name().unwrap());
        assert!(!made.exists(), "{made:?} is left over");
    }
}

#[test]
fn v1_devices_list() {
    if !on_v1() {
        return;
    }
    let scratch = Scratch::new("list");
    scratch.0.apply(None, &["/dev/full"]).unwrap();
    let list = read(&scratch, "devices", "devices.list");
    assert!(list.contains("c 1:3 rwm") && list.contains("b *:* m"), "{list}");
    assert!(!list.contains("c 1:7 ") && !list.contains("a *:*"), "{list}");
    // The same again, and then with more.
    scratch.0.apply(None, &["/dev/full"]).unwrap();
    assert_eq!(read(&scratch, "devices", "devices.list"), list);
    let more = limits(r#"{"devices":[{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#);
    scratch.0.apply(Some(&more), &[]).unwrap();
    let list = read(&scratch, "devices", "devices.list");
    assert!(list.contains("c 1:11 r") && list.contains("c 1:7 rwm"), "{list}");
}

/// Whether a process in the cgroup can open a device for reading.
fn can_read(cgroup: &Cgroup, device: &str) -> bool {
    let mut child = Command::new("sh")
        .args(["-c", "read go && exec 3<\"$0\"", device])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    cgroup.add_process(child.id() as i32).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child.wait().unwrap().success()
}

fn device_filter() {
    let scratch = Scratch::new("devices");
    let cgroup = &scratch.0;
    assert!(can_read(cgroup, "/dev/kmsg"));
    cgroup.apply(None, &[]).unwrap();
    assert!(can_read(cgroup, "/dev/null"));
    assert!(can_read(cgroup, "/dev/urandom"));
    assert!(!can_read(cgroup, "/dev/kmsg"));
    // A limit changes, the devices do not.
    cgroup.update(&limits("{}")).unwrap();
    assert!(!can_read(cgroup, "/dev/kmsg"));
    // A second filter takes the place of the first: from outside the crate that shows as access.
    let mut again = Cgroup::new(cgroup.paths().clone());
    assert_eq!(again.create(None).unwrap(), Creation::Made);
    let kmsg = limits(
        r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#,
    );
    again.apply(Some(&kmsg), &[]).unwrap();
    assert!(can_read(cgroup, "/dev/kmsg"));
    let all = limits(
        r#"{"devices":[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":9,"access":"r"}]}"#,
    );
    again.apply(Some(&all), &["/dev/urandom"]).unwrap();
    assert!(!can_read(cgroup, "/dev/urandom"));
    assert!(can_read(cgroup, "/dev/kmsg"));
}

#[test]
fn devices_here() {
    if !skipped() {
        device_filter();
    }
}

#[test]
#[ignore = "run by pure_v2"]
fn unified_devices() {
    if !not_in_namespace() {
        device_filter();
    }
}

#[test]
#[ignore = "run by pure_v2"]
fn unified_limits() {
    if not_in_namespace() {
        return;
    }
    let scratch = Scratch::new("limits");
    let dir = scratch.0.paths().v2().unwrap();
    scratch
        .0
        .apply(Some(&limits(r#"{"memory":{"limit":0},"cpu":{},"pids":null,"blockIO":{}}"#)), &[])
        .unwrap();
    scratch
        .0
        .update(&limits(r#"{"unified":{"cgroup.max.depth":"5","cgroup.max.descendants":"9"}}"#))
        .unwrap();
    assert_eq!(read(&scratch, "", "cgroup.max.depth"), "5");
    assert_eq!(read(&scratch, "", "cgroup.max.descendants"), "9");
    let available = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap();
    let has = |name: &str| available.split_ascii_whitespace().any(|c| c == name);
    for (json, controller, file) in [
        (r#"{"memory":{"limit":1048576}}"#, "memory", "memory.max"),
        (r#"{"cpu":{"shares":5}}"#, "cpu", "cpu.weight"),
        (r#"{"pids":{"limit":5}}"#, "pids", "pids.max"),
        (r#"{"blockIO":{"weight":50}}"#, "io", "io.weight"),
        (r#"{"cpu":{"cpus":"0"}}"#, "cpuset", "cpuset.cpus"),
        (r#"{"rdma":{"x":{"hcaHandles":1}}}"#, "rdma", "rdma.max"),
    ] {
        if has(controller) {
            println!("skipped: {controller} is available here");
            continue;
        }
        let error = scratch.0.update(&limits(json)).unwrap_err().to_string();
        let path = dir.join(file);
        assert_eq!(
            error,
            format!(
                "cannot set {controller} limit: open {}: no such file or directory (controller {controller:?} not available)",
                path.display()
            )
        );
    }
}

#[test]
#[ignore = "run by pure_v2"]
fn unified_keys() {
    if not_in_namespace() {
        return;
    }
    let scratch = Scratch::new("keys");
    let dir = scratch.0.paths().v2().unwrap();
    for (key, words) in [
        ("../x", "unified resource \"../x\" must be a file name (no slashes)".to_owned()),
        ("..", "unified resource \"..\" can't be set: controller \"\" not available".to_owned()),
        ("nodot", "unified resource \"nodot\" must be in the form CONTROLLER.PARAMETER".to_owned()),
        ("no.such", "unified resource \"no.such\" can't be set: controller \"no\" not available".to_owned()),
        (
            "cgroup.nope",
            format!(
                "unable to set unified resource \"cgroup.nope\": open {}/cgroup.nope: no such file or directory",
                dir.display()
            ),
        ),
        (
            "cgroup.max.depth",
            format!(
                "unable to set unified resource \"cgroup.max.depth\": failed to write \"x\": write {}/cgroup.max.depth: invalid argument",
                dir.display()
            ),
        ),
    ] {
        let json = format!(r#"{{"unified":{{"{key}":"x"}}}}"#);
        assert_eq!(scratch.0.update(&limits(&json)).unwrap_err().to_string(), words);
    }
}

#[test]
#[ignore = "run by pure_v2"]
fn unified_hugetlb() {
    if not_in_namespace() {
        return;
    }
    let scratch = Scratch::new("hugetlb");
    let dir = scratch.0.paths().v2().unwrap();
    let file = dir.join("hugetlb.2MB.max");
    if !file.exists() {
        println!("skipped: no hugetlb controller with 2 MB pages");
        return;
    }
    scratch.0.update(&limits(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#)).unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), "4194304");
    assert_eq!(std::fs::read_to_string(dir.join("hugetlb.2MB.rsvd.max")).unwrap().trim(), "4194304");
    let sneaky = limits(r#"{"hugepageLimits":[{"pageSize":"2MB/../../x","limit":1}]}"#);
    assert!(scratch.0.update(&sneaky).is_err());
}

/// Below a cgroup that has processes and controllers a new one cannot be a domain.
#[test]
#[ignore = "run by pure_v2"]
fn unified_threaded_parent() {
    if not_in_namespace() {
        return;
    }
    let parent = Scratch::new("threaded");
    let dir: PathBuf = parent.0.paths().v2().unwrap();
    std::fs::create_dir(dir.join("t")).unwrap();
    std::fs::write(dir.join("t/cgroup.type"), "threaded").unwrap();
    let below = format!("/{}/t/new", dir.file_name().unwrap().to_str().unwrap());
    let mut cgroup = Cgroup::new(support::paths(&below));
    let error = cgroup.create(Some(&limits(r#"{"memory":{"limit":1048576}}"#))).unwrap_err().to_string();
    assert!(error.starts_with("cannot enter cgroupv2 \"/sys/fs/cgroup/"), "{error}");
    assert!(error.contains("with domain controllers -- it is in"), "{error}");
    assert!(!cgroup.exists());
    cgroup.create(None).unwrap();
    let kind = std::fs::read_to_string(cgroup.paths().v2().unwrap().join("cgroup.type")).unwrap();
    assert_eq!(kind.trim(), "threaded");
    assert!(cgroup.pids().unwrap().is_empty());
    cgroup.remove().unwrap();
}

#[test]
fn disabled() {
    let request = Request { id: "x", driver: runsig_cgroup::Driver::Disabled, ..Request::default() };
    let mut cgroup = Cgroup::new(Paths::resolve(&Host::default(), request).unwrap());
    let everything = limits(r#"{"memory":{"limit":5},"unified":{"a":"b"}}"#);
    assert_eq!(cgroup.create(Some(&everything)).unwrap(), Creation::Made);
    cgroup.apply(Some(&everything), &[]).unwrap();
    assert!(cgroup.dir_fd().unwrap().is_none());
    cgroup.add_process(1).unwrap();
    assert!(!cgroup.exists() && !cgroup.populated().unwrap() && !cgroup.is_frozen().unwrap());
    assert!(cgroup.pids().unwrap().is_empty());
    cgroup.kill_all().unwrap();
    cgroup.remove().unwrap();
    let error = cgroup.freeze().unwrap_err().to_string();
    assert_eq!(error, "cannot toggle freezer: cgroups not configured for container");
    assert!(cgroup.update(&everything).is_err());
}

#[test]
fn paths_survive_the_state_file() {
    let paths = Paths::of_unified("/sys/fs/cgroup", "a/../b").unwrap();
    let json = serde_json::to_string(&paths).unwrap();
    assert_eq!(serde_json::from_str::<Paths>(&json).unwrap(), paths);
    assert_eq!(serde_json::from_str::<Paths>("{}").unwrap(), Paths::default());
}

#[test]
fn pure_v2() {
    if !skipped() {
        run_in_pure_v2("unified_");
    }
}
