//! `pause` and `resume`.
//!
//! Owns: the checks around the freezer. Must not: know cgroup files.

use runsig_cgroup::Cgroup;

use crate::error::{Error, Result};
use crate::status::Status;
use crate::store::Store;

/// Freezes a running or created container.
///
/// # Errors
/// When it is neither.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    let container = store.load(id)?;
    match container.status()? {
        Status::Running | Status::Created => Ok(Cgroup::new(container.state.cgroup).freeze()?),
        Status::Stopped => Err(Error::NotRunning(None)),
        status => Err(Error::State(format!("container not running or created: {status}"))),
    }
}

/// Thaws a paused container.
///
/// # Errors
/// When it is not paused.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    let container = store.load(id)?;
    match container.status()? {
        Status::Paused => Ok(Cgroup::new(container.state.cgroup).thaw()?),
        _ => Err(Error::NotPaused),
    }
}
