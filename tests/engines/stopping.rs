//! What the engines' own stop commands do with a PID 1 that is deaf: with Runsig's opt-in settings it
//! is over at once, without them everything is as with runc.

use std::time::{Duration, Instant};

use runsig_tests::runtime::find_in_path;
use runsig_tests::{Case, cases, host_config, require_runsig, skip, wait};

use crate::containerd::{self, Containerd};
use crate::docker::Docker;
use crate::image::{DEAF, TELLS_SIGNAL};
use crate::podman::Podman;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "stopping":
    podman_with_annotations, podman_without_is_as_runc, podman_with_other_policies, podman_with_the_hosts_file,
    containerd_with_annotations, containerd_without, docker_with_the_hosts_file];

/// Stopping takes the engine this long at most when nobody waits for anything. The engines' own time
/// on a busy machine is most of it; who waits, waits ten seconds.
const AT_ONCE: Duration = Duration::from_secs(4);
const ON_DROPPED: &str = "dev.runsig.kill.on-dropped";
/// The image's QUIT would not do for a shell: shells ignore it.
const TERM: &str = "--stop-signal=TERM";

/// Creates and starts; the script has said `ready` when this returns.
fn begin(podman: &Podman, runtime: &str, name: &str, options: &[&str], script: &str) {
    let mut all = vec!["-d", "--name", name];
    all.extend(options);
    podman.run_with(runtime, &all, &["sh", "-c", script]).ok();
    wait::expect("the program to be ready", || {
        podman.call_with(runtime, &["logs", name]).stdout.contains("ready")
    });
}

fn timed(what: &str, stop: impl FnOnce()) -> Duration {
    let began = Instant::now();
    stop();
    let took = began.elapsed();
    eprintln!("{what}: {took:?}");
    took
}

/// `podman stop`, its time, and how the container ended.
fn stop(podman: &Podman, runtime: &str, name: &str, seconds: &str) -> (Duration, String) {
    let took = timed(&format!("podman stop {name}, {runtime}"), || {
        podman.call_with(runtime, &["stop", "-t", seconds, name]).ok();
    });
    let format = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}";
    let state = podman.call_with(runtime, &["inspect", "-f", format, name]).ok();
    (took, state.text().to_string())
}

fn podman_with_annotations() {
    require_runsig("the opt-ins are Runsig's own");
    let podman = Podman::new();
    // As fast as a program that ends by itself.
    begin(&podman, "tested", "willing", &[], TELLS_SIGNAL);
    let (willing, _) = stop(&podman, "tested", "willing", "10");
    for (name, value, code) in [("forward", "forward", "0"), ("kill", "kill", "137")] {
        begin(&podman, "tested", name, &[TERM, "--annotation", &format!("{ON_DROPPED}={value}")], DEAF);
        let (took, state) = stop(&podman, "tested", name, "10");
        assert_eq!(state, format!("exited {code} false"));
        assert!(took < willing + Duration::from_secs(1) && took < AT_ONCE, "{took:?}, {willing:?}");
    }
}

fn podman_without_is_as_runc() {
    if find_in_path("runc").is_none() {
        skip("runc is not installed");
    }
    let podman = Podman::new();
    let mut seen = Vec::new();
    for runtime in ["runc", "tested"] {
        for (kind, script) in [("deaf", DEAF), ("willing", TELLS_SIGNAL)] {
            let name = format!("{kind}-{runtime}");
            begin(&podman, runtime, &name, &[TERM], script);
            let (took, state) = stop(&podman, runtime, &name, "2");
            seen.push((kind, took >= Duration::from_secs(2), state));
        }
    }
    let (runc, tested) = seen.split_at(2);
    assert_eq!(tested, runc, "whether it waited, and how it ended");
    assert!(runc[0].1 && !runc[1].1, "{runc:?}");
}

fn podman_with_other_policies() {
    require_runsig("the opt-ins are Runsig's own");
    let podman = Podman::new();
    // The image says QUIT; this program wants USR1.
    begin(&podman, "tested", "rewrite", &["--annotation", "dev.runsig.kill.rewrite=QUIT=USR1"], TELLS_SIGNAL);
    let (_, state) = stop(&podman, "tested", "rewrite", "10");
    assert_eq!(state, "exited 10 false");
    // Init passes nothing on, and its child is who should have the signal.
    let script = "trap 'wait; exit 4' USR2; (trap 'echo child; exit' USR2; echo ready; while :; do sleep 0.05; done) & \
                  while :; do sleep 0.05; done";
    let options = ["--stop-signal=USR2", "--annotation", "dev.runsig.kill.scope=all"];
    begin(&podman, "tested", "scope", &options, script);
    let (_, state) = stop(&podman, "tested", "scope", "10");
    assert_eq!(state, "exited 4 false");
    assert!(podman.call(&["logs", "scope"]).stdout.contains("child"));
    // A bad value keeps podman from stopping it nicely, but never from stopping it.
    begin(&podman, "tested", "bad", &["--annotation", &format!("{ON_DROPPED}=nonsense")], TELLS_SIGNAL);
    let outcome = podman.call(&["kill", "bad"]);
    assert!(outcome.code == 0 && outcome.stderr.is_empty(), "KILL asks for no policy: {outcome:#?}");
}

fn podman_with_the_hosts_file() {
    require_runsig("the opt-ins are Runsig's own");
    host_config::write("[kill]\non-dropped = \"forward\"\n");
    let podman = Podman::new();
    begin(&podman, "tested", "c", &[TERM], DEAF);
    let (took, state) = stop(&podman, "tested", "c", "10");
    assert_eq!(state, "exited 0 false");
    assert!(took < AT_ONCE, "{took:?}");
}

fn containerd_with_annotations() {
    require_runsig("the opt-ins are Runsig's own");
    let containerd = Containerd::new();
    for (name, value, code) in [("forward", "forward", 0), ("kill", "kill", 137)] {
        let annotation = format!("{ON_DROPPED}={value}");
        let task = containerd.task(&["--annotation", &annotation], name, DEAF);
        let took = timed(&format!("ctr tasks kill {name}"), || {
            containerd.call(&["tasks", "kill", "-s", "TERM", name]).ok();
            assert_eq!(containerd::end(task), code);
        });
        assert!(took < AT_ONCE, "{took:?}");
    }
}

fn containerd_without() {
    let containerd = Containerd::new();
    let mut task = containerd.task(&[], "c", DEAF);
    containerd.call(&["tasks", "kill", "-s", "TERM", "c"]).ok();
    std::thread::sleep(Duration::from_secs(1));
    assert!(task.child.try_wait().expect("wait").is_none(), "TERM is dropped, as with any runtime");
    containerd.call(&["tasks", "kill", "-s", "KILL", "c"]).ok();
    assert_eq!(containerd::end(task), 137);
}

/// Docker 20.10 cannot annotate containers.
fn docker_with_the_hosts_file() {
    require_runsig("the opt-ins are Runsig's own");
    let docker = Docker::new();
    docker.begin_simply("without", &[TERM], DEAF);
    let took = timed("docker stop without", || {
        docker.call(&["stop", "-t", "2", "without"]).ok();
    });
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(docker.exit_code("without"), "137");
    host_config::write("[kill]\non-dropped = \"forward\"\n");
    docker.begin_simply("with", &[TERM], DEAF);
    let took = timed("docker stop with", || {
        docker.call(&["stop", "-t", "10", "with"]).ok();
    });
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(docker.exit_code("with"), "0");
}
