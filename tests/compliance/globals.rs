//! The program itself and the flags before the verb.

use std::fs;

use runsig_tests::harness::test_dir;
use runsig_tests::runtime::finish;
use runsig_tests::{Bundle, Case, Container, Value, cases, require_runsig, version, wait};

use crate::calls::{Row, refused, refused_since, row};
use crate::sleeper;

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "globals": bad_calls, bad_calls_of_later_versions, version_is_told,
    help_names_the_verbs, help_of_every_verb, unknown_verb, flags_with_one_dash, flags_with_an_equals_sign, root_by_relative_path,
    log_is_appended_to, log_as_text, debug_logs_more, errors_go_to_standard_error_too, no_log_line_without_error];

const VERBS: [&str; 17] = [
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "kill",
    "list",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "update",
    "features",
];

fn rows() -> Vec<Row> {
    vec![
        row(&["no-such-verb"], 3, &["No help topic for 'no-such-verb'"]),
        row(&["--no-such-flag", "list"], 1, &["flag provided but not defined: -no-such-flag"]).not_logged(),
        row(&["--root"], 1, &["flag needs an argument: -"]).not_logged(),
        row(&["--log-format", "xml", "list"], 1, &["invalid log-format: xml"]).not_logged(),
        row(
            &["--log", "/runsig-test-none/file", "list"],
            1,
            &["open /runsig-test-none/file: no such file or directory"],
        )
        .not_logged(),
        row(&["--log", "DIR", "list"], 1, &["is a directory"]).not_logged(),
        row(&["--debug=perhaps", "list"], 1, &["-debug: parse error"]).not_logged(),
        row(&["--root", "/", "state", "x"], 1, &["--root argument should not be set to /"])
            .since("1.2")
            .not_logged(),
        row(&["--root", "/../..", "state", "x"], 1, &["--root argument should not be set to /"])
            .since("1.2")
            .not_logged(),
        row(&["--cgroup-manager", "none", "list"], 1, &["flag provided but not defined: -cgroup-manager"])
            .runsig(1, &["unknown cgroup manager \"none\""], "crun's flag, which podman passes")
            .not_logged(),
    ]
}

fn bad_calls() {
    let container = Container::new(Bundle::new());
    container.bundle.save();
    refused(&container, &rows());
    // It is looked at when there is something to make.
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    let words = "strconv.ParseBool: parsing \"maybe\": invalid syntax";
    refused(&container, &[row(&["--rootless", "maybe", "create", "--bundle", bundle, "x"], 1, &[words])]);
}

fn bad_calls_of_later_versions() {
    refused_since(&Container::new(Bundle::new()), &rows());
}

fn version_is_told() {
    let container = Container::new(Bundle::new());
    for flag in ["--version", "-v"] {
        let outcome = container.runtime.call(&[flag]).ok();
        let mut lines = outcome.stdout.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with(&format!("{} version ", container.runtime.kind())), "{outcome:#?}");
        assert!(lines.any(|line| line.starts_with("spec: 1.")), "{outcome:#?}");
        assert!(outcome.stdout.contains("\nlibseccomp: 2."), "{outcome:#?}");
    }
}

fn help_names_the_verbs() {
    let container = Container::new(Bundle::new());
    for args in [&["--help"][..], &["-h"], &["help"], &["h"], &[]] {
        let outcome = container.runtime.call(args).ok();
        let name = format!("NAME:\n   {} - Open Container Initiative runtime", container.runtime.kind());
        assert!(outcome.stdout.starts_with(&name), "{outcome:#?}");
        for verb in VERBS {
            assert!(outcome.stdout.contains(verb), "{verb}: {outcome:#?}");
        }
    }
}

fn help_of_every_verb() {
    let container = Container::new(Bundle::new());
    for verb in VERBS {
        for args in [[verb, "--help"], [verb, "-h"], ["help", verb]] {
            let outcome = container.runtime.call(&args).ok();
            let name = format!("NAME:\n   {} {verb} - ", container.runtime.kind());
            assert!(outcome.stdout.starts_with(&name) && outcome.stderr.is_empty(), "{outcome:#?}");
        }
    }
}

fn unknown_verb() {
    let container = Container::new(Bundle::new());
    for args in [&["no-such-verb"][..], &["help", "no-such-verb"], &["no-such-verb", "--help"]] {
        let outcome = container.runtime.call(args);
        assert_eq!(outcome.code, 3, "{outcome:#?}");
        assert!(outcome.stderr.contains("No help topic for 'no-such-verb'"), "{outcome:#?}");
    }
}

