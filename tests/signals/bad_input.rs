//! What cannot be meant: a clear line that names the value and where it came from, and nothing is
//! signalled.

use runsig_tests::runtime::Running;
use runsig_tests::{Case, cases, wait};

use crate::world::{IGNORES, annotate, assert_unharmed, got, noting, refused, up_with};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "bad_input":
    policies_by_annotation, policies_by_flag, plans, durations, plan_by_annotation, stop_signal_zero,
    flags_that_exclude_each_other, formats, ids, one_bad_annotation_stops_nobody, vanishing_ids];

fn policies_by_annotation() {
    for (key, value, words) in [
        ("dev.runsig.kill.on-dropped", "nothing", "must be warn, forward or kill"),
        ("dev.runsig.kill.on-dropped", "", "must be warn, forward or kill"),
        ("dev.runsig.kill.on-dropped", "Forward", "must be warn, forward or kill"),
        ("dev.runsig.kill.scope", "others-first", "must be init or all"),
        ("dev.runsig.kill.rewrite", "TERM", "is not SIGNAL=SIGNAL"),
        ("dev.runsig.kill.rewrite", "TERM=", "unknown signal \"\""),
        ("dev.runsig.kill.rewrite", "TERM=INT,TERM=HUP", "\"TERM\" is replaced twice"),
        ("dev.runsig.kill.rewrite", "KILL=TERM", "SIGKILL cannot be replaced"),
        ("dev.runsig.kill.rewrite", "TERM=FOO", "unknown signal \"FOO\""),
    ] {
        let container = noting(&[(key, value)]);
        let origin = format!("annotation {key}: {value:?}");
        refused(container.kill("15"), &[&origin, words]);
        assert_unharmed(&container);
        assert_eq!(got(&container), Vec::<i32>::new());
    }
}

