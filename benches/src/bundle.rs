//! The bundle all runtimes get: the default spec with a cgroup namespace, a busybox root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A directory that is removed at the end.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory, on the disk as bundles and images are.
    pub(crate) dir: PathBuf,
}

impl Workspace {
    /// A fresh directory with a root file system in it.
    pub(crate) fn new(name: &str) -> Result<Workspace, String> {
        let dir = std::env::temp_dir().join(format!("oci-bench-{}-{name}", std::process::id()));
        let workspace = Workspace { dir };
        workspace.make_rootfs().map_err(|error| format!("{}: {error}", workspace.dir.display()))?;
        Ok(workspace)
    }

    /// Where the runtime keeps its state: on the sandbox's own tmpfs, as /run is one.
    pub(crate) fn state(&self) -> PathBuf {
        let name = self.dir.file_name().unwrap_or_default();
        Path::new(crate::sandbox::STATE).join(name)
    }

    fn make_rootfs(&self) -> std::io::Result<()> {
        let root = self.dir.join("rootfs");
        for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(root.join(dir))?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox"))?;
        for applet in ["sh", "sleep", "true"] {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        Ok(())
    }

    /// A bundle of that root for a program; several bundles share the root.
    pub(crate) fn bundle(&self, name: &str, cgroups_path: &str, args: &[&str]) -> Result<PathBuf, String> {
        let dir = self.dir.join(name);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&dir)?;
            let config = spec(args, &self.dir.join("rootfs"), cgroups_path);
            fs::write(dir.join("config.json"), config.to_string())
        };
        write().map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(dir)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The configuration of the tests, read-only and without the device list: crun raises RLIMIT_MEMLOCK for
/// it, which takes CAP_SYS_RESOURCE.
fn spec(args: &[&str], root: &Path, cgroups_path: &str) -> Value {
    let mut config = runsig_tests::spec::base(cgroups_path);
    config["process"]["args"] = json!(args);
    config["root"] = json!({"path": root, "readonly": true});
    config["hostname"] = "bench".into();
    config["linux"]["resources"] = json!({});
    config
}
