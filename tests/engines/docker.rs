//! Docker: a dockerd of our own, with its containerd.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use runsig_tests::runtime::{find_in_path, finish};
use runsig_tests::{Outcome, Runtime, harness, procs, skip};

use crate::docker_like;
use crate::engine::{Container, Engine, Exec, Limits, Owner, Verb};
use crate::image::{self, IMAGE, LIMIT, Server};
use crate::world;

/// A server with the images; two runtimes are configured, `runc` and `tested`.
pub(crate) struct Docker {
    dir: PathBuf,
    client: PathBuf,
    ids: Mutex<BTreeMap<String, String>>,
    server: Server,
}

impl Docker {
    /// For one test that is about Runsig alone.
    pub(crate) fn new() -> Docker {
        Docker::at(&harness::test_dir().join("docker"))
    }

    /// With everything it keeps below `dir`.
    pub(crate) fn at(dir: &Path) -> Docker {
        if find_in_path("dockerd").is_none() {
            skip("dockerd is not installed");
        }
        fs::create_dir_all(dir.join("home")).expect("mkdir");
        fs::write(dir.join("config.json"), "{}").expect("write");
        // The client that came with the server.
        let client = PathBuf::from("/usr/bin/docker");
        let client = if client.exists() { client } else { find_in_path("docker").expect("a docker client") };
        let docker = Docker {
            dir: dir.to_path_buf(),
            client,
            ids: Mutex::default(),
            server: Docker::start_server(dir),
        };
        docker.wait_until_up();
        let archive = image::archive(dir);
        docker.call(&["load", "-i", archive.to_str().expect("utf-8")]).ok();
        docker
    }

    fn start_server(dir: &Path) -> Server {
        let mut command = Command::new("dockerd");
        command
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false"])
            .args(["--storage-driver", "overlay2"])
            .arg(format!("--exec-opt=native.cgroupdriver={}", world::cgroup_manager()))
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .arg("--config-file")
            .arg(dir.join("config.json"))
            .arg("--host")
            .arg(format!("unix://{}", dir.join("sock").display()))
            .arg("--add-runtime")
            .arg(format!("tested={}", Runtime::path().display()));
        if world::cgroup_manager() == "cgroupfs" {
            command.args(["--cgroup-parent", &format!("/{}", harness::tag())]);
        }
        Server::start(&mut command, &dir.join("log"))
    }

    fn wait_until_up(&self) {
        image::wait_for_socket(&self.dir.join("sock"), &self.dir.join("log"));
        image::patiently("dockerd to answer", || self.call(&["version"]).code == 0);
    }

    /// `docker ARGS`.
    pub(crate) fn call<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Outcome {
        finish(self.command(args), LIMIT)
    }

    /// `docker ARGS`, not yet started.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.client);
        command.env("HOME", self.dir.join("home"));
        command.arg("--host").arg(format!("unix://{}", self.dir.join("sock").display())).args(args);
        command
    }

    /// `docker run` with what every test needs and the runtime under test.
    pub(crate) fn run_simply(&self, options: &[&str], program: &[&str]) -> Outcome {
        let mut args = vec!["run", "--runtime", "tested", "--network", "none"];
        args.extend(options);
        args.push(IMAGE);
        args.extend(program);
        self.call(&args)
    }

    /// A detached container whose script has said `ready`.
    pub(crate) fn begin_simply(&self, name: &str, options: &[&str], script: &str) {
        let mut all = vec!["-d", "--name", name];
        all.extend(options);
        self.run_simply(&all, &["sh", "-c", script]).ok();
        image::patiently("the program to be ready", || self.call(&["logs", name]).stdout.contains("ready"));
    }

    /// `docker wait`.
    pub(crate) fn exit_code(&self, name: &str) -> String {
        self.call(&["wait", name]).ok().text().to_string()
    }

    fn with_name(&self, owner: &Owner, before: &[&str], name: &str) -> Outcome {
        let name = owner.full(name);
        let mut args = before.to_vec();
        args.push(&name);
        self.call(&args)
    }

    fn inspect(&self, owner: &Owner, name: &str, format: &str) -> String {
        let outcome = self.with_name(owner, &["container", "inspect", "-f", format], name);
        if outcome.code == 0 { outcome.text().to_string() } else { "gone".to_string() }
    }

    fn begin(&self, owner: &Owner, first: &[&str], container: &Container<'_>) -> Outcome {
        let runtime = format!("--runtime={}", owner.side.name());
        let parent = format!("--cgroup-parent={}", owner.cgroup);
        self.call(&docker_like::run(owner, &[first, &[&runtime, &parent]].concat(), container))
    }
}

impl Engine for Docker {
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
        self.call(&docker_like::exec(owner, name, how, args))
    }

    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        self.with_name(owner, &["stop", "-t", &seconds.to_string()], name)
    }

    fn remove(&self, owner: &Owner, name: &str, force: bool) -> Outcome {
        if force { self.with_name(owner, &["rm", "-f"], name) } else { self.with_name(owner, &["rm"], name) }
    }

    fn clear(&self, owner: &Owner, names: &[String]) {
        let words = ["rm".to_string(), "-f".to_string()].into_iter();
        let words: Vec<String> = words.chain(names.iter().map(|name| owner.full(name))).collect();
        let _ = self.call(&words);
    }

    fn peek(&self, owner: &Owner, name: &str) -> String {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = ids.get(&owner.full(name)) else { return String::new() };
        let log = self.dir.join("data/containers").join(id).join(format!("{id}-json.log"));
        fs::read_to_string(log).unwrap_or_default()
    }

    fn together(&self, owner: &Owner, verb: Verb, names: &[String]) -> Vec<String> {
        docker_like::together(owner, verb, names, |args| self.call(args))
    }

    fn stop_command(&self, owner: &Owner, name: &str, seconds: u32) -> Option<Command> {
        Some(self.command(&["stop", "-t", &seconds.to_string(), &owner.full(name)]))
    }

    fn crash(&mut self) {
        self.server.kill();
        let _ = fs::remove_file(self.dir.join("pid"));
        let _ = fs::remove_file(self.dir.join("sock"));
        self.server = Docker::start_server(&self.dir);
        self.wait_until_up();
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
        self.call(&docker_like::update(owner, name, limits))
    }

    fn stats(&self, owner: &Owner, name: &str) -> Outcome {
        let outcome = self.with_name(owner, &["stats", "--no-stream", "--format", "{{json .}}"], name);
        docker_like::nonzero(outcome, &["MemUsage", "PIDs"])
    }

    fn top(&self, owner: &Owner, name: &str) -> Outcome {
        let name = owner.full(name);
        self.call(&["top", &name, "-o", "pid,args"])
    }

    fn shim(&self, owner: &Owner, name: &str) -> i32 {
        let pid: i32 = self.inspect(owner, name, "{{.State.Pid}}").parse().expect("a PID");
        procs::status_field(pid, "PPid").and_then(|text| text.parse().ok()).expect("the shim's PID")
    }
}
