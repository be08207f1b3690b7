//! What podman asks of Runsig and not of runc: to do without cgroups, which runc has no flag for, and a
//! checkpoint, where CRIU works.

use runsig_tests::{Case, cases, cgroup, harness, needs, procs, require_runsig};

use crate::image::{IMAGE, TELLS_SIGNAL, patiently};
use crate::podman::Podman;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "podman": checkpoint_and_restore, without_cgroups];

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

fn without_cgroups() {
    require_runsig("runc has no --cgroup-manager");
    let podman = Podman::new();
    let run = |first: &[&str], script: &str| {
        let options = ["--network=none", "--cgroups=disabled", IMAGE, "sh", "-c", script];
        podman.call(&[&["run"], first, &options].concat())
    };
    let outcome = run(&["--rm"], "echo out; exit 7");
    assert_eq!((outcome.code, outcome.text()), (7, "out"), "{outcome:#?}");
    run(&["--detach", "--name=c"], TELLS_SIGNAL).ok();
    patiently("the program to be ready", || podman.call(&["logs", "c"]).stdout.contains("ready"));
    let pid = podman.call(&["inspect", "-f", "{{.State.Pid}}", "c"]).ok().text().parse().expect("a PID");
    let of = |pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    assert_eq!(of(pid), of(std::process::id()), "it stays where podman is");
    assert!(cgroup::directories(&format!("/{}", harness::tag())).is_empty());
    podman.call(&["stop", "-t", "40", "c"]).ok();
    assert_eq!(podman.call(&["wait", "c"]).ok().text(), "3");
    podman.call(&["rm", "c"]).ok();
    assert!(!procs::alive(i32::try_from(pid).expect("a PID")));
}
