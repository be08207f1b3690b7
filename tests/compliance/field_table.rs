//! Tables of bad values: what config.json is given, and what the runtime says to it.
//!
//! Owns: a row, and what is checked of every one of them: the exit code, the words, and that nothing is left of
//! what was refused. Must not: know any field.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Container, Outcome, Value, json, skip, version};

/// One bad value.
#[derive(Clone)]
pub(crate) struct Bad {
    what: String,
    change: Change,
    words: &'static str,
    ours: Option<&'static str>,
    since: Option<&'static str>,
    accepted: bool,
}

#[derive(Clone)]
enum Change {
    /// A field with dots between its parts (`-` is one more entry of a list) and its value.
    Field(&'static str, Value),
    /// The whole text of config.json.
    Text(String),
}

/// A field, a value it cannot have, and what the error says of it.
pub(crate) fn bad(field: &'static str, value: Value, words: &'static str) -> Bad {
    let what = format!("{field} = {}", shortened(&value.to_string()));
    Bad { what, change: Change::Field(field, value), words, ours: None, since: None, accepted: false }
}

/// A text that is no config.json.
pub(crate) fn bad_text(text: impl Into<String>, words: &'static str) -> Bad {
    let text = text.into();
    let what = format!("the text {:?}", shortened(&text));
    Bad { what, change: Change::Text(text), words, ours: None, since: None, accepted: false }
}

impl Bad {
    /// runc does so since this version; an older one is not asked.
    pub(crate) fn since(mut self, version: &'static str) -> Bad {
        self.since = Some(version);
        self
    }

    /// What the error says.
    pub(crate) fn says(mut self, words: &'static str) -> Bad {
        self.words = words;
        self
    }

    /// Sets one thing more in the value; a number is a place in a list.
    pub(crate) fn set(&mut self, path: &str, to: Value) {
        let Change::Field(_, value) = &mut self.change else { panic!("a text has no fields") };
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer =
            if parents.is_empty() { String::new() } else { format!("/{}", parents.replace('.', "/")) };
        value.pointer_mut(&pointer).expect("it is there")[last] = to;
    }

    /// Runsig says it in these words.
    pub(crate) fn runsig(mut self, words: &'static str) -> Bad {
        self.ours = Some(words);
        self
    }

    /// runc takes it: the row says what it makes of it, and that is why Runsig refuses.
    pub(crate) fn but_runc(mut self, makes_of_it: &'static str) -> Bad {
        assert!(!makes_of_it.is_empty(), "a difference has a reason");
        self.accepted = true;
        self
    }

    fn field_and_version(&self) -> String {
        let field = self.what.split(" = ").next().unwrap_or_default();
        format!("{field} ({})", self.since.unwrap_or_default())
    }

    /// What is wrong with a refusal, or with the lack of one.
    fn judge(&self, kind: &str, outcome: &Outcome) -> Option<String> {
        if self.accepted && kind != "runsig" {
            return (outcome.code != 0).then(|| "it should be accepted".to_owned());
        }
        let words = self.ours.filter(|_| kind == "runsig").unwrap_or(self.words);
        // In a text log quotes and backslashes are escaped.
        let text = outcome.stderr.replace("\\\"", "\"").replace("\\\\", "\\");
        let errors = text.lines().filter(|line| line.contains("level=error")).count();
        if outcome.code != 1 {
            Some(format!("exit code {}", outcome.code))
        } else if errors == 0 || (errors > 1 && kind == "runsig") {
            // runc's in-between processes have their own lines.
            Some(format!("{errors} lines of error"))
        } else {
            (!text.contains(words)).then(|| format!("no {words:?}"))
        }
    }
}

/// Goes from row to row with one bundle; tells all that went otherwise at once. Skips, naming them, the rows that the
/// runtime is too old for, after the others.
#[track_caller]
pub(crate) fn check(rows: Vec<Bad>) {
    let container = Container::new(Bundle::new());
    let count = rows.len();
    let (known, unknown): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.since.is_none_or(version::at_least));
    let problems: Vec<String> = known.iter().filter_map(|row| problem(&container, row)).collect();
    assert!(problems.is_empty(), "{} of {count} differ:\n{}", problems.len(), problems.join("\n"));
    if !unknown.is_empty() {
        let mut names: Vec<_> = unknown.iter().map(Bad::field_and_version).collect();
        names.dedup();
        skip(format!("{} of {count} are refused by a later runc only: {}", unknown.len(), names.join(", ")));
    }
}

fn problem(container: &Container, row: &Bad) -> Option<String> {
    let text = row.text(&container.bundle.config);
    fs::write(container.bundle.dir.join("config.json"), text).expect("config.json");
    let before = Before::now(&container.runtime);
    let dir = container.bundle.dir.to_string_lossy();
    let outcome = container.runtime.call(&["create", "--bundle", &dir, container.id()]);
    let wrong = row.judge(&container.runtime.kind(), &outcome);
    if outcome.code == 0 {
        let _ = container.delete_force();
    }
    let left = before.leftovers(&container.runtime, &container.bundle);
    let left = (!left.is_empty()).then(|| format!("left behind: {left:?}"));
    if wrong.is_none() && left.is_none() {
        return None;
    }
    let _ = container.delete_force();
    let wrong: Vec<_> = wrong.into_iter().chain(left).collect();
    Some(format!("{}: {}; said {}", row.what, wrong.join(", "), shortened(&outcome.stderr)))
}

impl Bad {
    fn text(&self, config: &Value) -> String {
        match &self.change {
            Change::Text(text) => text.clone(),
            Change::Field(field, value) => {
                let mut config = config.clone();
                *slot(&mut config, field) = value.clone();
                config.to_string()
            }
        }
    }
}

/// Makes room for a field, so that it can be set.
fn slot<'a>(config: &'a mut Value, field: &str) -> &'a mut Value {
    field.split('.').fold(config, |at, part| {
        if part == "-" {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().expect("a list");
            list.push(Value::Null);
            list.last_mut().expect("just pushed")
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            &mut at[part]
        }
    })
}

fn shortened(text: &str) -> String {
    if text.len() <= 250 { text.to_owned() } else { text.chars().take(250).collect::<String>() + "..." }
}
