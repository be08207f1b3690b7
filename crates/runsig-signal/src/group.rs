//! The container's cgroup, as far as the stop engine needs it.
//!
//! Owns: the interface, and its implementation over `runsig-cgroup`.
//! Must not: know v1 from v2 beyond what a paused container does with a SIGKILL.

use std::fmt::Debug;

use runsig_cgroup::{Cgroup, Member, Paths};
use runsig_sys::BorrowedFd;

use crate::error::{Error, Result};

/// A set of processes that can be listed, frozen and killed.
pub trait Group: Debug {
    /// The numbers of all processes in it, in nested cgroups too.
    ///
    /// # Errors
    /// When it cannot be read. A cgroup that is gone has no processes.
    fn pids(&self) -> Result<Vec<i32>>;
    /// Calls `each` with the number and the pidfd of every process in it, while all of them are held
    /// still, so that nobody forks away or ends and leaves its number to a stranger.
    ///
    /// # Errors
    /// When they cannot be held still (nobody has been called then) or listed.
    fn each_frozen(&self, each: &mut dyn FnMut(i32, BorrowedFd<'_>)) -> Result<()>;
    /// Lets everybody go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn thaw(&self) -> Result<()>;
    /// Whether it is frozen.
    ///
    /// # Errors
    /// When it cannot be read.
    fn is_frozen(&self) -> Result<bool>;
    /// Kills everybody in it, without a race.
    ///
    /// # Errors
    /// When it cannot.
    fn kill_all(&self) -> Result<()>;
    /// Whether SIGKILL ends frozen processes (v2) or only once they are thawed (v1).
    fn kills_frozen(&self) -> bool;
}

/// The cgroup at these paths; `None` where the container has none of its own.
#[must_use]
pub fn of(paths: &Paths) -> Option<Box<dyn Group>> {
    if paths.is_disabled() { None } else { Some(Box::new(Cgroup::new(paths.clone()))) }
}

impl Group for Cgroup {
    fn pids(&self) -> Result<Vec<i32>> {
        Self::pids(self).map_err(failed)
    }
    fn each_frozen(&self, each: &mut dyn FnMut(i32, BorrowedFd<'_>)) -> Result<()> {
        let visit = |member: Member| each(member.pid, member.pidfd.as_fd());
        self.for_each_frozen(visit).map(drop).map_err(failed)
    }
    fn thaw(&self) -> Result<()> {
        Self::thaw(self).map_err(failed)
    }
    fn is_frozen(&self) -> Result<bool> {
        Self::is_frozen(self).map_err(failed)
    }
    fn kill_all(&self) -> Result<()> {
        Self::kill_all(self).map_err(failed)
    }
    fn kills_frozen(&self) -> bool {
        self.paths().is_unified()
    }
}

fn failed(cause: runsig_cgroup::Error) -> Error {
    Error::Cgroup(cause)
}
