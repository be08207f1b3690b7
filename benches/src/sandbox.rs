//! The place to measure in: mounts of our own, with cgroup v2 alone at /sys/fs/cgroup.

use std::process::{Command, ExitCode};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, getpid};

/// A tmpfs that only the sandbox sees.
pub(crate) const STATE: &str = "/run";

const MARK: &str = "RUNSIG_BENCH_INSIDE";

/// Whether this process is already the one in the sandbox.
pub(crate) fn inside() -> Result<bool, String> {
    if std::env::var_os(MARK).is_none() {
        return Ok(false);
    }
    if getpid() == Pid::from_raw(1) {
        return Err("must not be PID 1: it would have to reap the containers".to_string());
    }
    Ok(true)
}

/// Makes the sandbox and runs this program again in it.
pub(crate) fn restart() -> Result<ExitCode, String> {
    let none: Option<&str> = None;
    let fail = |what: &'static str| move |error: nix::Error| format!("{what}: {error} (root is needed)");
    unshare(CloneFlags::CLONE_NEWNS).map_err(fail("a mount namespace"))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(fail("private mounts"))?;
    mount(Some("none"), STATE, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).map_err(fail("a tmpfs"))?;
    if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH).map_err(fail("hiding cgroup v1"))?;
        mount(Some("none"), "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none)
            .map_err(fail("cgroup v2"))?;
    }
    let status = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .status()
        .map_err(|error| error.to_string())?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
