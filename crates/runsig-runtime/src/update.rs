//! `update`: other limits for a container that has its processes.
//!
//! Owns: the checks around it. Must not: know cgroup files, or keep limits: the kernel does.

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::Cgroup;

use crate::error::{Error, Result};
use crate::status::Status;
use crate::store::Store;

/// Changes the limits that `resources` gives; all others stay.
///
/// # Errors
/// When the container is stopped, or the kernel refuses a value.
pub fn update(store: &Store, id: &str, resources: &LinuxResources) -> Result<()> {
    let container = store.load(id)?;
    if container.status()? == Status::Stopped {
        return Err(Error::NotRunning(None));
    }
    Ok(Cgroup::new(container.state.cgroup).update(resources)?)
}
