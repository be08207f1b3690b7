//! What these tests share: containers whose program has begun, programs of the host in them, and
//! the stop verbs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::{Bundle, Container, Outcome, Value, json, needs, procs, require_runsig, spec, wait};

/// Runs and handles nothing: as PID 1 it is deaf to every signal but KILL and STOP.
pub(crate) const DEAF: &str = "echo up > /up; sleep 1000; true";
/// Ends with 3 at TERM.
pub(crate) const HANDLES: &str = "trap 'exit 3' TERM; echo up > /up; while :; do sleep 0.05; done";
/// Ignores TERM for good.
pub(crate) const IGNORES: &str = "trap '' TERM; echo up > /up; while :; do sleep 1000; done";

/// Starts a script that writes `/up` when it is ready, and waits for that.
pub(crate) fn up(script: &str) -> Container {
    up_with(script, |_| {})
}

/// As [`up`], with another configuration.
pub(crate) fn up_with(script: &str, change: impl FnOnce(&mut Value)) -> Container {
    require_runsig("these verbs and settings are Runsig's own");
    let container = Container::running(Bundle::script(script).with(change));
    let _ = container.wait_for_file("/up");
    container
}

/// Sets an annotation.
pub(crate) fn annotate(config: &mut Value, key: &str, value: &str) {
    config["annotations"][key] = json!(value);
}

/// A bundle that can run programs of the host's /usr.
pub(crate) fn host_bundle(args: &[&str]) -> Bundle {
    let bundle = Bundle::new().args(args).with(|config| {
        let usr =
            json!({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]});
        spec::add_mount(config, usr);
    });
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), bundle.rootfs().join(name)).expect("symlink");
    }
    bundle
}

/// The program of `programs/` with this name as the container's init.
pub(crate) fn python(name: &str, text: &str, args: &[&str]) -> Bundle {
    require_command("python3");
    let file = format!("/{name}");
    let mut all = vec!["/usr/bin/python3", &file];
    all.extend(args);
    host_bundle(&all).file(&file, text, 0o644)
}

/// Takes every signal there is with sigwait and notes its number in `/got`.
pub(crate) const TAKES_ALL: &str = "\
import os, signal
every = signal.valid_signals()
signal.pthread_sigmask(signal.SIG_BLOCK, every)
got = os.open('/got', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
open('/up', 'w').write('up\\n')
while True:
    os.write(got, b'%d\\n' % signal.sigwait(every))
";

/// A container that notes every signal it gets; with these annotations.
pub(crate) fn noting(annotations: &[(&str, &str)]) -> Container {
    require_runsig("the forms and defaults of signals are Runsig's own");
    let bundle = python("takes_all.py", TAKES_ALL, &[]);
    let bundle =
        bundle.with(|config| annotations.iter().for_each(|(key, value)| annotate(config, key, value)));
    let container = Container::running(bundle);
    let _ = container.wait_for_file("/up");
    container
}

/// The signals that [`noting`] has got, in order.
pub(crate) fn got(container: &Container) -> Vec<i32> {
    let text = fs::read_to_string(container.bundle.rootfs().join("got")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().expect("a number")).collect()
}

/// `signals ID SIGNAL --format json`.
pub(crate) fn rows(container: &Container, signal: &str) -> Vec<Value> {
    let rows = container.runtime.call(&["signals", "--format", "json", container.id(), signal]).ok().json();
    rows.as_array().expect("a list").clone()
}

/// What `signals` predicts for init.
pub(crate) fn predicted(container: &Container, signal: &str) -> String {
    let rows = rows(container, signal);
    let init = rows.iter().find(|row| row["init"] == true);
    init.map_or("nobody", |row| row["disposition"].as_str().expect("a word")).to_string()
}

/// `stop ARGS ID`.
pub(crate) fn stop(container: &Container, args: &[&str]) -> Outcome {
    container.verb("stop", args)
}

/// `stop --format json ARGS ID` of a container that ends by it: the report of that container.
pub(crate) fn stopped(container: &Container, args: &[&str]) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend(args);
    let report = stop(container, &all).ok().json();
    assert_eq!(report[0]["id"], container.id());
    assert_eq!(report[0]["outcome"], "stopped", "{report:#}");
    assert_eq!(container.status(), "stopped");
    report[0].clone()
}

