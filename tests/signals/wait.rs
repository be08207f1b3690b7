//! `wait`: prints and returns init's exit code.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::runtime::Running;
use runsig_tests::{Bundle, Case, Container, cases, require_runsig, wait};

use crate::world::{HANDLES, ends_are_told, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "wait": returns_the_exit_code, returns_128_plus_the_signal, several_wait_at_once, created_one, interrupted, unknown_id,
        of_one_that_ended_long_ago;
];

fn waiting(container: &Container) -> Running {
    let waiting = Running::start(container.command("wait", &[]));
    // It sleeps in poll or ppoll.
    let syscall = format!("/proc/{}/syscall", waiting.child.id());
    wait::expect("the wait to begin", || {
        std::fs::read_to_string(&syscall)
            .is_ok_and(|text| ["7 ", "271 ", "73 "].iter().any(|number| text.starts_with(number)))
    });
    waiting
}

/// It prints and returns the code; before Linux 6.15 it may say that it does not know.
pub(crate) fn ends_with(waiting: Running, code: i32) {
    let outcome = waiting.finish(wait::SOON);
    if !ends_are_told() && outcome.text().is_empty() {
        let _ = outcome.fails(1, &["exit code is unknown"]).one_line();
        return;
    }
    assert_eq!((outcome.code, outcome.text()), (code, &*code.to_string()), "{outcome:#?}");
}

fn returns_the_exit_code() {
    for code in [0, 3, 255] {
        let container = up(&format!("trap 'exit {code}' TERM; echo up > /up; while :; do sleep 0.02; done"));
        let waiting = waiting(&container);
        container.kill("TERM").ok();
        ends_with(waiting, code);
    }
}

fn returns_128_plus_the_signal() {
    let container = up(HANDLES);
    let waiting = waiting(&container);
    container.kill("KILL").ok();
    ends_with(waiting, 137);
}

fn several_wait_at_once() {
    let container = up(HANDLES);
    let all: Vec<_> = (0..4).map(|_| waiting(&container)).collect();
    container.kill("TERM").ok();
    all.into_iter().for_each(|one| ends_with(one, 3));
}

fn created_one() {
    require_runsig("wait is Runsig's own");
    let container = Container::created(Bundle::script("exit 9"));
    let waiting = waiting(&container);
    container.start().ok();
    ends_with(waiting, 9);
}

fn interrupted() {
    let container = up(HANDLES);
    let waiting = waiting(&container);
    let pid = Pid::from_raw(i32::try_from(waiting.child.id()).expect("a PID"));
    kill(pid, Signal::SIGINT).expect("kill");
    assert_eq!(waiting.finish(wait::SOON).code, 130);
    assert_eq!(container.status(), "running");
}

fn unknown_id() {
    require_runsig("wait is Runsig's own");
    let container = Container::new(Bundle::new());
    let _ = container.verb("wait", &[]).fails(1, &["container does not exist"]).one_line();
}

/// Reaped by somebody else before anybody held it: its status is gone, and nobody makes one up.
fn of_one_that_ended_long_ago() {
    let container = up(HANDLES);
    let pid = container.pid();
    container.kill("TERM").ok();
    wait::expect("init to be reaped", || runsig_tests::procs::state(pid).is_none());
    let _ = container.verb("wait", &[]).fails(1, &[container.id(), "exit code is unknown"]).one_line();
}
