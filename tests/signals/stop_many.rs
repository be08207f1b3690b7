//! Many containers in one `stop`, two stops of one container, and a stop that is interrupted.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::runtime::{Running, finish};
use runsig_tests::{Case, Container, cases, wait};

use crate::world::{DEAF, HANDLES, IGNORES, assert_exit_code, stop, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "stop_many": all_at_once, by_pattern, a_missing_one_stops_nobody, one_that_fails_changes_nothing_for_others, the_same_one_twice,
        shorter_second_wins, several_stops_at_once, nothing_is_locked_meanwhile, interrupted, interrupted_by_term,
        deleted_meanwhile, quiet;
];

/// Each takes half a second to end.
const SLOW: &str = "trap 'sleep 0.5; exit 0' TERM; echo up > /up; while :; do sleep 0.02; done";

fn stop_all(containers: &[&Container], args: &[&str]) -> runsig_tests::Outcome {
    let mut call = vec!["stop"];
    call.extend(args);
    call.extend(containers.iter().map(|container| container.id()));
    containers[0].runtime.call(&call)
}

fn all_at_once() {
    let containers: Vec<Container> = (0..8).map(|_| up(SLOW)).collect();
    let began = Instant::now();
    let report = stop_all(&containers.iter().collect::<Vec<_>>(), &["--format", "json"]).ok().json();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "one after the other it would be four seconds: {took:?}");
    let report = report.as_array().expect("a list");
    assert_eq!(report.len(), 8);
    for container in &containers {
        let own = report.iter().find(|entry| entry["id"] == container.id()).expect("its report");
        assert_eq!(own["outcome"], "stopped", "{own:#}");
        assert_exit_code(own, 0);
    }
}

fn by_pattern() {
    let (first, second) = (up(HANDLES), up(HANDLES));
    let pattern = format!("^{}", runsig_tests::harness::tag());
    first.runtime.call(&["stop", "--regex", &pattern]).ok();
    assert_eq!((first.status(), second.status()), ("stopped".to_string(), "stopped".to_string()));
    let outcome = first.runtime.call(&["stop", "--regex", "^no-such-"]).ok();
    assert_eq!(outcome.text(), "");
    assert_ne!(first.runtime.call(&["stop", "--regex", "("]).code, 0);
}

/// Whatever is wrong is found before the first signal is sent.
fn a_missing_one_stops_nobody() {
    let container = up(HANDLES);
    let outcome = container.runtime.call(&["stop", container.id(), "no-such-container"]);
    let _ = outcome.fails(1, &["no-such-container", "container does not exist"]).one_line();
    assert_eq!(container.status(), "running");
}

fn one_that_fails_changes_nothing_for_others() {
    let (stubborn, willing) = (up(IGNORES), up(HANDLES));
    let outcome = stop_all(&[&stubborn, &willing], &["--plan", "TERM:200ms"]);
    let outcome = outcome.fails(1, &[stubborn.id(), "still running"]).one_line();
    assert!(!outcome.stderr.contains(willing.id()), "{outcome:#?}");
    assert_eq!((stubborn.status(), willing.status()), ("running".to_string(), "stopped".to_string()));
}

fn the_same_one_twice() {
    let container = up(HANDLES);
    let report = stop_all(&[&container, &container], &["--format", "json"]).ok().json();
    assert_eq!(report.as_array().map(Vec::len), Some(1), "{report:#}");
}

fn shorter_second_wins() {
    let container = up(IGNORES);
    let began = Instant::now();
    let patient = Running::start(container.command("stop", &["--timeout", "1m", "--format", "json"]));
    std::thread::sleep(Duration::from_millis(200));
    stop(&container, &["--timeout", "200ms"]).ok();
    let first = patient.finish(wait::SOON).ok().json();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(first[0]["outcome"], "stopped", "{first:#}");
    assert_exit_code(&first[0], 137);
}

fn several_stops_at_once() {
    let container = up(SLOW);
    let stops: Vec<_> = (0..5).map(|_| Running::start(container.command("stop", &[]))).collect();
    for stop in stops {
        let _ = stop.finish(wait::SOON).ok();
    }
    assert_eq!(container.status(), "stopped");
}

/// Every other verb works while a stop waits.
fn nothing_is_locked_meanwhile() {
    let container =
        up("trap 'echo got > /got' USR1; trap '' TERM; echo up > /up; while :; do sleep 0.02; done");
    let waiting = Running::start(container.command("stop", &["--timeout", "1m"]));
    wait::expect("the stop to have begun", || stop_has_begun(&waiting));
    assert_eq!(container.status(), "running");
    container.kill("USR1").ok();
    let _ = container.wait_for_file("/got");
    container.verb("pause", &[]).ok();
    container.verb("resume", &[]).ok();
    container.runtime.call(&["exec", container.id(), "true"]).ok();
    container.delete_force().ok();
    let _ = waiting.finish(wait::SOON).ok();
}

/// It sleeps in its poll loop.
fn stop_has_begun(running: &Running) -> bool {
    let pid = running.child.id();
    std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|text| {
        let number = text.split(' ').next().unwrap_or_default().to_string();
        ["7", "271", "73"].contains(&&*number)
    })
}

fn ended_by(signal: Signal) {
    let (patient, quick) = (up(IGNORES), up(HANDLES));
    let mut command = patient.command("stop", &["--timeout", "1m"]);
    command.arg(quick.id());
    let waiting = Running::start(command);
    quick.expect_status("stopped");
    wait::expect("the stop to wait", || stop_has_begun(&waiting));
    let pid = Pid::from_raw(i32::try_from(waiting.child.id()).expect("a PID"));
    kill(pid, signal).expect("kill");
    let outcome = waiting.finish(wait::SOON);
    let number = patient.pid().to_string();
    let outcome = outcome.fails(130, &["interrupted", patient.id(), "still running", &number]).one_line();
    assert!(!outcome.stderr.contains(quick.id()), "{outcome:#?}");
    assert!(outcome.stdout.contains("still running, interrupted"), "{outcome:#?}");
    assert_eq!(patient.status(), "running", "it is left as it is");
}

fn interrupted() {
    ended_by(Signal::SIGINT);
}

fn interrupted_by_term() {
    ended_by(Signal::SIGTERM);
}

fn deleted_meanwhile() {
    let container = up(IGNORES);
    let waiting = Running::start(container.command("stop", &["--timeout", "1m", "--format", "json"]));
    wait::expect("the stop to have begun", || stop_has_begun(&waiting));
    container.delete_force().ok();
    let report = waiting.finish(wait::SOON).ok().json();
    assert_eq!(report[0]["outcome"], "stopped", "{report:#}");
}

fn quiet() {
    let container = up(DEAF);
    let mut command = container.command("stop", &["--quiet"]);
    command.env("TERM", "xterm");
    let outcome = finish(command, wait::SOON).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}
