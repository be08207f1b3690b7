//! cgroup2 as systemd mounts it (`nsdelegate`, `memory_recursiveprot`) and divides it: slices whose processes others
//! own, units that are delegated, cgroups that take no processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runsig_tests::spec::{drop_namespace, set_namespace};
use runsig_tests::{Bundle, Case, Container, cases, cgroup, harness, json, needs, require_runsig, wait};

use crate::value;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "delegation": exec_into_a_cgroup_namespace, exec_into_a_joined_cgroup_namespace,
        exec_with_the_hosts_cgroup_namespace, container_cannot_lift_its_limits;
    Guest "delegation": all_verbs_below_a_delegated_unit, parent_with_processes_is_refused,
        parent_of_systemd_keeps_its_settings, limits_of_the_parent_hold;
];

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

fn exec(container: &Container, script: &str) -> runsig_tests::Outcome {
    container.runtime.call(&["exec", container.id(), "sh", "-c", script])
}

fn require_nsdelegate() {
    needs::systemd();
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc");
    let options = mounts.lines().find(|line| line.contains(" /sys/fs/cgroup cgroup2 ")).unwrap_or_default();
    assert!(options.contains("nsdelegate"), "systemd mounts it so: {mounts}");
}

/// The kernel lets nobody into a cgroup from one that his cgroup namespace does not show: exec failed here.
fn exec_into_a_cgroup_namespace() {
    require_nsdelegate();
    let container = Container::running(sleeper());
    assert_eq!(exec(&container, "cat /proc/self/cgroup").ok().text(), "0::/");
    let pids = cgroup::processes(&container.bundle.cgroup());
    assert_eq!(pids, [container.pid()]);
}

fn exec_into_a_joined_cgroup_namespace() {
    require_nsdelegate();
    let owner = Container::running(sleeper());
    let path = format!("/proc/{}/ns/cgroup", owner.pid());
    let container = Container::running(sleeper().with(|config| set_namespace(config, "cgroup", Some(&path))));
    let seen = exec(&container, "cat /proc/self/cgroup").ok();
    assert!(seen.text().starts_with("0::/../"), "{seen:#?}");
}

fn exec_with_the_hosts_cgroup_namespace() {
    require_nsdelegate();
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "cgroup")));
    let seen = exec(&container, "cat /proc/self/cgroup").ok();
    assert_eq!(seen.text(), format!("0::{}", container.bundle.cgroup()));
}

/// A delegated service of systemd, whose own process is in a cgroup below.
struct Unit {
    name: String,
    cgroup: String,
}

impl Unit {
    fn start(properties: &[&str]) -> Unit {
        needs::systemd();
        let name = format!("{}.service", harness::tag());
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--unit", &name, "--property=Delegate=yes"]);
        for property in properties {
            command.arg(format!("--property={property}"));
        }
        // A file, for systemd would replace the dollars of an argument.
        let script = harness::test_dir().join("unit.sh");
        fs::write(
            &script,
            "cd /sys/fs/cgroup$(sed s/0::// /proc/self/cgroup) && mkdir main && echo $$ > main/cgroup.procs && exec sleep 1000",
        )
        .expect("write");
        assert!(command.arg("sh").arg(&script).status().expect("systemd-run").success());
        let unit = Unit { cgroup: format!("/system.slice/{name}"), name };
        let main = Path::new("/sys/fs/cgroup").join(format!("system.slice/{}/main/cgroup.procs", unit.name));
        wait::expect("the unit", || fs::read_to_string(&main).is_ok_and(|pids| !pids.is_empty()));
        unit
    }

    fn dir(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(self.cgroup.trim_start_matches('/'))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["kill", "--signal=KILL", &self.name]).status();
        let _ = Command::new("systemctl").args(["stop", &self.name]).status();
        let _ = Command::new("systemctl").args(["reset-failed", &self.name]).status();
    }
}

fn all_verbs_below_a_delegated_unit() {
    let unit = Unit::start(&[]);
    needs::controllers(&["memory", "pids"]);
    let path = format!("{}/box", unit.cgroup);
    let container = Container::new(sleeper().with(|config| {
        config["linux"]["cgroupsPath"] = path.into();
        config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 10}});
    }));
    container.create().ok();
    container.start().ok();
    assert_eq!(value(&container, "memory.max"), "67108864");
    exec(&container, "true").ok();
    container.verb("update", &["--pids-limit", "20"]).ok();
    assert_eq!(value(&container, "pids.max"), "20");
    container.verb("pause", &[]).ok();
    container.expect_status("paused");
    container.verb("resume", &[]).ok();
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    assert!(!unit.dir().join("box").exists());
    assert!(unit.dir().join("main").exists(), "the unit's own cgroup stays");
}

/// Controllers cannot be handed down from a cgroup with processes: a clear error, nothing left.
fn parent_with_processes_is_refused() {
    require_runsig("the words are Runsig's");
    needs::systemd();
    let name = format!("{}.service", harness::tag());
    let started = Command::new("systemd-run")
        .args(["--quiet", "--unit", &name, "--property=Delegate=yes", "sleep", "1000"])
        .status();
    assert!(started.expect("systemd-run").success());
    let unit = Unit { cgroup: format!("/system.slice/{name}"), name };
    let container = Container::new(sleeper().with(|config| {
        config["linux"]["cgroupsPath"] = format!("{}/box", unit.cgroup).into();
        config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}});
    }));
    wait::expect("the unit", || !cgroup::processes(&unit.cgroup).is_empty());
    let outcome = container.create();
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stderr.contains("cgroup"), "{outcome:#?}");
    assert_eq!(fs::read_dir(&container.runtime.root).expect("the state").count(), 0);
    assert!(!unit.dir().join("box").exists());
}

fn parent_of_systemd_keeps_its_settings() {
    let unit = Unit::start(&["MemoryMax=200M", "TasksMax=77"]);
    let container = Container::running(
        sleeper().with(|config| config["linux"]["cgroupsPath"] = format!("{}/box", unit.cgroup).into()),
    );
    container.delete_force().ok();
    let read = |file: &str| fs::read_to_string(unit.dir().join(file)).expect(file);
    assert_eq!((read("memory.max").trim(), read("pids.max").trim()), ("209715200", "77"));
}

/// What limits a delegated cgroup is not its inhabitants' to write, as long as they see it as the root.
fn container_cannot_lift_its_limits() {
    require_nsdelegate();
    let script = "echo 77 > /sys/fs/cgroup/cgroup.max.depth; cat /sys/fs/cgroup/cgroup.max.depth";
    let outcome = Container::new(Bundle::script(script).with(|config| {
        config["linux"]["resources"]["unified"] = json!({"cgroup.max.depth": "3"});
        for mount in config["mounts"].as_array_mut().expect("a list") {
            if mount["type"] == "cgroup" {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
            }
        }
    }))
    .run()
    .ok();
    assert_eq!(outcome.text(), "3", "{outcome:#?}");
}

fn limits_of_the_parent_hold() {
    let unit = Unit::start(&["TasksMax=4"]);
    let script = "for i in 1 2 3 4 5 6; do sleep 1000 & done 2>&1; echo end";
    let container = Container::new(
        Bundle::script(script)
            .with(|config| config["linux"]["cgroupsPath"] = format!("{}/box", unit.cgroup).into()),
    );
    let outcome = container.run();
    assert!(outcome.stdout.contains("fork"), "{outcome:#?}");
}
