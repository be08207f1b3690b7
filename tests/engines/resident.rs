//! An unmodified image with a shell in front of its program, under every engine: with the resident
//! init it stops at once, everybody is told, and no zombie stays.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runsig_tests::runtime::Running;
use runsig_tests::{Case, cases, harness, host_config, procs, require_runsig, wait};

use crate::containerd::{self, Containerd};
use crate::docker::Docker;
use crate::image::IMAGE;
use crate::podman::Podman;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "resident": podman_with_the_annotation, containerd_with_the_annotation,
    docker_with_the_hosts_file, podman_run_tells_the_same_errors];

const ANNOTATION: &str = "dev.runsig.init=true";
/// What the resident init may add to the time that an engine takes for a program that is PID 1 and
/// ends by itself.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Another process may have both cores for a moment.
const TRIES: usize = 3;
/// PID 1 and willing: the engine's own time.
const WILLING: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";

/// `sh -c "program; something"`, a worker in a session of its own, and orphans.
fn shell_form(name: &str) -> String {
    let told = |who: &str| format!("trap \"echo > /shared/{name}-{who}; exit\" TERM");
    format!(
        "setsid sh -c '{}; while :; do sleep 0.01; done' & \
         for i in 1 2 3 4 5; do sh -c 'sleep 0.1 & exit 0'; done; \
         sh -c '{}; echo ready; while :; do sleep 0.01; done'; true",
        told("worker"),
        told("program")
    )
}

fn shared() -> PathBuf {
    let dir = harness::test_dir().join("shared");
    fs::create_dir_all(&dir).expect("mkdir");
    dir
}

fn expect_no_zombies() {
    let init = wait::some("the resident init", || {
        procs::all().into_iter().find(|pid| procs::command_line(*pid).starts_with("runsig-init "))
    });
    let parent = Some(init.to_string());
    // The orphans end 0.1 s after they were made.
    std::thread::sleep(Duration::from_millis(1100));
    let zombies = procs::all().into_iter().filter(|pid| procs::state(*pid) == Some('Z'));
    assert_eq!(zombies.filter(|pid| procs::status_field(*pid, "PPid") == parent).count(), 0);
}

fn expect_everybody_told(name: &str) {
    for who in ["worker", "program"] {
        assert!(shared().join(format!("{name}-{who}")).exists(), "{who} of {name}");
    }
}

/// Stops containers as `begin` makes them, until one try is as fast as it should be.
fn expect_at_once(engine: &str, mut took: impl FnMut(&str, bool) -> Duration) {
    let mut added = Vec::new();
    for number in 0..TRIES {
        let willing = took(&format!("willing{number}"), false);
        let resident = took(&format!("resident{number}"), true);
        println!("REPORT: {engine}: {} ms, a willing PID 1 {} ms", resident.as_millis(), willing.as_millis());
        added.push(resident.saturating_sub(willing));
        if resident.saturating_sub(willing) < AT_ONCE {
            return;
        }
    }
    panic!("the resident init adds {added:?}");
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn podman_with_the_annotation() {
    require_runsig("the resident init is Runsig's own");
    let podman = Podman::new();
    let volume = format!("{}:/shared", shared().display());
    expect_at_once("podman stop", |name, resident| {
        let script = if resident { shell_form(name) } else { WILLING.to_string() };
        let mut options = vec!["-d", "--name", name, "--stop-signal=TERM", "-v", &volume];
        options.extend(resident.then_some(["--annotation", ANNOTATION]).iter().flatten());
        podman.run_simply(&options, &["sh", "-c", &script]).ok();
        wait::expect("the program to be ready", || podman.call(&["logs", name]).stdout.contains("ready"));
        if resident {
            expect_no_zombies();
        }
        let took = timed(|| drop(podman.call(&["stop", "-t", "10", name]).ok()));
        if resident {
            expect_everybody_told(name);
            let state = podman.call(&["inspect", "-f", "{{.State.ExitCode}}", name]).ok();
            assert_eq!(state.text(), "143");
        }
        took
    });
}

fn podman_run_tells_the_same_errors() {
    require_runsig("the resident init is Runsig's own");
    let podman = Podman::new();
    for (program, code) in [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)] {
        let outcome = podman.run_simply(&["--rm", "--annotation", ANNOTATION], &[program]);
        assert_eq!(outcome.code, code, "{outcome:#?}");
    }
    let outcome =
        podman.run_simply(&["--rm", "--annotation", ANNOTATION], &["sh", "-c", "echo out; exit 42"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (42, "out\n"), "{outcome:#?}");
}

fn containerd_with_the_annotation() {
    require_runsig("the resident init is Runsig's own");
    let containerd = Containerd::new();
    expect_at_once("ctr tasks kill", |name, resident| {
        let script = if resident { shell_form(name) } else { WILLING.to_string() };
        let options: &[&str] = if resident { &["--annotation", ANNOTATION] } else { &[] };
        let task: Running = containerd.task(options, name, &script);
        if resident {
            expect_no_zombies();
        }
        let mut code = 0;
        let took = timed(|| {
            containerd.call(&["tasks", "kill", "-s", "TERM", name]).ok();
            code = containerd::end(task);
        });
        if resident {
            expect_everybody_told(name);
            assert_eq!(code, 143);
        }
        took
    });
}

/// Docker 20.10 cannot annotate containers: the host's file says it for all of them.
fn docker_with_the_hosts_file() {
    require_runsig("the resident init is Runsig's own");
    // Before dockerd, which keeps its own view of the mounts.
    host_config::write("");
    let docker = Docker::new();
    let volume = format!("{}:/shared", shared().display());
    expect_at_once("docker stop", |name, resident| {
        host_config::write(if resident { "[init]\nenabled = true\n" } else { "" });
        let script = if resident { shell_form(name) } else { WILLING.to_string() };
        docker.begin_simply(name, &["--stop-signal=TERM", "-v", &volume], &script);
        if resident {
            expect_no_zombies();
        }
        let took = timed(|| drop(docker.call(&["stop", "-t", "10", name]).ok()));
        if resident {
            expect_everybody_told(name);
            assert_eq!(docker.exit_code(name), "143");
        }
        took
    });
    let outcome =
        docker.call(&["run", "--rm", "--runtime", "tested", "--network=none", IMAGE, "no-such-program"]);
    assert_eq!(outcome.code, 127, "{outcome:#?}");
}
