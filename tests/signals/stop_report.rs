//! What a `stop` tells: the text, the json, the dry run, the live line of a terminal.

use runsig_tests::procs::state;
use runsig_tests::{Case, cases, json, wait};

use crate::world::{
    DEAF, HANDLES, IGNORES, assert_end, assert_exit_code, assert_unharmed, ends_are_told, expect_members,
    got, init, killed_by, noting, process, sent, stop, stopped, up,
};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "stop_report":
    json_has_every_field, text_for_people, dry_run_sends_nothing, dry_run_as_json, commands_cannot_drive_the_terminal,
    live_line_on_a_terminal, thousand_processes];

fn json_has_every_field() {
    // The others end first: the shell must still be there when its own signal comes.
    let container =
        up("trap 'wait; exit 4' TERM; sleep 2050 & sleep 2051 & echo up > /up; wait; while :; do :; done");
    expect_members(&container, 3);
    let pids = ["sleep 2050", "sleep 2051"].map(|words| container.wait_for_command(words));
    let pid = container.pid();
    let report = stopped(&container, &["--scope", "all"]);
    assert_eq!(report["processes"].as_array().map(Vec::len), Some(3), "{report:#}");
    let first = init(&report);
    assert_eq!(first["pid"], pid);
    assert_eq!(first["inside"], 1);
    assert_end(&report, first, json!({"how": "exited", "code": 4}));
    for (words, pid) in ["sleep 2050", "sleep 2051"].iter().zip(pids) {
        let child = process(&report, words);
        assert_eq!((&child["pid"], &child["init"]), (&pid.into(), &false.into()), "{report:#}");
        assert!(child["inside"].as_i64().is_some_and(|inside| inside > 1));
        assert_end(&report, child, killed_by("SIGTERM"));
        assert!(child["afterMs"].as_u64() <= report["tookMs"].as_u64(), "{report:#}");
    }
    assert_exit_code(&report, 4);
    assert_eq!((&report["unwatched"], &report["notes"]), (&0.into(), &json!([])));
}

fn text_for_people() {
    let container = up(DEAF);
    let sleep = container.wait_for_command("sleep 1000");
    let pid = container.pid();
    let outcome = stop(&container, &[]).ok();
    let text = &outcome.stdout;
    // As if the kernel had told it, when it did not and may not.
    let text = &if ends_are_told() {
        text.clone()
    } else {
        let known = text.replace("exit code unknown", "exit code 0");
        let known = known.replace("no signal: ended, unknown how", "no signal: exited 0");
        known.replace("ended, unknown how", "killed by SIGTERM")
    };
    assert!(text.starts_with(&format!("{}: stopped after ", container.id())), "{text}");
    assert!(
        text.lines().next().is_some_and(|line| ["ms", "s"]
            .iter()
            .any(|unit| line.ends_with(&format!(" {unit}, exit code 0")))),
        "{text}"
    );
    assert!(
        text.contains("  note: init has no handler for SIGTERM: its children get it instead\n"),
        "{text}"
    );
    assert!(text.contains(&format!("  PID {pid} (1 inside): no signal: exited 0 after ")), "{text}");
    assert!(text.contains(&format!("  PID {sleep} (")), "{text}");
    assert!(text.contains("killed by SIGTERM after ") && text.contains(": sleep 1000\n"), "{text}");
    assert_eq!(outcome.stderr, "");
}

fn dry_run_sends_nothing() {
    let container = up("sleep 2052 & echo up > /up; wait");
    let _ = container.wait_for_command("sleep 2052");
    let outcome = stop(&container, &["--dry-run", "--plan", "TERM:3s,INT:2s,KILL"]).ok();
    let text = &outcome.stdout;
    assert!(text.starts_with(&format!("{}: TERM:3s,INT:2s,KILL\n", container.id())), "{text}");
    assert!(text.contains("dropped") && text.contains("gets the signal in init's place"), "{text}");
    assert_unharmed(&container);
    let noting = noting(&[]);
    for scope in ["init", "all", "others-first"] {
        stop(&noting, &["--dry-run", "--scope", scope]).ok();
    }
    noting.verb("pause", &[]).ok();
    stop(&noting, &["--dry-run"]).ok();
    assert_eq!(noting.status(), "paused", "nor is anything thawed");
    noting.verb("resume", &[]).ok();
    assert_eq!(got(&noting), Vec::<i32>::new());
}

