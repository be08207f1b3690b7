//! `--systemd-cgroup`, with a real systemd: units, their properties, and that they go away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use runsig_tests::case::require_command;
use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{LIMIT, Runtime, finish};
use runsig_tests::{
    Bundle, Case, Container, Value, cases, cgroup, harness, json, procs, require_runsig, skip, wait,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    Systemd "systemd": lives_in_its_scope, default_names, nested_slices, escaped_names, bad_names, annotations,
        annotations_of_every_type, bad_annotations, survives_a_restart, restarts_meanwhile,
        verbs_need_no_flag, paused, ends_by_itself, failed_unit_is_forgotten, failed_unit_is_replaced,
        foreign_unit_is_left_alone, slices_take_no_containers, exec_in_a_cgroup_below, survives_a_reload,
        delegated_to_its_user, a_users_own_systemd, unified_files, limits_are_properties, update_changes_both, updated_parts,
        bad_limits_leave_nothing, manager_by_name, cgroup_namespace, kills_all, run_removes_everything,
        device_list_is_told, update_warns_of_what_systemd_cannot_have;
    // The guest's processes are not the test's alone, so nothing here counts what is left.
    Guest "systemd": idle_no_more, other_limits_are_properties, too_little_memory_is_no_property, nested_slices, annotations, verbs_need_no_flag, exec_in_a_cgroup_below, survives_a_reload,
        unified_files, limits_are_properties, update_changes_both, update_leaves_devices_alone, updated_parts, kills_all,
        device_list_is_told, update_warns_of_what_systemd_cannot_have;
    SystemdHybrid "systemd": lives_in_its_scope, default_names, escaped_names, survives_a_restart,
        verbs_need_no_flag, paused, ends_by_itself,
        failed_unit_is_forgotten, foreign_unit_is_left_alone, exec_in_a_cgroup_below, survives_a_reload,
        limits_are_properties, update_changes_both, update_leaves_devices_alone, updated_parts, bad_limits_leave_nothing,
        kills_all,
        run_removes_everything, device_list_is_told, no_unified_on_v1, no_rootless_on_v1;
];

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

fn limited(resources: Value) -> Container {
    Container::in_scope(sleeper().with(|config| config["linux"]["resources"] = resources))
}

fn unit(container: &Container) -> String {
    format!("runsig-{}.scope", container.id())
}

/// A property, as `systemctl show` prints it.
#[track_caller]
fn property(unit: &str, name: &str) -> String {
    let output = Command::new("systemctl").args(["show", "--value", "--property", name, unit]).output();
    String::from_utf8_lossy(&output.expect("systemctl").stdout).trim().to_owned()
}

fn is_loaded(unit: &str) -> bool {
    property(unit, "LoadState") == "loaded"
}

#[track_caller]
fn expect_gone(unit: &str) {
    wait::expect(&format!("{unit} is gone"), || !is_loaded(unit));
}

/// Where a process is in the hierarchy of v2, and on v1 in the one of systemd and that of the devices.
fn places(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc");
    let asked = |line: &&str| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        let unified = controllers.is_empty();
        unified
            || !cgroup::is_pure_v2()
                && matches!(controllers, "name=systemd" | "devices" | "freezer" | "memory")
    };
    text.lines().filter(asked).filter_map(|line| line.splitn(3, ':').nth(2)).map(str::to_owned).collect()
}

#[track_caller]
fn assert_inside(pid: i32, cgroup: &str) {
    let places = places(pid);
    assert!(!places.is_empty() && places.iter().all(|place| place == cgroup), "{cgroup}: {places:?}");
}

fn lives_in_its_scope() {
    let container = Container::in_scope(sleeper());
    let before = Before::now(&container.runtime);
    container.create().ok();
    let unit = unit(&container);
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Slice"), "system.slice");
    assert_eq!(property(&unit, "Delegate"), "yes");
    assert_eq!(property(&unit, "DefaultDependencies"), "no");
    assert_eq!(property(&unit, "Description"), format!("libcontainer container {}", container.id()));
    for accounting in ["CPUAccounting", "MemoryAccounting", "TasksAccounting"] {
        assert_eq!(property(&unit, accounting), "yes", "{accounting}");
    }
    let pid = container.pid();
    assert_inside(pid, &container.bundle.cgroup());
    assert_eq!(cgroup::processes(&container.bundle.cgroup()), [pid]);
    container.start().ok();
    assert_inside(container.pid(), &container.bundle.cgroup());
    container.delete_force().ok();
    assert!(!is_loaded(&unit));
    before.assert_clean(&container.runtime, &container.bundle);
}

