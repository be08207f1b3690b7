//! `run`: what it has beyond `create` and `start`.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::console::DescriptorSocket;
use runsig_tests::harness::test_dir;
use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, Value, cases, version, wait};

use crate::calls::{refused, refused_since, row};
use crate::create::{of_creation, of_creation_with};
use crate::sleeper;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "run": bad_calls, bad_calls_of_later_versions, bad_terminals, exit_code, exit_code_of_a_signal, output_passes,
        detached, detached_with_a_console_socket, keep, pid_file, signals_are_passed_on, program_that_is_not_there,
        program_that_cannot_be_executed, hook_that_fails_after_all_else, no_subreaper, standard_input;
    V1 "run": exit_code, detached, keep;
    Host "run": exit_code, detached, keep;
];

fn rows(container: &Container) -> Vec<crate::calls::Row> {
    let mut rows = of_creation_with("run", container.bundle.dir.to_str().expect("utf-8"));
    rows.extend(of_creation("run"));
    rows.extend([
        row(&["run", "--detach=maybe", "x"], 1, &["-detach: parse error"]),
        row(&["run", "--keep=maybe", "x"], 1, &["-keep: parse error"]),
        row(&["run", "--no-subreaper=maybe", "x"], 1, &["-no-subreaper: parse error"]),
    ]);
    rows
}

fn bad_calls() {
    let container = Container::new(sleeper());
    container.bundle.save();
    refused(&container, &rows(&container));
}

fn bad_calls_of_later_versions() {
    let container = Container::new(sleeper());
    container.bundle.save();
    refused_since(&container, &rows(&container));
}

fn bad_terminals() {
    let container = Container::new(sleeper().with(|config| config["process"]["terminal"] = true.into()));
    container.bundle.save();
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    refused(
        &container,
        &[
            row(
                &["run", "--detach", "--bundle", bundle, "x"],
                1,
                &["cannot allocate tty if runc will detach without setting console socket"],
            ),
            row(
                &["run", "--bundle", bundle, "--console-socket", "/runsig-test-none", "x"],
                1,
                &["cannot use console socket if runc will not detach or allocate tty"],
            ),
        ],
    );
}

fn exit_code() {
    for code in [0, 1, 42, 127, 255] {
        let container = Container::new(Bundle::script(&format!("exit {code}")));
        let before = Before::now(&container.runtime);
        assert_eq!(container.run().code, code);
        before.assert_clean(&container.runtime, &container.bundle);
    }
}

fn exit_code_of_a_signal() {
    let container = Container::new(sleeper());
    let running = container.run_in_background();
    let pid = container.wait_for_command("sleep 1000");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
    assert_eq!(running.finish(wait::SOON).code, 128 + 9);
}

fn output_passes() {
    let container = Container::new(Bundle::script("echo out; echo err >&2"));
    let outcome = container.run().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
}

fn detached() {
    for flag in ["--detach", "-d"] {
        let container = Container::new(sleeper());
        let outcome = container.verb("run", &[flag]).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        assert_eq!(container.status(), "running");
        let _ = container.wait_for_command("sleep 1000");
    }
}

fn detached_with_a_console_socket() {
    let container = Container::new(
        Bundle::script("echo hello; sleep 1000").with(|config| config["process"]["terminal"] = true.into()),
    );
    let socket = DescriptorSocket::listen();
    container.verb("run", &["-d", "--console-socket", socket.path().to_str().expect("utf-8")]).ok();
    let _ = socket.terminal().read_until("hello");
}

fn keep() {
    let container = Container::new(Bundle::script("exit 3"));
    assert_eq!(container.verb("run", &["--keep"]).code, 3);
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
}

fn pid_file() {
    let container = Container::new(sleeper());
    let file = test_dir().join("pid");
    let command = container.command("run", &["--pid-file", file.to_str().expect("utf-8")]);
    let running = runsig_tests::runtime::Running::start(command);
    let pid = container.wait_for_command("sleep 1000");
    wait::expect("the pid file", || fs::read_to_string(&file).is_ok_and(|text| text == pid.to_string()));
    container.kill("KILL").ok();
    let _ = running.finish(wait::SOON);
}

fn signals_are_passed_on() {
    let script = "trap 'echo hup; exit 5' HUP; echo ready; while :; do sleep 0.1; done";
    let container = Container::new(Bundle::script(script));
    let running = container.run_in_background();
    wait::expect("the trap", || running.stdout().contains("ready"));
    kill(Pid::from_raw(i32::try_from(running.child.id()).expect("a PID")), Signal::SIGHUP).expect("kill");
    let outcome = running.finish(wait::SOON);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, "ready\nhup\n"));
}

/// Engines turn these words into exit codes of their own: 127 and 126.
fn program_that_is_not_there() {
    for (program, words) in [
        ("no-such-program", "exec: \"no-such-program\": executable file not found in $PATH"),
        (
            "/runsig-test-none/program",
            "exec: \"/runsig-test-none/program\": stat /runsig-test-none/program: no such file or directory",
        ),
        ("/etc", "exec: \"/etc\": "),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let container = Container::new(Bundle::new().args(&[program]));
        container.bundle.save();
        let bundle = container.bundle.dir.to_str().expect("utf-8");
        for verb in ["create", "run"] {
            let rows =
                [row(&[verb, "--bundle", bundle, "x"], 1, &["unable to start container process: ", words])];
            refused(&container, &rows);
        }
    }
}

/// The container has started by then: its own standard error has the words, and the log has none.
fn program_that_cannot_be_executed() {
    let container = Container::new(Bundle::new().file("/bin/odd", "\0\0\0\0", 0o755).args(&["/bin/odd"]));
    container.bundle.save();
    let before = Before::now(&container.runtime);
    let (log, bundle) = (test_dir().join("log"), container.bundle.dir.to_str().expect("utf-8"));
    let log_name = log.to_str().expect("utf-8");
    let globals = ["--log", log_name, "--log-format", "json"];
    let outcome =
        container.runtime.call(&[&globals[..], &["run", "--bundle", bundle, container.id()]].concat());
    assert_eq!(outcome.stderr.trim_end(), "exec /bin/odd: exec format error");
    let text = fs::read_to_string(&log).expect("a log");
    let errors = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert_eq!(errors.filter(|line| line["level"] == "error").count(), 0, "{text}");
    before.assert_clean(&container.runtime, &container.bundle);
    version::since("1.2", "the exit code 255, not 1");
    assert_eq!(outcome.code, 255);
}

fn hook_that_fails_after_all_else() {
    let container = Container::new(Bundle::new().with(|config| {
        config["hooks"]["startContainer"] =
            runsig_tests::json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 7"]}]);
    }));
    let before = Before::now(&container.runtime);
    let outcome = container.run();
    assert!(outcome.stderr.contains("exit status 7"), "{outcome:#?}");
    before.assert_clean(&container.runtime, &container.bundle);
    version::since("1.2", "the exit code 255, not 1");
    assert_eq!(outcome.code, 255);
}

/// With it, what a container without a PID namespace leaves to itself is not the runtime's to reap.
fn no_subreaper() {
    let container = Container::new(Bundle::script("exit 4"));
    assert_eq!(container.verb("run", &["--no-subreaper"]).code, 4);
}

fn standard_input() {
    let container = Container::new(Bundle::new().args(&["cat"]));
    let inner = container.command("run", &[]);
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "echo typed | \"$@\"", "bash"]).arg(inner.get_program()).args(inner.get_args());
    assert_eq!(runsig_tests::runtime::finish(command, wait::SOON).ok().text(), "typed");
}
