//! podman, on private roots.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use runsig_tests::case::require_command;
use runsig_tests::runtime::finish;
use runsig_tests::{Outcome, Runtime, harness};

use crate::docker_like;
use crate::engine::{Container, Engine, Exec, Limits, Opt, Owner, Verb};
use crate::image::{self, IMAGE, LIMIT};
use crate::world;

/// podman with its images; two runtimes are configured, `runc` and `tested`.
pub(crate) struct Podman {
    dir: PathBuf,
    ids: Mutex<BTreeMap<String, String>>,
    /// Prefixes of those that made pods.
    pods: Mutex<BTreeSet<String>>,
}

impl Podman {
    /// For one test that is about Runsig alone.
    pub(crate) fn new() -> Podman {
        Podman::at(&harness::test_dir().join("p"))
    }

    /// With everything it keeps below `dir`, whose name is short: podman takes no runroot of more
    /// than 50 characters.
    pub(crate) fn at(dir: &Path) -> Podman {
        require_command("podman");
        fs::create_dir_all(dir).expect("mkdir");
        let conf = format!(
            "[containers]\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=4096:8192\"]\npids_limit=0\n\
             [engine]\nruntime_supports_json=[\"tested\",\"runc\"]\nruntime_supports_nocgroup=[\"tested\"]\n\
             [engine.runtimes]\ntested=[\"{}\"]\n",
            Runtime::path().display()
        );
        fs::write(dir.join("containers.conf"), conf).expect("write");
        let podman = Podman { dir: dir.to_path_buf(), ids: Mutex::default(), pods: Mutex::default() };
        let archive = image::archive(dir);
        podman.call(&["load", "-i", archive.to_str().expect("utf-8")]).ok();
        podman
    }

    /// `podman ARGS`, with the runtime under test.
    pub(crate) fn call(&self, args: &[&str]) -> Outcome {
        self.call_with("tested", args)
    }

    /// `podman ARGS`.
    pub(crate) fn call_with<S: AsRef<std::ffi::OsStr>>(&self, runtime: &str, args: &[S]) -> Outcome {
        finish(self.command(runtime, args), LIMIT)
    }

    /// `podman ARGS`, not yet started.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, runtime: &str, args: &[S]) -> Command {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "r"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.dir.join(name));
        }
        command.args(["--storage-driver", "overlay", "--events-backend", "file"]);
        command.args(["--cgroup-manager", world::cgroup_manager(), "--runtime", runtime]).args(args);
        // conmon may leave a file in the directory it starts in.
        command.current_dir(&self.dir).env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command
    }

    /// `podman run` with what every test needs; `options` before the image, `program` after it.
    pub(crate) fn run_simply(&self, options: &[&str], program: &[&str]) -> Outcome {
        self.run_with("tested", options, program)
    }

    /// As [`Podman::run_simply`], with another runtime than the one under test.
    pub(crate) fn run_with(&self, runtime: &str, options: &[&str], program: &[&str]) -> Outcome {
        let parent = format!("/{}", harness::tag());
        let mut args = vec!["run", "--network=none", "--cgroup-parent", &parent];
        args.extend(options);
        args.push(IMAGE);
        args.extend(program);
        self.call_with(runtime, &args)
    }

    fn with_name(&self, owner: &Owner, before: &[&str], name: &str) -> Outcome {
        let name = owner.full(name);
        let mut args = before.to_vec();
        args.push(&name);
        self.call_with(owner.side.name(), &args)
    }

    fn inspect(&self, owner: &Owner, name: &str, format: &str) -> String {
        let outcome = self.with_name(owner, &["container", "inspect", "-f", format], name);
        if outcome.code == 0 { outcome.text().to_string() } else { "gone".to_string() }
    }

    fn begin(&self, owner: &Owner, first: &[&str], container: &Container<'_>) -> Outcome {
        let parent = format!("--cgroup-parent={}", owner.cgroup);
        let mut all = first.to_vec();
        // A pod has its own.
        if !container.has(|option| matches!(option, Opt::InPod(_))) {
            all.push(&parent);
        }
        self.call_with(owner.side.name(), &docker_like::run(owner, &all, container))
    }
}

