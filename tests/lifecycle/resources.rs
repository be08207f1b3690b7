//! Fields of `linux.resources` beyond the usual limits, and who owns a container's cgroup.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use runsig_tests::sandbox::{self, require_v1_controller};
use runsig_tests::spec::set_user_namespace;
use runsig_tests::{
    Bundle, Case, Container, Value, View, cases, cgroup, harness, json, require_runsig, skip,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "resources": hugepages_on_v2, unknown_hugepages, cgroup_belongs_to_the_containers_root,
        cgroup_that_is_read_only_stays_roots, rdma_limits, unified_beats_nothing_it_does_not_name;
    V1 "resources": throttled_devices, throttle_of_no_device, memory_and_swap, swap_below_memory, kernel_memory,
        oom_killer, use_hierarchy, cpu_burst, cpu_idle, real_time, network_class_and_priority, hugepages_on_v1,
        rdma_limits, unified_is_refused_on_v1;
    Host "resources": throttled_devices, memory_and_swap;
];

fn sleeper(resources: Value) -> Bundle {
    Bundle::new().args(&["sleep", "1000"]).with(|config| config["linux"]["resources"] = resources)
}

#[track_caller]
fn value(container: &Container, file: &str) -> String {
    cgroup::read(&container.bundle.cgroup(), file).unwrap_or_else(|| panic!("no {file}"))
}

/// A `create` that fails and leaves nothing; what it said.
#[track_caller]
fn refused(resources: Value) -> String {
    not_crun("leaves cgroups behind, or passes over it");
    Container::new(sleeper(resources)).create_refused()
}

fn not_crun(why: &str) {
    if Container::new(Bundle::new()).runtime.kind() == "crun" {
        skip(format!("crun {why}"));
    }
}

fn not_crun_on_a_hybrid_host() {
    if sandbox::view() == View::Host && !cgroup::is_pure_v2() {
        not_crun("refuses hybrid hosts");
    }
}

/// Skips where a controller's file is missing: it is an option of the kernel.
fn require_v1_file(controller: &str, file: &str) {
    require_v1_controller(controller);
    let probe = Path::new("/sys/fs/cgroup").join(controller).join(harness::tag());
    fs::create_dir_all(&probe).expect("mkdir");
    let there = probe.join(file).exists();
    fs::remove_dir(&probe).expect("rmdir");
    if !there {
        skip(format!("this kernel has no {file}"));
    }
}

/// Some whole disk, as major and minor number.
fn disk() -> (u64, u64) {
    let names = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let Some(found) = names.into_iter().find_map(number) else { skip("no block device") };
    found
}

fn throttled_devices() {
    not_crun_on_a_hybrid_host();
    require_v1_file("blkio", "blkio.throttle.read_bps_device");
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let container = Container::running(sleeper(json!({"blockIO": {
        "throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
        "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)
    }})));
    for (file, rate) in
        [("read_bps", 1_048_576), ("write_bps", 2_097_152), ("read_iops", 100), ("write_iops", 200)]
    {
        let found = value(&container, &format!("blkio.throttle.{file}_device"));
        assert_eq!(found, format!("{major}:{minor} {rate}"), "{file}");
    }
}

fn throttle_of_no_device() {
    require_v1_file("blkio", "blkio.throttle.read_bps_device");
    let words = refused(json!({"blockIO": {
        "throttleReadBpsDevice": [{"major": 4000, "minor": 4000, "rate": 1000}]
    }}));
    assert!(words.contains("blkio.throttle.read_bps_device"), "{words}");
}

fn memory_and_swap() {
    not_crun_on_a_hybrid_host();
    require_v1_file("memory", "memory.memsw.limit_in_bytes");
    let container =
        Container::running(sleeper(json!({"memory": {"limit": 67_108_864, "swap": 134_217_728}})));
    assert_eq!(value(&container, "memory.limit_in_bytes"), "67108864");
    assert_eq!(value(&container, "memory.memsw.limit_in_bytes"), "134217728");
}

fn swap_below_memory() {
    require_v1_file("memory", "memory.memsw.limit_in_bytes");
    let words = refused(json!({"memory": {"limit": 67_108_864, "swap": 33_554_432}}));
    assert!(words.contains("memory"), "{words}");
}

fn kernel_memory() {
    // Not recommended by runtime-spec, and passed over by runc since 1.0: the kernel refuses the one
    // since 5.16, and counts the other with the rest on v2.
    not_crun("writes them");
    require_v1_file("memory", "memory.kmem.tcp.limit_in_bytes");
    let container =
        Container::running(sleeper(json!({"memory": {"kernel": 50_000_000, "kernelTCP": 8_388_608}})));
    for file in ["memory.kmem.tcp.limit_in_bytes", "memory.kmem.limit_in_bytes"] {
        assert!(value(&container, file).starts_with("92233720368547"), "{file}");
    }
}

fn oom_killer() {
    require_v1_file("memory", "memory.oom_control");
    let container = Container::running(sleeper(json!({"memory": {"disableOOMKiller": true}})));
    let control = value(&container, "memory.oom_control");
    assert!(control.contains("oom_kill_disable 1"), "{control}");
}

fn use_hierarchy() {
    // The kernel knows no other way since 5.11, and the runtimes pass over it.
    require_v1_controller("memory");
    let container = Container::running(sleeper(json!({"memory": {"useHierarchy": true}})));
    assert_eq!(value(&container, "memory.use_hierarchy"), "1");
}

