//! containerd: ctr run, tasks kill and delete, through its shim.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::runtime::{Running, finish};
use runsig_tests::{Case, Outcome, Runtime, cases, harness, procs, wait};

use crate::image::{self, IMAGE, Podman, Server, TELLS_SIGNAL};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "containerd": run_returns_the_code, kill_takes_the_images_stop_signal, kill_with_a_named_signal,
        delete_force_of_a_running_task, pause_and_resume, exec_in_a_task, host_pids_are_killed_with_it,
        missing_program_is_reported, ps_lists_the_processes;
    Host "containerd": run_returns_the_code, delete_force_of_a_running_task;
];

/// A server of our own with the image in it.
pub(crate) struct Containerd {
    socket: PathBuf,
    _server: Server,
}

impl Containerd {
    /// Starts containerd and imports the image.
    pub(crate) fn start() -> Containerd {
        require_command("containerd");
        require_command("ctr");
        let archive = Podman::new().save();
        let dir = harness::test_dir().join("containerd");
        fs::create_dir_all(&dir).expect("mkdir");
        let (socket, log) = (dir.join("sock"), dir.join("log"));
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{0}/sock\"\n",
            dir.display()
        );
        fs::write(dir.join("config.toml"), config).expect("write");
        let server =
            Server::start(Command::new("containerd").arg("--config").arg(dir.join("config.toml")), &log);
        image::wait_for_socket(&socket, &log);
        let containerd = Containerd { socket, _server: server };
        containerd.call(&["images", "import", archive.to_str().expect("utf-8")]).ok();
        containerd
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket).args(["--namespace", &harness::tag()]).args(args);
        command
    }

    /// `ctr ARGS`.
    pub(crate) fn call(&self, args: &[&str]) -> Outcome {
        finish(self.command(args), image::LIMIT)
    }

    fn run_command(&self, options: &[&str], name: &str, script: &str) -> Command {
        let runtime = Runtime::path();
        let mut args = vec!["run", "--runc-binary", runtime.to_str().expect("utf-8"), "--cpu-shares", "0"];
        args.extend(options);
        args.extend([IMAGE, name, "sh", "-c", script]);
        self.command(&args)
    }

    /// A task whose program has begun; a file in the shared directory tells. ctr stays with it:
    /// its exit status becomes that of the task, which `tasks delete` does not tell.
    pub(crate) fn task(&self, options: &[&str], name: &str, script: &str) -> Running {
        let dir = harness::test_dir().join("shared");
        fs::create_dir_all(&dir).expect("mkdir");
        let mount = format!("type=bind,src={},dst=/shared,options=rbind:rw", dir.display());
        let mut all = vec!["--rm", "--mount", &mount];
        all.extend(options);
        let script = script.replace("echo ready", &format!("echo ready > /shared/{name}"));
        let running = Running::start(self.run_command(&all, name, &script));
        wait::expect("the program to begin", || dir.join(name).exists());
        running
    }

    fn status(&self, name: &str) -> String {
        let list = self.call(&["tasks", "list"]);
        let line = list.stdout.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.split_whitespace().nth(2)).unwrap_or("gone").to_string()
    }
}

/// Waits for the end of a task and returns its exit status.
pub(crate) fn end(task: Running) -> i32 {
    task.finish(image::LIMIT).code
}

fn run_returns_the_code() {
    let containerd = Containerd::start();
    let command = containerd.run_command(&["--rm"], "c", "echo out; exit 42");
    let outcome = finish(command, image::LIMIT);
    assert_eq!((outcome.code, outcome.text()), (42, "out"), "{outcome:#?}");
    assert_eq!(containerd.call(&["containers", "list", "-q"]).ok().text(), "");
}

fn kill_takes_the_images_stop_signal() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", TELLS_SIGNAL);
    containerd.call(&["tasks", "kill", "c"]).ok();
    assert_eq!(end(task), 3, "QUIT, as the image says");
}

fn kill_with_a_named_signal() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", TELLS_SIGNAL);
    containerd.call(&["tasks", "kill", "-s", "USR1", "c"]).ok();
    assert_eq!(end(task), 10);
}

fn delete_force_of_a_running_task() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", "echo ready; sleep 1005 & sleep 1006 & sleep 1007");
    let _ = containerd.call(&["tasks", "delete", "--force", "c"]);
    // The ctr that ran it deletes it too, and one of the two comes late.
    let _ = end(task);
    for words in ["sleep 1005", "sleep 1006", "sleep 1007"] {
        wait::expect(words, || procs::find_command(words).is_none());
    }
    let cgroup = format!("/{}/c", harness::tag());
    wait::expect("the cgroup to be gone", || runsig_tests::cgroup::directories(&cgroup).is_empty());
}

fn pause_and_resume() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", TELLS_SIGNAL);
    containerd.call(&["tasks", "pause", "c"]).ok();
    assert_eq!(containerd.status("c"), "PAUSED");
    containerd.call(&["tasks", "resume", "c"]).ok();
    assert_eq!(containerd.status("c"), "RUNNING");
    containerd.call(&["tasks", "kill", "c"]).ok();
    assert_eq!(end(task), 3);
}

fn exec_in_a_task() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", TELLS_SIGNAL);
    let outcome =
        containerd.call(&["tasks", "exec", "--exec-id", "e", "c", "sh", "-c", "echo inside; exit 5"]);
    assert_eq!((outcome.code, outcome.text()), (5, "inside"), "{outcome:#?}");
    containerd.call(&["tasks", "kill", "-s", "KILL", "c"]).ok();
    assert_eq!(end(task), 137);
}

fn host_pids_are_killed_with_it() {
    let containerd = Containerd::start();
    let script = "echo ready; sleep 1008 & sleep 1009";
    let options = ["--with-ns", "pid:/proc/1/ns/pid"];
    let task = containerd.task(&options, "c", script);
    containerd.call(&["tasks", "kill", "--all", "-s", "KILL", "c"]).ok();
    assert_eq!(end(task), 137);
    for words in ["sleep 1008", "sleep 1009"] {
        wait::expect(words, || procs::find_command(words).is_none());
    }
}

fn missing_program_is_reported() {
    let containerd = Containerd::start();
    let runtime = Runtime::path();
    let args = [
        "run",
        "--rm",
        "--runc-binary",
        runtime.to_str().expect("utf-8"),
        "--cpu-shares",
        "0",
        IMAGE,
        "c",
        "no-such-program",
    ];
    let outcome = Running::start(containerd.command(&args)).finish(image::LIMIT);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("executable file") && outcome.stderr.contains("not found in $PATH"),
        "{outcome:#?}"
    );
}

fn ps_lists_the_processes() {
    let containerd = Containerd::start();
    let task = containerd.task(&[], "c", TELLS_SIGNAL);
    let list = containerd.call(&["tasks", "ps", "c"]).ok();
    assert!(list.stdout.lines().count() >= 2, "{list:#?}");
    containerd.call(&["tasks", "kill", "-s", "KILL", "c"]).ok();
    assert_eq!(end(task), 137);
}
