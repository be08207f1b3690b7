//! The opt-in policies of `kill`, by flag, by annotation and by the host's file, as an engine's plain
//! `kill ID 15` meets them.

use runsig_tests::{Case, Container, Value, cases, host_config, procs, wait};

use crate::world::{
    DEAF, HANDLES, annotate, assert_unharmed, expect_members, got, init, members, noting, refused, rows,
    sent, stopped, up, up_with,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "policies": without_any_it_is_runc_s, forward_by_annotation, kill_by_annotation, forward_with_nobody_to_get_it,
        a_handler_gets_it_whatever_the_policy, scope_all_by_annotation, rewrite_by_annotation, kill_is_never_touched,
        the_hosts_file, annotation_beats_the_file, flag_beats_both, plan_in_the_file, bad_values_in_the_file, no_file_at_all,
        warn_by_annotation_beats_the_file, scope_of_a_stopped_one;
    Host "policies": forward_by_annotation, scope_all_by_annotation;
];

const ON_DROPPED: &str = "dev.runsig.kill.on-dropped";
const SCOPE: &str = "dev.runsig.kill.scope";
const REWRITE: &str = "dev.runsig.kill.rewrite";

fn annotated(script: &str, key: &str, value: &str) -> Container {
    let container = up_with(script, |config| annotate(config, key, value));
    if script == DEAF {
        let _ = container.wait_for_command("sleep 1000");
    }
    container
}

/// What every engine sends.
fn fifteen(container: &Container) -> String {
    container.kill("15").ok().stderr
}

fn without_any_it_is_runc_s() {
    let container = up(DEAF);
    let child = container.wait_for_command("sleep 1000");
    let said = fifteen(&container);
    assert!(said.contains("the kernel drops it, because init is PID 1"), "{said}");
    assert_unharmed(&container);
    assert!(procs::alive(child));
}

fn forward_by_annotation() {
    let container = annotated(DEAF, ON_DROPPED, "forward");
    let said = fifteen(&container);
    assert!(said.contains("forwarded to its children"), "{said}");
    container.expect_status("stopped");
}

fn kill_by_annotation() {
    let container = annotated(DEAF, ON_DROPPED, "kill");
    let said = fifteen(&container);
    assert!(said.contains("killed instead"), "{said}");
    container.expect_status("stopped");
}

fn forward_with_nobody_to_get_it() {
    let container = annotated("echo up > /up; exec sleep 1000", ON_DROPPED, "forward");
    wait::expect("the exec", || procs::command_line(container.pid()) == "sleep 1000");
    let said = fifteen(&container);
    assert!(said.contains("no children"), "{said}");
    assert_unharmed(&container);
}

fn a_handler_gets_it_whatever_the_policy() {
    for value in ["forward", "kill"] {
        let container = noting(&[(ON_DROPPED, value)]);
        assert_eq!(fifteen(&container), "");
        wait::expect("TERM", || got(&container) == [15]);
    }
}

const TWO: &str = "(trap 'echo child >> /got; exit' TERM; while :; do sleep 0.02; done) & \
                   trap 'echo init >> /got' TERM; echo up > /up; while :; do sleep 0.02; done";

fn lines(container: &Container) -> Vec<String> {
    let text = std::fs::read_to_string(container.bundle.rootfs().join("got")).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_string).collect();
    lines.sort_unstable();
    lines
}

/// Waits until both shells of [`TWO`] have their trap.
fn both_ready(container: &Container) {
    let handled = |row: &Value| row["disposition"] == "handled";
    wait::expect("two traps", || rows(container, "TERM").iter().filter(|row| handled(row)).count() == 2);
}

fn scope_all_by_annotation() {
    let container = annotated(TWO, SCOPE, "all");
    both_ready(&container);
    fifteen(&container);
    wait::expect("both", || lines(&container) == ["child", "init"]);
    let container = annotated(TWO, SCOPE, "init");
    both_ready(&container);
    fifteen(&container);
    wait::expect("init", || lines(&container) == ["init"]);
}

fn rewrite_by_annotation() {
    let container = noting(&[(REWRITE, "TERM=QUIT,HUP=USR1, SIGRTMIN+1 = 12")]);
    for (signal, number) in [("15", 3), ("HUP", 10), ("INT", 2), ("RTMIN+1", 12), ("QUIT", 3)] {
        let before = got(&container).len();
        container.kill(signal).ok();
        wait::expect(signal, || got(&container).len() > before);
        assert_eq!(got(&container).last(), Some(&number), "{signal}");
    }
}

fn kill_is_never_touched() {
    for (key, value) in
        [(REWRITE, "HUP=USR1"), (REWRITE, "nonsense"), (ON_DROPPED, "nonsense"), (SCOPE, "nonsense")]
    {
        let container = annotated(HANDLES, key, value);
        container.kill("0").ok();
        container.kill("9").ok();
        container.expect_status("stopped");
    }
}

