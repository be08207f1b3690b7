//! The bundle, the cgroup or the mounts of a container go away while it is there.

use std::fs;

use nix::unistd::Pid;
use runsig_tests::leftovers::Before;
use runsig_tests::{Case, Container, cases, cgroup, json, procs, require_runsig, wait};

use crate::world::{bring_to_its_end, bring_up, running, says, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "vanishing": bundle_of_a_running_one, bundle_of_a_created_one, bundle_before_create, cgroup_of_a_stopped_one,
        cgroup_of_a_created_one_is_emptied, processes_moved_to_another_cgroup, sub_cgroups_made_by_others,
        a_thousand_nested_cgroups_of_others, init_is_killed_from_outside, init_is_killed_while_it_waits,
        stop_after_the_bundle_is_gone;
    V1 "vanishing": bundle_of_a_running_one, cgroup_of_a_stopped_one, one_hierarchy_of_a_stopped_one,
        processes_moved_to_another_cgroup, init_is_killed_from_outside;
    Host "vanishing": bundle_of_a_running_one, cgroup_of_a_stopped_one;
];

fn remove_bundle(container: &Container) {
    fs::remove_dir_all(&container.bundle.dir).expect("remove the bundle");
}

fn call(container: &Container, words: &[&str]) -> runsig_tests::Outcome {
    container.runtime.call(words)
}

fn bundle_of_a_running_one() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    bring_up(&container);
    let pid = container.pid();
    remove_bundle(&container);
    let id = container.id();
    assert_eq!(call(&container, &["state", id]).ok().json()["status"], "running");
    call(&container, &["list"]).ok();
    call(&container, &["ps", id]).ok();
    call(&container, &["pause", id]).ok();
    call(&container, &["resume", id]).ok();
    call(&container, &["kill", id, "KILL"]).ok();
    wait::expect("its end", || !procs::alive(pid));
    call(&container, &["delete", id]).ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

/// Its root is open already, but its program is gone: `start` or the program fails, and nobody hangs.
fn bundle_of_a_created_one() {
    let container = Container::created(sleeper());
    remove_bundle(&container);
    let id = container.id();
    let _ = call(&container, &["start", id]);
    wait::expect("its end", || call(&container, &["state", id]).ok().json()["status"] == "stopped");
    call(&container, &["delete", id]).ok();
}

fn bundle_before_create() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    remove_bundle(&container);
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    says(call(&container, &["create", "--bundle", bundle, container.id()]), "no such file or directory");
    before.assert_clean(&container.runtime, &container.bundle);
}

fn stop_after_the_bundle_is_gone() {
    require_runsig("stop is Runsig's own verb");
    let container = running();
    remove_bundle(&container);
    let id = container.id();
    call(&container, &["stop", "--timeout", "5s", id]).ok();
    assert_eq!(call(&container, &["state", id]).ok().json()["status"], "stopped");
    call(&container, &["delete", id]).ok();
}

fn remove_cgroups(container: &Container) {
    for dir in cgroup::directories(&container.bundle.cgroup()) {
        wait::expect("an empty cgroup", || fs::remove_dir(&dir).is_ok() || !dir.exists());
    }
}

/// A tidy administrator, or systemd, removes empty cgroups.
fn cgroup_of_a_stopped_one() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    bring_to_its_end(&container);
    remove_cgroups(&container);
    assert_eq!(container.status(), "stopped");
    container.runtime.call(&["list"]).ok();
    says(container.kill("TERM"), "container not running");
    says(container.verb("pause", &[]), "not");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn one_hierarchy_of_a_stopped_one() {
    let container = Container::running(sleeper());
    container.kill("KILL").ok();
    container.expect_status("stopped");
    let first = cgroup::directories(&container.bundle.cgroup()).into_iter().next().expect("a cgroup");
    wait::expect("an empty cgroup", || fs::remove_dir(&first).is_ok());
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
}

/// The processes are taken elsewhere and the cgroup is removed while the container waits for `start`.
fn cgroup_of_a_created_one_is_emptied() {
    let container = Container::created(sleeper());
    let pid = container.pid();
    for root in cgroup::hierarchies() {
        fs::write(root.join("cgroup.procs"), pid.to_string()).expect("move it");
    }
    remove_cgroups(&container);
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
    says(container.verb("pause", &[]), "cgroup");
    container.delete_force().ok();
    assert!(!procs::alive(pid));
}

/// As an administrator may, or a service manager that takes the machine's cgroups for its own.
fn processes_moved_to_another_cgroup() {
    let container = running();
    let pid = container.pid();
    let (path, tag) = (container.bundle.cgroup(), runsig_tests::harness::tag());
    for dir in cgroup::directories(&path) {
        let elsewhere = dir.parent().expect("a parent").join(format!("{tag}.elsewhere"));
        fs::create_dir_all(&elsewhere).expect("mkdir");
        // cpuset takes nobody before it has CPUs and memory.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(text) = fs::read_to_string(dir.join(file)) {
                let _ = fs::write(elsewhere.join(file), text.trim());
            }
        }
        for pid in cgroup::processes(&path) {
            let _ = fs::write(elsewhere.join("cgroup.procs"), pid.to_string());
        }
    }
    assert_eq!(cgroup::processes(&path), [] as [i32; 0], "all are elsewhere");
    assert_eq!(container.status(), "running");
    container.kill("0").ok();
    container.runtime.call(&["exec", container.id(), "true"]).ok();
    container.delete_force().ok();
    assert!(!procs::alive(pid), "init is found by its pidfd, wherever it is");
    for root in cgroup::hierarchies() {
        let _ = fs::remove_dir(root.join(format!("{tag}.elsewhere")));
        let _ = fs::remove_dir(root.join(&tag).join(format!("{tag}.elsewhere")));
    }
}

fn sub_cgroups_made_by_others() {
    let container = running();
    for dir in cgroup::directories(&container.bundle.cgroup()) {
        fs::create_dir_all(dir.join("theirs/below")).expect("mkdir");
    }
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
}

fn a_thousand_nested_cgroups_of_others() {
    let container = running();
    for dir in cgroup::directories(&container.bundle.cgroup()) {
        let mut below = dir;
        for _ in 0..200 {
            below = below.join("d");
            fs::create_dir(&below).expect("mkdir");
        }
        for number in 0..800 {
            let _ = fs::create_dir(below.parent().expect("a parent").join(format!("w{number}")));
        }
    }
    container.delete_force().ok();
    assert!(cgroup::directories(&container.bundle.cgroup()).is_empty());
}

fn kill_from_outside(pid: i32) {
    nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("kill");
    wait::expect("its end", || !procs::alive(pid));
}

fn init_is_killed_from_outside() {
    let container = Container::new(sleeper().with(|config| {
        config["hooks"] = json!({"poststop": [{"path": "/bin/true"}]});
    }));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    kill_from_outside(container.pid());
    assert_eq!(container.status(), "stopped");
    says(container.runtime.call(&["exec", container.id(), "true"]), "");
    says(container.kill("TERM"), "container not running");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn init_is_killed_while_it_waits() {
    let container = Container::created(sleeper());
    kill_from_outside(container.pid());
    assert_eq!(container.status(), "stopped");
    says(container.start(), "stopped");
    container.delete().ok();
}
