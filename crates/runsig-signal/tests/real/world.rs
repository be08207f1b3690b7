//! Containers as small as they can be: a program as PID 1 of a PID namespace, or in a cgroup.
//!
//! Owns: starting and certainly ending them. Must not: check anything.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use runsig_cgroup::{Cgroup, Host, Paths, Request};
use runsig_signal::identity::{self, Identity, ProcessFd};
use runsig_signal::{PidNamespace, Signal, Target, group, procfs};
use runsig_sys::process::ExitStatus;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The directory with the programs.
pub(crate) fn program(name: &str) -> String {
    format!("{}/tests/real/programs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a part of this program, a copy of which is `program`, under `wrapper`: in other namespaces, with
/// other limits or as another user. Whether it succeeded.
pub(crate) fn inside(wrapper: &[&str], program: &Path, part: &str) -> bool {
    let (command, args) = wrapper.split_first().expect("a wrapper");
    let status = Command::new(command).args(args).arg(program).env("RUNSIG_TEST_INSIDE", part).status();
    status.is_ok_and(|status| status.success())
}

/// This program.
pub(crate) fn ourselves() -> PathBuf {
    std::env::current_exe().expect("our own path")
}

/// Whether a command is there.
pub(crate) fn has(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(command).is_file())
}

/// `chains.c`, compiled once.
pub(crate) fn chains() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            let out = std::env::temp_dir().join(format!("runsig-chains-{}", std::process::id()));
            let cc = Command::new("cc").args(["-O1", "-o"]).arg(&out).arg(program("chains.c")).status();
            assert!(cc.unwrap().success());
            out
        })
        .clone()
}

/// Removes what [`chains`] made.
pub(crate) fn clean() {
    let _ = std::fs::remove_file(std::env::temp_dir().join(format!("runsig-chains-{}", std::process::id())));
}

/// Waits until something is so, at most five seconds.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !check() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program that has said `ready`.
pub(crate) struct Container {
    launcher: Child,
    output: BufReader<ChildStdout>,
    pub(crate) init: Identity,
    process: ProcessFd,
    pub(crate) target: Target,
    cgroup: Option<TestCgroup>,
}

/// Which cgroup a container gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    None,
    V2,
    V1,
}

/// Starts a program as PID 1 of a new PID namespace and waits for its first line.
pub(crate) fn start(command: &[&str]) -> Container {
    start_in(command, PidNamespace::Own, Group::None)
}

/// Runs a line of busybox sh that prints `ready` itself.
pub(crate) fn shell(script: &str) -> Container {
    start(&["busybox", "sh", "-c", script])
}

/// Starts a program that meets SIGTERM in some way.
pub(crate) fn python(how: &str) -> Container {
    start(&["python3", &program("waits.py"), how])
}

/// Starts a program in a PID namespace and a cgroup.
pub(crate) fn start_in(command: &[&str], namespace: PidNamespace, kind: Group) -> Container {
    let cgroup = TestCgroup::new(kind);
    let flags: &[&str] = match namespace {
        PidNamespace::Own => &["--fork", "--pid", "--kill-child=KILL", "--"],
        _ => &["--fork", "--kill-child=KILL", "--"],
    };
    // What becomes init waits for a line, so that it is in its cgroup before it runs the program.
    let mut launcher = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", "read -r line && exec \"$@\"", "sh"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let parent = launcher.id() as i32;
    eventually("the launcher has a child", || !procfs::children(parent).is_empty());
    let pid = procfs::children(parent)[0];
    let init = Identity::of(pid).unwrap();
    let process = identity::open(&init).unwrap().unwrap();
    let namespace_inode = procfs::pid_namespace(pid);
    if let Some(cgroup) = &cgroup {
        cgroup.cgroup.add_process(pid).unwrap();
    }
    std::io::Write::write_all(&mut launcher.stdin.as_ref().unwrap(), b"go\n").unwrap();
    let mut output = BufReader::new(launcher.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready", "{command:?}");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let target = Target {
        id: format!("test-{number}"),
        init: Some(init),
        pid_namespace: namespace,
        namespace_inode,
        created: false,
        creator: None,
        group: cgroup.as_ref().and_then(|cgroup| group::of(cgroup.cgroup.paths())),
        annotations: BTreeMap::new(),
        resident: None,
    };
    Container { launcher, output, init, process, target, cgroup }
}

impl Container {
    pub(crate) fn pid(&self) -> i32 {
        self.init.pid
    }
    pub(crate) fn held(&self) -> Option<ProcessFd> {
        identity::open(&self.init).unwrap()
    }
    pub(crate) fn lives(&self) -> bool {
        self.held().is_some_and(|init| !init.has_ended())
    }
    /// The exit code that `unshare` passes on: 128+n for a signal. It cannot pass on a KILL and says 1.
    pub(crate) fn ended_with(&mut self) -> i32 {
        let status = self.launcher.wait().unwrap();
        match (status.code(), self.process.exit_status()) {
            (Some(1), Some(ExitStatus::Killed { signal: 9, .. })) => 137,
            (code, _) => code.unwrap_or_else(|| 128 + status.signal().unwrap()),
        }
    }
    /// The next line the program prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
    pub(crate) fn children(&self) -> Vec<i32> {
        procfs::children(self.pid())
    }
    pub(crate) fn freeze(&self) {
        self.cgroup.as_ref().unwrap().cgroup.freeze().unwrap();
    }
    pub(crate) fn members(&self) -> Vec<i32> {
        self.target.pids().unwrap()
    }
    /// Annotates the container.
    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.target.annotations.insert(key.to_owned(), value.to_owned());
        self
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(init) = self.held() {
            let _ = init.send(Signal::KILL);
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.cgroup.kill_all().unwrap();
        }
        let _ = self.launcher.wait();
    }
}

/// A cgroup of the test's own, removed at the end.
struct TestCgroup {
    cgroup: Cgroup,
}

impl TestCgroup {
    fn new(kind: Group) -> Option<Self> {
        let name =
            format!("/runsig-test-signal-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let paths = match kind {
            Group::None => return None,
            Group::V2 => Paths::of_unified(unified_mount().unwrap(), &name).unwrap(),
            Group::V1 => {
                let request = Request { cgroups_path: Some(&name), id: "test", ..Request::default() };
                Paths::resolve(&Host::detect().unwrap(), request).unwrap()
            }
        };
        let mut cgroup = Cgroup::new(paths);
        cgroup.create(None).unwrap();
        Some(Self { cgroup })
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        let _ = self.cgroup.thaw();
        self.cgroup.kill_all().unwrap();
        self.cgroup.wait_empty(Duration::from_secs(5)).unwrap();
        self.cgroup.remove().unwrap();
    }
}

/// Where cgroup v2 is mounted.
pub(crate) fn unified_mount() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .map(PathBuf::from)
        .find(|mount| mount.join("cgroup.controllers").exists())
}

/// Whether there is a v1 freezer.
pub(crate) fn has_v1() -> bool {
    Path::new("/sys/fs/cgroup/freezer/tasks").exists()
}

/// Whether somebody who is not root may make user namespaces.
pub(crate) fn has_user_namespaces() -> bool {
    let made = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--",
            "unshare",
            "--user",
            "--pid",
            "--fork",
            "true",
        ])
        .output();
    made.is_ok_and(|made| made.status.success())
}
