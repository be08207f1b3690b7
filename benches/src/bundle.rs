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
            let mut config = spec(args, &self.dir.join("rootfs"));
            config["linux"]["cgroupsPath"] = cgroups_path.into();
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

/// What `runc spec` writes, with a cgroup namespace and without the device list: crun raises
/// RLIMIT_MEMLOCK for it, which takes CAP_SYS_RESOURCE.
fn spec(args: &[&str], root: &Path) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": root, "readonly": true},
        "hostname": "bench",
        "mounts": mounts(),
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ])
}