fn dry_run_as_json() {
    let container = up(DEAF);
    let _ = container.wait_for_command("sleep 1000");
    let dry = stop(&container, &["--dry-run", "--format", "json", "--scope", "others-first"]).ok().json();
    let dry = &dry[0];
    assert_eq!(
        (&dry["id"], &dry["scope"], &dry["onDropped"]),
        (&container.id().into(), &"others-first".into(), &"forward".into()),
        "{dry:#}"
    );
    let text = dry.to_string();
    assert!(text.contains(r#""signal":"SIGTERM","waitMs":10000"#), "{text}");
    let processes = dry["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 2, "{dry:#}");
    assert_eq!(processes[0]["disposition"], "dropped", "{dry:#}");
    assert_eq!(processes[1]["stop"], "signal", "{dry:#}");
    // A created container gets KILL only, whatever the plan is.
    let created = runsig_tests::Container::created(runsig_tests::Bundle::script(HANDLES));
    let dry = stop(&created, &["--dry-run", "--format", "json"]).ok().json();
    assert!(!dry.to_string().contains("SIGTERM"), "{dry:#}");
    assert_eq!(created.status(), "created");
}

fn commands_cannot_drive_the_terminal() {
    let container = up("sh -c 'echo up > /up; exec sleep 2053' \"$(printf 'a\\033[2Jb')\" & wait");
    let hostile =
        up("exec sh -c 'echo up > /up; sleep 1000; true' \"$(printf 'a\\033[2Jb\\nforged: line')\"");
    for container in [&container, &hostile] {
        for (verb, args) in [("signals", &[][..]), ("stop", &["--dry-run"]), ("stop", &[])] {
            let outcome = container.verb(verb, args).ok();
            assert!(!outcome.stdout.contains('\u{1b}'), "{outcome:#?}");
            assert!(!outcome.stdout.lines().any(|line| line.starts_with("forged")), "{outcome:#?}");
        }
    }
}

fn live_line_on_a_terminal() {
    runsig_tests::case::require_command("script");
    let container = up(IGNORES);
    let typed = container.command("stop", &["--timeout", "1s"]);
    let words: Vec<_> = std::iter::once(typed.get_program())
        .chain(typed.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let log = runsig_tests::runtime::scratch("terminal");
    let mut command = std::process::Command::new("script");
    command.args(["-q", "-e", "-c", &words.join(" ")]).arg(&log);
    let _ = runsig_tests::runtime::finish(command, wait::SOON).ok();
    let seen = std::fs::read_to_string(&log).expect("the terminal's log");
    let live = format!("\r\u{1b}[K{}: SIGTERM, 0.", container.id());
    assert!(seen.contains(&live), "{seen:?}");
    assert!(seen.contains("left: "), "{seen:?}");
    let last = seen.rfind("\r\u{1b}[K").expect("a cleared line");
    assert!(seen[last..].contains("stopped after"), "the line is cleared before the report: {seen:?}");
}

/// More processes than descriptors: the stop raises its limit or says how many it could not watch.
fn thousand_processes() {
    let script = "n=0; while [ $n -lt 1200 ]; do sleep 1000 & n=$((n+1)); done; echo up > /up; wait";
    let container = up(script);
    let pid = container.pid();
    let report = stopped(&container, &["--scope", "all", "--timeout", "20s"]);
    assert!(report["processes"].as_array().is_some_and(|all| all.len() > 1000), "{}", report["processes"]);
    assert_eq!(report["unwatched"], 0);
    assert!(
        report["processes"]
            .as_array()
            .expect("a list")
            .iter()
            .skip(1)
            .all(|one| sent(one).contains(&"SIGTERM"))
    );
    assert!(state(pid).is_none_or(|state| state == 'Z'));
}
