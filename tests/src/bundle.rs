//! A bundle: a directory with a busybox root and a config.json.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::harness::{tag, test_dir};
use crate::runtime::Runtime;
use crate::spec;

/// A bundle in the test's directory.
#[derive(Debug)]
pub struct Bundle {
    /// The directory.
    pub dir: PathBuf,
    /// The container id it is meant for.
    pub id: String,
    /// What config.json will hold.
    pub config: Value,
}

impl Default for Bundle {
    fn default() -> Self {
        Self::new()
    }
}

impl Bundle {
    /// A bundle of the base configuration.
    #[must_use]
    pub fn new() -> Bundle {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = test_dir().join(format!("bundle{number}"));
        make_rootfs(&dir.join("rootfs"));
        let id = format!("{}-c{number}", tag());
        let mut config = spec::base(&format!("/{}/{id}", tag()));
        if Runtime::kind_of(&Runtime::path()) == "crun" {
            // crun 1.8 raises RLIMIT_MEMLOCK before it loads its device program: that takes
            // CAP_SYS_RESOURCE, which the machine may lack.
            config["linux"]["resources"] = json!({});
        }
        Bundle { dir, id, config }
    }

    /// A bundle that runs a shell script.
    #[must_use]
    pub fn script(script: &str) -> Bundle {
        Bundle::new().args(&["sh", "-c", script])
    }

    /// Sets the program.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Bundle {
        self.config["process"]["args"] = json!(args);
        self
    }

    /// Changes the configuration.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Bundle {
        change(&mut self.config);
        self
    }

    /// The root directory.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Puts a file into the root.
    #[must_use]
    pub fn file(self, path: &str, content: &str, mode: u32) -> Bundle {
        let file = self.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().expect("below the root")).expect("mkdir");
        fs::write(&file, content).expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// Makes a directory in the root.
    #[must_use]
    pub fn directory(self, path: &str) -> Bundle {
        fs::create_dir_all(self.rootfs().join(path.trim_start_matches('/'))).expect("mkdir");
        self
    }

    /// Gives the whole root to a user and its group of the same number.
    #[must_use]
    pub fn owned_by(self, id: u32) -> Bundle {
        let owner = format!("{id}:{id}");
        let status = Command::new("chown").args(["-Rh", &owner]).arg(self.rootfs()).status();
        assert!(status.expect("chown").success());
        chown(&self.dir, Some(id), Some(id)).expect("chown");
        self
    }

    /// Where its cgroup is, as `cgroupsPath` says: in its systemd form, below a slice without dashes.
    #[must_use]
    pub fn cgroup(&self) -> String {
        let path = self.config["linux"]["cgroupsPath"].as_str().unwrap_or_default();
        match path.split(':').collect::<Vec<_>>().as_slice() {
            ["", prefix, name] => format!("/system.slice/{prefix}-{name}.scope"),
            [slice, prefix, name] => format!("/{slice}/{prefix}-{name}.scope"),
            _ => path.to_string(),
        }
    }

    /// Asks for a scope of systemd's: `runsig-ID.scope`.
    #[must_use]
    pub fn in_scope(self) -> Bundle {
        let path = format!(":runsig:{}", self.id);
        self.with(|config| config["linux"]["cgroupsPath"] = path.into())
    }

    /// Writes config.json.
    pub fn save(&self) {
        let file = File::create(self.dir.join("config.json")).expect("config.json");
        serde_json::to_writer_pretty(file, &self.config).expect("config.json");
    }
}

/// Makes a root file system of a static busybox.
pub fn make_rootfs(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var"] {
        fs::create_dir_all(root.join(dir)).expect("mkdir");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    let busybox = root.join("bin/busybox");
    fs::copy("/bin/busybox", &busybox).expect("package busybox-static");
    for applet in applets() {
        let _ = symlink("busybox", root.join("bin").join(applet));
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/tmp:/bin/sh\n")
        .expect("passwd");
    fs::write(root.join("etc/group"), "root:x:0:\nalice:x:1000:\ncrew:x:2000:alice\n").expect("group");
}

fn applets() -> Vec<String> {
    let output = Command::new("/bin/busybox").arg("--list").output().expect("package busybox-static");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}
