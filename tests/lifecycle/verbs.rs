//! create, start, state, kill, delete, run, list: words, exit codes and order of things.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, cases, procs, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "verbs":
        create_start_delete, created_does_not_run_the_program, state_has_the_fields_engines_read,
        state_of_a_stopped_container, pid_file_holds_inits_pid, run_returns_the_programs_exit_code,
        run_returns_128_plus_the_signal, run_passes_output_and_cleans_up, run_detached, run_keep,
        start_twice, start_a_stopped_one, delete_a_running_one, delete_a_created_one, delete_twice,
        delete_force_of_an_unknown_id, delete_force_of_a_running_one, kill_reaches_init,
        kill_takes_every_form_of_name, kill_an_unknown_signal, kill_a_stopped_one, kill_a_created_one,
        unknown_id_in_every_verb, list_shows_what_is_there, list_empty, signals_in_the_foreground,
        log_file_gets_json, log_file_gets_text, relative_bundle_is_the_working_directory;
    V1 "verbs": create_start_delete, delete_force_of_a_running_one, kill_reaches_init, run_detached;
    Host "verbs": create_start_delete, delete_force_of_a_running_one, run_keep;
];

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

fn create_start_delete() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    container.create().ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
    let _ = container.wait_for_command("sleep 1000");
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn created_does_not_run_the_program() {
    let container = Container::created(Bundle::script("echo ran > /ran; sleep 1000"));
    assert!(procs::alive(container.pid()));
    assert!(!container.bundle.rootfs().join("ran").exists());
    container.start().ok();
    assert_eq!(container.wait_for_file("/ran").trim(), "ran");
}

fn state_has_the_fields_engines_read() {
    let bundle = sleeper().with(|config| config["annotations"]["org.example.key"] = "value".into());
    let container = Container::running(bundle);
    let state = container.state();
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], container.bundle.dir.to_str().expect("utf-8"));
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(state["ociVersion"].as_str().expect("a version").starts_with("1."));
    assert!(procs::alive(i32::try_from(state["pid"].as_i64().expect("pid")).expect("pid")));
}

fn state_of_a_stopped_container() {
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    let state = container.state();
    assert_eq!(state["pid"].as_i64().unwrap_or(0), 0, "no PID once stopped: {state}");
}

fn pid_file_holds_inits_pid() {
    let container = Container::new(sleeper());
    let file = container.bundle.dir.join("pid");
    container.verb("create", &["--pid-file", file.to_str().expect("utf-8")]).ok();
    let text = fs::read_to_string(&file).expect("a pid file");
    assert_eq!(text, container.pid().to_string());
}

fn run_returns_the_programs_exit_code() {
    let container = Container::new(Bundle::script("exit 42"));
    assert_eq!(container.run().code, 42);
}

fn run_returns_128_plus_the_signal() {
    let container = Container::new(sleeper());
    let running = container.run_in_background();
    let pid = container.wait_for_command("sleep 1000");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("kill");
    assert_eq!(running.finish(wait::SOON).code, 128 + 9);
}

fn run_passes_output_and_cleans_up() {
    let container = Container::new(Bundle::script("echo out; echo err >&2"));
    let before = Before::now(&container.runtime);
    let outcome = container.run().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    before.assert_clean(&container.runtime, &container.bundle);
}

fn run_detached() {
    let container = Container::new(sleeper());
    container.verb("run", &["--detach"]).ok();
    assert_eq!(container.status(), "running");
    let _ = container.wait_for_command("sleep 1000");
}

