//! Docker: run, stop, kill and rm through dockerd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use runsig_tests::runtime::{find_in_path, finish};
use runsig_tests::{Case, Outcome, Runtime, cases, harness, skip, wait};

use crate::image::{self, DEAF, IMAGE, Podman, Server, TELLS_SIGNAL};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "docker": the_whole_life];

/// A server of our own with the image in it.
pub(crate) struct Docker {
    socket: PathBuf,
    client: PathBuf,
    _server: Server,
}

impl Docker {
    /// Starts dockerd and loads the image.
    pub(crate) fn start() -> Docker {
        let Some(dockerd) = find_in_path("dockerd") else { skip("dockerd is not installed") };
        let archive = Podman::new().save();
        let dir = harness::test_dir().join("docker");
        fs::create_dir_all(&dir).expect("mkdir");
        fs::write(dir.join("config.json"), "{}").expect("write");
        let (socket, log) = (dir.join("sock"), dir.join("log"));
        let mut command = Command::new(dockerd);
        command
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false"])
            .args(["--storage-driver", "overlay2", "--cgroup-parent", &format!("/{}", harness::tag())])
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .arg("--config-file")
            .arg(dir.join("config.json"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .arg("--add-runtime")
            .arg(format!("tested={}", Runtime::path().display()));
        let server = Server::start(&mut command, &log);
        image::wait_for_socket(&socket, &log);
        let client = PathBuf::from("/usr/bin/docker");
        let client = if client.exists() { client } else { find_in_path("docker").expect("a docker client") };
        let docker = Docker { socket, client, _server: server };
        wait::expect("dockerd to answer", || docker.call(&["version"]).code == 0);
        docker.call(&["load", "-i", archive.to_str().expect("utf-8")]).ok();
        docker
    }

    /// `docker ARGS`.
    pub(crate) fn call(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new(&self.client);
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).args(args);
        finish(command, image::LIMIT)
    }

    /// `docker run` with what every test needs.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        let mut args = vec!["run", "--runtime", "tested", "--network", "none"];
        args.extend(options);
        args.push(IMAGE);
        args.extend(program);
        self.call(&args)
    }

    /// A detached container whose script has said `ready`.
    pub(crate) fn begin(&self, name: &str, options: &[&str], script: &str) {
        let mut all = vec!["-d", "--name", name];
        all.extend(options);
        self.run(&all, &["sh", "-c", script]).ok();
        wait::expect("the program to be ready", || self.call(&["logs", name]).stdout.contains("ready"));
    }

    /// `docker wait`.
    pub(crate) fn exit_code(&self, name: &str) -> String {
        self.call(&["wait", name]).ok().text().to_string()
    }
}

/// One test for all: starting dockerd costs more than what it is asked to do.
fn the_whole_life() {
    let docker = Docker::start();
    run_returns_output_and_code(&docker);
    stop_sends_the_images_signal(&docker);
    kill_sends_the_named_signal(&docker);
    deaf_program_is_killed_after_the_time(&docker);
    init_forwards(&docker);
    errors_become_exit_codes(&docker);
    exec_in_a_running_one(&docker);
    rm_force_leaves_nothing(&docker);
}

fn run_returns_output_and_code(docker: &Docker) {
    let outcome = docker.run(&["--rm"], &["sh", "-c", "echo out; exit 42"]);
    assert_eq!((outcome.code, outcome.text()), (42, "out"), "{outcome:#?}");
}

fn stop_sends_the_images_signal(docker: &Docker) {
    docker.begin("stop", &[], TELLS_SIGNAL);
    docker.call(&["stop", "-t", "10", "stop"]).ok();
    assert_eq!(docker.exit_code("stop"), "3", "QUIT, as the image says");
    docker.call(&["rm", "stop"]).ok();
}

fn kill_sends_the_named_signal(docker: &Docker) {
    docker.begin("kill", &[], TELLS_SIGNAL);
    docker.call(&["kill", "-s", "USR1", "kill"]).ok();
    assert_eq!(docker.exit_code("kill"), "10");
    docker.call(&["rm", "kill"]).ok();
}

fn deaf_program_is_killed_after_the_time(docker: &Docker) {
    docker.begin("deaf", &[], DEAF);
    let began = Instant::now();
    docker.call(&["stop", "-t", "1", "deaf"]).ok();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(8)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(docker.exit_code("deaf"), "137");
    docker.call(&["rm", "deaf"]).ok();
}

fn init_forwards(docker: &Docker) {
    if find_in_path("docker-init").is_none() {
        return;
    }
    docker.begin("init", &["--init", "--stop-signal", "TERM"], "echo ready; exec sleep 1000");
    let began = Instant::now();
    docker.call(&["stop", "-t", "10", "init"]).ok();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    docker.call(&["rm", "init"]).ok();
}

fn errors_become_exit_codes(docker: &Docker) {
    for (program, code) in [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)] {
        let outcome = docker.run(&["--rm"], &[program]);
        assert_eq!(outcome.code, code, "{outcome:#?}");
    }
}

fn exec_in_a_running_one(docker: &Docker) {
    docker.begin("exec", &[], TELLS_SIGNAL);
    let outcome = docker.call(&["exec", "exec", "sh", "-c", "echo inside; exit 5"]);
    assert_eq!((outcome.code, outcome.text()), (5, "inside"), "{outcome:#?}");
    docker.call(&["rm", "-f", "exec"]).ok();
}

fn rm_force_leaves_nothing(docker: &Docker) {
    docker.begin("rm", &[], "echo ready; sleep 1010 & sleep 1011");
    docker.call(&["rm", "-f", "rm"]).ok();
    wait::expect("the processes to be gone", || runsig_tests::procs::find_command("sleep 1011").is_none());
    assert_eq!(docker.call(&["ps", "-a", "-q"]).ok().text(), "");
}
