//! podman: run, stop, kill, rm, pause, exec and what its errors become.

use std::time::{Duration, Instant};

use runsig_tests::{Case, Outcome, cases, harness, needs, require_runsig, skip, wait};

use crate::image::{DEAF, Podman, TELLS_SIGNAL};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "podman": run_returns_output_and_code, stop_sends_the_images_signal, kill_sends_the_named_signal,
        deaf_program_is_killed_after_the_time, rm_force_leaves_nothing, missing_program_is_127,
        program_that_cannot_run_is_126, pause_and_unpause, exec_in_a_running_one, init_forwards,
        terminal, shared_pids_are_killed_with_it, stop_signal_of_the_command_line, many_at_once,
        annotation_forwards_a_dropped_signal, read_only_with_volume_and_user, restart,
        checkpoint_and_restore;
    Host "podman": run_returns_output_and_code, stop_sends_the_images_signal, rm_force_leaves_nothing;
];

fn start(podman: &Podman, name: &str, options: &[&str], script: &str) {
    let mut all = vec!["-d", "--name", name];
    all.extend(options);
    podman.run(&all, &["sh", "-c", script]).ok();
    wait::expect("the program to be ready", || podman.call(&["logs", name]).stdout.contains("ready"));
}

fn exit_code(podman: &Podman, name: &str) -> String {
    podman.call(&["wait", name]).ok().text().to_string()
}

fn stop(podman: &Podman, name: &str, seconds: &str) -> (Outcome, Duration) {
    let began = Instant::now();
    let outcome = podman.call(&["stop", "-t", seconds, name]).ok();
    (outcome, began.elapsed())
}

fn run_returns_output_and_code() {
    let podman = Podman::new();
    let outcome = podman.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (42, "out\n"), "{outcome:#?}");
    assert!(outcome.stderr.contains("err\n"), "{outcome:#?}");
}

fn stop_sends_the_images_signal() {
    let podman = Podman::new();
    start(&podman, "c", &[], TELLS_SIGNAL);
    let (_, took) = stop(&podman, "c", "10");
    assert_eq!(exit_code(&podman, "c"), "3", "QUIT, as the image says");
    assert!(took < Duration::from_secs(8), "{took:?}");
    podman.call(&["rm", "c"]).ok();
}

fn stop_signal_of_the_command_line() {
    let podman = Podman::new();
    start(&podman, "c", &["--stop-signal", "USR1"], TELLS_SIGNAL);
    let _ = stop(&podman, "c", "10");
    assert_eq!(exit_code(&podman, "c"), "10");
}

fn kill_sends_the_named_signal() {
    let podman = Podman::new();
    start(&podman, "c", &[], TELLS_SIGNAL);
    podman.call(&["kill", "-s", "USR1", "c"]).ok();
    assert_eq!(exit_code(&podman, "c"), "10");
}

