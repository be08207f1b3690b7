//! podman, on private roots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use runsig_tests::case::require_command;
use runsig_tests::runtime::finish;
use runsig_tests::{Outcome, Runtime, harness};

use crate::docker_like::{DockerLike, Ids};
use crate::engine::{Container, Opt, Owner};
use crate::image::{self, IMAGE, limit};
use crate::world;

/// podman with its images; two runtimes are configured, `runc` and `tested`.
pub(crate) struct Podman {
    dir: PathBuf,
    ids: Ids,
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
            "[containers]\nlog_driver=\"k8s-file\"\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=4096:8192\"]\npids_limit=0\n\
             [engine]\nruntime_supports_json=[\"tested\",\"runc\"]\nruntime_supports_nocgroup=[\"tested\"]\n\
             [engine.runtimes]\ntested=[\"{}\"]\n",
            Runtime::path().display()
        );
        fs::write(dir.join("containers.conf"), conf).expect("write");
        let podman = Podman { dir: dir.to_path_buf(), ids: Ids::default(), pods: Mutex::default() };
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
        finish(self.command(runtime, args), limit())
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
}

impl DockerLike for Podman {
    const AT_ONCE: &'static [&'static str] = &["-f", "-t", "0"];
    const COLUMNS: &'static [&'static str] = &["pid", "args"];
    const STATISTICS: (&'static str, &'static [&'static str]) = ("json", &["mem_usage", "cpu_time", "pids"]);

    fn client(&self, owner: &Owner, args: &[String]) -> Command {
        self.command(owner.side.name(), args)
    }

    fn belonging(&self, owner: &Owner, container: &Container<'_>) -> Vec<String> {
        // A pod has its own.
        if container.has(|option| matches!(option, Opt::InPod(_))) {
            return Vec::new();
        }
        vec![format!("--cgroup-parent={}", owner.cgroup)]
    }

    fn ids(&self) -> &Ids {
        &self.ids
    }

    fn log(&self, id: &str) -> PathBuf {
        self.dir.join("root/overlay-containers").join(id).join("userdata/ctr.log")
    }

    fn remove_all(&self, owner: &Owner, names: &[String]) {
        let words = ["rm", "--force", "--ignore", "--time=0"].map(String::from).into_iter();
        let words: Vec<String> = words.chain(names.iter().map(|name| owner.full(name))).collect();
        let _ = self.ask(owner, &words);
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner).contains(&owner.prefix);
        if pods {
            let _ = self.about(owner, &["pod", "rm", "--force", "--time=0"], "pod");
        }
    }

    fn pod(&self, owner: &Owner, name: &str) -> Outcome {
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

    fn watcher(&self, owner: &Owner, name: &str) -> i32 {
        self.inspect(owner, name, "{{.State.ConmonPid}}").parse().expect("conmon's PID")
    }
}
