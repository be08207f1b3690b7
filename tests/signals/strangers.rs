//! Who is in a container's cgroup and none of its processes, and containers that have no init yet.

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::Running;
use runsig_tests::{Bundle, Case, Container, cases, json, procs, require_runsig, wait};

use crate::world::{DEAF, HANDLES, rows, stop, stopped, up, up_with};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "strangers": nested_container_is_left_alone, half_made_one_is_stopped;
    V1 "strangers": nested_container_is_left_alone;
];

/// A second container's cgroup may be below the first one's, as it is in a pod.
fn nested_container_is_left_alone() {
    let outer = up(HANDLES);
    let below = format!("{}/inner", outer.bundle.cgroup());
    let inner = up_with(DEAF, |config| config["linux"]["cgroupsPath"] = json!(below));
    let pids: Vec<_> = rows(&outer, "TERM").iter().map(|row| row["pid"].as_i64()).collect();
    assert!(!pids.contains(&Some(i64::from(inner.pid()))), "{pids:?}");
    let report = stopped(&outer, &["--scope", "others-first"]);
    assert!(
        report["processes"].as_array().expect("a list").iter().all(|p| !p["end"].is_null()),
        "{report:#}"
    );
    stop(&outer, &[]).ok();
    inner.expect_status("running");
    inner.delete_force().ok();
    outer.delete().ok();
}

/// A hook holds `create` up. What is said meanwhile must not be that the container has ended.
fn half_made_one_is_stopped() {
    require_runsig("these verbs are Runsig's own");
    let before = Before::now(&Container::new(Bundle::script(DEAF)).runtime);
    let container = Container::new(Bundle::script(DEAF).with(|config| {
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "2"]}]});
    }));
    let create = Running::start(container.command("create", &[]));
    wait::expect("the hook", || procs::find_command("sleep 2").is_some());
    container.expect_status("creating");
    let _ = container.verb("wait", &[]).fails(1, &["is being created"]).one_line();
    let dry = stop(&container, &["--dry-run", "--format", "json"]).ok().json();
    assert_eq!(dry[0]["stages"][0]["signal"], "SIGKILL", "{dry:#}");
    let report = stop(&container, &["--format", "json"]).ok().json();
    assert_eq!(report[0]["outcome"], "stopped", "{report:#}");
    assert_eq!(report[0]["notes"][0], "it is half made: its processes are killed");
    assert_ne!(create.finish(wait::SOON).code, 0, "its init was killed");
    before.assert_clean(&container.runtime, &container.bundle);
}