fn default_names() {
    let mut container = Container::in_scope(sleeper());
    container.bundle.config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    container.create().ok();
    assert_inside(container.pid(), &format!("/system.slice/runc-{}.scope", container.id()));
    container.delete_force().ok();
    assert!(!is_loaded(&format!("runc-{}.scope", container.id())));
}

fn nested_slices() {
    let mut container = Container::in_scope(sleeper());
    let id = container.id().to_owned();
    container.bundle.config["linux"]["cgroupsPath"] = format!("one-two-three.slice:pre:{id}").into();
    container.create().ok();
    assert_inside(container.pid(), &format!("/one.slice/one-two.slice/one-two-three.slice/pre-{id}.scope"));
    assert_eq!(property(&format!("pre-{id}.scope"), "Slice"), "one-two-three.slice");
    container.delete_force().ok();
    // A prefix and a name may be empty, and `-` is the slice above all.
    container.bundle.config["linux"]["cgroupsPath"] = format!("-.slice::{id}").into();
    container.create().ok();
    assert_inside(container.pid(), &format!("/-{id}.scope"));
}

/// Directories of such names could be taken for files of the kernel's: systemd gives them others. runc looks
/// in the wrong ones, so that no limit and no list of devices is in force.
fn escaped_names() {
    require_runsig("runc's container has neither limits nor a device list then");
    let mut container = Container::in_scope(sleeper());
    let id = container.id().to_owned();
    for (path, place) in [
        (format!(":_x:{id}"), format!("/system.slice/__x-{id}.scope")),
        (format!("_a.slice:x:{id}"), format!("/__a.slice/x-{id}.scope")),
        (format!("memory.slice:.x:{id}"), format!("/_memory.slice/_.x-{id}.scope")),
        (format!(":cgroup.x:{id}"), format!("/system.slice/_cgroup.x-{id}.scope")),
    ] {
        container.bundle.config["linux"]["cgroupsPath"] = path.into();
        container.create().ok();
        let pid = container.pid();
        assert_inside(pid, &place);
        let listed = container.verb("ps", &["--format", "json"]).ok().json();
        assert_eq!(listed, json!([pid]), "{place}");
        container.delete_force().ok();
        assert!(cgroup::directories(&place).is_empty(), "{place}");
    }
}

