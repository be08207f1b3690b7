//! Frozen containers.

use crate::engine::{Container, Exec};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Both: pause_and_unpause;
    V2: pause_twice, stop_while_paused, kill_while_paused, rm_while_paused, exec_while_paused, pause_a_stopped;
];

fn pause_and_unpause(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.pause("c").ok();
    let state = s.state("c").to_lowercase();
    assert!(state.contains("paused"), "{state}");
    s.unpause("c").ok();
    s.state("c");
    s.stop("c", 40);
    s.ends(3, "c");
}

fn pause_twice(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.unpause("c");
    s.pause("c").ok();
    s.pause("c");
    s.state("c");
    s.unpause("c").ok();
    s.state("c");
}

fn stop_while_paused(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.pause("c").ok();
    s.stop("c", 40);
    s.state("c");
}

fn kill_while_paused(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.pause("c").ok();
    s.kill("c", "USR1");
    s.state("c");
    s.kill("c", "KILL");
    s.ends(137, "c");
}

fn rm_while_paused(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    s.start(&Container::script("c", &format!("echo ready; sleep 5{number}1")));
    s.pause("c").ok();
    s.remove("c", true);
    s.expect_no_process(&format!("sleep 5{number}1"));
    s.state("c");
}

fn exec_while_paused(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.pause("c").ok();
    let outcome = s.exec("c", Exec::default(), &["true"]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    s.unpause("c").ok();
    s.exec("c", Exec::default(), &["true"]);
}

fn pause_a_stopped(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.stop("c", 40);
    let outcome = s.pause("c");
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}