fn policies_by_flag() {
    let container = noting(&[]);
    for (verb, flag, value, words) in [
        ("kill", "--on-dropped", "never", "must be warn, forward or kill"),
        ("kill", "--scope", "others-first", "must be init or all"),
        ("kill", "--rewrite", "a=b", "unknown signal \"a\""),
        ("stop", "--on-dropped", "never", "must be warn, forward or kill"),
        ("stop", "--scope", "nobody", "must be init, all or others-first"),
    ] {
        let origin = format!("{flag}: {value:?}");
        let outcome = container.runtime.call(&[verb, flag, value, container.id()]);
        refused(outcome, &[&origin, words]);
    }
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

const PLANS: [(&str, &str); 14] = [
    ("", "empty stage"),
    (",", "empty stage"),
    ("TERM:10s,", "empty stage"),
    ("TERM", "needs a time"),
    ("FOO:1s,KILL", "unknown signal \"FOO\""),
    ("TERM:1s,FOO:1s,KILL", "unknown signal \"FOO\""),
    ("TERM:,KILL", "not a time"),
    ("TERM:10,KILL:", "not a time"),
    ("TERM:1x,KILL", "not a time"),
    ("TERM:-1s,KILL", "not a time"),
    ("KILL,TERM:1s", "KILL can only be the last stage"),
    ("KILL,KILL", "KILL can only be the last stage"),
    ("0:1s,KILL", "signal 0 stops nothing"),
    ("TERM:10s;KILL", "not a time"),
];

fn plans() {
    let container = noting(&[]);
    let long = vec!["TERM:1s"; 17].join(",");
    for (plan, words) in PLANS.into_iter().chain([(&*long, "more than 16 stages")]) {
        for dry in [&[][..], &["--dry-run"]] {
            let mut args = vec!["stop", "--plan", plan, container.id()];
            args.extend(dry);
            let origin = format!("--plan: {plan:?}");
            refused(container.runtime.call(&args), &[&origin, words]);
        }
    }
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

fn plan_by_annotation() {
    for (plan, words) in [
        ("TERM", "needs a time"),
        ("TERM:1s,FOO:1s", "unknown signal"),
        ("TERM:99999d", "not a time"),
        ("TERM:9999h", "longer than 30 days"),
    ] {
        let container = noting(&[("dev.runsig.stop.plan", plan)]);
        let origin = format!("annotation dev.runsig.stop.plan: {plan:?}");
        refused(container.verb("stop", &[]), &[&origin, words]);
        assert_eq!(got(&container), Vec::<i32>::new());
        // The command line says what holds, so nobody looks at the annotation.
        container.verb("stop", &["--plan", "KILL"]).ok();
    }
}

fn durations() {
    let container = noting(&[]);
    for (text, words) in [
        ("forever", "not a time"),
        ("", "not a time"),
        ("-1", "not a time"),
        ("-5s", "not a time"),
        ("1.5s", "not a time"),
        ("10 s", "not a time"),
        ("5d", "not a time"),
        ("1s2", "not a time"),
        ("inf", "not a time"),
        ("0x10", "not a time"),
        ("721h", "longer than 30 days"),
        ("99999999999999999999", "longer than 30 days"),
        ("18446744073709551615h", "longer than 30 days"),
        ("2592001", "longer than 30 days"),
    ] {
        let origin = format!("--timeout: {text:?}");
        let outcome = container.runtime.call(&["stop", "--timeout", text, container.id()]);
        refused(outcome, &[&origin, words]);
    }
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

fn stop_signal_zero() {
    let container = noting(&[("org.opencontainers.image.stopSignal", "0")]);
    let words = ["annotation org.opencontainers.image.stopSignal", "signal 0 stops nothing"];
    refused(container.verb("stop", &[]), &words);
    assert_unharmed(&container);
}

fn flags_that_exclude_each_other() {
    let container = noting(&[]);
    let outcome = container.verb("stop", &["--timeout", "1s", "--plan", "KILL"]);
    refused(outcome, &["--timeout", "--plan"]);
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

fn formats() {
    let container = noting(&[]);
    for verb in ["stop", "signals"] {
        let outcome = container.verb(verb, &["--format", "yaml"]);
        refused(outcome, &["yaml"]);
    }
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

fn ids() {
    let container = noting(&[]);
    for verb in ["stop", "signals", "wait", "kill"] {
        for id in ["", "..", "a/b", "a b", "no-such-container"] {
            let outcome = container.runtime.call(&[verb, id]);
            assert_eq!(outcome.code, 1, "{outcome:#?}");
            let _ = outcome.one_line();
        }
        let outcome = container.runtime.call(&[verb]);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
    }
}

fn one_bad_annotation_stops_nobody() {
    let good = noting(&[]);
    let bad = noting(&[("dev.runsig.stop.plan", "nonsense")]);
    let outcome = good.runtime.call(&["stop", good.id(), bad.id()]);
    refused(outcome, &["annotation dev.runsig.stop.plan: \"nonsense\""]);
    assert_unharmed(&good);
    assert_eq!((got(&good), got(&bad)), (vec![], vec![]));
}

/// Containers are deleted while every verb looks at them: an answer, or one of the words engines know.
fn vanishing_ids() {
    for _ in 0..10 {
        let container = up_with(IGNORES, |config| annotate(config, "org.example.key", "value"));
        let calls: Vec<Running> = [
            &["kill", container.id(), "TERM"][..],
            &["kill", "--all", container.id(), "USR1"],
            &["stop", "--timeout", "5s", container.id()],
            &["stop", "--scope", "others-first", "--timeout", "5s", container.id()],
            &["signals", container.id()],
            &["state", container.id()],
            &["wait", container.id()],
        ]
        .iter()
        .map(|args| Running::start(container.runtime.command(args)))
        .collect();
        container.delete_force().ok();
        for call in calls {
            let outcome = call.finish(wait::SOON);
            assert!(outcome.code >= 0, "it hangs: {outcome:#?}");
            let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("level=error")).collect();
            let known = [
                "container does not exist",
                "container not running",
                "exit code is unknown",
                "no such process",
            ];
            let fits =
                lines.len() <= 1 && lines.iter().all(|line| known.iter().any(|words| line.contains(words)));
            let killed = outcome.command.contains("\"wait\"") && outcome.code == 137;
            assert!(fits && (killed || (outcome.code == 0) == lines.is_empty()), "{outcome:#?}");
        }
    }
}
