//! What is written to the files of cgroup v2 controllers that this kernel may not have: into plain
//! files that stand in for them. Order and refusals are the real kernel's business.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::{Cgroup, Paths, merge};

/// A directory of stand-ins.
struct Fake {
    dir: PathBuf,
    cgroup: Cgroup,
}

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let mount = std::env::temp_dir().join(support::unique("written"));
        let dir = mount.join("c");
        std::fs::create_dir_all(&dir).unwrap();
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        let cgroup = Cgroup::new(Paths::of_unified(&mount, "c").unwrap());
        Self { dir, cgroup }
    }
    fn update(&self, json: &str) -> Result<(), String> {
        self.cgroup.update(&limits(json)).map_err(|error| error.to_string())
    }
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.dir.parent().unwrap_or(Path::new("/nonexistent")));
    }
}

fn limits(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

#[test]
fn memory() {
    let files = [("memory.max", ""), ("memory.low", ""), ("memory.swap.max", "")];
    for (json, max, low, swap) in [
        (r#"{"limit":100,"reservation":50,"swap":300}"#, "100", "50", "200"),
        (r#"{"limit":100,"swap":100}"#, "100", "", "0"),
        (r#"{"limit":100,"swap":-1}"#, "100", "", "max"),
        (r#"{"limit":-1}"#, "max", "", "max"),
        (r#"{"limit":-1,"swap":70,"reservation":-1}"#, "max", "max", "70"),
        (r#"{"limit":100}"#, "100", "", ""),
        (r#"{"kernel":5,"kernelTCP":5,"swappiness":5,"disableOOMKiller":true}"#, "", "", ""),
    ] {
        let fake = Fake::new(&files);
        fake.update(&format!(r#"{{"memory":{json}}}"#)).unwrap();
        assert_eq!((&*fake.read("memory.max"), &*fake.read("memory.low")), (max, low), "{json}");
        assert_eq!(fake.read("memory.swap.max"), swap, "{json}");
    }
}

#[test]
fn swap_goes_with_the_limit_in_force() {
    let fake = Fake::new(&[("memory.max", "100\n"), ("memory.swap.max", "")]);
    fake.update(r#"{"memory":{"swap":150}}"#).unwrap();
    assert_eq!(fake.read("memory.swap.max"), "50");
    let fake = Fake::new(&[("memory.max", "max\n"), ("memory.swap.max", "")]);
    let error = fake.update(r#"{"memory":{"swap":150}}"#).unwrap_err();
    assert_eq!(error, "unable to set swap limit without memory limit");
    let error = fake.update(r#"{"memory":{"limit":200,"swap":150}}"#).unwrap_err();
    assert_eq!(error, "memory+swap limit should be >= memory limit");
}

#[test]
fn no_swap_accounting() {
    let fake = Fake::new(&[("memory.max", ""), ("cgroup.controllers", "memory\n")]);
    fake.update(r#"{"memory":{"limit":-1}}"#).unwrap();
    fake.update(r#"{"memory":{"limit":100,"swap":100}}"#).unwrap();
    let error = fake.update(r#"{"memory":{"limit":100,"swap":200}}"#).unwrap_err();
    assert!(error.ends_with("memory.swap.max: no such file or directory"), "{error}");
}

#[test]
fn usage_is_checked_when_asked_for() {
    let fake = Fake::new(&[("memory.max", ""), ("memory.current", "500\n")]);
    let error = fake.update(r#"{"memory":{"limit":400,"checkBeforeUpdate":true}}"#).unwrap_err();
    assert_eq!(error, "rejecting memory limit 400 <= usage 500");
    assert_eq!(fake.read("memory.max"), "");
    fake.update(r#"{"memory":{"limit":400}}"#).unwrap();
    assert_eq!(fake.read("memory.max"), "400");
}

#[test]
fn cpu() {
    let files = [("cpu.weight", ""), ("cpu.max", ""), ("cpu.max.burst", ""), ("cpu.idle", "")];
    for (json, weight, max, burst, idle) in [
        (r#"{"shares":1024,"quota":5000,"period":20000}"#, "100", "5000 20000", "", ""),
        (r#"{"quota":5000}"#, "", "5000 100000", "", ""),
        (r#"{"quota":-1,"burst":7,"idle":1}"#, "", "max 100000", "7", "1"),
        (r#"{"period":50000}"#, "", "max 50000", "", ""),
        (r#"{"realtimeRuntime":5,"realtimePeriod":5,"shares":0}"#, "", "", "", ""),
    ] {
        let fake = Fake::new(&files);
        fake.update(&format!(r#"{{"cpu":{json}}}"#)).unwrap();
        assert_eq!((&*fake.read("cpu.weight"), &*fake.read("cpu.max")), (weight, max), "{json}");
        assert_eq!((&*fake.read("cpu.max.burst"), &*fake.read("cpu.idle")), (burst, idle), "{json}");
    }
    // One of the two numbers changes.
    let fake = Fake::new(&[("cpu.max", "3000 20000\n")]);
    fake.update(r#"{"cpu":{"quota":4000}}"#).unwrap();
    assert_eq!(fake.read("cpu.max"), "4000 20000\n");
    let fake = Fake::new(&[("cpu.max", "3000 20000\n")]);
    fake.update(r#"{"cpu":{"period":90000}}"#).unwrap();
    assert_eq!(fake.read("cpu.max"), "3000 90000\n");
}

#[test]
fn others() {
    let fake = Fake::new(&[
        ("pids.max", ""),
        ("cpuset.cpus", ""),
        ("cpuset.mems", ""),
        ("hugetlb.2MB.max", ""),
        ("hugetlb.2MB.rsvd.max", ""),
        ("rdma.max", ""),
        ("net_cls.classid", ""),
    ]);
    fake.update(
        r#"{"pids":{"limit":9},"cpu":{"cpus":"0-1","mems":"0"},"network":{"classID":7},
            "hugepageLimits":[{"pageSize":"2MB","limit":4096}],
            "rdma":{"mlx5":{"hcaHandles":3,"hcaObjects":10000}}}"#,
    )
    .unwrap();
    for (file, content) in [
        ("pids.max", "9"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("hugetlb.2MB.max", "4096"),
        ("hugetlb.2MB.rsvd.max", "4096"),
        ("rdma.max", "mlx5 hca_handle=3 hca_object=10000"),
        ("net_cls.classid", ""),
    ] {
        assert_eq!(fake.read(file), content, "{file}");
    }
    for (limit, content) in [(0, "1"), (-5, "max")] {
        let fake = Fake::new(&[("pids.max", "")]);
        fake.update(&format!(r#"{{"pids":{{"limit":{limit}}}}}"#)).unwrap();
        assert_eq!(fake.read("pids.max"), content);
    }
}

#[test]
fn block_io() {
    let fake = Fake::new(&[("io.max", ""), ("io.weight", "")]);
    fake.update(r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":20}]}}"#).unwrap();
    assert_eq!(fake.read("io.weight"), "4950");
    for (kind, line) in [
        ("throttleReadBpsDevice", "8:16 rbps=1000"),
        ("throttleWriteBpsDevice", "8:16 wbps=1000"),
        ("throttleReadIOPSDevice", "8:16 riops=1000"),
        ("throttleWriteIOPSDevice", "8:16 wiops=1000"),
    ] {
        let fake = Fake::new(&[("io.max", "")]);
        let device = r#"{"major":8,"minor":16,"rate":1000}"#;
        fake.update(&format!(r#"{{"blockIO":{{"{kind}":[{device}]}}}}"#)).unwrap();
        assert_eq!(fake.read("io.max"), line);
    }
    let fake = Fake::new(&[("io.bfq.weight", "default 100\n"), ("io.weight", "")]);
    fake.update(r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":20}]}}"#).unwrap();
    // The stand-in keeps what comes after; BFQ takes each write as a line of its own.
    assert!(fake.read("io.bfq.weight").starts_with("5008:0 20\n"), "{}", fake.read("io.bfq.weight"));
    assert_eq!(fake.read("io.weight"), "");
}

#[test]
fn unified_comes_last_and_line_by_line() {
    let fake = Fake::new(&[("memory.max", ""), ("io.max", "")]);
    fake.update(r#"{"memory":{"limit":1},"unified":{"memory.max":"7","io.max":"8:0 rbps=1\n8:1 rbps=2"}}"#)
        .unwrap();
    assert_eq!(fake.read("memory.max"), "7");
    assert_eq!(fake.read("io.max"), "8:0 rbps=1\n8:1 rbps=2");
}

#[test]
fn merging() {
    let mut all = limits(
        r#"{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":1,"swap":2},"cpu":{"shares":5,"cpus":"0"},
            "unified":{"a.b":"1"},"pids":{"limit":3}}"#,
    );
    let change = r#"{"devices":[],"memory":{"limit":9},"cpu":{"cpus":"1","quota":7},"unified":{"c.d":"2"},
        "blockIO":{"weight":10}}"#;
    merge(&mut all, &limits(change));
    let wanted = r#"{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":9,"swap":2},
        "cpu":{"shares":5,"cpus":"1","quota":7},"unified":{"a.b":"1","c.d":"2"},"pids":{"limit":3},
        "blockIO":{"weight":10}}"#;
    assert_eq!(all, limits(wanted));
}