impl Engine for Podman {
    fn run(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        self.begin(owner, &["--rm"], container)
    }

    fn start(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        let outcome = self.begin(owner, &["--detach"], container);
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(owner.full(container.name), outcome.text().to_string());
        outcome
    }

    fn logs(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["logs"], name)
    }

    fn wait(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["wait"], name)
    }

    fn state(&self, owner: &Owner, name: &str) -> String {
        let format =
            "{{.State.Status}} {{.State.ExitCode}} oom={{.State.OOMKilled}} restarts={{.RestartCount}}";
        self.inspect(owner, name, format)
    }

    fn exec(&self, owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome {
        self.call_with(owner.side.name(), &docker_like::exec(owner, name, how, args))
    }

    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        self.with_name(owner, &["stop", "-t", &seconds.to_string()], name)
    }

    fn remove(&self, owner: &Owner, name: &str, force: bool) -> Outcome {
        if force {
            self.with_name(owner, &["rm", "-f", "-t", "0"], name)
        } else {
            self.with_name(owner, &["rm"], name)
        }
    }

    fn clear(&self, owner: &Owner, names: &[String]) {
        let side = owner.side.name();
        let names: Vec<String> = names.iter().map(|name| owner.full(name)).collect();
        let words = |first: &[&str]| -> Vec<String> {
            first.iter().map(ToString::to_string).chain(names.iter().cloned()).collect()
        };
        let _ = self.call_with(side, &words(&["rm", "--force", "--ignore", "--time=0"]));
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner).contains(&owner.prefix);
        if pods {
            let _ = self.call_with(side, &["pod", "rm", "--force", "--time=0", &owner.full("pod")]);
        }
    }

    fn peek(&self, owner: &Owner, name: &str) -> String {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = ids.get(&owner.full(name)) else { return String::new() };
        let log = self.dir.join("root/overlay-containers").join(id).join("userdata/ctr.log");
        fs::read_to_string(log).unwrap_or_default()
    }

    fn together(&self, owner: &Owner, verb: Verb, names: &[String]) -> Vec<String> {
        docker_like::together(owner, verb, names, |args| self.call_with(owner.side.name(), args))
    }

    fn stop_command(&self, owner: &Owner, name: &str, seconds: u32) -> Option<Command> {
        Some(self.command(owner.side.name(), &["stop", "-t", &seconds.to_string(), &owner.full(name)]))
    }

    fn kill(&self, owner: &Owner, name: &str, signal: &str) -> Outcome {
        self.with_name(owner, &["kill", "-s", signal], name)
    }

    fn pause(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["pause"], name)
    }

    fn unpause(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["unpause"], name)
    }

    fn restart(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        self.with_name(owner, &["restart", "-t", &seconds.to_string()], name)
    }

    fn update(&self, owner: &Owner, name: &str, limits: Limits<'_>) -> Outcome {
        // podman's --memory-swap must be more than its --memory on v1 before it may be raised.
        self.call_with(owner.side.name(), &docker_like::update(owner, name, limits))
    }

    fn stats(&self, owner: &Owner, name: &str) -> Outcome {
        let outcome = self.with_name(owner, &["stats", "--no-stream", "--format", "json"], name);
        docker_like::nonzero(outcome, &["mem_usage", "cpu_time", "pids"])
    }

    fn top(&self, owner: &Owner, name: &str) -> Outcome {
        let name = owner.full(name);
        self.call_with(owner.side.name(), &["top", &name, "pid", "args"])
    }

    fn make_pod(&self, owner: &Owner, name: &str) -> Outcome {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.prefix.clone());
        let name = owner.full(name);
        let parent = format!("--cgroup-parent={}", owner.cgroup);
        let args = [
            "pod",
            "create",
            "--name",
            &name,
            "--share",
            "pid,ipc,uts,net",
            "--network=none",
            "--infra-image",
            image::PAUSE,
            &parent,
        ];
        self.call_with(owner.side.name(), &args)
    }

    fn shim(&self, owner: &Owner, name: &str) -> i32 {
        self.inspect(owner, name, "{{.State.ConmonPid}}").parse().expect("conmon's PID")
    }
}
