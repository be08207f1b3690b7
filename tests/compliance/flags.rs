//! Every flag of every verb with a value that it cannot have, or without one.
//!
//! What a flag does with a well-formed value that cannot be is in the file of its verb. That no flag is missing here is
//! seen from the runtime's own help.

use std::collections::BTreeSet;

use runsig_tests::{Bundle, Case, Container, cases};

use crate::calls::{Row, refused, refused_since, row};
use crate::in_state;

/// The tests of this file.
pub const CASES: &[Case] =
    cases![V2 "flags": bad_values, bad_values_of_later_versions, none_is_missing, given_twice];

/// What follows a flag.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Number,
    Duration,
    /// Runsig's own flag: tests/signals/bad_input.rs has its bad values.
    Own,
}

use Kind::{Bool, Duration, Number, Own, Text};

/// Verb, flag, what it takes, and the version of runc that has it, when it is a later one.
const FLAGS: &[(&str, &str, Kind, &str)] = &[
    ("create", "bundle", Text, ""),
    ("create", "console-socket", Text, ""),
    ("create", "pidfd-socket", Text, "1.2"),
    ("create", "pid-file", Text, ""),
    ("create", "no-pivot", Bool, ""),
    ("create", "no-new-keyring", Bool, ""),
    ("create", "preserve-fds", Number, ""),
    ("create", "init", Own, ""),
    ("create", "config", Own, ""),
    ("run", "bundle", Text, ""),
    ("run", "console-socket", Text, ""),
    ("run", "pidfd-socket", Text, "1.2"),
    ("run", "pid-file", Text, ""),
    ("run", "no-pivot", Bool, ""),
    ("run", "no-new-keyring", Bool, ""),
    ("run", "preserve-fds", Number, ""),
    ("run", "detach", Bool, ""),
    ("run", "keep", Bool, "1.1"),
    ("run", "no-subreaper", Bool, ""),
    ("run", "init", Own, ""),
    ("run", "config", Own, ""),
    ("exec", "console-socket", Text, ""),
    ("exec", "pidfd-socket", Text, "1.2"),
    ("exec", "cwd", Text, ""),
    ("exec", "env", Text, ""),
    ("exec", "tty", Bool, ""),
    ("exec", "user", Text, ""),
    ("exec", "additional-gids", Number, ""),
    ("exec", "process", Text, ""),
    ("exec", "detach", Bool, ""),
    ("exec", "pid-file", Text, ""),
    ("exec", "process-label", Text, ""),
    ("exec", "apparmor", Text, ""),
    ("exec", "no-new-privs", Bool, ""),
    ("exec", "cap", Text, ""),
    ("exec", "preserve-fds", Number, ""),
    ("exec", "cgroup", Text, "1.1"),
    ("exec", "ignore-paused", Bool, "1.1"),
    ("exec", "name", Own, ""),
    ("kill", "all", Bool, ""),
    ("kill", "regex", Own, ""),
    ("kill", "exec", Own, ""),
    ("kill", "group", Own, ""),
    ("kill", "scope", Own, ""),
    ("kill", "on-dropped", Own, ""),
    ("kill", "rewrite", Own, ""),
    ("delete", "force", Bool, ""),
    ("delete", "regex", Own, ""),
    ("list", "format", Text, ""),
    ("list", "quiet", Bool, ""),
    ("ps", "format", Text, ""),
    ("update", "resources", Text, ""),
    ("update", "blkio-weight", Text, ""),
    ("update", "cpu-period", Text, ""),
    ("update", "cpu-quota", Text, ""),
    ("update", "cpu-burst", Text, "1.2"),
    ("update", "cpu-share", Text, ""),
    ("update", "cpu-rt-period", Text, ""),
    ("update", "cpu-rt-runtime", Text, ""),
    ("update", "cpuset-cpus", Text, ""),
    ("update", "cpuset-mems", Text, ""),
    ("update", "memory", Text, ""),
    ("update", "cpu-idle", Text, "1.2"),
    ("update", "memory-reservation", Text, ""),
    ("update", "memory-swap", Text, ""),
    ("update", "pids-limit", Number, ""),
    ("update", "l3-cache-schema", Text, ""),
    ("update", "mem-bw-schema", Text, ""),
    ("events", "interval", Duration, ""),
    ("events", "stats", Bool, ""),
    ("checkpoint", "image-path", Text, ""),
    ("checkpoint", "work-path", Text, ""),
    ("checkpoint", "parent-path", Text, ""),
    ("checkpoint", "leave-running", Bool, ""),
    ("checkpoint", "tcp-established", Bool, ""),
    ("checkpoint", "tcp-skip-in-flight", Bool, "1.2"),
    ("checkpoint", "link-remap", Bool, "1.3"),
    ("checkpoint", "ext-unix-sk", Bool, ""),
    ("checkpoint", "shell-job", Bool, ""),
    ("checkpoint", "lazy-pages", Bool, ""),
    ("checkpoint", "status-fd", Number, ""),
    ("checkpoint", "page-server", Text, ""),
    ("checkpoint", "file-locks", Bool, ""),
    ("checkpoint", "pre-dump", Bool, ""),
    ("checkpoint", "manage-cgroups-mode", Text, ""),
    ("checkpoint", "empty-ns", Text, ""),
    ("checkpoint", "auto-dedup", Bool, ""),
    ("restore", "console-socket", Text, ""),
    ("restore", "image-path", Text, ""),
    ("restore", "work-path", Text, ""),
    ("restore", "tcp-established", Bool, ""),
    ("restore", "ext-unix-sk", Bool, ""),
    ("restore", "shell-job", Bool, ""),
    ("restore", "file-locks", Bool, ""),
    ("restore", "manage-cgroups-mode", Text, ""),
    ("restore", "bundle", Text, ""),
    ("restore", "detach", Bool, ""),
    ("restore", "pid-file", Text, ""),
    ("restore", "no-subreaper", Bool, ""),
    ("restore", "no-pivot", Bool, ""),
    ("restore", "empty-ns", Text, ""),
    ("restore", "auto-dedup", Bool, ""),
    ("restore", "lazy-pages", Bool, ""),
    ("restore", "lsm-profile", Text, "1.1"),
    ("restore", "lsm-mount-context", Text, "1.1"),
    ("spec", "bundle", Text, ""),
    ("spec", "rootless", Bool, ""),
];