fn cpu_burst() {
    require_runsig("cpu.burst came to runc in 1.2 and to crun in 1.9");
    require_v1_file("cpu", "cpu.cfs_burst_us");
    let container = Container::running(sleeper(json!({"cpu": {"quota": 50_000, "burst": 20_000}})));
    assert_eq!(value(&container, "cpu.cfs_burst_us"), "20000");
}

fn cpu_idle() {
    require_runsig("runc and crun write cpu.idle on v2 only");
    require_v1_file("cpu", "cpu.idle");
    let container = Container::running(sleeper(json!({"cpu": {"idle": 1}})));
    assert_eq!(value(&container, "cpu.idle"), "1");
}

fn real_time() {
    require_v1_file("cpu", "cpu.rt_runtime_us");
    let container =
        Container::new(sleeper(json!({"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 900_000}})));
    let outcome = container.create();
    if outcome.code != 0 && outcome.stderr.to_lowercase().contains("invalid argument") {
        skip("the parent cgroup has no real-time time to give");
    }
    outcome.ok();
    assert_eq!(value(&container, "cpu.rt_runtime_us"), "1000");
    assert_eq!(value(&container, "cpu.rt_period_us"), "900000");
}

fn network_class_and_priority() {
    require_v1_controller("net_cls");
    require_v1_controller("net_prio");
    let container = Container::running(sleeper(json!({"network": {
        "classID": 1_048_577, "priorities": [{"name": "lo", "priority": 5}]
    }})));
    assert_eq!(value(&container, "net_cls.classid"), "1048577");
    assert!(value(&container, "net_prio.ifpriomap").contains("lo 5"));
}

fn hugepages_on_v1() {
    require_v1_controller("hugetlb");
    let limit = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
    let container = Container::running(sleeper(limit));
    assert_eq!(value(&container, "hugetlb.2MB.limit_in_bytes"), "4194304");
}

fn hugepages_on_v2() {
    if !fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|list| list.contains("hugetlb")) {
        skip("no hugetlb controller");
    }
    let limit = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
    let container = Container::running(sleeper(limit));
    assert_eq!(value(&container, "hugetlb.2MB.max"), "4194304");
    // Reservations are limited too, where the kernel counts them (runtime-spec 1.0.3).
    if container.runtime.kind() == "runsig" {
        assert_eq!(value(&container, "hugetlb.2MB.rsvd.max"), "4194304");
    }
}

fn unknown_hugepages() {
    for size in ["3MB", "2M", ""] {
        refused(json!({"hugepageLimits": [{"pageSize": size, "limit": 0}]}));
    }
}

fn rdma_limits() {
    let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !v2.contains("rdma") && !Path::new("/sys/fs/cgroup/rdma/cgroup.procs").exists() {
        skip("no rdma controller");
    }
    let Some(device) = fs::read_dir("/sys/class/infiniband")
        .into_iter()
        .flatten()
        .flatten()
        .next()
        .map(|entry| entry.file_name())
    else {
        skip("no RDMA device")
    };
    let name = device.to_string_lossy().into_owned();
    let container =
        Container::running(sleeper(json!({"rdma": {&name: {"hcaHandles": 3, "hcaObjects": 1000}}})));
    assert!(value(&container, "rdma.max").contains(&format!("{name} hca_handle=3 hca_object=1000")));
}

fn unified_is_refused_on_v1() {
    let words = refused(json!({"unified": {"memory.high": "1000000"}}));
    assert!(words.contains("unified"), "{words}");
}

fn unified_beats_nothing_it_does_not_name() {
    let container = Container::running(sleeper(
        json!({"unified": {"cgroup.max.depth": "3", "cgroup.max.descendants": "7"}}),
    ));
    assert_eq!(value(&container, "cgroup.max.depth"), "3");
    assert_eq!(value(&container, "cgroup.max.descendants"), "7");
}

const BASE: u32 = 500_000;

/// Owners of the container's cgroup directory and of some of its files.
fn owners(options: &[&str]) -> [u32; 3] {
    fs::set_permissions(harness::test_dir(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let bundle = sleeper(json!({})).owned_by(BASE).with(|config| {
        set_user_namespace(config, BASE);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        for mount in mounts.iter_mut().filter(|mount| mount["destination"] == "/sys/fs/cgroup") {
            mount["options"] = json!(options);
        }
    });
    let container = Container::running(bundle);
    let [dir] = cgroup::directories(&container.bundle.cgroup()).try_into().expect("one on cgroup v2");
    ["", "cgroup.procs", "cgroup.max.depth"].map(|file| fs::metadata(dir.join(file)).expect("stat").uid())
}

fn cgroup_belongs_to_the_containers_root() {
    require_runsig("crun does so by annotation only");
    // The files that limit the container stay root's (config-linux.md, Cgroup ownership).
    assert_eq!(owners(&["nosuid", "noexec", "nodev", "relatime", "rw"]), [BASE, BASE, 0]);
}

fn cgroup_that_is_read_only_stays_roots() {
    not_crun("gives away any cgroup of a user namespace");
    assert_eq!(owners(&["nosuid", "noexec", "nodev", "relatime", "ro"]), [0, 0, 0]);
}
