//! `stop` of one container: stages, scopes, and what is done about a PID 1 that is deaf.

use std::time::{Duration, Instant};

use runsig_tests::runtime::Running;
use runsig_tests::{Bundle, Case, Container, cases, json, needs, require_runsig, spec, wait};

use crate::world::{
    DEAF, HANDLES, IGNORES, annotate, assert_end, assert_exit_code, ends_are_told, expect_members, init,
    killed_by, members, process, sent, stop, stopped, up, up_with,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "stop": deaf_shell_in_under_100_ms, deaf_and_alone, deaf_with_kill, deaf_with_warn_waits, deaf_loop, handler_ends_it, stopped_by_a_signal,
        stages_in_turn, timeout_is_the_stop_signals, own_stop_signal, own_plan, all_get_it, others_first,
        others_first_with_stubborn_ones, plan_without_kill, plan_of_kill, paused_one, created_one, stopped_one,
        host_namespace, zapped_are_told, exit_code_of_init;
    Host "stop": deaf_shell_in_under_100_ms, paused_one, created_one, host_namespace, others_first;
    V1 "stop": paused_one, host_namespace;
];

/// `stop` as people type it, and its time.
fn timed(container: &Container, args: &[&str]) -> (runsig_tests::Outcome, Duration) {
    let began = Instant::now();
    let outcome = stop(container, args).ok();
    let took = began.elapsed();
    eprintln!("stop {args:?}: {took:?}");
    (outcome, took)
}

/// The promise of the whole verb. The best of five: other tests may have the machine's cores.
fn deaf_shell_in_under_100_ms() {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let container = up(DEAF);
        let _ = container.wait_for_command("sleep 1000");
        let (outcome, took) = timed(&container, &[]);
        assert!(
            outcome.stdout.contains("init has no handler for SIGTERM: its children get it instead"),
            "{outcome:#?}"
        );
        assert!(took < Duration::from_secs(2) * needs::patience(), "{took:?}");
        best = best.min(took);
        container.delete().ok();
    }
    // An emulated processor is given more.
    assert!(best < Duration::from_millis(100) * needs::patience().pow(2), "{best:?}");
}

fn deaf_and_alone() {
    let container = up("echo up > /up; exec sleep 1000");
    wait::expect("the exec", || runsig_tests::procs::command_line(container.pid()) == "sleep 1000");
    let report = stopped(&container, &[]);
    assert_eq!(
        report["notes"][0], "init has no handler for SIGTERM and no children: killed at once",
        "{report:#}"
    );
    assert_eq!(sent(init(&report)), vec!["SIGKILL"], "{report:#}");
    assert_exit_code(&report, 137);
    assert!(
        report["tookMs"].as_u64().is_some_and(|ms| ms < 2000 * u64::from(needs::patience())),
        "{report:#}"
    );
}

fn deaf_with_kill() {
    let container = up(DEAF);
    expect_members(&container, 2);
    let report = stopped(&container, &["--on-dropped", "kill"]);
    assert_eq!(sent(init(&report)), ["SIGKILL"], "{report:#}");
    assert_end(&report, process(&report, "sleep"), json!({"how": "zapped"}));
}

/// As runc's callers do it: the stop signal for nothing, the whole time, KILL.
fn deaf_with_warn_waits() {
    let container = up(DEAF);
    let report = stopped(&container, &["--on-dropped", "warn", "--timeout", "400ms"]);
    assert_eq!(sent(init(&report)), ["SIGTERM", "SIGKILL"], "{report:#}");
    assert!(report["tookMs"].as_u64().is_some_and(|ms| ms >= 400), "{report:#}");
}

/// A shell that starts a new child whenever one ends is not fed for ever.
fn deaf_loop() {
    let container = up("echo up > /up; while :; do sleep 1000; done");
    expect_members(&container, 2);
    let report = stopped(&container, &[]);
    assert_end(&report, init(&report), json!({"how": "killed-by-stage"}));
    assert!(
        report["tookMs"].as_u64().is_some_and(|ms| ms < 3000 * u64::from(needs::patience())),
        "{report:#}"
    );
}

fn handler_ends_it() {
    let report = stopped(&up(HANDLES), &[]);
    assert_eq!(sent(init(&report)), vec!["SIGTERM"], "{report:#}");
    assert_exit_code(&report, 3);
    assert_end(&report, init(&report), json!({"how": "exited", "code": 3}));
}