/// Go's flags take one dash as well as two.
fn flags_with_one_dash() {
    let container = Container::new(sleeper());
    container.bundle.save();
    let root = container.runtime.root.to_string_lossy().into_owned();
    let bundle = container.bundle.dir.to_string_lossy().into_owned();
    let call = |args: &[&str]| {
        let mut command = std::process::Command::new(&container.runtime.program);
        command.args(["-root", &root]).args(args);
        finish(command, wait::SOON)
    };
    let file = test_dir().join("pid");
    call(&[
        "create",
        "-bundle",
        &bundle,
        "-no-pivot=false",
        &format!("-pid-file={}", file.display()),
        container.id(),
    ])
    .ok();
    assert_eq!(fs::read_to_string(file).expect("a pid file"), container.pid().to_string());
    call(&["start", container.id()]).ok();
    let said =
        call(&["exec", "-env", "A=-b", "-cwd", "/tmp", container.id(), "sh", "-c", "echo $A $PWD"]).ok();
    assert_eq!(said.text(), "-b /tmp");
    assert!(call(&["list", "-quiet"]).ok().stdout.contains(container.id()));
    call(&["delete", "-force", container.id()]).ok();
}

fn flags_with_an_equals_sign() {
    let container = Container::new(sleeper());
    container.bundle.save();
    let bundle = format!("--bundle={}", container.bundle.dir.display());
    container.runtime.call(&["--debug=false", "create", &bundle, "--no-pivot=0", container.id()]).ok();
    assert_eq!(container.runtime.call(&["list", "--quiet=true"]).ok().text(), container.id());
    let short = format!("-b={}", container.bundle.dir.display());
    container.delete_force().ok();
    container.runtime.call(&["create", &short, container.id()]).ok();
    container.runtime.call(&["delete", "-f=true", container.id()]).ok();
}

fn root_by_relative_path() {
    let container = Container::created(sleeper());
    let mut command = std::process::Command::new(&container.runtime.program);
    command.args(["--root", "x/.././state", "list", "-q"]).current_dir(test_dir());
    assert_eq!(finish(command, wait::SOON).ok().text(), container.id());
}

fn log(container: &Container, globals: &[&str], verb: &[&str]) -> String {
    let file = test_dir().join("log");
    let mut args = vec!["--log", file.to_str().expect("utf-8")];
    args.extend(globals);
    args.extend(verb);
    let _ = container.runtime.call(&args);
    fs::read_to_string(file).expect("a log")
}

fn log_is_appended_to() {
    let container = Container::new(Bundle::new());
    for count in 1..=2 {
        let text = log(&container, &["--log-format", "json"], &["start", "nobody"]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), count);
        for line in lines {
            let keys: Vec<_> = line.as_object().expect("an object").keys().cloned().collect();
            assert_eq!(keys, ["level", "msg", "time"]);
            assert_eq!((&line["level"], &line["msg"]), (&"error".into(), &"container does not exist".into()));
            assert!(
                line["time"].as_str().is_some_and(|time| time.starts_with("20") && time.contains('T')),
                "{line}"
            );
        }
    }
}

fn log_as_text() {
    let container = Container::new(Bundle::new());
    for format in [&[][..], &["--log-format", "text"], &["--log-format="]] {
        let text = log(&container, format, &["start", "nobody"]);
        let last = text.lines().last().expect("a line");
        assert!(last.starts_with("time=\"20"), "{text}");
        assert!(last.ends_with("level=error msg=\"container does not exist\""), "{text}");
    }
}

fn debug_logs_more() {
    let container = Container::new(Bundle::new());
    container.bundle.save();
    let bundle = container.bundle.dir.to_string_lossy().into_owned();
    let text =
        log(&container, &["--debug", "--log-format", "json"], &["run", "--bundle", &bundle, container.id()]);
    assert!(text.contains("\"level\":\"debug\""), "{text}");
}

fn errors_go_to_standard_error_too() {
    let container = Container::new(Bundle::new());
    let file = test_dir().join("log");
    let file = file.to_str().expect("utf-8");
    let outcome = container.runtime.call(&["--log", file, "state", "nobody"]);
    assert_eq!(outcome.fails(1, &[]).stderr, "container does not exist\n");
    let outcome = container.runtime.call(&["state", "nobody"]).fails(1, &[]).one_line();
    assert!(outcome.stderr.starts_with("time=\"20"), "{outcome:#?}");
    assert!(outcome.stderr.contains(" level=error msg=\"container does not exist\""), "{outcome:#?}");
    let outcome =
        container.runtime.call(&["--log-format", "json", "state", "nobody"]).fails(1, &[]).one_line();
    let line: Value = serde_json::from_str(&outcome.stderr).expect("JSON");
    assert_eq!(line["msg"], "container does not exist");
}

fn no_log_line_without_error() {
    let container = Container::created(sleeper());
    version::since("1.2", "no warning about the machine's cgroups");
    require_runsig("runc warns of what it finds odd about a machine");
    assert_eq!(log(&container, &[], &["state", container.id()]), "");
}
