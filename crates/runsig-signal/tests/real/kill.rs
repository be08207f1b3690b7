//! `kill` with and without policies.

use runsig_signal::config::Config;
use runsig_signal::deliver::{Delivery, Reached, deliver};
use runsig_signal::identity::{self, Identity};
use runsig_signal::policy::{KillFlags, KillPolicy, ON_DROPPED, REWRITE, SCOPE};
use runsig_signal::target::send_exec;
use runsig_signal::{Error, PidNamespace, Signal};

use crate::world::{self, Container, Group, eventually, shell};

/// What an engine's plain `kill ID SIGNAL` does to this container.
fn plain(container: &Container, signal: Signal) -> Delivery {
    let none = Config::at("/nonexistent");
    let policy =
        KillPolicy::find(signal, KillFlags::default(), &container.target.annotations, &none).unwrap();
    let delivered = deliver(&container.target, signal, &policy);
    delivered.unwrap_or_else(|error| panic!("{signal} to {}: {error}", container.target.id))
}

const DEAF: &str = "echo ready; sleep 100; true";

fn with_child(container: Container) -> Container {
    eventually("a child", || !container.children().is_empty());
    container
}

pub(crate) fn default_warns() {
    let deaf = with_child(shell(DEAF));
    let delivery = plain(&deaf, Signal::TERM);
    assert_eq!((delivery.sent, &delivery.reached), (Signal::TERM, &Reached::Init));
    let warning = delivery.warning.unwrap();
    assert!(warning.contains("has no handler for SIGTERM"), "{warning}");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(deaf.lives() && deaf.children().len() == 1, "the default changes nothing");
    assert_eq!(plain(&deaf, Signal::PROBE).warning, None);
    let trap = shell("trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done");
    assert_eq!(plain(&trap, Signal::TERM).warning, None);
    assert_eq!(plain(&deaf, Signal::KILL).warning, None);
}

pub(crate) fn policies() {
    let mut forward = with_child(shell(DEAF)).annotated(ON_DROPPED, "forward");
    let children = forward.children();
    assert_eq!(plain(&forward, Signal::TERM).reached, Reached::Children(children));
    assert_eq!(forward.ended_with(), 0);
    let alone = world::start(&["sh", "-c", "echo ready; exec sleep 100"]).annotated(ON_DROPPED, "forward");
    let delivery = plain(&alone, Signal::TERM);
    assert_eq!(delivery.reached, Reached::Init);
    assert!(delivery.warning.unwrap().ends_with("no children: nobody gets it"));
    assert!(alone.lives());
    let mut kill = with_child(shell(DEAF)).annotated(ON_DROPPED, "kill");
    assert_eq!(plain(&kill, Signal::TERM).sent, Signal::KILL);
    assert_eq!(kill.ended_with(), 137);
    let mut all = with_child(shell(DEAF)).annotated(SCOPE, "all");
    assert_eq!(plain(&all, Signal::TERM).reached, Reached::Everybody);
    assert_eq!(all.ended_with(), 0);
    let mut rewrite = shell("trap 'exit 5' QUIT; echo ready; while true; do sleep 0.05; done");
    rewrite = rewrite.annotated(REWRITE, "TERM=QUIT");
    let delivery = plain(&rewrite, Signal::TERM);
    assert_eq!((delivery.requested, delivery.sent), (Signal::TERM, Signal::QUIT));
    assert_eq!(rewrite.ended_with(), 5);
}

pub(crate) fn single_processes() {
    let container = shell("setsid sh -c 'sleep 100 & sleep 100 & wait' & sleep 300 & echo ready; wait");
    eventually("five processes", || container.members().len() == 5);
    let leader = container
        .children()
        .into_iter()
        .find(|pid| runsig_signal::procfs::Stat::of(*pid).is_some_and(|stat| stat.pgrp == *pid));
    let leader = leader.unwrap();
    let members: Vec<_> =
        container.members().into_iter().map(|pid| identity::open_pid(pid).unwrap().unwrap()).collect();
    let known = Identity::of(leader).unwrap();
    send_exec("job", &known, Signal::TERM, true).unwrap();
    eventually("the group has ended", || members.iter().filter(|member| member.has_ended()).count() == 3);
    let message = send_exec("job", &known, Signal::TERM, false);
    eventually("it is gone", || send_exec("job", &known, Signal::TERM, false).is_err());
    drop(message);
    let stranger = runsig_sys::process::getpid();
    let error = container.target.send_pid(stranger, Signal::KILL, false).unwrap_err();
    assert!(matches!(error, Error::NotInContainer { .. }), "{error}");
    let rest = container.children().into_iter().find(|pid| *pid != leader).unwrap();
    container.target.send_pid(rest, Signal::TERM, false).unwrap();
    let gone = container.target.send_pid(i32::MAX, Signal::TERM, false).unwrap_err();
    assert_eq!(gone.to_string(), format!("process {}: no such process", i32::MAX));
}

fn paused(group: Group) {
    let script = ["busybox", "sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"];
    let mut container = world::start_in(&script, PidNamespace::Own, group);
    container.freeze();
    plain(&container, Signal::TERM);
    assert!(container.target.is_paused().unwrap() && container.lives(), "it stays queued");
    container.target.group.as_ref().unwrap().thaw().unwrap();
    assert_eq!(container.ended_with(), 3);
    let mut container = world::start_in(&script, PidNamespace::Own, group);
    container.freeze();
    plain(&container, Signal::KILL);
    assert_eq!(container.ended_with(), 137);
}

pub(crate) fn paused_v2() {
    paused(Group::V2);
}
pub(crate) fn paused_v1() {
    paused(Group::V1);
}

pub(crate) fn shared_kill_takes_all() {
    let command = ["busybox", "sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"];
    let container = world::start_in(&command, PidNamespace::Host, Group::V2);
    eventually("three processes", || container.members().len() == 3);
    assert_eq!(plain(&container, Signal::KILL).reached, Reached::Everybody);
    eventually("nobody is left", || container.members().is_empty());
}
