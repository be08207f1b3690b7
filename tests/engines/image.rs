//! The image all engines run: busybox, with a stop signal that is not TERM.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runsig_tests::case::require_command;
use runsig_tests::runtime::finish;
use runsig_tests::{Outcome, Runtime, bundle, harness};

/// The image's name in every engine.
pub(crate) const IMAGE: &str = "localhost/runsig-test:latest";

/// A shell that says which signal ended it: 3 for the image's QUIT, 15 for TERM.
pub(crate) const TELLS_SIGNAL: &str =
    "trap 'exit 3' QUIT; trap 'exit 15' TERM; trap 'exit 10' USR1; echo ready; while :; do sleep 0.05; done";

/// A PID 1 that handles nothing.
pub(crate) const DEAF: &str = "echo ready; sleep 1000; true";

/// How long an engine may take for one command.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// podman on private roots.
pub(crate) struct Podman {
    dir: PathBuf,
}

impl Podman {
    /// Roots below the test's directory, and the image in them.
    pub(crate) fn new() -> Podman {
        require_command("podman");
        // podman takes no runroot of more than 50 characters.
        let dir = harness::test_dir().join("p");
        fs::create_dir_all(&dir).expect("mkdir");
        let runtime = Runtime::path();
        let conf = format!(
            "[containers]\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=4096:8192\"]\npids_limit=0\n\
             [engine]\nruntime_supports_json=[\"tested\"]\nruntime_supports_nocgroups=[\"tested\"]\n\
             [engine.runtimes]\ntested=[\"{}\"]\n",
            runtime.display()
        );
        fs::write(dir.join("containers.conf"), conf).expect("write");
        let podman = Podman { dir };
        podman.import();
        podman
    }

    fn import(&self) {
        let root = self.dir.join("image");
        bundle::make_rootfs(&root);
        let tar = self.dir.join("image.tar");
        let status = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status();
        assert!(status.expect("tar").success());
        let tar = tar.to_str().expect("utf-8");
        let path = "ENV PATH=/bin";
        self.call(&["import", "--change", "STOPSIGNAL SIGQUIT", "--change", path, tar, IMAGE]).ok();
    }

    /// Writes the image to an archive other engines read.
    pub(crate) fn save(&self) -> PathBuf {
        let archive = self.dir.join("archive.tar");
        let path = archive.to_str().expect("utf-8");
        self.call(&["save", "--format", "docker-archive", "-o", path, IMAGE]).ok();
        archive
    }

    /// `podman ARGS`.
    pub(crate) fn call(&self, args: &[&str]) -> Outcome {
        self.call_with("tested", args)
    }

    /// As [`Podman::call`], with another runtime than the one under test.
    pub(crate) fn call_with(&self, runtime: &str, args: &[&str]) -> Outcome {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "r"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.dir.join(name));
        }
        command.args([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
        ]);
        command.args(["--runtime", runtime]).args(args);
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        finish(command, LIMIT)
    }

    /// `podman run` with what every test needs; `options` before the image, `program` after it.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        self.run_with("tested", options, program)
    }

    /// As [`Podman::run`], with another runtime than the one under test.
    pub(crate) fn run_with(&self, runtime: &str, options: &[&str], program: &[&str]) -> Outcome {
        let parent = format!("/{}", harness::tag());
        let mut args = vec!["run", "--network=none", "--cgroup-parent", &parent];
        args.extend(options);
        args.push(IMAGE);
        args.extend(program);
        self.call_with(runtime, &args)
    }
}

/// An engine's server, ended with the test.
pub(crate) struct Server(Child);

impl Server {
    /// Starts a server that writes to a log.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Server {
        let output = File::create(log).expect("a log");
        let both = output.try_clone().expect("dup");
        Server(command.stdin(Stdio::null()).stdout(output).stderr(both).spawn().expect("a server"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let ended = || matches!(self.0.try_wait(), Ok(Some(_)) | Err(_));
        if !runsig_tests::wait::until(Duration::from_secs(5), ended) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Waits until a socket accepts a command that needs it.
pub(crate) fn wait_for_socket(path: &Path, log: &Path) {
    let up = runsig_tests::wait::until(Duration::from_secs(30), || {
        std::os::unix::net::UnixStream::connect(path).is_ok()
    });
    assert!(up, "{} never came up: {}", path.display(), fs::read_to_string(log).unwrap_or_default());
}