fn bad_names() {
    let mut container = Container::in_scope(sleeper());
    let before = Before::now(&container.runtime);
    for (path, words) in [
        ("/a/b", "expected cgroupsPath to be of format"),
        ("a:b", "expected cgroupsPath to be of format"),
        ("a:b:c:d", "expected cgroupsPath to be of format"),
        ("a--b.slice:p:n", "invalid slice name: a--b.slice"),
        ("a/b.slice:p:n", "invalid slice name: a/b.slice"),
        ("machine:p:n", "invalid slice name: machine"),
        (".slice:p:n", "invalid slice name: .slice"),
    ] {
        container.bundle.config["linux"]["cgroupsPath"] = path.into();
        let _ = container.create().fails(1, &[words]);
    }
    container.bundle.config["linux"]["cgroupsPath"] = "".into();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn annotate(container: &mut Container, annotations: Value) {
    container.bundle.config["annotations"] = annotations;
}

fn annotations() {
    let mut container = Container::in_scope(sleeper());
    let asked = json!({
        "org.systemd.property.TimeoutStopUSec": "uint64 123456789",
        "org.systemd.property.RuntimeMaxSec": "3600",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Description": "\"a container of ours\"",
        "org.systemd.property.After": "['basic.target', 'quick.target']",
        "other": "not looked at",
    });
    annotate(&mut container, asked);
    container.create().ok();
    let unit = unit(&container);
    assert_eq!(property(&unit, "TimeoutStopUSec"), "2min 3.456789s");
    assert_eq!(property(&unit, "RuntimeMaxUSec"), "1h");
    assert_eq!(property(&unit, "CollectMode"), "inactive-or-failed");
    assert_eq!(property(&unit, "Description"), "a container of ours");
    assert!(property(&unit, "After").contains("quick.target"));
}

fn annotations_of_every_type() {
    require_runsig("runc knows no tuples");
    let mut container = Container::in_scope(sleeper());
    for (name, value, property_name, shown) in [
        ("SendSIGHUP", "true", "SendSIGHUP", "yes"),
        ("KillSignal", "0xa", "KillSignal", "10"),
        ("CPUWeight", "uint64 77", "CPUWeight", "77"),
        ("TasksMax", "@t 5", "TasksMax", "5"),
        ("KillMode", "'none'", "KillMode", "none"),
        ("After", "@as ['a.target']", "After", "a.target"),
        ("AllowedCPUs", "[byte 0x01]", "AllowedCPUs", "0"),
        ("AllowedCPUs", "@ay [1]", "AllowedCPUs", "0"),
        ("IODeviceWeight", "@a(st) [('/dev/null', 100)]", "IODeviceWeight", "/dev/null 100"),
        ("TimeoutStopSec", "1.5", "TimeoutStopUSec", "1.500000s"),
        ("TimeoutStopSec", "byte 7", "TimeoutStopUSec", "7s"),
        ("TimeoutStopSec", "int16 7", "TimeoutStopUSec", "7s"),
        ("TimeoutStopSec", "uint16 7", "TimeoutStopUSec", "7s"),
        ("TimeoutStopSec", "uint32 7", "TimeoutStopUSec", "7s"),
        ("TimeoutStopSec", "int64 7", "TimeoutStopUSec", "7s"),
        ("TimeoutStopSec", "uint64 7", "TimeoutStopUSec", "7s"),
    ] {
        annotate(&mut container, json!({ format!("org.systemd.property.{name}"): value }));
        container.create().ok();
        let found = property(&unit(&container), property_name);
        assert!(found.split(' ').any(|word| word == shown) || found == shown, "{name}={value}: {found}");
        container.delete_force().ok();
    }
}

fn bad_annotations() {
    let mut container = Container::in_scope(sleeper());
    let before = Before::now(&container.runtime);
    for (name, value, words) in [
        ("ab", "1", "annotation org.systemd.property.ab name incorrect: too short"),
        ("A_b", "1", "annotation org.systemd.property.A_b name incorrect: contains non-alphabetic character"),
        ("TimeoutStopSec", "soon", "annotation org.systemd.property.TimeoutStopSec=soon value parse error:"),
        ("TimeoutStopSec", "'5'", "value parse error: not a number"),
        // Known to be a value, but not to systemd as a property.
        ("NoSuchProperty", "true", "NoSuchProperty"),
        ("CollectMode", "uint64 5", "unable to start unit"),
    ] {
        annotate(&mut container, json!({ format!("org.systemd.property.{name}"): value }));
        let _ = container.create().fails(1, &[words]);
        assert!(!is_loaded(&unit(&container)), "{name}");
    }
    before.assert_clean(&container.runtime, &container.bundle);
}

fn verbs_need_no_flag() {
    let container = Container::in_scope(sleeper());
    container.create().ok();
    container.start().ok();
    let text = container.verb_with("exec", &["cat", "/proc/self/cgroup"]).ok().stdout;
    let shown = if container.has_cgroup_namespace() { "/".to_owned() } else { container.bundle.cgroup() };
    assert!(text.lines().any(|line| line == format!("0::{shown}")), "{text}");
    let listed = container.verb("ps", &["--format", "json"]).ok().json();
    assert_eq!(listed, json!([container.pid()]));
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    assert!(!is_loaded(&unit(&container)));
}

fn paused() {
    let container = Container::in_scope(sleeper());
    container.create().ok();
    container.start().ok();
    container.verb("pause", &[]).ok();
    assert_eq!(container.status(), "paused");
    container.verb("resume", &[]).ok();
    assert_eq!(container.status(), "running");
    container.verb("pause", &[]).ok();
    container.delete_force().ok();
    assert!(!is_loaded(&unit(&container)));
}

fn ends_by_itself() {
    let container = Container::in_scope(Bundle::script("exit 3"));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    container.expect_status("stopped");
    if cgroup::is_pure_v2() {
        // systemd sees that it is empty.
        expect_gone(&unit(&container));
    }
    container.delete().ok();
    expect_gone(&unit(&container));
    before.assert_clean(&container.runtime, &container.bundle);
}

/// A container whose unit systemd has ended, as failed: it ran too long.
fn with_failed_unit() -> Container {
    let mut container = Container::in_scope(sleeper());
    annotate(
        &mut container,
        json!({"org.systemd.property.RuntimeMaxSec": "4", "org.systemd.property.TimeoutStopSec": "1"}),
    );
    container.create().ok();
    container.start().ok();
    wait::expect("a failed unit", || property(&unit(&container), "ActiveState") == "failed");
    container.expect_status("stopped");
    container
}

fn failed_unit_is_forgotten() {
    let container = with_failed_unit();
    container.delete().ok();
    assert!(!is_loaded(&unit(&container)));
}

fn failed_unit_is_replaced() {
    let failed = with_failed_unit();
    let mut next = Container::in_scope(sleeper());
    next.bundle.config["linux"]["cgroupsPath"] = failed.bundle.config["linux"]["cgroupsPath"].clone();
    next.create().ok();
    assert_eq!(property(&unit(&failed), "ActiveState"), "active");
}

/// Somebody else's scope with the name of the container's.
struct Foreign(Child);

impl Foreign {
    fn start(unit: &str, command: &[&str]) -> Foreign {
        let mut run = Command::new("systemd-run");
        run.args(["--quiet", "--scope", "--unit", unit]).args(command);
        let child = run.spawn().expect("systemd-run");
        wait::expect("a foreign unit", || property(unit, "ActiveState") == "active");
        Foreign(child)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn foreign_unit_is_left_alone() {
    let container = Container::in_scope(sleeper());
    let foreign = Foreign::start(&unit(&container), &["sleep", "1000"]);
    let pid = i32::try_from(foreign.0.id()).expect("a PID");
    let before = Before::now(&container.runtime);
    let _ = container.create().fails(1, &["container's cgroup is not empty"]);
    container.delete_force().ok();
    assert!(procs::alive(pid), "the stranger lives");
    assert_eq!(property(&unit(&container), "ActiveState"), "active");
    assert!(before.new_processes().iter().all(|pid| !procs::alive(*pid)));
}

/// systemd puts no processes into a slice.
fn slices_take_no_containers() {
    let mut container = Container::in_scope(sleeper());
    let slice = format!("{}.slice", container.id().replace('-', "x"));
    container.bundle.config["linux"]["cgroupsPath"] = format!("::{slice}").into();
    let _ = container.create().fails(1, &["PIDs"]);
    assert!(container.runtime.call(&["state", container.id()]).code != 0, "nothing is left");
    assert_ne!(property(&slice, "ActiveState"), "active");
}

fn exec_in_a_cgroup_below() {
    let container = Container::in_scope(sleeper());
    container.create().ok();
    container.start().ok();
    let pid = container.pid();
    for dir in cgroup::directories(&container.bundle.cgroup()) {
        fs::create_dir(dir.join("below")).expect("mkdir");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read_to_string(dir.join(file)) {
                let _ = fs::write(dir.join("below").join(file), all.trim());
            }
        }
    }
    container.verb("exec", &["--detach", "--cgroup", "below"]).fails(255, &["exec args cannot be empty"]);
    let mut command = container.runtime.command(&["exec", "--detach", "--cgroup", "below", container.id()]);
    command.args(["sleep", "2000"]);
    let _ = runsig_tests::runtime::finish(command, wait::SOON).ok();
    let sleeper = container.wait_for_command("sleep 2000");
    assert_inside(sleeper, &format!("{}/below", container.bundle.cgroup()));
    assert_inside(pid, &container.bundle.cgroup());
    container.delete_force().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
}

/// systemd writes its own settings again when it is reloaded: they must be the container's.
fn survives_a_reload() {
    let container = limited(json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"},
    ]}));
    container.create().ok();
    container.start().ok();
    let reload = Command::new("systemctl").arg("daemon-reload").status().expect("systemctl");
    assert!(reload.success());
    assert_eq!(property(&unit(&container), "NeedDaemonReload"), "no");
    container.verb_with("exec", &["sh", "-c", "echo x >/dev/null && head -c1 /dev/zero >/dev/null"]).ok();
    assert_inside(container.pid(), &container.bundle.cgroup());
    container.delete_force().ok();
    assert!(!is_loaded(&unit(&container)));
}