/// It acts on nothing while it is stopped: it is sent the signal and told to go on.
fn stopped_by_a_signal() {
    let container = up(HANDLES);
    container.kill("STOP").ok();
    wait::expect("the stop", || runsig_tests::procs::state(container.pid()) == Some('T'));
    let report = stopped(&container, &["--timeout", "30s"]);
    assert_eq!(report["notes"][0], "continued to act on SIGTERM: a signal had stopped it", "{report:#}");
    assert_eq!(sent(init(&report)), vec!["SIGTERM"], "{report:#}");
    assert_exit_code(&report, 3);
    // Whoever asks for a stop of that kind gets it.
    let container = up(IGNORES);
    let report = stopped(&container, &["--plan", "STOP:100ms,KILL"]);
    assert_eq!(sent(init(&report)), vec!["SIGSTOP", "SIGKILL"], "{report:#}");
}

fn stages_in_turn() {
    let container = up(
        "trap 'echo int >> /got' INT; trap 'echo hup >> /got' HUP; echo up > /up; while :; do sleep 0.02; done",
    );
    let report = stopped(&container, &["--plan", "INT:200ms,HUP:200ms,KILL"]);
    assert_eq!(sent(init(&report)), ["SIGINT", "SIGHUP", "SIGKILL"], "{report:#}");
    let times: Vec<u64> = init(&report)["sent"]
        .as_array()
        .expect("sent")
        .iter()
        .map(|s| s["atMs"].as_u64().expect("ms"))
        .collect();
    assert!(times[1] >= 200 && times[2] >= 400, "{times:?}");
    assert_eq!(container.wait_for_file("/got"), "int\nhup\n");
    assert_end(&report, init(&report), json!({"how": "killed-by-stage"}));
}

fn timeout_is_the_stop_signals() {
    for (text, least) in [("1", 1000), ("300ms", 300), ("0", 0), ("0s", 0)] {
        let report = stopped(&up(IGNORES), &["-t", text]);
        assert_eq!(sent(init(&report)), ["SIGTERM", "SIGKILL"], "{report:#}");
        assert!(report["tookMs"].as_u64().is_some_and(|ms| ms >= least && ms < least + 5000), "{report:#}");
    }
}

fn own_stop_signal() {
    let script = "trap 'exit 3' QUIT; trap '' TERM; echo up > /up; while :; do sleep 0.02; done";
    for value in ["SIGQUIT", "3"] {
        let container =
            up_with(script, |config| annotate(config, "org.opencontainers.image.stopSignal", value));
        let report = stopped(&container, &[]);
        assert_eq!(sent(init(&report)), vec!["SIGQUIT"], "{report:#}");
        assert_exit_code(&report, 3);
    }
}

fn own_plan() {
    let annotated =
        || up_with(IGNORES, |config| annotate(config, "dev.runsig.stop.plan", "INT:100ms,TERM:100ms,KILL"));
    let report = stopped(&annotated(), &["--on-dropped", "warn"]);
    assert_eq!(sent(init(&report)), ["SIGINT", "SIGTERM", "SIGKILL"], "{report:#}");
    // The command line is nearer.
    let report = stopped(&annotated(), &["--plan", "TERM:50ms,KILL"]);
    assert_eq!(sent(init(&report)), ["SIGTERM", "SIGKILL"], "{report:#}");
    let report = stopped(&annotated(), &["--timeout", "50ms"]);
    assert_eq!(sent(init(&report)), ["SIGTERM", "SIGKILL"], "{report:#}");
}

/// The child needs a while to end well; init ends at once.
const SLOW_CHILD: &str = "trap 'exit 0' TERM; \
    sh -c 'trap \"sleep 1; exit 5\" TERM; echo up > /up; while :; do sleep 0.02; done' & \
    while :; do sleep 0.02; done";

fn zapped_are_told() {
    let report = stopped(&up(SLOW_CHILD), &[]);
    let child = process(&report, "sh -c trap \"sleep");
    assert_end(&report, child, json!({"how": "zapped"}));
    assert_eq!(sent(child), Vec::<&str>::new(), "{report:#}");
}

fn all_get_it() {
    let report = stopped(&up(SLOW_CHILD), &["--scope", "all"]);
    let child = process(&report, "sh -c trap \"sleep");
    assert_end(&report, child, json!({"how": "zapped"}));
    assert_eq!(sent(child), ["SIGTERM"], "{report:#}");
}

fn others_first() {
    let report = stopped(&up(SLOW_CHILD), &["--scope", "others-first"]);
    let child = process(&report, "sh -c trap \"sleep");
    assert_end(&report, child, json!({"how": "exited", "code": 5}));
    assert_end(&report, init(&report), json!({"how": "exited", "code": 0}));
    assert_exit_code(&report, 0);
    let first = |process: &runsig_tests::Value| process["sent"][0]["atMs"].as_u64().expect("ms");
    assert!(first(init(&report)) >= first(child) + 250, "init is asked when the child has ended: {report:#}");
}

