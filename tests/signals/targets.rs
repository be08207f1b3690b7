//! Whom one signal reaches, and what the container's state has to do with it.

use runsig_tests::{Bundle, Case, Container, cases, procs, require_runsig, spec, wait};

use crate::world::{
    DEAF, HANDLES, assert_unharmed, exec, expect_members, members, refused, stopped, up, up_with,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "targets": created_ends_by_what_would_end_it, created_lives_on_with_what_would_not, stopped_one,
        zombie_is_stopped, probe, one_process_of_an_exec, an_exec_by_its_name, a_strangers_number_is_refused,
        group_of_an_exec, group_without_exec, shared_namespace_leftovers, kill_in_a_shared_namespace_takes_all,
        term_in_a_shared_namespace_takes_init_only, kill_in_the_host_namespace_takes_all,
        paused_is_killed, paused_keeps_other_signals;
    Host "targets": paused_is_killed, paused_keeps_other_signals, created_ends_by_what_would_end_it,
        shared_namespace_leftovers, kill_in_the_host_namespace_takes_all;
    V1 "targets": paused_is_killed, paused_keeps_other_signals, kill_in_a_shared_namespace_takes_all;
];

fn created_ends_by_what_would_end_it() {
    for signal in ["TERM", "INT", "HUP", "USR1", "KILL", "RTMIN+3"] {
        let container = Container::created(Bundle::script(DEAF));
        container.kill(signal).ok();
        container.expect_status("stopped");
        refused(container.kill(signal), &["container not running"]);
        container.delete().ok();
    }
}