fn restart() {
    let reexec = Command::new("systemctl").arg("daemon-reexec").status().expect("systemctl");
    assert!(reexec.success());
}

/// A new systemd in place of the old one knows the unit, and sets nothing of its own.
fn survives_a_restart() {
    let container = Container::in_scope(sleeper().with(|config| {
        config["linux"]["devices"] = json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
        config["linux"]["resources"] = json!({"devices": [
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"},
        ]});
    }));
    container.create().ok();
    restart();
    container.start().ok();
    restart();
    let script = "echo x >/dev/null && head -c1 /dev/zero >/dev/null && ! (true >/dev/kmsg) 2>/dev/null";
    container.verb_with("exec", &["sh", "-c", script]).ok();
    container.verb("pause", &[]).ok();
    restart();
    assert_eq!(container.status(), "paused");
    container.verb("resume", &[]).ok();
    assert_inside(container.pid(), &container.bundle.cgroup());
    restart();
    container.delete_force().ok();
    assert!(!is_loaded(&unit(&container)));
}

/// It closes every connection, whatever was asked for over it, and nobody listens for a while.
fn restarts_meanwhile() {
    require_runsig("runc fails when there is no bus beside systemd's own socket");
    let mut command = Command::new("sh");
    let mut restarts =
        command.args(["-c", "while :; do systemctl daemon-reexec; sleep 0.1; done"]).spawn().expect("sh");
    let container = Container::in_scope(sleeper());
    for _ in 0..12 {
        container.create().ok();
        assert_inside(container.pid(), &container.bundle.cgroup());
        container.start().ok();
        container.delete_force().ok();
        assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
    }
    restarts.kill().expect("kill");
    restarts.wait().expect("wait");
}

