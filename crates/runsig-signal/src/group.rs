//! The container's cgroup, as far as the stop engine needs it.
//!
//! Owns: the interface, and its implementation over `runsig-cgroup`.
//! Must not: know v1 from v2 beyond what a paused container does with a SIGKILL.

use std::fmt::Debug;

use crate::error::{Error, Result};

/// A set of processes that can be listed, frozen and killed.
pub trait Group: Debug {
    /// The numbers of all processes in it, in nested cgroups too.
    ///
    /// # Errors
    /// When it cannot be read. A cgroup that is gone has no processes.
    fn pids(&self) -> Result<Vec<i32>>;
    /// Stops everybody in it, and returns when they are.
    ///
    /// # Errors
    /// When the kernel refuses or it takes too long.
    fn freeze(&self) -> Result<()>;
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

pub(crate) fn failed(what: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::Cgroup { what: what.to_owned(), cause: cause.to_string() }
}