/// The one process in a report whose command begins so.
pub(crate) fn process<'a>(report: &'a Value, command: &str) -> &'a Value {
    let all = report["processes"].as_array().expect("a list");
    let found =
        all.iter().find(|process| process["command"].as_str().is_some_and(|c| c.starts_with(command)));
    found.unwrap_or_else(|| panic!("no {command:?} in {report:#}"))
}

/// Init in a report.
pub(crate) fn init(report: &Value) -> &Value {
    let all = report["processes"].as_array().expect("a list");
    all.iter().find(|process| process["init"] == true).unwrap_or_else(|| panic!("no init in {report:#}"))
}

/// Whether the kernel tells anybody who has a process's pidfd how it ended (PIDFD_GET_INFO with the exit code).
/// On older ones it can be seen as long as the parent has not reaped the process; then a report says "unknown".
pub(crate) fn ends_are_told() -> bool {
    needs::is_kernel(6, 15)
}

/// Demands that a process of a report ended so.
#[track_caller]
pub(crate) fn assert_end(report: &Value, process: &Value, end: Value) {
    if ends_are_told() || process["end"] != json!({"how": "unknown"}) {
        assert_eq!(process["end"], end, "{report:#}");
    }
}

/// Demands that init ended with this exit code (128+n for a signal).
#[track_caller]
pub(crate) fn assert_exit_code(report: &Value, code: i32) {
    if ends_are_told() || !report["exitCode"].is_null() {
        assert_eq!(report["exitCode"], code, "{report:#}");
    }
}

/// A report's word for a death by a signal that the stop did not send as its last.
pub(crate) fn killed_by(signal: &str) -> Value {
    json!({"how": "killed", "signal": signal, "core": false})
}

/// The signals a process of a report was sent.
pub(crate) fn sent(process: &Value) -> Vec<&str> {
    let sent = process["sent"].as_array().expect("a list");
    sent.iter().map(|sent| sent["signal"].as_str().expect("a name")).collect()
}

/// The living members of the container's cgroup.
pub(crate) fn members(container: &Container) -> Vec<i32> {
    let mut pids = runsig_tests::cgroup::processes(&container.bundle.cgroup());
    pids.retain(|pid| procs::alive(*pid));
    pids
}

/// Waits until the container has this many processes.
pub(crate) fn expect_members(container: &Container, count: usize) {
    wait::expect(&format!("{count} processes"), || members(container).len() == count);
}

/// Compiles a C program for a root without libraries.
pub(crate) fn compile(source: &str, to: &std::path::Path) {
    require_command("cc");
    let file: PathBuf = to.with_extension("c");
    fs::write(&file, source).expect("write");
    let status = Command::new("cc").args(["-static", "-O1", "-o"]).arg(to).arg(&file).status();
    assert!(status.expect("cc").success());
}

/// `exec --detach`; the number of the new process.
pub(crate) fn exec(container: &Container, args: &[&str]) -> i32 {
    let file = runsig_tests::runtime::scratch("exec-pid");
    let path = file.to_str().expect("utf-8");
    let mut all = vec!["exec", "--detach", "--pid-file", path, container.id()];
    all.extend(args);
    container.runtime.call(&all).ok();
    fs::read_to_string(&file).expect("a pid file").trim().parse().expect("a number")
}

/// Demands a failure with one line of error that says each of these words.
#[track_caller]
pub(crate) fn refused(mut outcome: Outcome, words: &[&str]) {
    // The log quotes its messages.
    outcome.stderr = outcome.stderr.replace("\\\"", "\"").replace("\\\\", "\\");
    let _ = outcome.fails(1, words).one_line();
}

/// Demands that nothing has become of the container.
#[track_caller]
pub(crate) fn assert_unharmed(container: &Container) {
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(container.status(), "running");
}
