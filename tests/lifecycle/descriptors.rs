//! Descriptors: what the program gets, what it must never get, and the pidfd socket.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::runtime::finish;
use runsig_tests::{Bundle, Case, Container, Outcome, cases, harness, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "descriptors": nothing_is_open_but_stdio, nothing_is_open_with_a_terminal, callers_descriptors_do_not_leak,
        preserved_ones_arrive, preserved_one_that_is_not_open, never_the_runtimes_own, listen_fds, listen_fds_cloexec_directory,
        pidfd_socket_gets_inits_pidfd, working_directory_outside_is_refused;
    V1 "descriptors": nothing_is_open_but_stdio;
];

/// The descriptors of PID 1; the listing's own directory is in `ls`, not there.
/// No pipe here: the shell itself would hold its ends for a moment.
const LIST: &str = "ls /proc/1/fd; true";

fn words(outcome: &Outcome) -> Vec<&str> {
    outcome.stdout.split_whitespace().collect()
}

fn nothing_is_open_but_stdio() {
    let container = Container::new(Bundle::script(LIST));
    assert_eq!(words(&container.run().ok()), ["0", "1", "2"]);
}

fn nothing_is_open_with_a_terminal() {
    let bundle = Bundle::script("ls /proc/1/fd; echo end; sleep 1000");
    let container = Container::new(bundle.with(|config| config["process"]["terminal"] = true.into()));
    let socket = DescriptorSocket::listen();
    container.verb("create", &["--console-socket", socket.path().to_str().expect("utf-8")]).ok();
    container.start().ok();
    let mut terminal = socket.terminal();
    let seen = terminal.read_until("end");
    // busybox sh keeps a duplicate of its terminal above 9 for job control.
    let open: Vec<_> =
        seen.split_whitespace().filter(|word| word.parse::<u32>().is_ok_and(|fd| fd < 10)).collect();
    assert_eq!(open, ["0", "1", "2"], "{seen}");
}

/// `run` with `redirections` of the shell that becomes the runtime.
fn run_with(container: &Container, redirections: &str, args: &[&str]) -> Outcome {
    let inner = container.command("run", args);
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec {redirections} && exec \"$@\""), "bash"]);
    command.arg(inner.get_program()).args(inner.get_args());
    finish(command, wait::SOON)
}

fn callers_descriptors_do_not_leak() {
    let container = Container::new(Bundle::script(LIST));
    let outcome = run_with(&container, "3</etc/passwd 4</ 9</proc 77</etc", &[]).ok();
    assert_eq!(words(&outcome), ["0", "1", "2"]);
}

fn preserved_ones_arrive() {
    let container = Container::new(Bundle::script("cat <&3; cat <&4; ls /proc/1/fd; ls -l /proc/1/fd >&2"));
    let dir = harness::test_dir();
    fs::write(dir.join("three"), "drei ").expect("write");
    fs::write(dir.join("four"), "vier ").expect("write");
    let redirections = format!("3<{0}/three 4<{0}/four 5</", dir.display());
    let outcome = run_with(&container, &redirections, &["--preserve-fds", "2"]).ok();
    assert_eq!(words(&outcome), ["drei", "vier", "0", "1", "2", "3", "4"], "{}", outcome.stderr);
}

fn preserved_one_that_is_not_open() {
    let container = Container::new(Bundle::script("echo ran"));
    if container.runtime.kind() == "crun" {
        runsig_tests::skip("crun passes over it");
    }
    let outcome = run_with(&container, "3</etc/passwd", &["--preserve-fds", "20"]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

/// The numbers after the last one that is open are soon the runtime's own, which lead to the host.
fn never_the_runtimes_own() {
    require_runsig("runc passes on its own, too");
    let container = Container::running(Bundle::new().args(&["sleep", "1000"]));
    for count in ["1", "2", "3", "4", "5"] {
        let mut command = container.runtime.command(&["exec", "--preserve-fds", count, container.id()]);
        command.args(["ls", "-l", "/proc/self/fd"]);
        finish(command, wait::SOON).fails(255, &["unable to stat preserved-fd 0"]);
        let other = Container::new(Bundle::script(LIST));
        other.verb("run", &["--preserve-fds", count]).fails(1, &["unable to stat preserved-fd 0"]);
    }
    let other = Container::new(Bundle::script(LIST));
    let inner = other.command("run", &[]);
    let mut command = Command::new("bash");
    command.args(["-c", "LISTEN_FDS=3 LISTEN_PID=$$ exec \"$@\"", "bash"]);
    command.arg(inner.get_program()).args(inner.get_args());
    finish(command, wait::SOON).fails(1, &["unable to stat preserved-fd 0"]);
}

fn listen_fds() {
    let container = Container::new(Bundle::script("echo $LISTEN_FDS $LISTEN_PID; cat <&3; ls /proc/1/fd; :"));
    let file = harness::test_dir().join("three");
    fs::write(&file, "drei ").expect("write");
    let inner = container.command("run", &[]);
    let mut command = Command::new("bash");
    let script = format!("exec 3<{} && export LISTEN_FDS=1 LISTEN_PID=$$ && exec \"$@\"", file.display());
    command.args(["-c", &script, "bash"]).arg(inner.get_program()).args(inner.get_args());
    let outcome = finish(command, wait::SOON).ok();
    assert_eq!(words(&outcome), ["1", "1", "drei", "0", "1", "2", "3"], "{}", outcome.stderr);
}

/// CVE-2024-21626: a working directory that is a descriptor of the host.
fn listen_fds_cloexec_directory() {
    for fd in 3..12 {
        let container = Container::new(
            Bundle::script(
                "pwd; ls ../../../../etc/hostname 2>/dev/null; cat ../../../bin/busybox | head -c1 | wc -c",
            )
            .with(|config| {
                config["process"]["cwd"] = format!("/proc/self/fd/{fd}").into();
            }),
        );
        let outcome = container.run();
        assert!(!outcome.stdout.contains("hostname"), "escaped by descriptor {fd}: {outcome:#?}");
        if outcome.code == 0 {
            assert!(!outcome.stdout.contains("(unreachable)"), "{outcome:#?}");
        }
    }
}

fn working_directory_outside_is_refused() {
    require_runsig("Debian's runc predates CVE-2024-21626");
    let outcome = (3..16).map(|fd| {
        let container = Container::new(Bundle::script("pwd").with(|config| {
            config["process"]["cwd"] = format!("/proc/self/fd/{fd}").into();
        }));
        container.run()
    });
    for outcome in outcome {
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn pidfd_socket_gets_inits_pidfd() {
    require_runsig("--pidfd-socket came to runc in 1.2");
    let container = Container::new(Bundle::new().args(&["sleep", "1000"]));
    let socket = DescriptorSocket::listen();
    container.verb("create", &["--pidfd-socket", socket.path().to_str().expect("utf-8")]).ok();
    let (fds, _) = socket.receive();
    let pidfd = fds.first().expect("a descriptor").as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{pidfd}")).expect("/proc");
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("a pidfd").trim();
    assert_eq!(pid, container.pid().to_string());
}
