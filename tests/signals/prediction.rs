//! `signals ID SIGNAL` about real programs, the warning of `kill`, and whether both come true.

use runsig_tests::case::require_command;
use runsig_tests::{Bundle, Case, Container, cases, procs, require_runsig, wait};

use crate::world::{DEAF, HANDLES, IGNORES, expect_members, host_bundle, predicted, python, rows, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "prediction": shell_without_trap, shell_with_trap, shell_that_ignores, tini, dumb_init, catatonit,
        python_waits, python_threads, children_of_init, table_for_people, stopped_shows_nobody, created_is_shown,
        kill_and_stop_are_never_dropped, host_namespace_is_never_deaf;
    Host "prediction": shell_without_trap, shell_with_trap;
];

/// Waits for the prediction, then sends TERM: the warning must match, and the end too.
fn comes_true(container: &Container, expected: &str, ends: bool) {
    wait::expect(&format!("the prediction {expected}"), || predicted(container, "TERM") == expected);
    let outcome = container.kill("TERM").ok();
    let warned = outcome.stderr.contains("level=warning");
    assert_eq!(warned, expected == "dropped", "{outcome:#?}");
    if warned {
        assert!(outcome.stderr.contains("no handler for SIGTERM"), "{outcome:#?}");
        let _ = outcome.one_line();
    }
    if ends {
        container.expect_status("stopped");
    } else {
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(container.status(), "running");
    }
}

fn shell_without_trap() {
    comes_true(&up(DEAF), "dropped", false);
}

fn shell_with_trap() {
    comes_true(&up(HANDLES), "handled", true);
}

fn shell_that_ignores() {
    comes_true(&up(IGNORES), "ignored", false);
}

/// An init program with a sleeping child.
fn init_program(program: &str) {
    require_runsig("the verb signals is Runsig's own");
    require_command(program);
    let path = format!("/usr/bin/{program}");
    let container = Container::running(host_bundle(&[&path, "--", "sleep", "1000"]));
    expect_members(&container, 2);
    comes_true(&container, "waited-for", true);
}

fn tini() {
    init_program("tini");
}

fn dumb_init() {
    init_program("dumb-init");
}

fn catatonit() {
    init_program("catatonit");
}

const WAITS: &str = include_str!("../../crates/runsig-signal/tests/real/programs/waits.py");

fn python_program(how: &str, expected: &str, ends: bool) {
    require_runsig("the verb signals is Runsig's own");
    let container = Container::running(python("waits.py", WAITS, &[how]));
    eprintln!("{how}");
    // Until it runs, init is Runsig's own program, which handles what would end it.
    let _ = container.wait_for_command(&format!("/usr/bin/python3 /waits.py {how}"));
    comes_true(&container, expected, ends);
}

fn python_waits() {
    for (how, expected, ends) in [
        ("default", "dropped", false),
        ("handler", "handled", true),
        ("ignored", "ignored", false),
        ("blocked", "blocked-queued", false),
        ("sigwait", "waited-for", true),
        ("sigwaitinfo", "waited-for", true),
        ("sigtimedwait", "waited-for", true),
        ("signalfd", "waited-for", true),
        ("signalfd_unblocked", "dropped", false),
        ("ppoll", "handled", true),
    ] {
        python_program(how, expected, ends);
    }
}

fn python_threads() {
    for (how, expected, ends) in [
        ("sigwait_thread", "waited-for", true),
        ("thread_handles", "handled", true),
        ("thread_drops", "dropped", false),
        ("threads_block", "blocked-queued", false),
        ("leader_gone", "waited-for", true),
    ] {
        python_program(how, expected, ends);
    }
}

/// Not PID 1: the default action counts.
fn children_of_init() {
    let container = up("sh -c 'trap \"\" HUP; exec sleep 2030' & echo up > /up; wait");
    let child = container.wait_for_command("sleep 2030");
    for (signal, word) in
        [("TERM", "fatal"), ("HUP", "ignored"), ("WINCH", "no-effect"), ("STOP", "stops"), ("KILL", "fatal")]
    {
        let rows = rows(&container, signal);
        let row = rows.iter().find(|row| row["pid"] == child).expect("the child");
        assert_eq!(row["disposition"], word, "{signal}: {row}");
        assert_eq!(row["command"], "sleep 2030");
        assert!(row["inside"].as_i64().is_some_and(|pid| pid > 1), "{row}");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGSTOP)
        .expect("kill");
    wait::expect("a stopped child", || procs::state(child) == Some('T'));
    let rows = rows(&container, "CONT");
    assert!(rows.iter().any(|row| row["pid"] == child && row["disposition"] == "continues"), "{rows:?}");
}

fn table_for_people() {
    let container = up("sleep 2031 & echo up > /up; wait");
    let _ = container.wait_for_command("sleep 2031");
    let table = container.runtime.call(&["signals", container.id()]).ok();
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{table:#?}");
    let header: Vec<_> = lines[0].split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(header, ["PID", "INSIDE", "SIGTERM", "A STOP WITH IT", "COMMAND"]);
    let pid = container.pid().to_string();
    assert!(lines[1].starts_with(&pid) && lines[1].contains("dropped"), "{table:#?}");
    assert!(lines[2].contains("fatal") && lines[2].contains("gets the signal in init's place"), "{table:#?}");
    assert!(lines[2].ends_with("sleep 2031"), "{table:#?}");
    // The stop signal of the container is the default.
    let container = crate::world::up_with(DEAF, |config| {
        crate::world::annotate(config, "org.opencontainers.image.stopSignal", "SIGQUIT");
    });
    assert!(container.verb("signals", &[]).ok().stdout.contains("SIGQUIT"));
}

fn stopped_shows_nobody() {
    require_runsig("the verb signals is Runsig's own");
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    assert_eq!(container.verb("signals", &["--format", "json"]).ok().text(), "[]");
    assert_eq!(container.verb("signals", &[]).ok().stdout.lines().count(), 1, "the header only");
}

/// The waiting init handles what would end it, so that a signal ends it in time.
fn created_is_shown() {
    require_runsig("the verb signals is Runsig's own");
    let container = Container::created(Bundle::script(DEAF));
    let outcome = container.kill("0").ok();
    assert_eq!(outcome.stderr, "");
    assert_eq!(rows(&container, "TERM").len(), 1);
    assert_ne!(predicted(&container, "TERM"), "dropped");
    assert_eq!(container.kill("TERM").ok().stderr, "", "it is not dropped");
    container.expect_status("stopped");
}

fn kill_and_stop_are_never_dropped() {
    let container = up(DEAF);
    assert_eq!(predicted(&container, "KILL"), "fatal");
    assert_eq!(predicted(&container, "STOP"), "stops");
    assert_eq!(container.kill("STOP").ok().stderr, "");
    let pid = container.pid();
    wait::expect("a stopped init", || procs::state(pid) == Some('T'));
    assert_eq!(predicted(&container, "CONT"), "continues");
    assert_eq!(container.kill("CONT").ok().stderr, "");
    wait::expect("a running init", || procs::state(pid) == Some('S'));
    assert_eq!(container.kill("KILL").ok().stderr, "");
    container.expect_status("stopped");
}

fn host_namespace_is_never_deaf() {
    let container = crate::world::up_with("echo up > /up; exec sleep 2032", |config| {
        runsig_tests::spec::drop_namespace(config, "pid");
    });
    comes_true(&container, "fatal", true);
}
