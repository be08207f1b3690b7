//! From run to rm: output, exit codes, logs, restarts.

use crate::engine::{Container, Exec, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Both: output_and_code, detached;
    V2: missing_program, not_executable, bad_directory, bad_mount, bad_sysctl, killed_by_a_signal, terminal,
        name_in_use, restart, restart_policy, restart_policy_always, rm_of_a_running, rm_force, top;
];

fn output_and_code(s: &Session<'_>) {
    let outcome = s.run_to(42, &Container::script("c", "echo out; echo err >&2; exit 42"));
    assert_eq!(outcome.text(), "out", "{outcome:#?}");
    assert!(outcome.stderr.contains("err"), "{outcome:#?}");
    s.run_to(0, &Container::program("true", &["true"]));
}

fn detached(s: &Session<'_>) {
    s.start(&Container::script(
        "c",
        "echo ready; echo err >&2; while ! test -e /tmp/go; do sleep 0.05; done; exit 7",
    ));
    s.state("c");
    s.ask("c", "touch /tmp/go");
    s.ends(7, "c");
    let logs = s.logs("c");
    assert!(logs.stdout.contains("ready"), "{logs:#?}");
    s.state("c");
    s.remove("c", false);
    s.state("c");
}

fn missing_program(s: &Session<'_>) {
    for (name, program) in [("word", "no-such-program"), ("path", "/no/such/program")] {
        let outcome = s.run(&Container::program(name, &[program]));
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn not_executable(s: &Session<'_>) {
    for (name, program) in [("file", "/etc/passwd"), ("directory", "/etc")] {
        let outcome = s.run(&Container::program(name, &[program]));
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn bad_directory(s: &Session<'_>) {
    let outcome = s.run(&Container::program("c", &["true"]).with(Opt::Workdir("/etc/passwd")));
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    // One that is missing is made.
    s.run(&Container::program("made", &["pwd"]).with(Opt::Workdir("/not/there")));
}

fn bad_mount(s: &Session<'_>) {
    let from = s.owner.dir.to_string_lossy().into_owned();
    let outcome = s.run(&Container::program("c", &["true"]).with(Opt::Bind(&from, "/etc/passwd", "rw")));
    assert_ne!(outcome.code, 0, "a directory onto a file: {outcome:#?}");
}

fn bad_sysctl(s: &Session<'_>) {
    let outcome = s.run(&Container::program("c", &["true"]).with(Opt::Sysctl("kernel.msgmax=nonsense")));
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

fn killed_by_a_signal(s: &Session<'_>) {
    // With the host's PIDs it is no PID 1, and dies of what it sends itself.
    for (name, signal, code) in [("term", "TERM", 143), ("kill", "KILL", 137), ("segv", "SEGV", 139)] {
        let script = format!("kill -{signal} $$; sleep 1000");
        s.run_to(code, &Container::script(name, &script).with(Opt::HostPids));
    }
}

fn terminal(s: &Session<'_>) {
    let script =
        "tty; test -t 0 && test -t 1 && test -t 2 && echo all; ls -l /dev/console | cut -c1; stty -a";
    let outcome = s.run_to(0, &Container::script("c", script).with(Opt::Tty));
    assert!(outcome.stdout.contains("/dev/pts/0") && outcome.stdout.contains("all"), "{outcome:#?}");
}

fn name_in_use(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let outcome = s.run(&Container::program("c", &["true"]));
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    s.state("c");
}

fn restart(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.restart("c", 40);
    s.expect_state("c", "running");
    s.state("c");
    s.stop("c", 40);
    // And one that has ended.
    s.restart("c", 40);
    s.state("c");
}

fn restart_policy(s: &Session<'_>) {
    s.start(&Container::script("c", "echo ready; exit 3").with(Opt::Restart("on-failure:2")));
    s.expect_state("c", "restarts=2");
    s.expect_state("c", "exited");
    s.state("c");
    s.logs("c");
}

fn restart_policy_always(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL).with(Opt::Restart("always")));
    // It may be gone before its engine has heard of it.
    let _ = s.engine().exec(&s.owner, "c", Exec::default(), &["kill", "-USR1", "1"]);
    s.expect_state("c", "restarts=1");
    s.expect_state("c", "running");
    // A stop is final.
    s.stop("c", 40);
    s.state("c");
}

fn rm_of_a_running(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let outcome = s.remove("c", false);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    s.state("c");
}

fn rm_force(s: &Session<'_>) {
    let number = &s.owner.prefix[1..4];
    let script = format!("echo ready; sleep 1{number}1 & sleep 1{number}2 & sleep 1{number}3");
    s.start(&Container::script("c", &script));
    s.remove("c", true);
    for end in 1..4 {
        s.expect_no_process(&format!("sleep 1{number}{end}"));
    }
    s.state("c");
}

fn top(s: &Session<'_>) {
    s.start(&Container::script("c", "sleep 1000 & sleep 1000 & echo ready; wait"));
    let outcome = s.top("c");
    assert!(outcome.stdout.lines().count() >= 3, "{outcome:#?}");
}
