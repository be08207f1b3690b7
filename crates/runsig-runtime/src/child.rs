//! A child of ours that is being set up: who it is, and what the host's side sets on it.
//!
//! Owns: identity, affinity, limits and score of one process. Must not: be used for a process that
//! somebody else may reap: its number has to stay its own.

use std::path::{Path, PathBuf};

use runsig_signal::identity::Identity;
use runsig_signal::procfs;
use runsig_sys::{Errno, fd, fs, sched};

use crate::error::{Error, Result};
use crate::store::c_path;

/// Every CPU that the cgroup allows, whatever our caller is bound to: the kernel cuts the mask down.
/// A process that is refused keeps its caller's CPUs.
pub(crate) fn reset_affinity(pid: i32) {
    let _ = sched::sched_setaffinity(pid, &[u64::MAX; 16]);
}

/// Raises hard limits of a process in a user namespace, which has lost the right to. The init
/// sets the limits themselves when it is done with the set-up.
pub(crate) fn raise_rlimits(pid: i32, limits: &[(u32, u64, u64)]) -> Result<()> {
    for (resource, _, hard) in limits {
        let failed = |errno| {
            Error::Invalid(format!("error setting rlimits: error setting rlimit type {resource}: {errno}"))
        };
        let (soft, ours) = sched::getrlimit(*resource).map_err(failed)?;
        if *hard > ours {
            sched::prlimit(pid, *resource, soft, *hard).map_err(failed)?;
        }
    }
    Ok(())
}

/// Writes the score of a process that is our child and not reaped.
pub(crate) fn set_oom_score(pid: i32, score: i32) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    let text = score.to_string();
    let write = |path: &std::ffi::CStr| -> runsig_sys::Result<()> {
        let file = fs::openat(fd::CWD, path, fs::O_RDWR, 0)?;
        // Without CAP_SYS_RESOURCE writing back the value it has already may be refused.
        let mut now = [0u8; 16];
        let n = fs::read(file.as_fd(), &mut now)?;
        if now.get(..n).unwrap_or_default().trim_ascii() == text.as_bytes() {
            return Ok(());
        }
        fs::write_all(file.as_fd(), text.as_bytes())
    };
    write(&c_path(&path)?).map_err(Error::io("write", &path))
}

pub(crate) fn identity(pid: i32) -> Result<Identity> {
    Identity::read(pid).map_err(Error::io("read start time of process", pid.to_string()))
}

/// The one child of a resident init that has just been made.
pub(crate) fn main_process(init: i32) -> Result<i32> {
    let lost = || Error::io("find the main process of init", init.to_string())(Errno::ESRCH);
    procfs::children(init).first().copied().ok_or_else(lost)
}

/// What a child of ours calls itself, for hooks that run inside (runtime.md, State): the last number
/// of NSpid in <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>.
pub(crate) fn pid_inside(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_ascii_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(pid)
}

/// The PID namespace of a child of ours; only for telling later who else was in it.
pub(crate) fn namespace_inode(pid: i32) -> Option<u64> {
    let path = c_path(Path::new(&format!("/proc/{pid}/ns/pid"))).ok()?;
    fs::stat(fd::CWD, &path, true).ok().map(|stat| stat.ino)
}