fn others_first_with_stubborn_ones() {
    let script = "trap 'exit 6' TERM; sh -c \"trap '' TERM; echo up > /up; sleep 1000\" & wait; wait";
    let report = stopped(&up(script), &["--scope", "others-first", "--plan", "TERM:200ms,KILL"]);
    assert_end(&report, init(&report), json!({"how": "exited", "code": 6}));
    assert_exit_code(&report, 6);
    assert_end(&report, process(&report, "sleep 1000"), json!({"how": "zapped"}));
}

fn plan_without_kill() {
    let container = up(IGNORES);
    let outcome = stop(&container, &["--plan", "TERM:100ms,HUP:100ms"]);
    let pid = container.pid().to_string();
    let _ = outcome.fails(1, &[container.id(), "still running", &pid]).one_line();
    assert_eq!(container.status(), "running");
}

fn plan_of_kill() {
    let report = stopped(&up(HANDLES), &["--plan", "KILL"]);
    assert_eq!(sent(init(&report)), vec!["SIGKILL"], "{report:#}");
    assert_exit_code(&report, 137);
}

fn paused_one() {
    let container = up(HANDLES);
    container.verb("pause", &[]).ok();
    let report = stopped(&container, &[]);
    assert_eq!(sent(init(&report)), vec!["SIGTERM"], "{report:#}");
    assert_exit_code(&report, 3);
    container.delete().ok();
    let container = up(IGNORES);
    container.verb("pause", &[]).ok();
    let report = stopped(&container, &["--timeout", "100ms"]);
    assert_end(&report, init(&report), json!({"how": "killed-by-stage"}));
    let container = up(DEAF);
    container.verb("pause", &[]).ok();
    let report = stopped(&container, &[]);
    assert!(
        report["tookMs"].as_u64().is_some_and(|ms| ms < 2000 * u64::from(needs::patience())),
        "{report:#}"
    );
}

fn created_one() {
    require_runsig("stop is Runsig's own");
    let container = Container::created(Bundle::script(HANDLES));
    let report = stopped(&container, &[]);
    assert_eq!(sent(init(&report)), ["SIGKILL"], "{report:#}");
    container.delete().ok();
    // A paused one, too.
    let container = Container::created(Bundle::script(HANDLES));
    container.verb("pause", &[]).ok();
    let report = stopped(&container, &[]);
    assert!(
        report["tookMs"].as_u64().is_some_and(|ms| ms < 2000 * u64::from(needs::patience())),
        "{report:#}"
    );
}

fn stopped_one() {
    let container = up(HANDLES);
    let _ = stopped(&container, &[]);
    let report = stop(&container, &["--format", "json"]).ok().json();
    assert_eq!(report[0]["outcome"], "already-stopped", "{report:#}");
    // And one that is gone is no container at all.
    container.delete().ok();
    let _ = stop(&container, &[]).fails(1, &[container.id(), "container does not exist"]).one_line();
}

/// No kernel zaps these: the stop does it, and says so.
fn host_namespace() {
    let script = "sleep 2040 & sleep 2041 & echo up > /up; exec sleep 2042";
    let container = up_with(script, |config| spec::drop_namespace(config, "pid"));
    expect_members(&container, 3);
    let report = stopped(&container, &[]);
    assert_end(&report, init(&report), killed_by("SIGTERM"));
    assert_end(&report, process(&report, "sleep 2040"), json!({"how": "killed-by-stage"}));
    assert_eq!(members(&container), Vec::<i32>::new());
    let container = up_with(script, |config| spec::drop_namespace(config, "pid"));
    expect_members(&container, 3);
    let report = stopped(&container, &["--scope", "others-first"]);
    assert_end(&report, process(&report, "sleep 2040"), killed_by("SIGTERM"));
}

/// Runsig is not its parent and still tells how it ended (Linux 6.15).
fn exit_code_of_init() {
    for code in [0, 1, 77, 255] {
        let container = up(&format!("trap 'exit {code}' TERM; echo up > /up; while :; do sleep 0.02; done"));
        let report = stopped(&container, &[]);
        assert_exit_code(&report, code);
    }
    let container = Container::new(Bundle::script(HANDLES));
    let running = Running::start(container.command("run", &[]));
    let _ = container.wait_for_file("/up");
    let outcome = stop(&container, &[]).ok();
    let unknown = outcome.stdout.contains("exit code unknown") && !ends_are_told();
    assert!(unknown || outcome.stdout.contains("exit code 3"), "{outcome:#?}");
    assert_eq!(running.finish(wait::SOON).code, 3, "who waits in the foreground gets it too");
}
