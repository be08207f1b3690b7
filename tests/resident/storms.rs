//! Too many signals, too many processes, no processes left to make.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::libc;
use runsig_tests::sandbox::require_v1_controller;
use runsig_tests::{Case, Container, cases, json, procs, wait};

use crate::world::{
    ALL, COUNTS, Pid1, compile, end_by, expect_members, members, read, resident_bundle, started,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "storms": ten_thousand_mixed_signals_side_by_side, a_storm_and_children_that_end, terminations_at_once;
    Host "storms": an_exhausted_pids_limit, a_fork_bomb;
];

const BOMB: &str = include_str!("programs/bomb.c");
const FILLS: &str = include_str!("programs/fills.c");

/// Two of three are real-time signals, which the kernel queues one by one.
const MIX: [i32; 12] = [1, 34, 40, 10, 50, 64, 12, 35, 63, 28, 45, 55];
const STORM: usize = 10_000;

fn counting(init: Pid1) -> Container {
    let bundle = init.bundle(&["/counts-signals"]);
    compile(&bundle, COUNTS, "counts-signals");
    started(bundle)
}

fn send(pid: i32, signal: i32) {
    runsig_sys::process::kill(pid, signal).expect("kill");
}

/// What arrives: every real-time signal, and of each other one no more than was sent and at least
/// one: the kernel makes one of those that are pending at the same time.
fn ten_thousand_mixed_signals_side_by_side() {
    for init in ALL {
        let container = counting(init);
        let pid = container.pid();
        let mut sent: BTreeMap<i32, usize> = BTreeMap::new();
        let began = Instant::now();
        for signal in MIX.iter().cycle().take(STORM) {
            send(pid, *signal);
            *sent.entry(*signal).or_default() += 1;
        }
        let sending = began.elapsed();
        // TERM is lower than the real-time ones and would overtake them.
        let main = crate::world::main_process(&container);
        let idle = |pid: i32| {
            let pending =
                |field| procs::status_field(pid, field).is_none_or(|set| set.bytes().all(|b| b == b'0'));
            pending("SigPnd") && pending("ShdPnd")
        };
        wait::expect("an empty queue", || idle(pid) && idle(main));
        let took = began.elapsed();
        let code = end_by(&container, || send(pid, libc::SIGTERM));
        assert_eq!(code, 0, "{}", init.name());
        let counts: BTreeMap<i32, usize> = read(&container, "/counts")
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)))
            .collect();
        let lost: usize = sent.iter().filter(|(n, _)| **n >= 34).map(|(n, count)| count - counts[n]).sum();
        println!(
            "REPORT: {}: {STORM} signals sent in {} ms, handed on after {} ms, real-time ones lost: {lost}",
            init.name(),
            sending.as_millis(),
            took.as_millis()
        );
        for (signal, count) in sent {
            let got = counts[&signal];
            assert!(got >= 1 && got <= count, "{}: {signal}: {got} of {count}", init.name());
            assert!(signal < 34 || got == count, "{}: {signal}: {got} of {count}", init.name());
        }
    }
}

/// Low numbers come first out of the kernel's queue: CHLD must not wait behind them.
fn a_storm_and_children_that_end() {
    let script = "trap '' HUP; echo up > /up; for i in $(seq 200); do sh -c 'true & exit 0'; done; echo done > /done; \
        exec sleep 1000";
    let container = started(resident_bundle(&[], &["sh", "-c", script]));
    let pid = container.pid();
    let deadline = Instant::now() + Duration::from_secs(40);
    while read(&container, "/done").is_empty() && Instant::now() < deadline {
        for _ in 0..200 {
            send(pid, libc::SIGHUP);
        }
    }
    assert!(!read(&container, "/done").is_empty(), "the script got its turn");
    wait::expect("no zombie", || members(&container).iter().all(|pid| procs::state(*pid) != Some('Z')));
    expect_members(&container, 2);
}

fn terminations_at_once() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let pid = container.pid();
    let code = end_by(&container, || {
        for _ in 0..5000 {
            // It may be gone in the middle of it.
            let _ = runsig_sys::process::kill(pid, libc::SIGTERM);
        }
    });
    assert_eq!(code, 143);
}

fn limited(source: &str, limit: i64) -> Container {
    require_v1_controller("pids");
    let settings = [("forward", "all"), ("linger", "1s")];
    let bundle = resident_bundle(&settings, &["/program"])
        .with(|config| config["linux"]["resources"]["pids"] = json!({"limit": limit}));
    compile(&bundle, source, "program");
    started(bundle)
}

/// Not one process more can be made, and everything works.
fn an_exhausted_pids_limit() {
    let container = limited(FILLS, 20);
    assert_eq!(members(&container).len(), 20, "init among them");
    let exec = container.runtime.call(&["exec", container.id(), "sh", "-c", "true & wait"]);
    assert!(exec.code != 0 && exec.stderr.contains("fork"), "there is no room for another: {exec:#?}");
    // All get it, the first of them tells one to end.
    let _ = container.kill("USR1").ok();
    expect_members(&container, 19);
    wait::expect("no zombie", || members(&container).len() == 19);
    let began = Instant::now();
    let code = end_by(&container, || {
        let _ = container.kill("TERM").ok();
    });
    assert_eq!(code, 143);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    expect_members(&container, 0);
}

fn a_fork_bomb() {
    let container = limited(BOMB, 200);
    wait::expect("a full container", || members(&container).len() >= 190);
    std::thread::sleep(Duration::from_millis(500));
    let state = procs::state(container.pid());
    assert!(matches!(state, Some('S' | 'R')), "{state:?}");
    let began = Instant::now();
    let code = end_by(&container, || {
        let _ = container.kill("TERM").ok();
    });
    println!("REPORT: a bomb of 200 processes stopped after {} ms", began.elapsed().as_millis());
    assert_eq!(code, 143);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    expect_members(&container, 0);
}