fn device_list_is_told() {
    let container = limited(json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": 7, "minor": 0, "access": "r"},
        {"allow": true, "type": "c", "major": 99, "access": "rw"},
    ]}));
    container.create().ok();
    let unit = unit(&container);
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    let allowed = property(&unit, "DeviceAllow");
    for entry in ["/dev/block/7:0 r", "char-99 rw", "char-136 rwm", "/dev/char/1:3 rwm", "char-* m"] {
        assert!(allowed.contains(entry), "{entry}: {allowed}");
    }
    container.delete_force().ok();
    let open = limited(json!({"devices": [{"allow": true, "access": "rwm"}]}));
    open.create().ok();
    let unit = self::unit(&open);
    assert_eq!(property(&unit, "DevicePolicy"), "auto");
}

fn delegated_to_its_user() {
    require_runsig("runc 1.1 asks for more");
    let container = Container::in_scope(
        sleeper()
            .with(|config| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
                namespaces.retain(|one| one["type"] != "cgroup");
                namespaces.push(json!({"type": "cgroup"}));
                namespaces.push(json!({"type": "user"}));
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
                config["mounts"].as_array_mut().expect("a list").push(json!({
                    "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"],
                }));
            })
            .owned_by(100_000),
    );
    container.create().ok();
    container.start().ok();
    let made = container.verb_with("exec", &["mkdir", "/sys/fs/cgroup/mine"]);
    let _ = made.ok();
    assert!(cgroup::directories(&format!("{}/mine", container.bundle.cgroup())).len() == 1);
    container.delete_force().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
}

fn has_controllers(names: &[&str]) -> bool {
    let list = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    !cgroup::is_pure_v2() || names.iter().all(|name| list.split_whitespace().any(|one| one == *name))
}

fn require_controllers(names: &[&str]) {
    if !has_controllers(names) {
        skip(format!("not all of the controllers {names:?} are here"));
    }
}

/// The name of a property on v2, and on v1.
fn by_version<'a>(v2: &'a str, v1: &'a str) -> &'a str {
    if cgroup::is_pure_v2() { v2 } else { v1 }
}

#[track_caller]
fn assert_file(container: &Container, v2: &str, v1: &str, value: &str) {
    let file = by_version(v2, v1);
    assert_eq!(cgroup::read(&container.bundle.cgroup(), file).as_deref(), Some(value), "{file}");
}

fn limits_are_properties() {
    require_controllers(&["memory", "pids", "cpu"]);
    let container = limited(json!({
        "memory": {"limit": 67_108_864},
        "cpu": {"shares": 512, "quota": 25_005, "period": 50_000},
        "pids": {"limit": 42},
    }));
    container.create().ok();
    let unit = unit(&container);
    assert_eq!(property(&unit, by_version("MemoryMax", "MemoryLimit")), "67108864");
    assert_eq!(property(&unit, "TasksMax"), "42");
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "510ms");
    assert_eq!(property(&unit, "CPUQuotaPeriodUSec"), "50ms");
    assert_file(&container, "memory.max", "memory.limit_in_bytes", "67108864");
    assert_file(&container, "pids.max", "pids.max", "42");
    assert_file(&container, "cpu.max", "cpu.cfs_quota_us", by_version("25500 50000", "25500"));
    if !cgroup::is_pure_v2() {
        assert_eq!(property(&unit, "CPUShares"), "512");
        assert_file(&container, "", "cpu.shares", "512");
    }
}

