//! The verbs on a container with a resident init.

use runsig_tests::{Case, Container, Value, cases, procs, wait};

use crate::world::{
    NOTES, Pid1, compile, end_by, expect_members, main_process, noted, resident, resident_bundle, rows,
    started,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "verbs": signals_shows_init_and_main, signals_with_the_other_modes, the_table_for_people, stop_reports,
        stop_with_scopes, kill_all_reaches_everybody_once, pause_and_resume, exec_works, checkpoint_is_refused,
        policies_of_kill, delete_force;
    Host "verbs": pause_and_resume, kill_all_reaches_everybody_once;
];

const FAMILY: &str = "sleep 1001 & setsid sleep 1002 & echo up > /up; exec sleep 1000";

fn row<'a>(rows: &'a [Value], command: &str) -> &'a Value {
    let found = rows.iter().find(|row| row["command"].as_str().is_some_and(|c| c.starts_with(command)));
    found.unwrap_or_else(|| panic!("no {command} in {rows:?}"))
}

fn signals_shows_init_and_main() {
    let container = Pid1::Resident.up(FAMILY);
    expect_members(&container, 4);
    let rows = rows(&container, "TERM");
    assert_eq!((rows[0]["init"] == true, rows[0]["disposition"].as_str()), (true, Some("handled")));
    assert_eq!(rows[1]["main"], true, "it comes second: {rows:?}");
    let main = row(&rows, "sleep 1000");
    assert_eq!(main["pid"], main_process(&container));
    assert_eq!((main["disposition"].as_str(), main["stop"].as_str()), (Some("fatal"), Some("from-init")));
    for other in ["sleep 1001", "sleep 1002"] {
        assert_eq!(row(&rows, other)["stop"], "after-main");
        assert_eq!(row(&rows, other)["main"], Value::Null);
    }
    for signal in ["HUP", "CONT", "TSTP", "WINCH", "RTMIN+3", "CHLD"] {
        let rows = crate::world::rows(&container, signal);
        assert_eq!(rows[0]["disposition"], "handled", "{signal}");
    }
    assert_eq!(crate::world::rows(&container, "TTIN")[0]["disposition"], "ignored");
    assert_eq!(crate::world::rows(&container, "KILL")[0]["disposition"], "fatal");
}

fn signals_with_the_other_modes() {
    for (settings, word) in [
        (&[("forward", "all")][..], "from-init"),
        (&[("linger", "0")], "zap"),
        (&[("forward", "group")], "after-main"),
    ] {
        let container = resident(settings, FAMILY);
        let _ = container.wait_for_command("sleep 1002");
        assert_eq!(row(&rows(&container, "TERM"), "sleep 1002")["stop"], word, "{settings:?}");
    }
}

fn the_table_for_people() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let _ = container.wait_for_command("sleep 1000");
    let table = container.verb("signals", &[]).ok();
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{table:#?}");
    assert!(lines[1].contains("handled") && lines[1].contains("gets the signal  "), "{table:#?}");
    assert!(
        lines[2].contains("gets the signal from init") && lines[2].ends_with("sleep 1000 (main)"),
        "{table:#?}"
    );
}

fn stop_reports() {
    let container = Pid1::Resident.up(FAMILY);
    expect_members(&container, 4);
    let report = container.verb("stop", &["--format", "json"]).ok().json()[0].clone();
    assert_eq!(report["outcome"], "stopped", "{report:#}");
    let processes = report["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 4, "{report:#}");
    assert!(!report.to_string().contains("zapped"), "nobody was: {report:#}");
    assert_eq!(container.status(), "stopped");
}

fn stop_with_scopes() {
    for scope in ["all", "others-first"] {
        let container = Pid1::Resident.up(FAMILY);
        expect_members(&container, 4);
        let report = container.verb("stop", &["--scope", scope, "--format", "json"]).ok().json()[0].clone();
        assert_eq!(report["outcome"], "stopped", "{report:#}");
        expect_members(&container, 0);
    }
}

fn kill_all_reaches_everybody_once() {
    let bundle = resident_bundle(&[], &["sh", "-c", "cd /two && (setsid /notes &); cd /; exec /notes"]);
    compile(&bundle, NOTES, "notes");
    let container = started(bundle.directory("/two"));
    wait::expect("both", || procs_with(&container, "/notes") == 2);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let _ = container.runtime.call(&["kill", "--all", container.id(), "USR1"]).ok();
    wait::expect("both of both", || noted(&container).iter().filter(|n| **n == 10).count() == 2);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(noted(&container).iter().filter(|n| **n == 10).count(), 2, "each of them once");
    let code = end_by(&container, || {
        let _ = container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
    });
    assert_eq!(code, 137);
}

fn procs_with(container: &Container, command: &str) -> usize {
    crate::world::members(container).into_iter().filter(|pid| procs::command_line(*pid) == command).count()
}

fn pause_and_resume() {
    let container = Pid1::Resident.up("trap 'exit 5' TERM; echo up > /up; while :; do sleep 0.02; done");
    let _ = container.verb("pause", &[]).ok();
    assert_eq!(container.status(), "paused");
    let _ = container.kill("TERM").ok();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(container.status(), "paused");
    let code = end_by(&container, || {
        let _ = container.verb("resume", &[]).ok();
    });
    assert_eq!(code, 5);
}

fn exec_works() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let exec = ["exec", container.id(), "sh", "-c", "echo inside as $$; exit 5"];
    let outcome = container.runtime.call(&exec);
    assert_eq!(outcome.code, 5, "{outcome:#?}");
    assert!(outcome.stdout.starts_with("inside as "), "{outcome:#?}");
    let killed = container.runtime.call(&["exec", container.id(), "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, 137, "not init's child, and not init's exit codes");
}

fn checkpoint_is_refused() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let outcome = container.verb("checkpoint", &[]).fails(1, &["cannot be checkpointed", "resident init"]);
    let _ = outcome.one_line();
    assert_eq!(container.status(), "running");
}

/// A policy about dropped signals has nothing to do here.
fn policies_of_kill() {
    for policy in ["warn", "forward", "kill"] {
        let container = Pid1::Resident.up("trap 'exit 6' TERM; echo up > /up; while :; do sleep 0.02; done");
        let code = end_by(&container, || {
            let call = ["kill", "--on-dropped", policy, container.id(), "TERM"];
            assert_eq!(container.runtime.call(&call).ok().stderr, "");
        });
        assert_eq!(code, 6, "{policy}");
    }
}

fn delete_force() {
    let container = Pid1::Resident.up(FAMILY);
    let _ = container.delete_force().ok();
    assert!(procs::find_command("sleep 1002").is_none());
    assert!(container.status().contains("does not exist"));
}
