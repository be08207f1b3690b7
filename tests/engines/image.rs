//! The images that all engines run, and what their servers have in common.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runsig_tests::runtime::find_in_path;
use runsig_tests::{bundle, json, needs, wait};

/// Busybox, with a stop signal that is not TERM.
pub(crate) const IMAGE: &str = "localhost/runsig-test:latest";
/// The same without a stop signal.
pub(crate) const PLAIN: &str = "localhost/runsig-plain:latest";
/// The program of a pod's sandbox.
pub(crate) const PAUSE: &str = "localhost/runsig-pause:latest";

/// A shell that says which signal ended it: 3 for the image's QUIT, 15 for TERM.
pub(crate) const TELLS_SIGNAL: &str =
    "trap 'exit 3' QUIT; trap 'exit 15' TERM; trap 'exit 10' USR1; echo ready; while :; do sleep 0.4; done";

/// A PID 1 that handles nothing.
pub(crate) const DEAF: &str = "echo ready; sleep 1000; true";

/// How long an engine may take for one command.
pub(crate) fn limit() -> Duration {
    Duration::from_secs(90) * needs::patience()
}

/// Writes the archive that every engine loads, in the format of `docker save`.
pub(crate) fn archive(dir: &Path) -> PathBuf {
    let tree = dir.join("image");
    let root = tree.join("root");
    bundle::make_rootfs(&root);
    if let Some(catatonit) = find_in_path("catatonit") {
        fs::copy(catatonit, root.join("bin/catatonit")).expect("copy");
    }
    tar(&root, &tree.join("layer.tar"), ".");
    let layer = digest(&tree.join("layer.tar"));
    let pause = ["catatonit", "-P"];
    let images =
        [("test", Some("SIGQUIT"), [].as_slice()), ("plain", None, &[]), ("pause", None, pause.as_slice())];
    let mut manifest = Vec::new();
    for (name, signal, command) in images {
        let mut config = json!({"Env": ["PATH=/bin"], "Entrypoint": command});
        if let Some(signal) = signal {
            config["StopSignal"] = json!(signal);
        }
        let image = json!({
            "architecture": architecture(), "os": "linux", "created": "2026-01-01T00:00:00Z", "config": config,
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": name}],
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]}
        });
        fs::write(tree.join("config"), image.to_string()).expect("write");
        let config = format!("{}.json", digest(&tree.join("config")));
        fs::rename(tree.join("config"), tree.join(&config)).expect("rename");
        let tag = format!("localhost/runsig-{name}:latest");
        manifest.push(json!({"Config": config, "RepoTags": [tag], "Layers": ["layer.tar"]}));
    }
    fs::write(tree.join("manifest.json"), json!(manifest).to_string()).expect("write");
    fs::remove_dir_all(&root).expect("remove");
    let archive = dir.join("image.tar");
    tar(&tree, &archive, ".");
    fs::remove_dir_all(&tree).expect("remove");
    archive
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn tar(from: &Path, archive: &Path, what: &str) {
    let status = Command::new("tar").arg("-C").arg(from).arg("-cf").arg(archive).arg(what).status();
    // The archive may lie in the tree it is made of.
    assert!(status.expect("tar").code().is_some_and(|code| code < 2));
}

fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().expect("sha256sum");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_string()
}

/// An engine's server, ended with its owner.
pub(crate) struct Server(Child);

impl Server {
    /// Starts a server that writes to a log.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Server {
        let output = File::options().create(true).append(true).open(log).expect("a log");
        let both = output.try_clone().expect("dup");
        Server(command.stdin(Stdio::null()).stdout(output).stderr(both).spawn().expect("a server"))
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(i32::MAX));
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let ended = || matches!(self.0.try_wait(), Ok(Some(_)) | Err(_));
        if !wait::until(Duration::from_secs(5), ended) {
            self.kill();
        }
    }
}

/// Waits for something that an engine does, on a machine that may be busy.
pub(crate) fn patiently(what: &str, mut condition: impl FnMut() -> bool) {
    let met = wait::until(limit(), || {
        let met = condition();
        if !met {
            std::thread::sleep(Duration::from_millis(50));
        }
        met
    });
    assert!(met, "waited {:?} in vain for {what}", limit());
}

/// Waits until a socket accepts a connection.
pub(crate) fn wait_for_socket(path: &Path, log: &Path) {
    let up = wait::until(limit(), || std::os::unix::net::UnixStream::connect(path).is_ok());
    assert!(up, "{} never came up: {}", path.display(), fs::read_to_string(log).unwrap_or_default());
}
