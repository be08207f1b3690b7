//! Who gets a signal that PID 1 gets, and as which number.

use runsig_tests::{Bundle, Case, Container, cases, wait};

use crate::world::{ALL, NOTES, PEERS, Pid1, compile, noted, read, resident, resident_bundle, started};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "forwarding": every_signal_arrives, real_time_signals_side_by_side, signals_are_rewritten_and_dropped,
        modes, several_modes_on_a_group, other_users_get_them, the_second_signal_reaches_who_is_left;
];

fn noting(bundle: Bundle) -> Container {
    compile(&bundle, NOTES, "notes");
    started(bundle)
}

/// TTIN and TTOU concern their receiver only (as with tini); CHLD tells of our own children; KILL and
/// STOP no one forwards.
fn every_signal_arrives() {
    let container = noting(resident_bundle(&[], &["/notes"]));
    let mut sent = Vec::new();
    for signal in (1..=64).filter(|signal| ![9, 17, 19, 21, 22].contains(signal)) {
        let _ = container.kill(&signal.to_string()).ok();
        sent.push(signal);
        wait::expect(&format!("signal {signal}"), || noted(&container) == sent);
    }
    for signal in ["TTIN", "TTOU", "CHLD"] {
        assert_eq!(container.kill(signal).ok().stderr, "", "no warning: nothing is dropped by the kernel");
    }
    let _ = container.kill("USR1").ok();
    sent.push(10);
    wait::expect("the last one", || noted(&container) == sent);
}

fn real_time_signals_side_by_side() {
    for init in ALL {
        let container = noting(init.bundle(&["/notes"]));
        for signal in ["RTMIN", "RTMIN+5", "RTMAX", "TERM"] {
            let _ = container.kill(signal).ok();
        }
        wait::expect("TERM", || noted(&container).contains(&15));
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut got = noted(&container);
        got.sort_unstable();
        assert_eq!(got, [15, 34, 39, 64], "{}", init.name());
    }
}

fn signals_are_rewritten_and_dropped() {
    let settings = [("rewrite", "TERM=QUIT,HUP=0,RTMIN+3=USR2")];
    let container = noting(resident_bundle(&settings, &["/notes"]));
    for signal in ["TERM", "HUP", "RTMIN+3", "INT"] {
        let before = noted(&container).len();
        let _ = container.kill(signal).ok();
        if signal != "HUP" {
            wait::expect(signal, || noted(&container).len() > before);
        }
    }
    assert_eq!(noted(&container), [3, 12, 2]);
}

/// The program, a child in its group, and one in a session of its own; each notes a USR1.
const FAMILY: &str = "\
    (trap 'echo child >> /got' USR1; echo >> /ready; while :; do sleep 0.02; done) & \
    setsid sh -c \"trap 'echo stranger >> /got' USR1; echo >> /ready; while :; do sleep 0.02; done\" & \
    trap 'echo main >> /got' USR1; \
    while [ $(grep -c '' /ready 2>/dev/null || echo 0) -lt 2 ]; do sleep 0.02; done; \
    echo up > /up; while :; do sleep 0.02; done";

/// Who of the family notes the signal. The sleeps end by it too, where they get it.
fn who_gets(mode: &str) -> Vec<String> {
    let container = resident(&[("forward", mode)], FAMILY);
    let _ = container.kill("USR1").ok();
    wait::expect("main", || read(&container, "/got").contains("main"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut got: Vec<String> = read(&container, "/got").lines().map(str::to_string).collect();
    got.sort_unstable();
    got
}

fn modes() {
    assert_eq!(who_gets("child"), ["main"]);
    assert_eq!(who_gets("group"), ["child", "main"]);
    assert_eq!(who_gets("all"), ["child", "main", "stranger"]);
}

/// What the others do: tini and catatonit signal the child, dumb-init its session's group.
fn several_modes_on_a_group() {
    for init in PEERS {
        let container = init.up(FAMILY);
        let _ = container.kill("USR1").ok();
        wait::expect("main", || read(&container, "/got").contains("main"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let got = read(&container, "/got");
        assert!(!got.contains("stranger"), "{} has no way to reach other sessions: {got}", init.name());
        assert_eq!(got.contains("child"), init == Pid1::DumbInit, "{}: {got}", init.name());
    }
}

/// The init is root with one capability; its processes are whoever they like.
fn other_users_get_them() {
    let bundle = resident_bundle(&[("forward", "all")], &["/notes"]).directory("/");
    compile(&bundle, NOTES, "notes");
    let bundle = bundle.with(|config| {
        config["process"]["user"] = runsig_tests::json!({"uid": 1000, "gid": 1000});
        config["process"]["capabilities"] = runsig_tests::json!({});
    });
    let container = started(bundle.owned_by(1000));
    let _ = container.kill("HUP").ok();
    wait::expect("the signal", || noted(&container) == [1]);
}

/// While the others take their time, a second stop signal is for them.
fn the_second_signal_reaches_who_is_left() {
    let script = "setsid sh -c \"trap 'echo told >> /told' TERM; echo up > /up; while :; do sleep 0.02; done\" & \
        sleep 1000";
    let container = resident(&[("linger", "20s")], script);
    let _ = container.kill("TERM").ok();
    wait::expect("the first", || read(&container, "/told").lines().count() == 1);
    let _ = container.kill("TERM").ok();
    wait::expect("the second", || read(&container, "/told").lines().count() == 2);
    let _ = container.kill("USR1").ok();
    wait::expect("the end", || container.status() == "stopped");
}