fn deaf_program_is_killed_after_the_time() {
    let podman = Podman::new();
    start(&podman, "c", &[], DEAF);
    let (_, took) = stop(&podman, "c", "1");
    assert_eq!(exit_code(&podman, "c"), "137");
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

fn annotation_forwards_a_dropped_signal() {
    require_runsig("the opt-in is Runsig's own");
    let podman = Podman::new();
    // Not the image's QUIT: a busybox shell ignores that one, which is its own decision.
    let options = ["--annotation", "dev.runsig.kill.on-dropped=forward", "--stop-signal", "TERM"];
    start(&podman, "c", &options, DEAF);
    let (_, took) = stop(&podman, "c", "10");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

fn rm_force_leaves_nothing() {
    let podman = Podman::new();
    start(&podman, "c", &[], "echo ready; sleep 1000 & sleep 1001 & sleep 1002");
    podman.call(&["rm", "-f", "-t", "0", "c"]).ok();
    let text = podman.call(&["ps", "-a", "-q"]).ok();
    assert_eq!(text.text(), "");
    wait::expect("the processes to be gone", || runsig_tests::procs::find_command("sleep 1002").is_none());
    let parent = format!("/{}", harness::tag());
    wait::expect("the cgroups to be empty", || runsig_tests::cgroup::processes(&parent).is_empty());
}

fn missing_program_is_127() {
    let podman = Podman::new();
    let outcome = podman.run(&["--rm"], &["no-such-program"]);
    assert_eq!(outcome.code, 127, "{outcome:#?}");
    let outcome = podman.run(&["--rm"], &["/no/such/program"]);
    assert_eq!(outcome.code, 127, "{outcome:#?}");
}

fn program_that_cannot_run_is_126() {
    let podman = Podman::new();
    let outcome = podman.run(&["--rm"], &["/etc/passwd"]);
    assert_eq!(outcome.code, 126, "{outcome:#?}");
}

fn pause_and_unpause() {
    let podman = Podman::new();
    start(&podman, "c", &[], TELLS_SIGNAL);
    podman.call(&["pause", "c"]).ok();
    let status = podman.call(&["inspect", "-f", "{{.State.Status}}", "c"]).ok();
    assert_eq!(status.text(), "paused");
    podman.call(&["unpause", "c"]).ok();
    let _ = stop(&podman, "c", "10");
    assert_eq!(exit_code(&podman, "c"), "3");
}

fn exec_in_a_running_one() {
    let podman = Podman::new();
    start(&podman, "c", &[], TELLS_SIGNAL);
    let outcome = podman.call(&["exec", "c", "sh", "-c", "echo inside; exit 5"]);
    assert_eq!((outcome.code, outcome.text()), (5, "inside"), "{outcome:#?}");
    let missing = podman.call(&["exec", "c", "no-such-program"]);
    assert_eq!(missing.code, 127, "{missing:#?}");
    let _ = stop(&podman, "c", "10");
}

fn init_forwards() {
    if runsig_tests::runtime::find_in_path("catatonit").is_none() {
        skip("catatonit is not installed");
    }
    let podman = Podman::new();
    start(&podman, "c", &["--init"], "echo ready; exec sleep 1000");
    let (_, took) = stop(&podman, "c", "10");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

fn terminal() {
    let podman = Podman::new();
    let outcome = podman.run(&["--rm", "-t"], &["sh", "-c", "tty; echo end"]).ok();
    assert!(outcome.stdout.contains("/dev/pts/0") && outcome.stdout.contains("end"), "{outcome:#?}");
}

fn shared_pids_are_killed_with_it() {
    let podman = Podman::new();
    start(&podman, "c", &["--pid=host"], "echo ready; sleep 1003 & sleep 1004");
    podman.call(&["rm", "-f", "-t", "0", "c"]).ok();
    for words in ["sleep 1003", "sleep 1004"] {
        wait::expect(words, || runsig_tests::procs::find_command(words).is_none());
    }
}

fn many_at_once() {
    let podman = Podman::new();
    for name in ["a", "b", "c", "d"] {
        start(&podman, name, &[], TELLS_SIGNAL);
    }
    podman.call(&["stop", "-t", "10", "a", "b", "c", "d"]).ok();
    for name in ["a", "b", "c", "d"] {
        assert_eq!(exit_code(&podman, name), "3");
    }
    podman.call(&["rm", "a", "b", "c", "d"]).ok();
}

fn read_only_with_volume_and_user() {
    let podman = Podman::new();
    let volume = format!("{}:/data", harness::test_dir().display());
    let options = ["--rm", "--read-only", "-v", &volume, "-u", "1000:1000", "--cap-drop", "ALL"];
    let script = "touch /x 2>/dev/null || echo refused; id -u; test -d /data && echo data; \
         grep CapEff /proc/self/status | cut -f2";
    let outcome = podman.run(&options, &["sh", "-c", script]).ok();
    assert_eq!(outcome.text(), "refused\n1000\ndata\n0000000000000000");
}

fn restart() {
    let podman = Podman::new();
    start(&podman, "c", &[], TELLS_SIGNAL);
    podman.call(&["restart", "-t", "10", "c"]).ok();
    let status = podman.call(&["inspect", "-f", "{{.State.Status}}", "c"]).ok();
    assert_eq!(status.text(), "running");
    podman.call(&["rm", "-f", "-t", "0", "c"]).ok();
}

fn checkpoint_and_restore() {
    needs::criu();
    let podman = Podman::new();
    let script = "i=0; echo ready; while :; do i=$((i+1)); echo count $i; sleep 0.2; done";
    start(&podman, "c", &[], script);
    podman.call(&["container", "checkpoint", "c"]).ok();
    let status = podman.call(&["inspect", "-f", "{{.State.Status}}", "c"]).ok();
    assert_eq!(status.text(), "exited");
    let saved = podman.call(&["logs", "c"]).stdout;
    podman.call(&["container", "restore", "c"]).ok();
    let goes_on =
        || podman.call(&["logs", "c"]).stdout.strip_prefix(&*saved).is_some_and(|new| new.contains("count"));
    wait::expect("the output to go on through the same pipe", goes_on);
    assert!(!podman.call(&["logs", "c"]).stdout[saved.len()..].contains("ready"), "it was not started anew");
    podman.call(&["exec", "c", "true"]).ok();
    podman.call(&["rm", "-f", "-t", "0", "c"]).ok();
}
