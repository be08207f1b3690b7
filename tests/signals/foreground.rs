//! `run` and `exec` in the foreground: no end is lost, signals go through, and the container outlives
//! a runtime that is killed.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::runtime::{Running, finish};
use runsig_tests::{Bundle, Case, Container, cases, procs, require_runsig, skip, wait};

use crate::world::{HANDLES, TAKES_ALL, exec, got, python, up};

/// The tests of this file.
pub const CASES: &[Case] =
    &[V2[0].within(600), V2[1].within(600), V2[2], V2[3], V2[4], V2[5], V2[6], V2[7], V2[8]];

const V2: &[Case] = cases![V2 "foreground":
    thousand_in_a_row, two_hundred_under_load, every_signal_is_forwarded, exec_forwards_signals, death_by_signal_is_128_plus,
    window_size_follows, killed_runtime_leaves_the_container, hundreds_of_execs, orphans_are_reaped];

/// How long one container may take on a busy machine; one that hangs takes for ever.
const ONE: Duration = Duration::from_secs(20);

/// `run /bin/true` so many times in a row.
fn in_a_row(count: usize) {
    let container = Container::new(Bundle::new().args(&["true"]));
    let began = Instant::now();
    for n in 0..count {
        let outcome = finish(container.command("run", &[]), ONE);
        assert_eq!(outcome.code, 0, "number {n}: {outcome:#?}");
    }
    eprintln!("{count} in {:?}", began.elapsed());
}

/// `RUNSIG_TEST_QUICK` makes it 300.
fn thousand_in_a_row() {
    in_a_row(if std::env::var_os("RUNSIG_TEST_QUICK").is_some() { 300 } else { 1000 });
}

fn two_hundred_under_load() {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut load: Vec<_> = (0..cores * 3)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh"))
        .collect();
    in_a_row(200);
    for child in &mut load {
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
}

/// All but CHLD, URG and WINCH, which mean the runtime itself; KILL and STOP cannot be taken.
fn every_signal_is_forwarded() {
    require_runsig("runc forwards other signals");
    let container = Container::new(python("takes_all.py", TAKES_ALL, &[]));
    let running = container.run_in_background();
    let _ = container.wait_for_file("/up");
    let mut sent = Vec::new();
    for number in (1..=31).chain(34..=64).filter(|number| ![9, 17, 19, 23, 28].contains(number)) {
        // nix has no real-time signals.
        let status =
            Command::new("kill").args([format!("-{number}"), running.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
        sent.push(number);
        wait::expect(&format!("signal {number}"), || got(&container) == sent);
    }
    for signal in [Signal::SIGCHLD, Signal::SIGURG, Signal::SIGWINCH] {
        kill(pid_of(&running), signal).expect("kill");
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(got(&container), sent);
    container.kill("KILL").ok();
    assert_eq!(running.finish(wait::SOON).code, 137);
}

fn pid_of(running: &Running) -> Pid {
    Pid::from_raw(i32::try_from(running.child.id()).expect("a PID"))
}

fn exec_forwards_signals() {
    let container = up(HANDLES);
    let script = "trap 'exit 6' USR1; trap 'exit 7' TERM; echo up > /up2; while :; do sleep 0.02; done";
    for (signal, code) in [(Signal::SIGUSR1, 6), (Signal::SIGTERM, 7)] {
        let _ = std::fs::remove_file(container.bundle.rootfs().join("up2"));
        let running =
            Running::start(container.runtime.command(&["exec", container.id(), "sh", "-c", script]));
        let _ = container.wait_for_file("/up2");
        kill(pid_of(&running), signal).expect("kill");
        assert_eq!(running.finish(wait::SOON).code, code);
    }
    assert_eq!(container.status(), "running");
}

fn death_by_signal_is_128_plus() {
    let container = up(HANDLES);
    for (name, code) in [("TERM", 143), ("KILL", 137), ("USR1", 138), ("HUP", 129)] {
        let script = format!("kill -{name} $$; sleep 10");
        let outcome = container.runtime.call(&["exec", container.id(), "sh", "-c", &script]);
        assert_eq!(outcome.code, code, "{outcome:#?}");
    }
    // Real-time signals count as well.
    let outcome = container.runtime.call(&["exec", container.id(), "sh", "-c", "kill -37 $$; sleep 10"]);
    assert_eq!(outcome.code, 128 + 37, "{outcome:#?}");
    let container = Container::new(Bundle::script("sleep 1000"));
    let running = container.run_in_background();
    let _ = container.wait_for_command("sleep 1000");
    container.kill("KILL").ok();
    assert_eq!(running.finish(wait::SOON).code, 137);
}

/// The terminal of `run` is that of the caller; its size goes on to the container's.
fn window_size_follows() {
    if runsig_tests::runtime::find_in_path("script").is_none() {
        skip("script(1) is not installed");
    }
    let script =
        "echo up > /up; while [ \"$(stty size)\" != '44 132' ]; do sleep 0.05; done; echo resized > /got";
    let bundle = Bundle::script(script).with(|config| config["process"]["terminal"] = true.into());
    let container = Container::new(bundle);
    let typed = container.command("run", &[]);
    let words: Vec<_> = std::iter::once(typed.get_program())
        .chain(typed.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // The shell on the new terminal tells its own terminal's name, then becomes the runtime.
    let tty = runsig_tests::runtime::scratch("tty");
    let line = format!("tty > {}; exec {}", tty.display(), words.join(" "));
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    let running = Running::start(command);
    let _ = container.wait_for_file("/up");
    let name = std::fs::read_to_string(&tty).expect("the terminal's name");
    let status = Command::new("stty").args(["-F", name.trim(), "rows", "44", "cols", "132"]).status();
    assert!(status.expect("stty").success());
    assert_eq!(container.wait_for_file("/got").trim(), "resized");
    assert_eq!(running.finish(wait::SOON).code, 0);
}

fn killed_runtime_leaves_the_container() {
    let container = Container::new(Bundle::script(HANDLES));
    let running = container.run_in_background();
    let _ = container.wait_for_file("/up");
    kill(pid_of(&running), Signal::SIGKILL).expect("kill");
    assert_eq!(running.finish(wait::SOON).code, 137);
    let pid = container.pid();
    assert_eq!(container.status(), "running");
    assert!(procs::alive(pid));
    container.kill("TERM").ok();
    container.expect_status("stopped");
    container.delete().ok();
}

fn hundreds_of_execs() {
    let container = up(HANDLES);
    let count = if std::env::var_os("RUNSIG_TEST_QUICK").is_some() { 100 } else { 300 };
    for n in 0..count {
        let outcome = finish(container.runtime.command(&["exec", container.id(), "true"]), ONE);
        assert_eq!(outcome.code, 0, "number {n}: {outcome:#?}");
    }
}

/// As a subreaper `run` gets orphans of a container without a PID namespace of its own: they are
/// reaped, and none of them is taken for init.
fn orphans_are_reaped() {
    let script = "for n in 1 2 3 4 5; do (sleep 0.2; exit 9) & done; echo up > /up; sleep 1; exit 5";
    let bundle = Bundle::script(script).with(|config| runsig_tests::spec::drop_namespace(config, "pid"));
    let container = Container::new(bundle);
    let running = container.run_in_background();
    let _ = container.wait_for_file("/up");
    let child = exec(&container, &["sh", "-c", "sleep 0.1 & exit 0"]);
    assert_eq!(running.finish(wait::SOON).code, 5);
    wait::expect("the exec'd process to be gone", || !procs::alive(child));
}
