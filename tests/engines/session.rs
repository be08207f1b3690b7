//! One scenario with one engine and one runtime: what was asked, and a record of every answer.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use runsig_tests::{Outcome, Runtime, cgroup, harness, needs, procs, wait};

use crate::compare::LAST_PANIC;
use crate::engine::{Container, Engine, Exec, Limits, Owner, Side, Talk};

/// How a scenario went.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What it saw, without names, numbers and paths that differ from run to run.
    pub(crate) record: Vec<String>,
    /// What it died of.
    pub(crate) panic: Option<String>,
}

/// What a scenario works with.
pub(crate) struct Session<'a> {
    engine: &'a dyn Engine,
    pub(crate) owner: Owner,
    record: RefCell<Vec<String>>,
    /// Containers that may have to be removed.
    made: RefCell<Vec<String>>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(engine: &'a dyn Engine, owner: Owner) -> Session<'a> {
        Session { engine, owner, record: RefCell::default(), made: RefCell::default() }
    }

    /// Plays the scenario, removes all it made, and looks for what is left.
    pub(crate) fn play(self, body: fn(&Session<'_>)) -> Ended {
        let result = catch_unwind(AssertUnwindSafe(|| body(&self)));
        let panic = result.err().map(|_| LAST_PANIC.take());
        let cleared = catch_unwind(AssertUnwindSafe(|| {
            let made = self.made.take();
            if !made.is_empty() {
                self.engine.clear(&self.owner, &made);
            }
            self.look_for_leftovers();
        }));
        let panic = panic.or_else(|| cleared.err().map(|_| LAST_PANIC.take()));
        let _ = std::fs::remove_dir_all(&self.owner.dir);
        Ended { record: self.record.into_inner(), panic }
    }

    /// Records a fact, a line for each of its lines.
    pub(crate) fn note(&self, label: &str, text: &str) {
        let clean = self.clean(text);
        let mut record = self.record.borrow_mut();
        if clean.is_empty() {
            record.push(format!("{label}:"));
        }
        record.extend(clean.lines().map(|line| format!("{label}: {line}")));
    }

    fn note_outcome(&self, label: &str, outcome: &Outcome) {
        self.note(label, &format!("exit {}", outcome.code));
        for (kind, text) in [("out", &outcome.stdout), ("err", &outcome.stderr)] {
            if !self.clean(text).is_empty() {
                self.note(&format!("{label} {kind}"), text.trim_end());
            }
        }
    }

    /// Records an answer of the engine and hands it on.
    fn noted(&self, label: &str, outcome: Outcome) -> Outcome {
        self.note_outcome(label, &outcome);
        outcome
    }

    /// Takes out what differs from run to run: names, paths, identifiers, which runtime it is.
    fn clean(&self, text: &str) -> String {
        let owner = &self.owner;
        let mut text = text.replace(&owner.dir.to_string_lossy().into_owned(), "DIR");
        text = text.replace(&harness::test_dir().to_string_lossy().into_owned(), "WORLD");
        text = text.replace(&owner.prefix, "").replace('\r', "");
        text = text.replace(&owner.cgroup, "CGROUP");
        let runtime = match owner.side {
            Side::Runc => "runc".to_string(),
            Side::Tested => Runtime::kind_of(&Runtime::path()),
        };
        text = text.replace(&Runtime::path().to_string_lossy().into_owned(), "RUNTIME");
        text = text
            .replace("/usr/sbin/runc", "RUNTIME")
            .replace("tested: ", "RUNTIME: ")
            .replace(&format!("{runtime}: "), "RUNTIME: ");
        text = text.replace(&format!("{runtime} create failed"), "RUNTIME create failed");
        let text = VARYING.iter().fold(told(&text), |text, (before, after)| hide(&text, before, after));
        hide_identifiers(&text)
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, container: &Container<'_>) -> Outcome {
        let outcome = self.engine.run(&self.owner, container);
        if [1, 125, 126, 127].contains(&outcome.code) {
            self.will_remove(container.name);
        }
        self.noted(&format!("run {}", container.name), outcome)
    }

    /// As [`Session::run`], with demands on the exit code.
    #[track_caller]
    pub(crate) fn run_to(&self, code: i32, container: &Container<'_>) -> Outcome {
        let outcome = self.run(container);
        assert_eq!(outcome.code, code, "{outcome:#?}");
        outcome
    }

    /// Starts a container and waits until its program has said `ready`.
    #[track_caller]
    pub(crate) fn start(&self, container: &Container<'_>) {
        self.will_remove(container.name);
        let outcome = self.engine.start(&self.owner, container);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        self.expect_ready(container.name);
    }

    /// Has a container removed at the end.
    pub(crate) fn will_remove(&self, name: &str) {
        self.made.borrow_mut().push(name.to_string());
    }

    #[track_caller]
    pub(crate) fn expect_ready(&self, name: &str) {
        let ready = || {
            let ready = self.engine.peek(&self.owner, name).contains("ready");
            if !ready {
                std::thread::sleep(Duration::from_millis(20));
            }
            ready
        };
        let limit = Duration::from_secs(30) * needs::patience();
        assert!(wait::until(limit, ready), "{name} is not ready: {:#?}", self.engine.logs(&self.owner, name));
    }

    pub(crate) fn logs(&self, name: &str) -> Outcome {
        self.noted(&format!("logs {name}"), self.engine.logs(&self.owner, name))
    }

    /// Waits for a container's end and demands its exit code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, name: &str) {
        let outcome = self.noted(&format!("wait {name}"), self.engine.wait(&self.owner, name));
        assert_eq!(outcome.text(), code.to_string(), "{outcome:#?}");
    }

    pub(crate) fn state(&self, name: &str) -> String {
        let state = self.engine.state(&self.owner, name);
        self.note(&format!("state {name}"), &state);
        state
    }

    /// Waits until the engine no longer shows it as running, without a record.
    #[track_caller]
    pub(crate) fn expect_ended(&self, name: &str) {
        let running = || self.engine.state(&self.owner, name).to_lowercase().contains("running");
        crate::image::patiently("its end", || !running());
    }

    /// Waits until the state holds a word, without a record.
    #[track_caller]
    pub(crate) fn expect_state(&self, name: &str, word: &str) {
        let mut state = String::new();
        let reached = wait::until(Duration::from_secs(30) * needs::patience(), || {
            state = self.engine.state(&self.owner, name);
            let reached = state.to_lowercase().contains(word);
            if !reached {
                std::thread::sleep(Duration::from_millis(50));
            }
            reached
        });
        assert!(reached, "{name} should be {word}, and is {state}");
    }

    pub(crate) fn exec(&self, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome {
        let label = format!("exec {}", args.last().unwrap_or(&"").split(';').next().unwrap_or_default());
        self.noted(&label, self.engine.exec(&self.owner, name, how, args))
    }

    /// A conversation with a program of the container.
    pub(crate) fn talk(&self, name: &str, to: Talk<'_>, steps: &[(&str, &str)]) -> Outcome {
        let label = if matches!(to, Talk::Attach { .. }) { "attach to" } else { "talk in" };
        self.noted(&format!("{label} {name}"), self.engine.talk(&self.owner, name, to, steps))
    }

    /// `sh -c script` in the container: what it says, without a record.
    #[track_caller]
    pub(crate) fn ask(&self, name: &str, script: &str) -> String {
        let outcome = self.engine.exec(&self.owner, name, Exec::default(), &["sh", "-c", script]);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome.text().to_string()
    }

    /// Stops it; the record tells whether that took the whole time that was given.
    pub(crate) fn stop(&self, name: &str, seconds: u32) -> Outcome {
        let began = Instant::now();
        let outcome = self.noted(&format!("stop {name}"), self.engine.stop(&self.owner, name, seconds));
        let waited = began.elapsed() >= Duration::from_secs(seconds.into());
        self.note(&format!("stop {name} took"), if waited { "all the time" } else { "less" });
        outcome
    }

    pub(crate) fn kill(&self, name: &str, signal: &str) -> Outcome {
        self.noted(&format!("kill {name} {signal}"), self.engine.kill(&self.owner, name, signal))
    }

    pub(crate) fn kill_all(&self, name: &str, signal: &str) -> Outcome {
        self.noted(&format!("kill all of {name} {signal}"), self.engine.kill_all(&self.owner, name, signal))
    }

    pub(crate) fn pause(&self, name: &str) -> Outcome {
        self.noted(&format!("pause {name}"), self.engine.pause(&self.owner, name))
    }

    pub(crate) fn unpause(&self, name: &str) -> Outcome {
        self.noted(&format!("unpause {name}"), self.engine.unpause(&self.owner, name))
    }

    pub(crate) fn restart(&self, name: &str, seconds: u32) -> Outcome {
        self.noted(&format!("restart {name}"), self.engine.restart(&self.owner, name, seconds))
    }

    pub(crate) fn update(&self, name: &str, limits: Limits<'_>) -> Outcome {
        self.noted(&format!("update {name}"), self.engine.update(&self.owner, name, limits))
    }

    pub(crate) fn stats(&self, name: &str) -> Outcome {
        self.noted(&format!("stats {name}"), self.engine.stats(&self.owner, name))
    }

    /// How many processes the engine lists.
    pub(crate) fn top(&self, name: &str) -> Outcome {
        let outcome = self.engine.top(&self.owner, name);
        let lines = outcome.stdout.lines().count();
        self.note(&format!("top {name}"), &format!("exit {}, {lines} lines", outcome.code));
        outcome
    }

    pub(crate) fn make_pod(&self, name: &str) {
        self.engine.make_pod(&self.owner, name).ok();
    }

    pub(crate) fn remove(&self, name: &str, force: bool) -> Outcome {
        self.noted(&format!("rm {name}"), self.engine.remove(&self.owner, name, force))
    }

    pub(crate) fn rotate_log(&self, name: &str) -> String {
        self.engine.rotate_log(&self.owner, name)
    }

    /// As an engine is called without a record; for many at once.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine
    }

    pub(crate) fn shim(&self, name: &str) -> i32 {
        self.engine.shim(&self.owner, name)
    }

    /// Demands that no process with these words as its command line is left.
    #[track_caller]
    pub(crate) fn expect_no_process(&self, words: &str) {
        assert!(
            wait::until(Duration::from_secs(15), || procs::find_command(words).is_none()),
            "{words} is still there"
        );
    }

    /// Cgroups of this scenario that outlive it, and the processes in them.
    fn look_for_leftovers(&self) {
        let mut left = Vec::new();
        let nothing = wait::until(Duration::from_secs(5), || {
            let top = self.owner.cgroup_path();
            left = cgroup::processes(&top)
                .into_iter()
                .map(|pid| format!("process {}", procs::command_line(pid)))
                .chain(cgroup::below(&top).iter().map(|dir| format!("cgroup {}", dir.display())))
                // conmon's own cgroup is podman's to remove, and it does so in its own time.
                .filter(|thing| !thing.ends_with("/conmon"))
                .collect();
            if !left.is_empty() {
                std::thread::sleep(Duration::from_millis(50));
            }
            left.is_empty()
        });
        if !nothing {
            self.note("left behind", &left.join("\n"));
        }
    }
}

