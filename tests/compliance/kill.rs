//! `kill`.

use runsig_tests::leftovers::Before;
use runsig_tests::spec::drop_namespace;
use runsig_tests::{Bundle, Case, Container, cases, procs, wait};

use crate::calls::{Row, refused, row, usual};
use crate::{in_state, sleeper};

/// The tests of this file. What signals do is tests/signals' matter.
pub const CASES: &[Case] = cases![
    V2 "kill": bad_calls, in_each_status, reaches_init, every_form_of_name, default_signal, all_is_accepted,
        all_of_a_stopped_one, says_nothing, kills_all_without_a_pid_namespace;
    V1 "kill": in_each_status, reaches_init;
    Host "kill": in_each_status;
];

fn rows() -> Vec<Row> {
    let mut rows = usual("kill", 1, "a minimum of 1", &["TERM"]);
    let number = "numbers that no signal has are named, before anybody is asked to take them";
    rows.extend([
        row(&["kill", "ID", "TERM", "more"], 1, &["\"kill\" requires a maximum of 2 argument(s)"]),
        row(&["kill", "ID", "FOO"], 1, &["unknown signal \"FOO\""]),
        row(&["kill", "ID", "SIGFOO"], 1, &["unknown signal \"SIGFOO\""]),
        row(&["kill", "ID", "TERM1"], 1, &["unknown signal \"TERM1\""]),
        row(&["kill", "ID", "TERM "], 1, &["unknown signal \"TERM \""]),
        row(&["kill", "ID", "0x9"], 1, &["unknown signal \"0x9\""]),
        row(&["kill", "ID", "65"], 1, &["unable to signal init: invalid argument"]).runsig(
            1,
            &["unknown signal \"65\""],
            number,
        ),
        row(&["kill", "ID", "-9"], 1, &["unable to signal init: invalid argument"]).runsig(
            1,
            &["-9"],
            number,
        ),
        row(&["kill", "--all=perhaps", "ID", "TERM"], 1, &["-all: parse error"]),
    ]);
    rows
}

fn bad_calls() {
    let container = in_state("running");
    refused(&container, &rows());
    assert_eq!(container.status(), "running");
}

fn in_each_status() {
    let stopped = in_state("stopped");
    refused(
        &stopped,
        &[
            row(&["kill", "ID", "KILL"], 1, &["container not running"]),
            row(&["kill", "ID", "0"], 1, &["container not running"]),
            row(&["kill", "ID"], 1, &["container not running"]),
        ],
    );
    let created = in_state("created");
    created.kill("TERM").ok();
    created.expect_status("stopped");
    created.delete().ok();
    let paused = in_state("paused");
    paused.kill("TERM").ok();
    assert_eq!(paused.status(), "paused", "other signals wait until it is resumed");
    paused.kill("KILL").ok();
    paused.expect_status("stopped");
}

fn reaches_init() {
    let script = "trap 'echo usr1 > /got' USR1; echo ready > /ready; while :; do sleep 0.1; done";
    let container = Container::running(Bundle::script(script));
    let _ = container.wait_for_file("/ready");
    container.kill("USR1").ok();
    assert_eq!(container.wait_for_file("/got"), "usr1\n");
}

fn every_form_of_name() {
    let container = in_state("running");
    for name in ["TERM", "term", "SIGTERM", "sigterm", "SigTerm", "15", "0", "SIGUSR1", "hup", "64"] {
        container.kill(name).ok();
    }
    assert_eq!(container.status(), "running", "PID 1 has default dispositions only");
}

fn default_signal() {
    let script = "trap 'echo term > /got; exit' TERM; echo ready > /ready; while :; do sleep 0.1; done";
    for arguments in [&[][..], &[""]] {
        let container = Container::running(Bundle::script(script));
        let _ = container.wait_for_file("/ready");
        let mut args = vec!["kill", container.id()];
        args.extend(arguments);
        container.runtime.call(&args).ok();
        assert_eq!(container.wait_for_file("/got"), "term\n");
    }
}

fn all_is_accepted() {
    for flag in ["--all", "-a"] {
        let container = Container::running(Bundle::script("sleep 2000 & exec sleep 1000"));
        let _ = container.wait_for_command("sleep 2000");
        container.runtime.call(&["kill", flag, container.id(), "KILL"]).ok();
        container.expect_status("stopped");
        assert_eq!(procs::find_command("sleep 2000"), None);
    }
}

/// Engines send it again and again.
fn all_of_a_stopped_one() {
    let container = in_state("stopped");
    for _ in 0..2 {
        container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
    }
}

fn says_nothing() {
    let outcome = in_state("running").kill("KILL").ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

fn kills_all_without_a_pid_namespace() {
    runsig_tests::version::since("1.2", "a plain KILL takes the whole container along");
    let container = Container::new(sleeper().with(|config| drop_namespace(config, "pid")));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    container.runtime.call(&["exec", "--detach", container.id(), "sleep", "2000"]).ok();
    let other = container.wait_for_command("sleep 2000");
    container.kill("KILL").ok();
    wait::expect("the end of the other process", || !procs::alive(other));
    container.expect_status("stopped");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}
