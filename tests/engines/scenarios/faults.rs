//! What is pulled away under a running container, and whether the engine's next calls set it right.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::procs;

use crate::engine::{Container, Exec};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] =
    list![V2: shim_killed, bundle_removed, client_killed, init_killed_from_outside];

fn shim_killed(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    s.start(&Container::script("c", &format!("echo ready; sleep 11{number}1; true")));
    kill(Pid::from_raw(s.shim("c")), Signal::SIGKILL).expect("kill");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let outcome = s.remove("c", true);
    if outcome.code != 0 {
        s.remove("c", true);
    }
    s.expect_no_process(&format!("sleep 11{number}1"));
    // The name is free, and all works as before.
    s.run_to(6, &Container::script("c", "exit 6"));
}

/// The bundle of a container, from the process that watches it.
fn bundle(s: &Session<'_>, name: &str) -> PathBuf {
    let shim = s.shim(name);
    let line = procs::command_line(shim);
    let words: Vec<&str> = line.split(' ').collect();
    let after = words.iter().position(|word| *word == "-b").and_then(|index| words.get(index + 1));
    match after {
        Some(dir) => PathBuf::from(dir),
        None => fs::read_link(format!("/proc/{shim}/cwd")).expect("the shim's directory"),
    }
}

fn bundle_removed(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    fs::remove_file(bundle(s, "c").join("config.json")).expect("remove");
    s.state("c");
    s.exec("c", Exec::default(), &["echo", "still here"]);
    s.stop("c", 40);
    s.ends(3, "c");
    s.remove("c", true);
    s.run_to(6, &Container::script("c", "exit 6"));
}

/// podman is all of the engine there is; the others go on without their client.
fn client_killed(s: &Session<'_>) {
    s.start(&Container::script("c", "trap '' TERM QUIT; echo ready; while :; do sleep 0.1; done"));
    let mut command = s.engine().stop_command(&s.owner, "c", 60).expect("a command");
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client");
    std::thread::sleep(Duration::from_secs(1));
    let _ = client.kill();
    let _ = client.wait();
    s.exec("c", Exec::default(), &["echo", "still here"]);
    s.kill("c", "KILL");
    s.ends(137, "c");
    s.remove("c", false);
}

fn init_killed_from_outside(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    s.start(&Container::script("c", &format!("echo ready; exec sleep 12{number}1")));
    let pid = procs::find_command(&format!("sleep 12{number}1")).expect("the program");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
    s.ends(137, "c");
    s.state("c");
    s.stop("c", 40);
    s.remove("c", false);
}