/// What a client says or does not say, as it happens.
const BY_CHANCE: [&str; 2] = ["error waiting for container: context canceled", "resize pty"];
/// Before and after what is different each time: dates, numbers of temporary mounts, PIDs.
const VARYING: [(&str, &str); 3] =
    [("time=\"", "\""), ("containerd-mount", ":"), ("/proc/", "/oom_score_adj")];

/// What is not said by chance.
pub(crate) fn told(text: &str) -> String {
    let lines = text.lines().filter(|line| !BY_CHANCE.iter().any(|words| line.contains(words)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Takes out what stands between two words, where it has a digit in it and no blank.
fn hide(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str(before);
        match part.split_once(after) {
            Some((inner, rest)) if inner.contains(|c: char| c.is_ascii_digit()) && !inner.contains(' ') => {
                out.push('*');
                out.push_str(after);
                out.push_str(rest);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// Hexadecimal identifiers of 12 digits and more become ID.
fn hide_identifiers(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let hex = word.len() >= 12 && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        let decimal = word.chars().all(|c| c.is_ascii_digit());
        out.push_str(if hex && !decimal { "ID" } else { word });
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character);
        } else {
            flush(&mut word, &mut out);
            out.push(character);
        }
    }
    flush(&mut word, &mut out);
    out
}
