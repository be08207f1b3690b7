//! `list`.

use runsig_tests::{Bundle, Case, Container, cases};

use crate::calls::{refused, refused_since, row};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "list": bad_calls, unknown_root, table, quiet, json, nothing_to_list, a_broken_one,
    a_stopped_one];

fn bad_calls() {
    refused(
        &in_state("created"),
        &[
            row(&["list", "ID"], 1, &["\"list\" requires exactly 0 argument(s)"]),
            row(&["list", "--no-such-flag"], 1, &["flag provided but not defined: -no-such-flag"]),
            row(&["list", "--format"], 1, &["flag needs an argument: -"]),
            row(&["list", "--format", "yaml"], 1, &["invalid format option"]),
            row(&["list", "--quiet=perhaps"], 1, &["-quiet: parse error"]),
        ],
    );
}

fn unknown_root() {
    let words = ["open /runsig-test-none/root: no such file or directory"];
    refused_since(
        &Container::new(Bundle::new()),
        &[row(&["--root", "/runsig-test-none/root", "list"], 1, &words).since("1.2")],
    );
}

fn table() {
    let first = Container::running(sleeper());
    let second = Container::created(sleeper());
    for format in [&["list"][..], &["list", "--format", "table"], &["list", "-f", "table"]] {
        let outcome = first.runtime.call(format).ok();
        let mut lines = outcome.stdout.lines();
        let header = lines.next().expect("a header");
        assert_eq!(
            header.split_whitespace().collect::<Vec<_>>(),
            ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        );
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 2, "{outcome:#?}");
        for (row, (container, status)) in rows.iter().zip([(&first, "running"), (&second, "created")]) {
            let pid = container.pid().to_string();
            assert_eq!(
                row[..4],
                [container.id(), &pid, status, container.bundle.dir.to_str().expect("utf-8")]
            );
            assert!(row[4].starts_with("20") && row[5] == "root", "{row:?}");
            // Columns are at least twelve wide and three blanks apart.
            let of = |word: &str| outcome.stdout.lines().find_map(|line| line.find(word)).expect("there");
            assert_eq!(header.find("STATUS"), Some(of(status)));
        }
    }
}

fn quiet() {
    let containers = [Container::running(sleeper()), Container::created(sleeper())];
    for args in [
        &["list", "-q"][..],
        &["list", "--quiet"],
        &["list", "-q", "-f", "json"],
        &["list", "-q", "-f", "yaml"],
    ] {
        let outcome = containers[0].runtime.call(args).ok();
        assert_eq!(outcome.stdout, format!("{}\n{}\n", containers[0].id(), containers[1].id()));
    }
}

fn json() {
    let bundle = sleeper().with(|config| config["annotations"]["a"] = "b".into());
    let container = Container::running(bundle);
    let outcome = container.runtime.call(&["list", "--format", "json"]).ok();
    assert_eq!(outcome.stdout.lines().count(), 1);
    let list = outcome.json();
    let entry = &list.as_array().expect("a list")[0];
    let keys: Vec<_> = entry.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["annotations", "bundle", "created", "id", "ociVersion", "owner", "pid", "rootfs", "status"]
    );
    let state = container.state();
    for key in ["annotations", "bundle", "created", "id", "ociVersion", "pid", "rootfs", "status"] {
        assert_eq!(entry[key], state[key], "{key}");
    }
    assert_eq!(entry["owner"], "root");
}

fn nothing_to_list() {
    let container = Container::new(Bundle::new());
    assert_eq!(container.runtime.call(&["list", "-q"]).ok().stdout, "");
    assert_eq!(container.runtime.call(&["list", "-f", "json"]).ok().stdout, "null\n");
    assert_eq!(container.runtime.call(&["list"]).ok().stdout.lines().count(), 1);
}

/// One that cannot be read is told about and does not hide the others.
fn a_broken_one() {
    let container = Container::created(sleeper());
    for (name, content) in [("broken", Some("{")), ("empty", None)] {
        let dir = container.runtime.root.join(name);
        std::fs::create_dir(&dir).expect("mkdir");
        if let Some(content) = content {
            std::fs::write(dir.join("state.json"), content).expect("write");
        }
    }
    std::fs::write(container.runtime.root.join("a-file"), "").expect("write");
    let outcome = container.runtime.call(&["list", "-q"]).ok();
    assert_eq!(outcome.text(), container.id());
    assert!(outcome.stderr.contains("load container broken: "), "{outcome:#?}");
    assert!(outcome.stderr.contains("load container empty: container does not exist"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("a-file"), "{outcome:#?}");
}

fn a_stopped_one() {
    let container = in_state("stopped");
    let list = container.runtime.call(&["list", "-f", "json"]).ok().json();
    assert_eq!((&list[0]["pid"], &list[0]["status"]), (&0.into(), &"stopped".into()));
}
