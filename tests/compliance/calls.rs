//! Tables of calls that are refused: each line says the arguments, the exit code and the words.
//!
//! Owns: making such a call with a log file, and what is checked of every one of them: the exit code, the
//! words on standard error, the same words in the last line of the JSON log, and that nothing is left.
//! Must not: know what any verb means.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{LIMIT, finish, scratch};
use runsig_tests::{Container, Outcome, Value, cgroup, skip, version};

/// One refused call.
#[derive(Clone)]
pub(crate) struct Row {
    args: Vec<String>,
    code: i32,
    words: Vec<String>,
    since: Option<&'static str>,
    ours: Option<(i32, Vec<String>)>,
    logged: bool,
}

/// A call that is refused with an exit code and with words on standard error. In the arguments `ID` is the
/// container's id, and `DIR` an empty directory.
pub(crate) fn row(args: &[&str], code: i32, words: &[&str]) -> Row {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Row { args: owned(args), code, words: owned(words), since: None, ours: None, logged: true }
}

impl Row {
    /// runc does so since this version; an older one is not asked.
    pub(crate) fn since(mut self, version: &'static str) -> Row {
        self.since = Some(version);
        self
    }

    /// Runsig answers otherwise, on purpose: `why` says what for. Exit code 0 means that it does what it is told.
    pub(crate) fn runsig(mut self, code: i32, words: &[&str], why: &'static str) -> Row {
        assert!(!why.is_empty(), "a difference has a reason");
        self.ours = Some((code, words.iter().map(|word| (*word).to_owned()).collect()));
        self
    }

    /// The mistake is in the globals, so that no log file is known yet.
    pub(crate) fn not_logged(mut self) -> Row {
        self.logged = false;
        self
    }

    fn expected(&self, kind: &str) -> (i32, &[String]) {
        match &self.ours {
            Some((code, words)) if kind == "runsig" => (*code, words),
            _ => (self.code, &self.words),
        }
    }

    fn describe(&self) -> String {
        self.args.join(" ")
    }
}

/// Makes every call that runc has always refused so; tells all that went otherwise at once.
#[track_caller]
pub(crate) fn refused(container: &Container, rows: &[Row]) {
    let rows: Vec<_> = rows.iter().filter(|row| row.since.is_none()).cloned().collect();
    check(container, &rows);
}

/// Makes the calls whose answer is newer than some runc; skips, naming them, when the runtime is older than one.
#[track_caller]
pub(crate) fn refused_since(container: &Container, rows: &[Row]) {
    let newer: Vec<_> = rows.iter().filter(|row| row.since.is_some()).cloned().collect();
    assert!(!newer.is_empty(), "a table without such rows needs no such test");
    let (known, unknown): (Vec<_>, Vec<_>) =
        newer.into_iter().partition(|row| row.since.is_none_or(version::at_least));
    check(container, &known);
    if !unknown.is_empty() {
        let list: Vec<_> = unknown
            .iter()
            .map(|row| format!("`{}` ({})", row.describe(), row.since.unwrap_or_default()))
            .collect();
        skip(format!("{} answers of a later runc: {}", list.len(), list.join(", ")));
    }
}

#[track_caller]
fn check(container: &Container, rows: &[Row]) {
    let problems: Vec<String> = rows.iter().filter_map(|row| problem(container, row)).collect();
    assert!(
        problems.is_empty(),
        "{} of {} calls differ:\n{}",
        problems.len(),
        rows.len(),
        problems.join("\n")
    );
}

/// What is wrong with the answer to one call.
fn problem(container: &Container, row: &Row) -> Option<String> {
    let before = Before::now(&container.runtime);
    let cgroups = cgroup::directories(&container.bundle.cgroup());
    let log = scratch("log");
    let dir = scratch("dir");
    fs::create_dir(&dir).expect("mkdir");
    let place = |arg: &String| match arg.as_str() {
        "ID" => container.id().to_owned(),
        other => other.replace("DIR", &dir.to_string_lossy()),
    };
    let mut command = container.runtime.command(&["--log", &log.to_string_lossy(), "--log-format", "json"]);
    command.args(row.args.iter().map(place)).current_dir(&dir);
    let outcome = finish(command, LIMIT);
    let (code, words) = row.expected(&container.runtime.kind());
    let mut wrong = Vec::new();
    if outcome.code != code {
        wrong.push(format!("exit code {} instead of {code}", outcome.code));
    }
    for word in words.iter().filter(|word| !outcome.stderr.contains(*word)) {
        wrong.push(format!("standard error lacks {word:?}"));
    }
    if code != 0 && row.logged && !told_alone(&container.runtime.kind(), &outcome) {
        wrong.extend(log_problem(&fs::read_to_string(&log).unwrap_or_default(), words));
    }
    let left = before.new_things(&container.runtime);
    wrong.extend(left.into_iter().map(|thing| format!("left behind: {thing}")));
    if cgroup::directories(&container.bundle.cgroup()) != cgroups {
        wrong.push("the cgroups are other than before".to_owned());
    }
    (!wrong.is_empty())
        .then(|| format!("{}\n  {}\n  said: {:?}", row.describe(), wrong.join("\n  "), shortened(&outcome)))
}

/// runc main tells a wrong command line on standard error alone.
fn told_alone(kind: &str, outcome: &Outcome) -> bool {
    kind == "runc" && version::at_least("1.4") && outcome.stderr.starts_with("Incorrect Usage")
}

/// Engines read the message of the last line whose level is error.
fn log_problem(log: &str, words: &[String]) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let Some(last) = lines.rfind(|line| line["level"] == "error") else {
        return Some(format!("no error in the log: {log:?}"));
    };
    let message = last["msg"].as_str().unwrap_or_default();
    let missing = words.iter().find(|word| !message.contains(*word))?;
    Some(format!("the log's last error lacks {missing:?}: {message:?}"))
}

fn shortened(outcome: &Outcome) -> String {
    outcome.stderr.chars().take(300).collect()
}

/// The rows that hold for every verb: how many arguments there must be, an unknown flag, an empty, an
/// ill-formed and an unknown id. `rest` is what may follow the id.
pub(crate) fn usual(verb: &str, code: i32, counts: &str, rest: &[&str]) -> Vec<Row> {
    let with_id = |id: &str, words: &str| row(&[&[verb, id], rest].concat(), code, &[words]);
    vec![
        row(&[verb], 1, &[&format!("{verb:?} requires {counts} argument(s)")]),
        row(&[verb, "--no-such-flag", "ID"], 1, &["flag provided but not defined: -no-such-flag"]),
        with_id("", "container id cannot be empty"),
        with_id("../x", "invalid container ID format"),
        with_id("a/b", "invalid container ID format"),
        with_id("no-such-id", "container does not exist"),
    ]
}