fn update_changes_both() {
    require_controllers(&["memory", "pids"]);
    let container = limited(json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 42}}));
    container.create().ok();
    container.start().ok();
    container.verb("update", &["--memory", "32M", "--pids-limit", "7"]).ok();
    let unit = unit(&container);
    assert_eq!(property(&unit, by_version("MemoryMax", "MemoryLimit")), "33554432");
    assert_eq!(property(&unit, "TasksMax"), "7");
    assert_file(&container, "memory.max", "memory.limit_in_bytes", "33554432");
    assert_file(&container, "pids.max", "pids.max", "7");
    container.verb("update", &["--pids-limit", "-1"]).ok();
    assert_eq!(property(&unit, "TasksMax"), "infinity");
    assert_file(&container, "pids.max", "pids.max", "max");
}

/// On v1 systemd writes its own list of devices with every change, and it cannot say every rule.
fn update_leaves_devices_alone() {
    require_controllers(&["pids"]);
    let writer = "exec 2>>/denied; echo up >/up; while :; do true >/dev/null; done";
    let container = Container::in_scope(Bundle::script(writer).with(|config| {
        config["linux"]["devices"] = json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
        config["linux"]["resources"] = json!({"devices": [
            {"allow": true, "access": "rwm"},
            {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"},
        ]});
    }));
    container.create().ok();
    container.start().ok();
    let _ = container.wait_for_file("/up");
    // Opening it for writing alone takes no capability.
    let right = ["sh", "-c", "true >/dev/null && ! (true >/dev/kmsg)"];
    container.verb_with("exec", &right).ok();
    for limit in 30..45 {
        container.verb("update", &["--pids-limit", &limit.to_string()]).ok();
    }
    container.verb_with("exec", &right).ok();
    assert_eq!(fs::read_to_string(container.bundle.rootfs().join("denied")).expect("made"), "");
}

/// What the files say to it is another matter: the kernel refuses a weight to who is idle.
fn update_warns_of_what_systemd_cannot_have() {
    require_runsig("cpu.idle came to runc in 1.2");
    let version = Command::new("systemctl").arg("--version").output().expect("systemctl");
    let version = String::from_utf8_lossy(&version.stdout).split(' ').nth(1).and_then(|n| n.parse().ok());
    if version.is_none_or(|version: u32| version < 252) {
        skip("systemd knows CPUWeight=idle since 252");
    }
    let container = limited(json!({}));
    container.create().ok();
    let outcome = container.verb("update", &["--cpu-share", "200", "--cpu-idle", "1"]);
    let warning = "unable to apply both CPUWeight and CpuIdle to systemd, ignoring CPUWeight";
    assert!(outcome.stderr.contains(warning), "{outcome:?}");
}

fn other_limits_are_properties() {
    require_runsig("runc does not tell the weight of block devices on v2");
    require_controllers(&["memory", "cpu", "cpuset", "io", "pids"]);
    let expect = |resources: Value, properties: &[(&str, &str)]| {
        let container = limited(resources);
        container.create().ok();
        for (name, value) in properties {
            assert_eq!(property(&unit(&container), name), *value, "{name}");
        }
    };
    expect(
        json!({"memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 100_663_296}, "pids": {"limit": 0},
            "cpu": {"shares": 2048, "cpus": "0", "mems": "0"}, "blockIO": {"weight": 500}}),
        &[
            ("MemoryMax", "67108864"),
            ("MemoryLow", "33554432"),
            ("MemorySwapMax", "33554432"),
            ("TasksMax", "1"),
            ("AllowedCPUs", "0"),
            ("AllowedMemoryNodes", "0"),
            ("IOWeight", "4950"),
        ],
    );
    expect(
        json!({"unified": {"memory.max": "max", "memory.swap.max": "0", "cpuset.cpus": "0", "cpuset.mems": "0",
            "cpu.idle": "1", "cpu.max": "max 50000", "pids.max": "max"}}),
        &[
            ("MemoryMax", "infinity"),
            ("MemorySwapMax", "0"),
            ("AllowedCPUs", "0"),
            ("AllowedMemoryNodes", "0"),
            ("CPUWeight", "idle"),
            ("CPUQuotaPerSecUSec", "infinity"),
            ("CPUQuotaPeriodUSec", "50ms"),
            ("TasksMax", "infinity"),
        ],
    );
}

/// The container would be killed for a limit that was to be looked at first.
fn too_little_memory_is_no_property() {
    require_controllers(&["memory"]);
    let container = limited(json!({"memory": {"limit": 67_108_864}}));
    container.create().ok();
    container.start().ok();
    let file = container.bundle.dir.join("limits.json");
    fs::write(&file, r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#).expect("write");
    let file = file.to_str().expect("utf-8");
    let _ =
        container.verb("update", &["--resources", file]).fails(1, &["rejecting memory limit 4096 <= usage"]);
    assert_eq!(property(&unit(&container), "MemoryMax"), "67108864");
    assert_eq!(container.status(), "running");
}

/// systemd writes all it knows of the CPU when one part of it changes.
fn idle_no_more() {
    require_runsig("runc's container is idle again");
    require_controllers(&["cpu"]);
    let container = limited(json!({"cpu": {"idle": 1}}));
    container.create().ok();
    let unit = unit(&container);
    assert_file(&container, "cpu.idle", "", "1");
    assert_eq!(property(&unit, "CPUWeight"), "idle");
    container.verb("update", &["--cpu-idle", "0"]).ok();
    assert_eq!(property(&unit, "CPUWeight"), "100");
    container.verb("update", &["--cpu-quota", "30000"]).ok();
    assert_file(&container, "cpu.idle", "", "0");
    assert_file(&container, "cpu.weight", "", "100");
}

/// A quota without a period, and the other way round: the other one stays.
fn updated_parts() {
    require_controllers(&["cpu"]);
    let container = limited(json!({"cpu": {"quota": 20_000, "period": 50_000}}));
    container.create().ok();
    let unit = unit(&container);
    container.verb("update", &["--cpu-quota", "30000"]).ok();
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "600ms");
    container.verb("update", &["--cpu-period", "100000"]).ok();
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "300ms");
    assert_eq!(property(&unit, "CPUQuotaPeriodUSec"), "100ms");
    assert_file(&container, "cpu.max", "cpu.cfs_quota_us", by_version("30000 100000", "30000"));
    container.verb("update", &["--cpu-quota", "-1"]).ok();
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "infinity");
}

