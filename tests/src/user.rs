//! A real user without privilege, who exists only in the mount namespace of the running test.
//!
//! Owns: account files, home, runtime directory, and a delegated cgroup for such a user.
//! Must not: change the machine's own accounts.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};

use crate::case::require_command;
use crate::harness::{tag, test_dir};
use crate::runtime::{LIMIT, Outcome, Runtime, finish};
use crate::{Bundle, spec};

/// The user's number, and that of the user's only group.
pub const ID: u32 = 64123;
/// The user's name.
pub const NAME: &str = "runsigtest";
/// The first of the 65536 numbers that /etc/subuid and /etc/subgid give the user.
pub const SUB_IDS: u32 = 1_700_000;

/// The user.
#[derive(Debug)]
pub struct User {
    /// Home; a readable copy of the runtime is in it.
    pub home: PathBuf,
    /// The copy of the runtime under test.
    pub runtime: PathBuf,
    /// cgroup v2 path of the user's own sub-tree.
    cgroup: Option<String>,
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

impl User {
    /// A user who may use no cgroup.
    #[must_use]
    pub fn new() -> User {
        require_command("setpriv");
        let home = test_dir().join("u");
        fs::create_dir_all(home.join("run")).expect("mkdir");
        add_account(&home);
        let runtime = home.join(Runtime::path().file_name().expect("a name"));
        fs::copy(Runtime::path(), &runtime).expect("copy the runtime");
        for path in [&test_dir(), &home, &runtime] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        give(&home);
        User { home, runtime, cgroup: None }
    }

    /// A user with a delegated cgroup v2 sub-tree, whose processes are in a leaf of it.
    #[must_use]
    pub fn with_cgroup() -> User {
        let path = format!("/{}", tag());
        let dir = PathBuf::from(format!("/sys/fs/cgroup{path}"));
        fs::create_dir_all(dir.join("leaf")).expect("mkdir");
        give(&dir);
        User { cgroup: Some(path), ..User::new() }
    }

    /// Takes newuidmap(1) and newgidmap(1) away.
    pub fn lose_map_helpers(&self) {
        for name in ["newuidmap", "newgidmap"] {
            if let Some(path) = crate::runtime::find_in_path(name) {
                bind(Path::new("/dev/null"), &path);
            }
        }
    }

    /// The path of the delegated cgroup.
    #[must_use]
    pub fn cgroup(&self) -> &str {
        self.cgroup.as_deref().expect("a user with a cgroup")
    }

    /// A program that the user runs, not yet started.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let id = ID.to_string();
        let enter = self.cgroup.as_ref().map_or(String::new(), |path| {
            format!("echo 0 >/sys/fs/cgroup{path}/leaf/cgroup.procs || exit 99; ")
        });
        let mut command = Command::new("sh");
        command.arg("-c").arg(enter + "exec \"$@\"").arg("sh");
        command.args(["setpriv", "--reuid", &id, "--regid", &id, "--init-groups"]).arg(program);
        command.current_dir(&self.home).env("HOME", &self.home).env("USER", NAME);
        command.env("XDG_RUNTIME_DIR", self.home.join("run"));
        command
    }

    /// Calls the runtime, which keeps its state in the user's runtime directory.
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Outcome {
        let mut command = self.command(self.runtime.to_str().expect("utf-8"));
        command.args(args);
        finish(command, LIMIT)
    }

    /// `run` of a bundle, with options.
    #[must_use]
    pub fn run(&self, options: &[&str], bundle: &Bundle) -> Outcome {
        bundle.save();
        let dir = bundle.dir.to_str().expect("utf-8");
        let verb = [&["run", "--bundle", dir], options, &[&bundle.id]].concat();
        self.call(&verb)
    }

    /// A bundle of the user's: what `spec --rootless` writes, with a script as its program.
    #[must_use]
    pub fn bundle(&self, script: &str) -> Bundle {
        Bundle::script(script).owned_by(ID).with(|config| {
            make_rootless(config);
            map(config, &[(0, ID, 1)]);
        })
    }
}

/// The changes of runc's `spec --rootless`, without maps.
fn make_rootless(config: &mut Value) {
    spec::drop_namespace(config, "network");
    spec::set_namespace(config, "user", None);
    let linux = config["linux"].as_object_mut().expect("an object");
    linux.remove("cgroupsPath");
    linux.remove("resources");
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    for mount in mounts {
        match mount["destination"].as_str() {
            Some("/sys") => {
                *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
            }
            Some("/dev/pts") => {
                mount["options"].as_array_mut().expect("a list").retain(|option| option != "gid=5");
            }
            _ => {}
        }
    }
}

/// Maps (inside, outside, how many), for users and groups alike.
pub fn map(config: &mut Value, maps: &[(u32, u32, u32)]) {
    let entry = |(inside, outside, size): &(u32, u32, u32)| json!({"containerID": inside, "hostID": outside, "size": size});
    let maps: Vec<Value> = maps.iter().map(entry).collect();
    config["linux"]["uidMappings"] = json!(maps);
    config["linux"]["gidMappings"] = json!(maps);
}

/// Shows the test copies of the account files that have the user in them.
fn add_account(home: &Path) {
    let sub_ids = format!("{NAME}:{SUB_IDS}:65536\n");
    let passwd = format!("{NAME}:x:{ID}:{ID}::{}:/bin/sh\n", home.display());
    let group = format!("{NAME}:x:{ID}:\n");
    for (file, line) in [("passwd", &passwd), ("group", &group), ("subuid", &sub_ids), ("subgid", &sub_ids)] {
        let machine = Path::new("/etc").join(file);
        let copy = test_dir().join(format!("etc-{file}"));
        let text = fs::read_to_string(&machine).unwrap_or_default();
        fs::write(&copy, text + line).expect("write");
        if !machine.exists() {
            crate::skip(format!("{} does not exist: install uidmap", machine.display()));
        }
        bind(&copy, &machine);
    }
}

fn bind(source: &Path, target: &Path) {
    let none: Option<&str> = None;
    mount(Some(source), target, none, MsFlags::MS_BIND, none).expect("bind");
}

/// Makes the user the owner of a directory and of everything in it.
pub fn give(dir: &Path) {
    chown(dir, Some(ID), Some(ID)).expect("chown");
    let owner = format!("{ID}:{ID}");
    let status = Command::new("chown").args(["-Rh", &owner]).arg(dir).status();
    assert!(status.expect("chown").success());
}
