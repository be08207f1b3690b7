//! Single signals.

use crate::engine::{Container, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    V2: kill_by_name, kill_by_number, kill_real_time, kill_unknown, kill_a_stopped, kill_dropped, kill_all;
    Both: kill_kill;
];

fn kill_by_name(s: &Session<'_>) {
    for (name, signal) in [("long", "SIGUSR1"), ("short", "USR1")] {
        s.start(&Container::script(name, TELLS_SIGNAL));
        s.kill(name, signal).ok();
        s.ends(10, name);
    }
}

fn kill_by_number(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.kill("c", "15").ok();
    s.ends(15, "c");
}

fn kill_real_time(s: &Session<'_>) {
    // No PID 1, so that it dies of what it does not handle.
    for (name, signal, code) in [("name", "SIGRTMIN+3", 128 + 37), ("number", "40", 128 + 40)] {
        s.start(&Container::script(name, "echo ready; exec sleep 1000").with(Opt::HostPids));
        s.kill(name, signal).ok();
        s.ends(code, name);
    }
}

fn kill_unknown(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for signal in ["NONSENSE", "99"] {
        let outcome = s.kill("c", signal);
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
    s.state("c");
}

fn kill_a_stopped(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.stop("c", 40);
    let outcome = s.kill("c", "KILL");
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

fn kill_dropped(s: &Session<'_>) {
    // PID 1 without a handler never sees it.
    s.start(&Container::script("c", "echo ready; sleep 1000; true"));
    s.kill("c", "TERM").ok();
    s.kill("c", "HUP").ok();
    std::thread::sleep(std::time::Duration::from_millis(300));
    s.state("c");
    s.kill("c", "KILL").ok();
    s.ends(137, "c");
}

fn kill_kill(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    s.start(&Container::script("c", &format!("echo ready; sleep 3{number}1 & sleep 3{number}2")));
    s.kill("c", "KILL").ok();
    s.ends(137, "c");
    s.state("c");
    s.expect_no_process(&format!("sleep 3{number}1"));
    s.expect_no_process(&format!("sleep 3{number}2"));
}

fn kill_all(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    let script = format!("echo ready; sleep 4{number}1 & sleep 4{number}2");
    s.start(&Container::script("shared", &script).with(Opt::HostPids));
    s.kill_all("shared", "KILL").ok();
    s.ends(137, "shared");
    s.expect_no_process(&format!("sleep 4{number}1"));
    s.expect_no_process(&format!("sleep 4{number}2"));
    // Everybody hears it: the shell's child, too, writes. What a shell says of a sleep that heard it is by chance.
    let script = "exec 2>/dev/null; (trap 'echo child; exit' USR2; while :; do sleep 0.05; done) & trap 'wait; exit 8' USR2; \
                  sleep 0.3; echo ready; while :; do sleep 0.05; done";
    s.start(&Container::script("own", script));
    s.kill_all("own", "USR2").ok();
    s.ends(8, "own");
    s.logs("own");
}