fn unified_files() {
    require_controllers(&["memory", "pids", "cpu"]);
    let container = limited(json!({"unified": {
        "memory.min": "131072", "memory.low": "524288", "memory.high": "20971520", "memory.max": "41943040",
        "pids.max": "99", "cpu.max": "10000 100000", "cpu.weight": "42",
    }}));
    container.create().ok();
    let unit = unit(&container);
    for (name, value) in [
        ("MemoryMin", "131072"),
        ("MemoryLow", "524288"),
        ("MemoryHigh", "20971520"),
        ("MemoryMax", "41943040"),
        ("TasksMax", "99"),
        ("CPUQuotaPerSecUSec", "100ms"),
        ("CPUWeight", "42"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    assert_file(&container, "memory.high", "", "20971520");
}

fn bad_limits_leave_nothing() {
    let container = limited(json!({"cpu": {"cpus": "never"}}));
    let before = Before::now(&container.runtime);
    let _ = container.create().fails(1, &["never"]);
    assert!(!is_loaded(&unit(&container)));
    before.assert_clean(&container.runtime, &container.bundle);
}

/// crun's flag for the same.
fn manager_by_name() {
    require_runsig("runc has no such flag");
    let mut container = Container::in_scope(sleeper());
    container.runtime.flags = ["--cgroup-manager", "systemd"].map(str::to_owned).to_vec();
    container.create().ok();
    assert_inside(container.pid(), &container.bundle.cgroup());
}

fn cgroup_namespace() {
    let container = Container::in_scope(sleeper().with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|one| one["type"] != "cgroup");
        namespaces.push(json!({"type": "cgroup"}));
    }));
    container.create().ok();
    container.start().ok();
    let text = container.verb_with("exec", &["cat", "/proc/self/cgroup", "/proc/1/cgroup"]).ok().stdout;
    assert_eq!(text.lines().filter(|line| *line == "0::/").count(), 2, "{text}");
}