fn created_lives_on_with_what_would_not() {
    require_runsig("0 and real-time signals");
    let container = Container::created(Bundle::script(DEAF));
    for signal in ["0", "CHLD", "WINCH", "URG", "CONT"] {
        container.kill(signal).ok();
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(container.status(), "created");
    container.start().ok();
    let _ = container.wait_for_file("/up");
}

fn stopped_one() {
    require_runsig("0 is refused elsewhere");
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    for signal in ["TERM", "KILL", "0"] {
        refused(container.kill(signal), &["container not running"]);
        container.runtime.call(&["kill", "--all", container.id(), signal]).ok();
    }
    let outcome = container.verb("stop", &[]).ok();
    assert!(outcome.stdout.contains("was stopped already"), "{outcome:#?}");
}

/// Its parent, here the test, has not reaped it.
fn zombie_is_stopped() {
    require_runsig("what state says of a zombie is tested");
    nix::sys::prctl::set_child_subreaper(true).expect("prctl");
    let container = up("trap 'exit 7' TERM; echo up > /up; while :; do sleep 0.05; done");
    let pid = container.pid();
    container.kill("TERM").ok();
    wait::expect("a zombie", || procs::state(pid) == Some('Z'));
    let state = container.state();
    assert_eq!((state["status"].as_str(), state["pid"].as_i64()), (Some("stopped"), Some(0)), "{state}");
    for signal in ["TERM", "KILL", "0"] {
        refused(container.kill(signal), &["container not running"]);
    }
    container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
    let outcome = container.verb("wait", &[]);
    assert_eq!((outcome.code, outcome.text()), (7, "7"), "{outcome:#?}");
    container.verb("stop", &[]).ok();
    container.delete().ok();
    assert_eq!(procs::state(pid), Some('Z'), "still nobody has reaped it");
}

fn paused_is_killed() {
    for args in [&["KILL"][..], &["KILL", "--all"]] {
        let container = up(HANDLES);
        container.verb("pause", &[]).ok();
        assert_eq!(container.status(), "paused");
        let mut call = vec!["kill", container.id()];
        call.extend(args);
        container.runtime.call(&call).ok();
        container.expect_status("stopped");
        container.delete().ok();
    }
}

fn paused_keeps_other_signals() {
    for args in [&["TERM"][..], &["TERM", "--all"]] {
        let container =
            up("trap 'echo got > /got; exit 3' TERM; echo up > /up; while :; do sleep 0.05; done");
        container.verb("pause", &[]).ok();
        let mut call = vec!["kill", container.id()];
        call.extend(args);
        container.runtime.call(&call).ok();
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(container.status(), "paused", "it was not thawed");
        container.verb("resume", &[]).ok();
        let _ = container.wait_for_file("/got");
        container.expect_status("stopped");
    }
}

fn probe() {
    let container = up(DEAF);
    let outcome = container.kill("0").ok();
    assert_eq!(outcome.stderr, "", "nothing is dropped, so nothing is said");
    container.runtime.call(&["kill", "--all", container.id(), "0"]).ok();
    assert_unharmed(&container);
}

fn one_process_of_an_exec() {
    let container = up(DEAF);
    let (first, second) = (exec(&container, &["sleep", "2001"]), exec(&container, &["sleep", "2002"]));
    container.runtime.call(&["kill", "--exec", &first.to_string(), container.id(), "TERM"]).ok();
    wait::expect("the first to end", || !procs::alive(first));
    assert!(procs::alive(second));
    assert_unharmed(&container);
    let number = first.to_string();
    wait::expect("it to be reaped", || procs::state(first).is_none());
    let gone = container.runtime.call(&["kill", "--exec", &number, container.id(), "TERM"]);
    refused(gone, &[&number, "no such process"]);
}

fn an_exec_by_its_name() {
    let container = up(DEAF);
    let named =
        |name: &str| container.runtime.call(&["exec", "-d", "--name", name, container.id(), "sleep", "2003"]);
    named("job").ok();
    let pid = container.wait_for_command("sleep 2003");
    let kill = |name: &str| container.runtime.call(&["kill", "--exec", name, container.id(), "TERM"]);
    refused(kill("other"), &["no process of container", "\"other\""]);
    kill("job").ok();
    wait::expect("it to end", || !procs::alive(pid));
    refused(kill("job"), &["job"]);
    assert_unharmed(&container);
    // A number would be a PID, and a path is no name.
    for bad in ["17", "a/b", ".."] {
        assert_eq!(named(bad).code, 255, "{bad}");
    }
    // In front the name goes with the process.
    container.runtime.call(&["exec", "--name", "front", container.id(), "true"]).ok();
    refused(kill("front"), &["no process of container"]);
}

fn a_strangers_number_is_refused() {
    let container = up(DEAF);
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    let number = stranger.id().to_string();
    let words = format!("process {number} is not in container");
    for signal in ["TERM", "KILL", "0"] {
        let outcome = container.runtime.call(&["kill", "--exec", &number, container.id(), signal]);
        refused(outcome, &[&words]);
    }
    for bad in ["0", "-1", "abc", "99999999999", "1.5", ""] {
        let outcome = container.runtime.call(&["kill", "--exec", bad, container.id(), "KILL"]);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
    }
    assert!(stranger.try_wait().expect("wait").is_none(), "the stranger was hit");
    assert_unharmed(&container);
    stranger.kill().expect("kill");
    stranger.wait().expect("wait");
}

fn group_of_an_exec() {
    let container = up(DEAF);
    let leader = exec(&container, &["sh", "-c", "sleep 2003 & sleep 2004 & wait"]);
    let children = ["sleep 2003", "sleep 2004"].map(|words| container.wait_for_command(words));
    let other = exec(&container, &["sleep", "2005"]);
    container.runtime.call(&["kill", "--group", "--exec", &leader.to_string(), container.id(), "TERM"]).ok();
    for pid in [leader, children[0], children[1]] {
        wait::expect("the group to end", || !procs::alive(pid));
    }
    assert!(procs::alive(other));
    assert_unharmed(&container);
}

fn group_without_exec() {
    let container = up(HANDLES);
    let outcome = container.runtime.call(&["kill", "--group", container.id(), "TERM"]);
    refused(outcome, &["--group", "--exec"]);
    assert_unharmed(&container);
}

/// A container in the PID namespace of another, whose init reaps.
fn sharing(script: &str) -> (Container, Container) {
    let owner = up("echo up > /up; while :; do sleep 0.02; done");
    let path = format!("/proc/{}/ns/pid", owner.pid());
    let container = up_with(script, |config| spec::set_namespace(config, "pid", Some(&path)));
    (owner, container)
}

const THREE: &str = "sleep 2006 & sleep 2007 & echo up > /up; exec sleep 2008";

fn shared_namespace_leftovers() {
    let (owner, container) = sharing(THREE);
    expect_members(&container, 3);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(container.pid()), nix::sys::signal::Signal::SIGKILL)
        .expect("kill");
    container.expect_status("stopped");
    assert_eq!(members(&container).len(), 2, "nobody zaps a shared PID namespace");
    refused(container.kill("TERM"), &["container not running"]);
    // containerd calls it so, maybe several times.
    for _ in 0..3 {
        container.runtime.call(&["kill", "--all", container.id(), "9"]).ok();
    }
    expect_members(&container, 0);
    container.delete().ok();
    assert_eq!(owner.status(), "running");
}

fn kill_in_a_shared_namespace_takes_all() {
    let (owner, container) = sharing(THREE);
    expect_members(&container, 3);
    container.kill("KILL").ok();
    container.expect_status("stopped");
    expect_members(&container, 0);
    assert_eq!(owner.status(), "running");
}

fn term_in_a_shared_namespace_takes_init_only() {
    let (owner, container) = sharing(THREE);
    expect_members(&container, 3);
    container.kill("TERM").ok();
    container.expect_status("stopped");
    assert_eq!(members(&container).len(), 2);
    let outcome = container.verb("stop", &[]).ok();
    assert!(outcome.stdout.contains("killed by stage"), "{outcome:#?}");
    expect_members(&container, 0);
    assert_eq!(owner.status(), "running");
}

fn kill_in_the_host_namespace_takes_all() {
    let container = up_with(THREE, |config| spec::drop_namespace(config, "pid"));
    expect_members(&container, 3);
    container.kill("KILL").ok();
    expect_members(&container, 0);
    container.expect_status("stopped");
    let container = up_with(THREE, |config| spec::drop_namespace(config, "pid"));
    expect_members(&container, 3);
    let report = stopped(&container, &[]);
    assert_eq!(report["processes"].as_array().map(Vec::len), Some(3), "{report:#}");
    expect_members(&container, 0);
}
