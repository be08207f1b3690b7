//! Zombies: none stays, whoever's child it was.

use std::time::{Duration, Instant};

use runsig_tests::{Case, Container, cases, procs, wait};

use crate::world::{ALL, Pid1, members, resident};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "reaping": orphans_side_by_side, without_an_init_they_stay, a_thousand_orphans, children_of_exec;
    Host "reaping": orphans_side_by_side;
];

/// Fifty processes whose parents are gone when they end. Another process than PID 1 makes them: a shell that
/// waits for one child reaps those that have become its own meanwhile, on a busy machine.
const ORPHANS: &str =
    "(for i in $(seq 50); do sh -c 'sleep 0.2 & exit 0'; done; echo up > /up) & exec sleep 1000";

fn zombies(container: &Container) -> usize {
    // A v1 cgroup does not list zombies: look for them by their PID namespace.
    let ours = procs::namespace(container.pid(), "pid");
    let ended =
        |pid: &i32| procs::state(*pid) == Some('Z') && procs::namespace(*pid, "pid_for_children") != ours;
    let inits = container.pid();
    let child = |pid: &i32| procs::status_field(*pid, "PPid").is_some_and(|ppid| ppid == inits.to_string());
    procs::all().into_iter().filter(|pid| ended(pid) && child(pid)).count()
}

fn orphans_side_by_side() {
    for init in ALL {
        let container = init.up(ORPHANS);
        // The last of them ends 0.2 s after `up`; nobody may be seen a second later.
        std::thread::sleep(Duration::from_millis(400));
        assert!(wait::until(Duration::from_millis(800), || zombies(&container) == 0), "{}", init.name());
        assert_eq!(members(&container).len(), 2, "{}: init and the program", init.name());
    }
}

/// The reason for all this: a program that reaps only its own.
fn without_an_init_they_stay() {
    runsig_tests::require_runsig("compared with the resident init");
    let bundle = runsig_tests::Bundle::script(ORPHANS);
    let container = crate::world::started(bundle);
    wait::expect("fifty zombies and the one who made them", || zombies(&container) == 51);
}

/// Orphans that end while others are made, and for as long as it takes none is seen for a second.
fn a_thousand_orphans() {
    let script = "echo up > /up; for i in $(seq 1000); do sh -c 'true & exit 0'; done; echo done > /done; exec sleep 1000";
    let container = resident(&[], script);
    let began = Instant::now();
    let mut since: std::collections::HashMap<i32, Instant> = std::collections::HashMap::new();
    while crate::world::read(&container, "/done").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(40), "a thousand processes take less");
        let now = Instant::now();
        let dead: Vec<i32> =
            members(&container).into_iter().filter(|pid| procs::state(*pid) == Some('Z')).collect();
        since.retain(|pid, _| dead.contains(pid));
        for pid in dead {
            let seen = *since.entry(pid).or_insert(now);
            assert!(now - seen < Duration::from_secs(1), "a zombie has stayed for a second");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    wait::expect("no zombie", || zombies(&container) == 0);
}

/// An exec'd process has its parent outside; what it leaves behind is init's.
fn children_of_exec() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    for _ in 0..5 {
        let exec = ["exec", container.id(), "sh", "-c", "sleep 0.1 & exit 0"];
        let _ = container.runtime.call(&exec).ok();
    }
    wait::expect("only init and the program", || members(&container).len() == 2 && zombies(&container) == 0);
}
