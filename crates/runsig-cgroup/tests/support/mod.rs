//! Real cgroups for tests: names of our own, processes that are ended, directories that go.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use runsig_cgroup::{Cgroup, Host, Paths, Request};

/// Set in the copy of a test binary that runs in a mount namespace with other cgroups.
pub(crate) const IN_NAMESPACE: &str = "RUNSIG_TEST_NAMESPACE";

/// Whether this test has to be passed over, and says why.
pub(crate) fn skipped() -> bool {
    let root = runsig_sys::process::geteuid() == 0;
    if !root {
        println!("skipped: needs root to make cgroups");
    }
    !root
}

/// A name nobody else uses.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("runsig-test-{what}-{}-{n}", std::process::id())
}

pub(crate) fn paths(cgroups_path: &str) -> Paths {
    let host = Host::detect().unwrap();
    Paths::resolve(&host, Request { cgroups_path: Some(cgroups_path), id: "x", ..Request::default() })
        .unwrap()
}

/// A cgroup that is emptied and removed at the end of the test, however it ends.
pub(crate) struct Scratch(pub(crate) Cgroup);

impl Scratch {
    pub(crate) fn new(what: &str) -> Self {
        let mut cgroup = Cgroup::new(paths(&format!("/{}", unique(what))));
        cgroup.create(None).unwrap();
        Self(cgroup)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.0.thaw();
        let _ = self.0.kill_all();
        let _ = self.0.remove();
    }
}

/// A process that sleeps until it is dropped.
pub(crate) struct Sleeper(pub(crate) Child);

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self(Command::new("sleep").arg("300").stdin(Stdio::null()).spawn().unwrap())
    }
    pub(crate) fn inside(cgroup: &Cgroup) -> Self {
        let sleeper = Self::new();
        cgroup.add_process(sleeper.pid()).unwrap();
        sleeper
    }
    pub(crate) fn pid(&self) -> i32 {
        self.0.id() as i32
    }
    /// The signal that ended it.
    pub(crate) fn ended_by(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the ignored tests of this binary whose name starts with `prefix`, with cgroup v2 alone at
/// /sys/fs/cgroup, in a mount namespace of their own.
pub(crate) fn run_in_pure_v2(prefix: &str) {
    run_in("umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup", prefix);
}

/// The same with cgroup v1 alone. Only for a hybrid host.
pub(crate) fn run_in_pure_v1(prefix: &str) {
    run_in("umount /sys/fs/cgroup/unified", prefix);
}

fn run_in(prepare: &str, prefix: &str) {
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c"])
        .arg(format!("{prepare} && exec \"$@\""))
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--test-threads=1", prefix])
        .env(IN_NAMESPACE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "tests in a mount namespace of their own failed: {status}");
}

/// For the tests that [`run_in_pure_v2`] and [`run_in_pure_v1`] run: whether we are not there.
pub(crate) fn not_in_namespace() -> bool {
    let inside = std::env::var_os(IN_NAMESPACE).is_some();
    if !inside {
        println!("skipped: runs in a mount namespace that another test makes");
    }
    !inside
}
