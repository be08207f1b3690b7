//! An init caught in `zap_pid_ns_processes`: it has exited, and cannot end before a process of its PID
//! namespace that somebody outside has to reap.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runsig_tests::case::require_command;
use runsig_tests::runtime::Running;
use runsig_tests::{Case, Container, cases, procs, wait};

use crate::wait::ends_with;
use crate::world::{DEAF, assert_exit_code, stop, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "zap": verbs_tell_the_truth, stop_names_the_blocker, delete_waits_and_then_names_it, delete_goes_on_when_it_is_reaped,
        wait_waits_for_the_real_end, nested_cgroups_go, a_blocker_in_a_nested_namespace;
    Host "zap": delete_goes_on_when_it_is_reaped, nested_cgroups_go;
];

const OUTSIDER: &str = include_str!("../../crates/runsig-signal/tests/real/programs/outsider.py");

/// The parent outside, and its child in the container's PID namespace.
struct Outsider {
    parent: Child,
    pid: i32,
}

impl Outsider {
    fn of(container: &Container) -> Outsider {
        Outsider::in_namespace_of(container.pid())
    }

    fn in_namespace_of(pid: i32) -> Outsider {
        require_command("python3");
        let file = runsig_tests::harness::test_dir().join("outsider.py");
        std::fs::write(&file, OUTSIDER).expect("write");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(&file).arg(pid.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parent = command.spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(parent.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let pid = line.strip_prefix("ready ").expect("ready").trim().parse().expect("a number");
        Outsider { parent, pid }
    }

    fn reap(&mut self) {
        self.parent.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("write");
        assert!(self.parent.wait().expect("wait").success());
    }

    /// What every message must hold: the zombie, its parent and the parent's command.
    fn words(&self) -> [String; 3] {
        [format!("zombie {}", self.pid), format!("process {}", self.parent.id()), "outsider.py".to_string()]
    }
}

/// A container whose init is caught, and who holds it.
fn caught() -> (Container, Outsider) {
    let container = up(DEAF);
    let outsider = Outsider::of(&container);
    container.kill("KILL").ok();
    wait::expect("a zombie that nobody reaps", || procs::state(outsider.pid) == Some('Z'));
    (container, outsider)
}

fn names(text: &str, outsider: &Outsider) {
    for words in outsider.words() {
        assert!(text.contains(&words), "should name {words:?}: {text}");
    }
}

fn verbs_tell_the_truth() {
    let (container, mut outsider) = caught();
    let pid = container.pid();
    let state = container.state();
    assert_eq!(
        (state["status"].as_str(), state["pid"].as_i64()),
        (Some("running"), Some(i64::from(pid))),
        "{state}"
    );
    let exiting = &state["exiting"];
    assert_eq!(exiting["blockers"][0]["pid"], outsider.pid, "{state:#}");
    assert_eq!(exiting["blockers"][0]["state"], "Z", "{state:#}");
    assert_eq!(exiting["blockers"][0]["parent"], outsider.parent.id(), "{state:#}");
    for signal in ["TERM", "KILL", "0"] {
        let outcome = container.kill(signal).fails(1, &["container not running"]).one_line();
        names(&outcome.stderr, &outsider);
    }
    let outcome = container.runtime.call(&["kill", "--all", container.id(), "TERM"]);
    names(&outcome.fails(1, &["container not running"]).stderr, &outsider);
    let _ = container.delete().fails(1, &["not stopped: running"]).one_line();
    outsider.reap();
    container.expect_status("stopped");
    assert!(container.state().get("exiting").is_none(), "it has ended");
    container.delete().ok();
}

fn stop_names_the_blocker() {
    let (container, mut outsider) = caught();
    let outcome =
        stop(&container, &["--plan", "TERM:200ms,KILL:200ms"]).fails(1, &["still running"]).one_line();
    names(&outcome.stderr, &outsider);
    let waiting = Running::start(container.command("stop", &["--format", "json"]));
    std::thread::sleep(Duration::from_millis(100));
    outsider.reap();
    let report = waiting.finish(wait::SOON).ok().json();
    assert_eq!(report[0]["outcome"], "stopped", "{report:#}");
    assert_exit_code(&report[0], 137);
}

fn delete_waits_and_then_names_it() {
    let (container, mut outsider) = caught();
    let began = Instant::now();
    let outcome = container.delete_force().fails(1, &["container init still running"]).one_line();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(20)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    names(&outcome.stderr, &outsider);
    assert_eq!(container.status(), "running", "it never says that it is gone while it is not");
    outsider.reap();
    container.expect_status("stopped");
    container.delete_force().ok();
    let _ = container.verb("state", &[]).fails(1, &["container does not exist"]);
}

fn delete_goes_on_when_it_is_reaped() {
    let (container, mut outsider) = caught();
    let began = Instant::now();
    let deleting = Running::start(container.command("delete", &["--force"]));
    std::thread::sleep(Duration::from_millis(300));
    outsider.reap();
    let _ = deleting.finish(wait::SOON).ok();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let _ = container.verb("state", &[]).fails(1, &["container does not exist"]);
    assert!(runsig_tests::cgroup::directories(&container.bundle.cgroup()).is_empty());
}

fn wait_waits_for_the_real_end() {
    let (container, mut outsider) = caught();
    let mut waiting = Running::start(container.command("wait", &[]));
    std::thread::sleep(Duration::from_millis(200));
    assert!(waiting.child.try_wait().expect("wait").is_none(), "init is still there");
    outsider.reap();
    ends_with(waiting, 137);
}

/// A program may have made cgroups below its own, with processes in them that are just dying.
fn nested_cgroups_go() {
    for _ in 0..5 {
        let container = up("sleep 2060 & sleep 2061 & echo up > /up; wait");
        let child = container.wait_for_command("sleep 2060");
        for dir in runsig_tests::cgroup::directories(&container.bundle.cgroup()) {
            std::fs::create_dir_all(dir.join("a/b/c")).expect("mkdir");
            std::fs::create_dir_all(dir.join("d")).expect("mkdir");
            // cpuset of v1 takes nobody before it has CPUs.
            let _ = std::fs::write(dir.join("a/b/cgroup.procs"), child.to_string());
        }
        container.delete_force().ok();
        assert!(runsig_tests::cgroup::directories(&container.bundle.cgroup()).is_empty());
        assert!(!procs::alive(child));
    }
}

/// Who is in a PID namespace below the container's has a number in the container's, too, and keeps its init.
fn a_blocker_in_a_nested_namespace() {
    let container = up(DEAF);
    require_command("nsenter");
    let init = container.pid().to_string();
    let mut nested = Command::new("nsenter");
    nested.args(["-t", &init, "-p", "unshare", "--pid", "--fork", "sleep", "2070"]);
    let mut nested = nested.spawn().expect("nsenter");
    let inner = || procs::find_command("sleep 2070");
    let mut outsider = Outsider::in_namespace_of(wait::some("the nested init", inner));
    container.kill("KILL").ok();
    wait::expect("a zombie that nobody reaps", || procs::state(outsider.pid) == Some('Z'));
    let state = container.state();
    let blockers = state["exiting"]["blockers"].as_array().expect("a list");
    assert!(blockers.iter().any(|blocker| blocker["pid"] == outsider.pid), "{state:#}");
    outsider.reap();
    container.expect_status("stopped");
    let _ = nested.wait().expect("wait");
}
