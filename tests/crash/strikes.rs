//! The verbs to strike, and what must hold after each strike.
//!
//! Runsig makes some hundred system calls a verb: every one is struck. A Go runtime makes
//! thousands; they are sampled to stay below `RUNSIG_STRIKES` (default 400) a verb, and the test
//! says so.

use std::process::Command;
use std::time::{Duration, Instant};

use runsig_tests::fake_criu::FakeCriu;
use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, View, cases, procs, sandbox, wait};

use crate::tracer::{self, Ended};

/// The tests of this file.
pub const CASES: &[Case] = &{
    let cases: &[Case] = cases![
        V2 "crash": strike_create, strike_run_detached, strike_start, strike_kill, strike_delete, strike_delete_force,
            strike_restore;
        V1 "crash": strike_create, strike_delete_force;
        Systemd "crash": strike_create, strike_delete_force;
        SystemdHybrid "crash": strike_create;
    ];
    let mut slower = [cases[0]; 12];
    let mut index = 0;
    while index < slower.len() {
        slower[index] = cases[index].within(300);
        index += 1;
    }
    slower
};

/// Brings a container to where the verb applies, and gives the call to strike.
type Prepare = fn(&Container) -> Command;

fn strike_create() {
    strike("create", |container| container.command("create", &[]));
}

fn strike_run_detached() {
    strike("run -d", |container| container.command("run", &["--detach"]));
}

fn strike_start() {
    strike("start", |container| {
        container.create().ok();
        container.command("start", &[])
    });
}

fn strike_kill() {
    strike("kill", |container| {
        container.create().ok();
        container.start().ok();
        container.runtime.command(&["kill", container.id(), "KILL"])
    });
}

fn strike_delete() {
    strike("delete", |container| {
        container.create().ok();
        container.start().ok();
        container.kill("KILL").ok();
        container.expect_status("stopped");
        container.command("delete", &[])
    });
}

fn strike_delete_force() {
    strike("delete --force", |container| {
        container.create().ok();
        container.start().ok();
        container.command("delete", &["--force"])
    });
}

/// Up to CRIU's refusal, for which everything has been made that a restore makes by itself.
fn strike_restore() {
    runsig_tests::require_runsig("a criu of our own stands in for the real one");
    // Two programs are started at each strike: a part of the points has to do.
    strike_every(3, "restore", |container| {
        let images = runsig_tests::runtime::scratch("images");
        std::fs::create_dir_all(&images).expect("mkdir");
        std::fs::write(images.join("descriptors.json"), "[]").expect("write");
        let images = images.to_str().expect("utf-8");
        let mut command = container.command("restore", &["--detach", "--image-path", images]);
        FakeCriu::new().play(&mut command, "refuse");
        command
    });
}

fn strike(verb: &str, prepare: Prepare) {
    strike_every(1, verb, prepare);
}

fn strike_every(least: usize, verb: &str, prepare: Prepare) {
    let bundle = Bundle::new().args(&["sleep", "1000"]);
    let container = if has_systemd() { Container::in_scope(bundle) } else { Container::new(bundle) };
    let mut before = Before::now(&container.runtime);
    if has_systemd() {
        // The first container has slices made that the others find.
        clean_up(&container, &before).expect("nothing is left when nothing was struck");
    }
    // The fewest of some counts, so that strikes hit.
    let mut total = usize::MAX;
    for _ in 0..if has_systemd() { 3 } else { 1 } {
        total = total.min(count_calls(&container, prepare));
        clean_up(&container, &before).expect("nothing is left when nothing was struck");
    }
    let limit = std::env::var("RUNSIG_STRIKES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let every = total.div_ceil(limit).max(least);
    let began = Instant::now();
    let (mut struck, mut failures) = (0, Vec::new());
    for point in (1..=total).step_by(every) {
        forget_parent_cgroup();
        let command = prepare(&container);
        if tracer::run(&command, point) == Ended::Struck {
            struck += 1;
        }
        if let Err(problem) = clean_up(&container, &before) {
            failures.push(format!("at call {point}: {problem}"));
            clean_by_hand(&container, &before);
            // A mount that stays is counted once.
            before = Before::now(&container.runtime);
        }
    }
    println!(
        "REPORT: {verb}: struck {struck} of {total} system calls (every {every}.) in {:?}; {} left something",
        began.elapsed(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // How often one looks whether systemd is done differs from call to call.
    let share = if has_systemd() { 75 } else { 90 };
    assert!(
        struck * every * 100 >= total * share,
        "most strikes must hit: {struck} of {total}, every {every}."
    );
}

/// So that each run makes the cgroup above the container's again, and is struck at that too.
fn forget_parent_cgroup() {
    for dir in runsig_tests::cgroup::directories(&runsig_tests::harness::tag()) {
        let _ = std::fs::remove_dir(dir);
    }
}

fn count_calls(container: &Container, prepare: Prepare) -> usize {
    match tracer::run(&prepare(container), usize::MAX) {
        Ended::Finished(calls) => calls,
        Ended::Struck => unreachable!("no program makes that many calls"),
    }
}

/// In these worlds the container is in a scope.
fn has_systemd() -> bool {
    matches!(sandbox::view(), View::Systemd | View::SystemdHybrid)
}

/// A unit that systemd still knows; it may be about to forget one that has just ended.
fn unit_left(container: &Container) -> Option<String> {
    let unit = format!("runsig-{}.scope", container.id());
    let state = || {
        let show = Command::new("systemctl").args(["show", "--value", "-p", "ActiveState", &unit]).output();
        String::from_utf8_lossy(&show.expect("systemctl").stdout).trim().to_owned()
    };
    let gone = !has_systemd() || wait::until(Duration::from_secs(2), || state() == "inactive");
    (!gone).then(|| format!("unit {unit} ({})", state()))
}

/// What an operator does after a crash, and what must hold then.
fn clean_up(container: &Container, before: &Before) -> Result<(), String> {
    let outcome = container.delete_force();
    if outcome.code != 0 {
        return Err(format!("delete --force exits {}: {}", outcome.code, outcome.stderr.trim()));
    }
    let mut left = before.leftovers(&container.runtime, &container.bundle);
    left.extend(unit_left(container));
    if !left.is_empty() {
        return Err(left.join("; "));
    }
    let again = container.create();
    if again.code != 0 {
        return Err(format!("the id cannot be used again: {}", again.stderr.trim()));
    }
    let outcome = container.delete_force();
    let left = before.leftovers(&container.runtime, &container.bundle);
    if outcome.code != 0 || !left.is_empty() {
        return Err(format!("the next container: exit {}, {}", outcome.code, left.join("; ")));
    }
    Ok(())
}

/// So that one failure does not make the next strikes fail.
fn clean_by_hand(container: &Container, before: &Before) {
    for pid in runsig_tests::cgroup::processes(&container.bundle.cgroup()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    for pid in before.new_processes() {
        if procs::alive(pid) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
    wait::until(wait::SOON, || before.new_processes().is_empty());
    runsig_tests::cgroup::sweep(&runsig_tests::harness::tag());
    let _ = std::fs::remove_dir_all(container.runtime.root.join(container.id()));
}
