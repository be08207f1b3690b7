//! One container of the runtime under test, deleted whatever happens to the test.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::leftovers::Before;
use crate::runtime::{LIMIT, Outcome, Running, Runtime, finish};
use crate::{procs, wait};

/// A container, made or to be made.
#[derive(Debug)]
pub struct Container {
    /// The runtime.
    pub runtime: Runtime,
    /// The bundle; saved whenever a verb reads it.
    pub bundle: Bundle,
}

impl Container {
    /// A container of a bundle; nothing is called yet.
    #[must_use]
    pub fn new(bundle: Bundle) -> Container {
        Container { runtime: Runtime::new(), bundle }
    }

    /// A container in a scope of systemd's; nothing is called yet.
    #[must_use]
    pub fn in_scope(bundle: Bundle) -> Container {
        let mut container = Container::new(bundle.in_scope());
        container.runtime.flags.push("--systemd-cgroup".to_owned());
        container
    }

    /// Creates and starts a container.
    #[must_use]
    pub fn running(bundle: Bundle) -> Container {
        let container = Container::new(bundle);
        container.create().ok();
        container.start().ok();
        container
    }

    /// Creates a container.
    #[must_use]
    pub fn created(bundle: Bundle) -> Container {
        let container = Container::new(bundle);
        container.create().ok();
        container
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.bundle.id
    }

    /// `VERB ARGS ID`.
    #[must_use]
    pub fn verb(&self, verb: &str, args: &[&str]) -> Outcome {
        finish(self.command(verb, args), LIMIT)
    }

    /// `VERB ID ARGS`, as `exec` wants it.
    #[must_use]
    pub fn verb_with(&self, verb: &str, args: &[&str]) -> Outcome {
        let mut command = self.runtime.command(&[verb, self.id()]);
        command.args(args);
        finish(command, LIMIT)
    }

    /// Whether it gets a cgroup namespace of its own.
    #[must_use]
    pub fn has_cgroup_namespace(&self) -> bool {
        let namespaces = self.bundle.config["linux"]["namespaces"].as_array();
        namespaces.is_some_and(|list| list.iter().any(|one| one["type"] == "cgroup"))
    }

    /// `VERB ARGS ID`, not yet started; saves the bundle for verbs that read it.
    #[must_use]
    pub fn command(&self, verb: &str, args: &[&str]) -> Command {
        self.bundle.save();
        let mut command = self.runtime.command(&[verb]);
        if matches!(verb, "create" | "run" | "restore") {
            command.arg("--bundle").arg(&self.bundle.dir);
        }
        command.args(args).arg(self.id());
        command
    }

    /// `create`.
    #[must_use]
    pub fn create(&self) -> Outcome {
        self.verb("create", &[])
    }

    /// A `create` that fails and leaves nothing behind: what it said.
    #[track_caller]
    pub fn create_refused(&self) -> String {
        let before = Before::now(&self.runtime);
        let outcome = self.create();
        assert_ne!(outcome.code, 0, "should have been refused: {outcome:#?}");
        before.assert_clean(&self.runtime, &self.bundle);
        outcome.stderr
    }

    /// `start`.
    #[must_use]
    pub fn start(&self) -> Outcome {
        self.verb("start", &[])
    }

    /// `run` in the foreground to its end.
    #[must_use]
    pub fn run(&self) -> Outcome {
        self.verb("run", &[])
    }

    /// `run` in the foreground, going on.
    #[must_use]
    pub fn run_in_background(&self) -> Running {
        Running::start(self.command("run", &[]))
    }

    /// `kill ID SIGNAL`.
    #[must_use]
    pub fn kill(&self, signal: &str) -> Outcome {
        self.runtime.call(&["kill", self.id(), signal])
    }

    /// `delete`.
    #[must_use]
    pub fn delete(&self) -> Outcome {
        self.verb("delete", &[])
    }

    /// `delete --force`.
    #[must_use]
    pub fn delete_force(&self) -> Outcome {
        self.verb("delete", &["--force"])
    }

    /// `state` as JSON.
    #[track_caller]
    #[must_use]
    pub fn state(&self) -> Value {
        self.verb("state", &[]).ok().json()
    }

    /// The status in `state`; the error text when it fails.
    #[must_use]
    pub fn status(&self) -> String {
        let outcome = self.verb("state", &[]);
        if outcome.code != 0 {
            return outcome.stderr;
        }
        outcome.json()["status"].as_str().unwrap_or_default().to_string()
    }

    /// Init's PID.
    #[track_caller]
    #[must_use]
    pub fn pid(&self) -> i32 {
        let pid = self.state()["pid"].as_i64().expect("a pid");
        i32::try_from(pid).expect("a pid")
    }

    /// Waits for a status.
    #[track_caller]
    pub fn expect_status(&self, status: &str) {
        wait::expect(&format!("status {status}"), || self.status() == status);
    }

    /// Waits for a process of the container with this command line.
    #[must_use]
    pub fn wait_for_command(&self, words: &str) -> i32 {
        wait::some(&format!("a process {words:?}"), || procs::find_command(words))
    }

    /// Waits until a file in the root holds some text, and returns it.
    #[must_use]
    pub fn wait_for_file(&self, path: &str) -> String {
        let file = self.bundle.rootfs().join(path.trim_start_matches('/'));
        wait::some(&format!("content of {path}"), || {
            std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let command = self.runtime.command(&["delete", "--force", &self.bundle.id]);
        let _ = finish(command, Duration::from_secs(20));
    }
}

/// Runs a shell script in a container changed by `change` and returns what it printed.
#[track_caller]
#[must_use]
pub fn output_of(script: &str, change: impl FnOnce(&mut Value)) -> String {
    let container = Container::new(Bundle::script(script).with(change));
    container.run().ok().text().to_string()
}
