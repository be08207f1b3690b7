//! The engines' stop: which signal, how long, and how it ends.

use crate::engine::{Container, Opt};
use crate::image::{DEAF, PLAIN, TELLS_SIGNAL};
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Both: stop_signal_of_the_image;
    V2: stop_signal_of_the_option, stop_without_a_signal, stop_of_one_that_ignores, stop_of_a_shell, stop_twice,
        init, init_reaps, stop_of_a_stopping, stop_with_orphans;
];

fn stop_signal_of_the_image(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.stop("c", 40);
    s.ends(3, "c");
    s.state("c");
}

fn stop_signal_of_the_option(s: &Session<'_>) {
    for (name, signal, code) in [("name", "SIGUSR1", 10), ("short", "USR1", 10), ("number", "15", 15)] {
        s.start(&Container::script(name, TELLS_SIGNAL).with(Opt::StopSignal(signal)));
        s.stop(name, 40);
        s.ends(code, name);
    }
}

fn stop_without_a_signal(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL).image(PLAIN));
    s.stop("c", 40);
    s.ends(15, "c");
}

fn stop_of_one_that_ignores(s: &Session<'_>) {
    let script = "trap '' TERM QUIT; echo ready; while :; do sleep 0.1; done";
    s.start(&Container::script("c", script));
    s.stop("c", 2);
    s.ends(137, "c");
    s.state("c");
}

fn stop_of_a_shell(s: &Session<'_>) {
    s.start(&Container::script("c", DEAF).image(PLAIN));
    s.stop("c", 2);
    s.ends(137, "c");
}

fn stop_twice(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.stop("c", 40);
    s.stop("c", 40);
    s.ends(3, "c");
}

fn init(s: &Session<'_>) {
    s.start(&Container::script("c", "echo ready; exec sleep 1000").image(PLAIN).with(Opt::Init));
    s.stop("c", 40);
    s.ends(143, "c");
    s.run_to(9, &Container::script("code", "exit 9").with(Opt::Init));
}

fn init_reaps(s: &Session<'_>) {
    let script =
        "for i in 1 2 3; do sh -c 'sleep 0.1 & exit 0'; done; sleep 0.5; echo ready; exec sleep 1000";
    s.start(&Container::script("c", script).with(Opt::Init));
    s.note("zombies", &s.ask("c", "grep -l 'State:.Z' /proc/[0-9]*/status | wc -l"));
}

fn stop_of_a_stopping(s: &Session<'_>) {
    // Takes its time to end, and is given enough.
    let script = "trap 'sleep 1; exit 4' QUIT TERM; echo ready; while :; do sleep 0.05; done";
    s.start(&Container::script("c", script));
    s.stop("c", 40);
    s.ends(4, "c");
}

fn stop_with_orphans(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    let script = format!("(trap '' TERM QUIT HUP; setsid sleep 2{number}1) & {TELLS_SIGNAL}");
    s.start(&Container::script("c", &script));
    s.stop("c", 40);
    s.expect_no_process(&format!("sleep 2{number}1"));
    s.ends(3, "c");
}