/// Flags of all verbs, which some versions of runc name in the help of each.
const OF_ALL: [&str; 8] =
    ["help", "debug", "log", "log-format", "root", "criu", "systemd-cgroup", "rootless"];

/// What the verb wants besides flags.
fn rest(verb: &str) -> &'static [&'static str] {
    match verb {
        "list" | "spec" => &[],
        "create" | "run" | "restore" => &["x"],
        "exec" => &["ID", "true"],
        _ => &["ID"],
    }
}

fn rows(verb: &str, flag: &str, kind: Kind) -> Vec<Row> {
    let call = |words: &[&str], with: &[&str], said: &str| row(&[&[verb], words, with].concat(), 1, &[said]);
    let name = format!("--{flag}");
    let alone = || call(&[&name], &[], "flag needs an argument: -");
    let given = |values: &[&str]| {
        let row = |value: &&str| {
            call(&[&name, value], rest(verb), &format!("invalid value \"{value}\" for flag -{flag}: "))
        };
        values.iter().map(row).chain([alone()]).collect()
    };
    match kind {
        Bool => vec![call(&[&format!("{name}=maybe")], rest(verb), &format!("-{flag}: parse error"))],
        Text => vec![alone()],
        Number => given(&["x", "1.5", "", "99999999999999999999"]),
        Duration => given(&["x", "5", "5 s", ""]),
        Own => Vec::new(),
    }
}

fn all() -> Vec<Row> {
    let mut all = Vec::new();
    for (verb, flag, kind, since) in FLAGS {
        let rows = rows(verb, flag, *kind).into_iter();
        all.extend(rows.map(|row| if since.is_empty() { row } else { row.since(since) }));
    }
    all
}

fn bad_values() {
    refused(&in_state("running"), &all());
}

fn bad_values_of_later_versions() {
    refused_since(&in_state("running"), &all());
}

fn none_is_missing() {
    let container = Container::new(Bundle::new());
    let verbs: BTreeSet<_> =
        FLAGS.iter().map(|row| row.0).chain(["start", "state", "pause", "resume"]).collect();
    let mut missing = Vec::new();
    for verb in verbs {
        let flags = flags_of(&container.runtime.call(&[verb, "--help"]).ok().stdout);
        assert!(!flags.is_empty() || rest(verb) == ["ID"], "no flag in the help of {verb}");
        let known = |flag: &str| FLAGS.iter().any(|row| (row.0, row.1) == (verb, flag));
        let new = flags.into_iter().filter(|flag| !known(flag) && !OF_ALL.contains(&flag.as_str()));
        missing.extend(new.map(|flag| format!("{verb} --{flag}")));
    }
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

/// The long names at the beginning of the lines of a help text.
fn flags_of(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let names = lines.filter_map(|line| {
        let name = line.split([' ', ',', '=']).find_map(|word| word.strip_prefix("--"))?;
        Some(name.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect())
    });
    names.filter(|name: &String| !name.is_empty()).collect()
}

/// As in runc, the last one counts.
fn given_twice() {
    let container = in_state("running");
    let twice =
        ["exec", "--cwd", "/tmp", "--cwd", "/etc", "--tty=true", "--tty=false", container.id(), "pwd"];
    assert_eq!(container.runtime.call(&twice).ok().text(), "/etc");
    let lists = ["list", "--format", "table", "--format", "json"];
    assert!(container.runtime.call(&lists).ok().text().starts_with('['));
}