fn kills_all() {
    let script = "for i in 1 2 3 4 5; do sleep 500 & done; echo up >/started; wait";
    let container = Container::in_scope(Bundle::script(script).with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|one| one["type"] != "pid");
    }));
    container.create().ok();
    container.start().ok();
    let _ = container.wait_for_file("/started");
    assert_eq!(cgroup::processes(&container.bundle.cgroup()).len(), 6);
    container.delete_force().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
    assert!(!is_loaded(&unit(&container)));
}

fn run_removes_everything() {
    let container = Container::in_scope(Bundle::script("cat /proc/self/cgroup; exit 7"));
    let before = Before::now(&container.runtime);
    let outcome = container.run();
    assert_eq!(outcome.code, 7, "{outcome:#?}");
    expect_gone(&unit(&container));
    before.assert_clean(&container.runtime, &container.bundle);
}

fn no_unified_on_v1() {
    let container = limited(json!({"unified": {"memory.max": "1000000"}}));
    let before = Before::now(&container.runtime);
    let _ = container.create().fails(1, &["unified"]);
    assert!(!is_loaded(&unit(&container)));
    before.assert_clean(&container.runtime, &container.bundle);
}

fn no_rootless_on_v1() {
    let mut container = Container::in_scope(sleeper());
    container.runtime.flags.extend(["--rootless", "true"].map(str::to_owned));
    let _ = container.create().fails(1, &["cannot use rootless systemd cgroups manager on cgroup v1"]);
}

const NOBODY: &str = "65534";

/// A user without privilege: the scope is one of their own systemd's. They are in its cgroups already, as
/// in a terminal of a graphical session.
fn a_users_own_systemd() {
    require_command("setpriv");
    let bundle = Bundle::new();
    let dir = harness::test_dir();
    let runtime = dir.join("runtime");
    fs::copy(Runtime::path(), &runtime).expect("copy the runtime");
    for path in [&dir, &runtime] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let run = format!("/run/user/{NOBODY}");
    fs::create_dir_all(format!("{run}/systemd/user")).expect("mkdir");
    fs::write(format!("{run}/systemd/user/quick.target"), "[Unit]\nDefaultDependencies=no\n")
        .expect("a target");
    let chown = Command::new("chown").args(["-R", NOBODY, &run]).arg(&bundle.dir).status();
    assert!(chown.expect("chown").success());
    let started = Command::new("systemd-run")
        .args(["--quiet", "--unit=manager.service", "--slice=user-65534.slice", "-p", "Delegate=yes"])
        .args([
            "-p",
            "DefaultDependencies=no",
            "-p",
            &format!("User={NOBODY}"),
            "-E",
            &format!("XDG_RUNTIME_DIR={run}"),
        ])
        .args(["/usr/lib/systemd/systemd", "--user", "--unit=quick.target"])
        .status();
    assert!(started.expect("systemd-run").success());
    wait::expect("the user's systemd", || Path::new(&run).join("systemd/private").exists());
    let top = property("manager.service", "ControlGroup");
    let script = "$R spec --rootless && \
        sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sleep\", \"1000\"/' config.json && \
        $R --systemd-cgroup run -d r </dev/null >out 2>&1 || { cat out; exit 1; }; \
        $R state r | grep '\"pid\"' | tr -dc 0-9 >pid; cat /proc/$(cat pid)/cgroup; \
        systemctl --user show -p ActiveState --value runc-r.scope; \
        $R exec r cat /proc/self/cgroup; $R pause r && $R resume r && $R update --help >/dev/null; \
        $R delete --force r; systemctl --user show -p LoadState --value runc-r.scope; $R list -q; echo end";
    let outcome = finish(
        {
            let mut command = Command::new("sh");
            command
                .args(["-c", "echo 0 >$CG/init.scope/cgroup.procs; exec setpriv \"$@\"", "sh"])
                .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c", script])
                .current_dir(&bundle.dir)
                .env("CG", format!("/sys/fs/cgroup{top}"))
                .env("R", &runtime)
                .env("XDG_RUNTIME_DIR", &run)
                .env_remove("DBUS_SESSION_BUS_ADDRESS")
                .env("HOME", &bundle.dir);
            command
        },
        LIMIT,
    )
    .ok();
    let expected = format!("0::{top}/user.slice/runc-r.scope");
    let counts = |line: &&str| line.starts_with("0::") || !line.contains(":/");
    let lines: Vec<&str> = outcome.stdout.lines().filter(counts).collect();
    assert_eq!(lines, [expected.as_str(), "active", "0::/", "not-found", "end"], "{outcome:#?}");
}
