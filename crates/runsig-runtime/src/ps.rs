//! `ps`: which processes a container has.
//!
//! Owns: the list of PIDs. Must not: describe them; that is ps(1)'s or the signal engine's business.

use runsig_cgroup::Cgroup;

use crate::error::Result;
use crate::store::Store;

/// The PIDs of everything in the container's cgroup, those of nested cgroups too.
///
/// # Errors
/// [`crate::Error::NotExist`]; when the cgroup cannot be read.
pub fn pids(store: &Store, id: &str) -> Result<Vec<i32>> {
    let container = store.load(id)?;
    Ok(Cgroup::new(container.state.cgroup).pids()?)
}