fn run_keep() {
    let container = Container::new(Bundle::script("exit 3"));
    let outcome = container.verb("run", &["--keep"]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
}

fn start_twice() {
    let container = Container::running(sleeper());
    let _ = container.start().fails(1, &["cannot start an already running container"]).one_line();
}

fn start_a_stopped_one() {
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    let _ = container.start().fails(1, &["cannot start a container that has stopped"]).one_line();
}

fn delete_a_running_one() {
    let container = Container::running(sleeper());
    let words = format!("cannot delete container {} that is not stopped: running", container.id());
    let _ = container.delete().fails(1, &[&words]).one_line();
    assert_eq!(container.status(), "running");
}

fn delete_a_created_one() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn delete_twice() {
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    container.delete().ok();
    let _ = container.delete().fails(1, &["container does not exist"]).one_line();
}

fn delete_force_of_an_unknown_id() {
    let container = Container::new(Bundle::new());
    container.delete_force().ok();
}

fn delete_force_of_a_running_one() {
    let container = Container::new(Bundle::script("sleep 1000 & sleep 1001 & sleep 1002"));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    for words in ["sleep 1000", "sleep 1001", "sleep 1002"] {
        let _ = container.wait_for_command(words);
    }
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn kill_reaches_init() {
    let script = "trap 'echo usr1 > /got' USR1; echo ready > /ready; while :; do sleep 0.1; done";
    let container = Container::running(Bundle::script(script));
    let _ = container.wait_for_file("/ready");
    container.kill("USR1").ok();
    assert_eq!(container.wait_for_file("/got"), "usr1\n");
}

fn kill_takes_every_form_of_name() {
    let container = Container::running(sleeper());
    for name in ["0", "TERM", "term", "SIGTERM", "sigterm", "15", "SIGUSR1", "hup", "RTMIN+1"] {
        if (name == "0" || name.starts_with("RT")) && container.runtime.kind() != "runsig" {
            continue;
        }
        container.kill(name).ok();
    }
    assert_eq!(container.status(), "running", "PID 1 has default dispositions only");
}

fn kill_an_unknown_signal() {
    let container = Container::running(sleeper());
    for name in ["FOO", "SIGFOO", "65", "TERM1", "TERM "] {
        let outcome = container.kill(name);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        if container.runtime.kind() == "runsig" {
            assert!(outcome.stderr.contains("unknown signal"), "{outcome:#?}");
        }
    }
    assert_eq!(container.status(), "running");
}

fn kill_a_stopped_one() {
    let container = Container::running(Bundle::new());
    container.expect_status("stopped");
    let _ = container.kill("TERM").fails(1, &["container not running"]).one_line();
}

fn kill_a_created_one() {
    let container = Container::created(sleeper());
    container.kill("TERM").ok();
    container.expect_status("stopped");
    container.delete().ok();
}

fn unknown_id_in_every_verb() {
    let container = Container::new(Bundle::new());
    for verb in ["start", "state", "delete"] {
        let _ = container.verb(verb, &[]).fails(1, &["container does not exist"]).one_line();
    }
    let _ = container.kill("TERM").fails(1, &["container does not exist"]).one_line();
}

fn list_shows_what_is_there() {
    let first = Container::running(sleeper());
    let second = Container::created(sleeper());
    let quiet = first.runtime.call(&["list", "-q"]).ok();
    let mut ids: Vec<_> = quiet.stdout.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [first.id(), second.id()]);
    let table = first.runtime.call(&["list"]).ok();
    let header: Vec<_> = table.stdout.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert!(table.stdout.contains("running") && table.stdout.contains("created"), "{table:#?}");
    let list = first.runtime.call(&["list", "--format", "json"]).ok().json();
    let entry = list.as_array().expect("a list").iter().find(|entry| entry["id"] == first.id());
    let entry = entry.expect("the first one");
    assert_eq!(entry["pid"], first.pid());
    assert_eq!(entry["status"], "running");
    assert_eq!(entry["bundle"], first.bundle.dir.to_str().expect("utf-8"));
}

fn list_empty() {
    let container = Container::new(Bundle::new());
    let quiet = container.runtime.call(&["list", "-q"]).ok();
    assert_eq!(quiet.text(), "");
    let list = container.runtime.call(&["list", "-f", "json"]).ok();
    assert!(list.text() == "null" || list.text() == "[]", "{list:#?}");
}

fn signals_in_the_foreground() {
    let script = "trap 'echo hup; exit 5' HUP; echo ready; while :; do sleep 0.1; done";
    let container = Container::new(Bundle::script(script));
    let running = container.run_in_background();
    wait::expect("the trap", || running.stdout().contains("ready"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.child.id()).expect("a PID"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("kill");
    let outcome = running.finish(wait::SOON);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, "ready\nhup\n"));
}

fn log_file_gets_json() {
    let container = Container::new(Bundle::new());
    let log = container.bundle.dir.join("log.json");
    let log = log.to_str().expect("utf-8");
    let outcome = container.runtime.call(&["--log", log, "--log-format", "json", "start", "nobody"]);
    let _ = outcome.fails(1, &["container does not exist"]);
    let text = fs::read_to_string(log).expect("a log");
    let last: runsig_tests::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["level"], &last["msg"]), (&"error".into(), &"container does not exist".into()));
    assert!(last["time"].as_str().expect("a time").starts_with("20"), "{last}");
}

fn log_file_gets_text() {
    require_runsig("the text format of each runtime is its own");
    let container = Container::new(Bundle::new());
    let log = container.bundle.dir.join("log.txt");
    let outcome = container.runtime.call(&["--log", log.to_str().expect("utf-8"), "start", "nobody"]);
    let _ = outcome.fails(1, &["container does not exist"]);
    let text = fs::read_to_string(log).expect("a log");
    assert!(text.starts_with("time=\"20"), "{text}");
    assert!(text.contains("level=error msg=\"container does not exist\""), "{text}");
}

fn relative_bundle_is_the_working_directory() {
    let container = Container::new(Bundle::script("echo here"));
    container.bundle.save();
    let mut command = container.runtime.command(&["run", container.id()]);
    command.current_dir(&container.bundle.dir);
    let outcome = runsig_tests::runtime::finish(command, wait::SOON).ok();
    assert_eq!(outcome.text(), "here");
}
