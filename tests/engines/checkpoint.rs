//! Checkpoint and restore through podman, where CRIU works.

use runsig_tests::{Case, cases, needs};

use crate::image::patiently;
use crate::podman::Podman;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "podman": checkpoint_and_restore];

fn checkpoint_and_restore() {
    needs::criu();
    let podman = Podman::new();
    let script = "i=0; echo ready; while :; do i=$((i+1)); echo count $i; sleep 0.2; done";
    podman.run_simply(&["-d", "--name", "c"], &["sh", "-c", script]).ok();
    patiently("the program to be ready", || podman.call(&["logs", "c"]).stdout.contains("ready"));
    podman.call(&["container", "checkpoint", "c"]).ok();
    let status = podman.call(&["inspect", "-f", "{{.State.Status}}", "c"]).ok();
    assert_eq!(status.text(), "exited");
    let saved = podman.call(&["logs", "c"]).stdout;
    podman.call(&["container", "restore", "c"]).ok();
    let goes_on =
        || podman.call(&["logs", "c"]).stdout.strip_prefix(&*saved).is_some_and(|new| new.contains("count"));
    patiently("the output to go on through the same pipe", goes_on);
    assert!(!podman.call(&["logs", "c"]).stdout[saved.len()..].contains("ready"), "it was not started anew");
    podman.call(&["exec", "c", "true"]).ok();
    podman.call(&["rm", "-f", "-t", "0", "c"]).ok();
}
