//! Rootless podman: the runtime is called as root of a user namespace that the user's podman made. The
//! same story is told with runc, and the two have to be the same line by line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::runtime::{find_in_path, finish};
use runsig_tests::user::{User, give};
use runsig_tests::{Case, Outcome, bundle, cases, cgroup, procs, skip, wait};

use crate::image::{IMAGE, limit};

/// The tests of this file.
pub const CASES: &[Case] = &[V2[0].within(300), V2[1].within(120), V2[2].within(120)];

const V2: [Case; 3] = *cases![V2 "rootless":
    same_story_as_with_runc, pauses_in_a_delegated_cgroup, shared_pids_end_in_a_delegated_cgroup];

/// podman of a user without privilege, on private roots.
struct Podman {
    user: User,
    dir: PathBuf,
}

impl Podman {
    fn new(user: User) -> Podman {
        require_command("podman");
        require_command("newuidmap");
        let dir = user.home.join("p");
        fs::create_dir_all(&dir).expect("mkdir");
        let runc = find_in_path("runc").unwrap_or_default();
        let conf = format!(
            "[containers]\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=4096:8192\"]\npids_limit=0\n\
             [engine.runtimes]\ntested=[\"{}\"]\nrunc=[\"{}\"]\n",
            user.runtime.display(),
            runc.display()
        );
        fs::write(dir.join("containers.conf"), conf).expect("write");
        let image = dir.join("image");
        bundle::make_rootfs(&image);
        let tar = dir.join("image.tar");
        let packed = Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(&tar).arg(".").status();
        assert!(packed.expect("tar").success());
        give(&user.home);
        let podman = Podman { user, dir };
        let changes = ["--change", "STOPSIGNAL SIGQUIT", "--change", "ENV PATH=/bin"];
        podman.call("tested", &[&["import"], &changes[..], &[text(&tar), IMAGE]].concat()).ok();
        podman
    }

    fn call(&self, runtime: &str, args: &[&str]) -> Outcome {
        let mut command = self.user.command("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "r"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.dir.join(name));
        }
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file", "--runtime", runtime]).args(args);
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        finish(command, limit())
    }

    fn run(&self, runtime: &str, options: &[&str], program: &[&str]) -> Outcome {
        self.call(runtime, &[&["run", "--network=none"], options, &[IMAGE], program].concat())
    }

    /// Starts a container whose script says `ready` at some time.
    fn begin(&self, runtime: &str, name: &str, options: &[&str], script: &str) {
        self.run(runtime, &[&["-d", "--name", name], options].concat(), &["sh", "-c", script]).ok();
        let ready = || self.call(runtime, &["logs", name]).stdout.contains("ready");
        wait::expect("the program to be ready", ready);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

/// What a user sees: each step with its exit code and its output.
fn story(podman: &Podman, runtime: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |step: &str, outcome: Outcome| {
        lines.push(format!("{step}: {} {}", outcome.code, outcome.text().replace('\n', " ")));
    };
    let who = "id -u; cat /proc/self/uid_map; exit 42";
    tell("run", podman.run(runtime, &["--rm"], &["sh", "-c", who]));
    tell("run as a user", podman.run(runtime, &["--rm", "-u", "1000:1000"], &["id", "-u"]));
    tell("missing program", podman.run(runtime, &["--rm"], &["no-such-program"]));
    tell("no program", podman.run(runtime, &["--rm"], &["/etc/passwd"]));
    let willing = "trap 'exit 3' QUIT; trap 'exit 10' USR1; echo ready; while :; do sleep 0.3; done";
    podman.begin(runtime, "a", &[], willing);
    tell("exec", podman.call(runtime, &["exec", "a", "sh", "-c", "id -u; exit 5"]));
    tell("exec missing", podman.call(runtime, &["exec", "a", "no-such-program"]));
    tell("pause without a cgroup", podman.call(runtime, &["pause", "a"]));
    tell("stop", podman.call(runtime, &["stop", "-t", "10", "a"]));
    tell("wait", podman.call(runtime, &["wait", "a"]));
    tell("start again", podman.call(runtime, &["start", "a"]));
    tell("kill", podman.call(runtime, &["kill", "-s", "KILL", "a"]));
    tell("wait", podman.call(runtime, &["wait", "a"]));
    tell("rm", podman.call(runtime, &["rm", "a"]));
    podman.begin(runtime, "b", &[], "echo ready; sleep 1000 & exec sleep 1001");
    tell("rm -f", podman.call(runtime, &["rm", "-f", "-t", "0", "b"]));
    tell("ps", podman.call(runtime, &["ps", "-a", "-q"]));
    lines
}

fn same_story_as_with_runc() {
    let podman = Podman::new(User::new());
    let ours = story(&podman, "tested");
    let has = |line: &str| assert!(ours.iter().any(|told| told.starts_with(line)), "{line}: {ours:#?}");
    for line in
        ["run: 42 0 ", "run as a user: 0 1000", "missing program: 127 ", "no program: 126 ", "exec: 5 0"]
    {
        has(line);
    }
    wait::expect("no process to be left", || procs::find_command("sleep 1001").is_none());
    if find_in_path("runc").is_none() {
        skip("runc is not installed");
    }
    assert_eq!(ours, story(&podman, "runc"));
}

fn pauses_in_a_delegated_cgroup() {
    let podman = Podman::new(User::with_cgroup());
    podman.begin("tested", "a", &[], "trap 'exit 3' QUIT; echo ready; while :; do sleep 0.3; done");
    podman.call("tested", &["pause", "a"]).ok();
    let status =
        || podman.call("tested", &["inspect", "-f", "{{.State.Status}}", "a"]).ok().text().to_owned();
    assert_eq!(status(), "paused");
    podman.call("tested", &["unpause", "a"]).ok();
    podman.call("tested", &["stop", "-t", "10", "a"]).ok();
    assert_eq!(podman.call("tested", &["wait", "a"]).ok().text(), "3");
}

fn shared_pids_end_in_a_delegated_cgroup() {
    let podman = Podman::new(User::with_cgroup());
    podman.begin("tested", "a", &["--pid=host"], "echo ready; sleep 1006 & exec sleep 1007");
    assert!(cgroup::processes(podman.user.cgroup()).len() >= 2, "in the user's sub-tree");
    podman.call("tested", &["rm", "-f", "-t", "0", "a"]).ok();
    for words in ["sleep 1006", "sleep 1007"] {
        wait::expect(words, || procs::find_command(words).is_none());
    }
}
