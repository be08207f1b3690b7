//! Tests on real mounts, each on a thread with a mount namespace of its own: unshare(2) moves one
//! thread, and all it mounted is gone when it ends.
//!
//! Owns: the scene (a tmpfs with a small rootfs), plans, and looking at mountinfo.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attacks;
mod content;
mod mounts;
mod scenes;
mod userns;

use alloc::ffi::CString;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{eprintln, fs};

use runsig_proto::plan::*;
use runsig_sys::mount::{self, MS_PRIVATE, MS_REC, MS_SLAVE};
use runsig_sys::process;

use super::*;

/// Where one test plays: a tmpfs that only it sees.
pub(crate) struct Scene {
    /// The tmpfs.
    pub(crate) top: PathBuf,
    /// A rootfs in it.
    pub(crate) root: PathBuf,
}

impl Scene {
    pub(crate) fn new(top: &Path) -> Self {
        let root = top.join("rootfs");
        fs::create_dir(&root).unwrap();
        Self { top: top.into(), root }
    }
    /// A directory in the rootfs, with its parents.
    pub(crate) fn dir(&self, path: &str) -> PathBuf {
        let dir = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&dir).unwrap();
        dir
    }
    /// A file in the rootfs.
    pub(crate) fn file(&self, path: &str, content: &str) -> PathBuf {
        let file = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }
    /// A link in the rootfs.
    pub(crate) fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.root.join(path.trim_start_matches('/'))).unwrap();
    }
    /// A directory outside the rootfs with one file `hello`.
    pub(crate) fn source(&self, name: &str) -> PathBuf {
        let dir = self.top.join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("hello"), name).unwrap();
        dir
    }
    pub(crate) fn plan(&self) -> InitPlan {
        plan(&self.root)
    }
    /// The plan with these mounts.
    pub(crate) fn with(&self, mounts: Vec<Mount>) -> InitPlan {
        let mut plan = self.plan();
        rootfs(&mut plan).mounts = mounts;
        plan
    }
}

pub(crate) fn rootfs(plan: &mut InitPlan) -> &mut Rootfs {
    plan.rootfs.as_mut().unwrap()
}

/// Runs a test in a mount namespace; without root there is none to be had.
pub(crate) fn scene(test: fn(Scene)) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if process::geteuid() != 0 || process::capget().unwrap().effective & (1 << 21) == 0 {
        eprintln!("skipped: needs root with CAP_SYS_ADMIN for a mount namespace");
        return;
    }
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let top = std::env::temp_dir().join(format!("runsig-init-test-{}-{n}", std::process::id()));
    fs::create_dir(&top).unwrap();
    let inside = top.clone();
    let result = std::thread::spawn(move || {
        process::unshare(process::CLONE_NEWNS).unwrap();
        mount::mount(None, c"/", None, MS_PRIVATE | MS_REC, None).unwrap();
        mount::mount(Some(c"tmpfs"), &c(&inside), Some(c"tmpfs"), 0, None).unwrap();
        test(Scene::new(&inside));
    })
    .join();
    fs::remove_dir(&top).unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// As [`super::prepare`], with nobody to ask: for plans without idmapped binds.
pub(crate) fn prepare(plan: &InitPlan) -> Result<Prepared> {
    super::prepare(plan, &Sync::default())
}

pub(crate) fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

pub(crate) fn plan(root: &Path) -> InitPlan {
    let fds = Fds { exec_fifo: -1, console: -1, preserve: 0 };
    let namespaces = Namespaces { mount: true, ..Namespaces::default() };
    let process = Process { cwd: c"/".into(), umask: 0o22, ..Process::default() };
    InitPlan {
        kind: Kind::Create,
        rootfs: Some(Rootfs {
            path: c(root),
            propagation: MS_SLAVE | MS_REC,
            final_propagation: 0,
            switch: SwitchRoot::Pivot,
            mounts: vec![],
            devices: vec![],
            bind_devices: false,
            setup_dev: false,
            masked: vec![],
            readonly_paths: vec![],
            readonly: false,
            mount_label: None,
        }),
        ..InitPlan::joining(fds, namespaces, process)
    }
}

fn any(destination: &str, what: MountWhat, source: CString) -> Mount {
    Mount {
        destination: c(destination),
        what,
        set: 0,
        clear: 0,
        set_recursive: 0,
        clear_recursive: 0,
        propagation: vec![],
        source,
        copy_up: false,
    }
}

/// A bind mount.
pub(crate) fn bind(source: impl AsRef<Path>, destination: &str, recursive: bool) -> Mount {
    let source = c(source);
    any(destination, MountWhat::Bind { source: source.clone(), recursive, tree: -1 }, source)
}

/// A new file system; options as in fstab.
pub(crate) fn new_fs(fstype: &str, destination: &str, options: &str, set: u64) -> Mount {
    let options = options.split(',').filter(|o| !o.is_empty()).map(|o| match o.split_once('=') {
        Some((key, value)) => (c(key), Some(c(value))),
        None => (c(o), None),
    });
    let what =
        MountWhat::FileSystem { fstype: c(fstype), source: c(fstype), options: options.collect(), tree: -1 };
    Mount { set, ..any(destination, what, c(fstype)) }
}

/// A cgroup v2 view by bind, or fresh.
pub(crate) fn cgroup(what: MountWhat, set: u64) -> Mount {
    Mount { set, ..any("/sys/fs/cgroup", what, c"cgroup".into()) }
}

/// A device of the plan.
pub(crate) fn device(path: &str, mode: u32, major: u32, minor: u32) -> Device {
    Device { path: c(path), mode, major, minor, uid: 0, gid: 0 }
}

/// One mount as mountinfo shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) point: String,
    pub(crate) options: String,
    pub(crate) tags: String,
    pub(crate) fstype: String,
    pub(crate) superblock: String,
}

/// All mounts below the thread's root; the last one on a point is the visible one.
pub(crate) fn shown() -> Vec<Shown> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ").unwrap();
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        Shown {
            point: left[4].to_string(),
            options: left[5].to_string(),
            tags: left[6..].join(" "),
            fstype: right[0].to_string(),
            superblock: right[2].to_string(),
        }
    };
    text.lines().map(parse).collect()
}

/// The visible mount on a point.
pub(crate) fn at(point: impl AsRef<Path>) -> Shown {
    let point = point.as_ref().to_str().unwrap();
    shown().into_iter().rfind(|m| m.point == point).unwrap_or_else(|| panic!("nothing is mounted on {point}"))
}

pub(crate) fn mounted(point: impl AsRef<Path>) -> bool {
    shown().iter().any(|m| Path::new(&m.point) == point.as_ref())
}

pub(crate) fn has(shown: &Shown, option: &str) -> bool {
    shown.options.split(',').any(|o| o == option)
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// The mount error of a write.
pub(crate) fn write_errno(path: impl AsRef<Path>) -> Option<i32> {
    fs::write(path, "x").err().and_then(|e| e.raw_os_error())
}

pub(crate) const EROFS: i32 = 30;
