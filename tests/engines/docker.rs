//! Docker: a dockerd of our own, with its containerd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runsig_tests::runtime::{find_in_path, finish};
use runsig_tests::{Outcome, Runtime, harness, procs, skip};

use crate::docker_like::{DockerLike, Ids};
use crate::engine::{Container, Owner};
use crate::image::{self, IMAGE, Server, limit};
use crate::world;

/// A server with the images; two runtimes are configured, `runc` and `tested`.
pub(crate) struct Docker {
    dir: PathBuf,
    client: PathBuf,
    ids: Ids,
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
        let docker =
            Docker { dir: dir.to_path_buf(), client, ids: Ids::default(), server: Docker::start_server(dir) };
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
        finish(self.command(args), limit())
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
}

impl DockerLike for Docker {
    const AT_ONCE: &'static [&'static str] = &["-f"];
    const COLUMNS: &'static [&'static str] = &["-o", "pid,args"];
    const STATISTICS: (&'static str, &'static [&'static str]) = ("{{json .}}", &["MemUsage", "PIDs"]);

    fn client(&self, _owner: &Owner, args: &[String]) -> Command {
        self.command(args)
    }

    fn belonging(&self, owner: &Owner, _container: &Container<'_>) -> Vec<String> {
        vec![format!("--runtime={}", owner.side.name()), format!("--cgroup-parent={}", owner.cgroup)]
    }

    fn ids(&self) -> &Ids {
        &self.ids
    }

    fn log(&self, id: &str) -> PathBuf {
        self.dir.join("data/containers").join(id).join(format!("{id}-json.log"))
    }

    fn remove_all(&self, owner: &Owner, names: &[String]) {
        let words = ["rm".to_string(), "-f".to_string()].into_iter();
        let words: Vec<String> = words.chain(names.iter().map(|name| owner.full(name))).collect();
        let _ = self.call(&words);
    }

    fn crash_server(&mut self) {
        self.server.kill();
        let _ = fs::remove_file(self.dir.join("pid"));
        let _ = fs::remove_file(self.dir.join("sock"));
        self.server = Docker::start_server(&self.dir);
        self.wait_until_up();
    }

    fn watcher(&self, owner: &Owner, name: &str) -> i32 {
        let pid: i32 = self.inspect(owner, name, "{{.State.Pid}}").parse().expect("a PID");
        procs::status_field(pid, "PPid").and_then(|text| text.parse().ok()).expect("the shim's PID")
    }
}