fn the_hosts_file() {
    host_config::write("[kill]\non-dropped = \"forward\"\n");
    let container = up(DEAF);
    let _ = container.wait_for_command("sleep 1000");
    let said = fifteen(&container);
    assert!(said.contains("forwarded to its children"), "{said}");
    container.expect_status("stopped");
    host_config::write("[kill]\nscope = \"all\"\nrewrite = \"TERM=HUP\"\n");
    let container =
        up("trap 'echo init >> /got' HUP; (trap 'echo child >> /got' HUP; while :; do sleep 0.02; done) & \
                        echo up > /up; while :; do sleep 0.02; done");
    let handled = |row: &Value| row["disposition"] == "handled";
    wait::expect("two traps", || rows(&container, "HUP").iter().filter(|row| handled(row)).count() == 2);
    fifteen(&container);
    wait::expect("both", || lines(&container) == ["child", "init"]);
    // An empty file, and none, say nothing.
    for text in ["", "# nothing\n", "[kill]\n[stop]\n"] {
        host_config::write(text);
        assert_unharmed(&container);
        container.kill("0").ok();
    }
}

fn annotation_beats_the_file() {
    host_config::write("[kill]\non-dropped = \"kill\"\n");
    let container = annotated(DEAF, ON_DROPPED, "forward");
    let said = fifteen(&container);
    assert!(said.contains("forwarded to its children"), "{said}");
}

fn warn_by_annotation_beats_the_file() {
    host_config::write("[kill]\non-dropped = \"kill\"\n");
    let container = annotated(DEAF, ON_DROPPED, "warn");
    let said = fifteen(&container);
    assert!(said.contains("the kernel drops it"), "{said}");
    assert_unharmed(&container);
}

fn flag_beats_both() {
    host_config::write("[kill]\non-dropped = \"kill\"\n");
    let container = annotated(DEAF, ON_DROPPED, "kill");
    let warn = container.runtime.call(&["kill", "--on-dropped", "warn", container.id(), "15"]).ok();
    assert!(warn.stderr.contains("the kernel drops it"), "{warn:#?}");
    assert_unharmed(&container);
    let container = noting(&[(REWRITE, "TERM=QUIT")]);
    container.runtime.call(&["kill", "--rewrite", "TERM=USR2", container.id(), "15"]).ok();
    wait::expect("USR2", || got(&container) == [12]);
}

fn plan_in_the_file() {
    host_config::write("[stop]\nplan = \"INT:100ms,KILL\"\n");
    let script = "trap '' INT TERM; echo up > /up; while :; do sleep 1000; done";
    let report = stopped(&up(script), &[]);
    assert_eq!(sent(init(&report)), ["SIGINT", "SIGKILL"], "{report:#}");
    let container = up_with(script, |config| annotate(config, "dev.runsig.stop.plan", "TERM:100ms,KILL"));
    let report = stopped(&container, &[]);
    assert_eq!(sent(init(&report)), ["SIGTERM", "SIGKILL"], "{report:#}");
}

/// A clear line with the file and what is wrong in it; nothing is signalled, but for KILL.
fn bad_values_in_the_file() {
    let container = noting(&[]);
    for (text, words) in [
        ("[kill]\non-dropped = \"never\"\n", &["kill.on-dropped", "\"never\"", "warn, forward or kill"][..]),
        ("[kill]\nscope = \"everyone\"\n", &["kill.scope", "\"everyone\"", "init or all"]),
        ("[kill]\nrewrite = \"TERM\"\n", &["kill.rewrite", "\"TERM\"", "not SIGNAL=SIGNAL"]),
        ("[kill]\nrewrite = \"KILL=TERM\"\n", &["kill.rewrite", "KILL cannot be replaced"]),
        ("[kill]\nrewrite = \"TERM=FOO\"\n", &["kill.rewrite", "unknown signal \"FOO\""]),
        ("[kill]\nondropped = \"kill\"\n", &["line 2", "ondropped"]),
        ("[kil]\n", &["line 1", "kil"]),
        ("[kill]\n\non-dropped = 3\n", &["line 3"]),
        ("nonsense", &["line 1"]),
    ] {
        host_config::write(text);
        let mut all = vec!["/etc/runsig/config.toml"];
        all.extend(words);
        refused(container.kill("15"), &all);
    }
    host_config::write("[stop]\nplan = \"TERM\"\n");
    let words = ["/etc/runsig/config.toml", "stop.plan", "\"TERM\"", "needs a time"];
    refused(container.verb("stop", &[]), &words);
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
    host_config::write("nonsense");
    container.kill("9").ok();
    container.expect_status("stopped");
}

/// With the scope `all` containerd's late `kill` of a stopped container is no error.
fn scope_of_a_stopped_one() {
    let container = annotated(HANDLES, SCOPE, "all");
    container.kill("15").ok();
    container.expect_status("stopped");
    expect_members(&container, 0);
    container.kill("15").ok();
    assert_eq!(members(&container), Vec::<i32>::new());
}

/// An engine's `kill` must not hang on it, and its KILL does not even look at it.
fn no_file_at_all() {
    const FILE: &str = "/etc/runsig/config.toml";
    let container = up(DEAF);
    host_config::write("");
    let fifo = || nix::unistd::mkfifo(FILE, nix::sys::stat::Mode::S_IRUSR).expect("mkfifo");
    let endless = || std::os::unix::fs::symlink("/dev/zero", FILE).expect("symlink");
    let makers: [(&str, &dyn Fn()); 2] = [("a fifo", &fifo), ("an endless file", &endless)];
    for (what, make) in makers {
        std::fs::remove_file(FILE).expect("unlink");
        make();
        let outcome = container.kill("TERM").fails(1, &[FILE, "not a regular file"]).one_line();
        assert!(procs::alive(container.pid()), "{what}: {outcome:#?}");
        container.kill("0").ok();
    }
    container.kill("KILL").ok();
    container.expect_status("stopped");
}
