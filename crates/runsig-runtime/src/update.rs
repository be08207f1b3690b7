//! `update`: other limits for a container that has its processes.
//!
//! Owns: the checks around it. Must not: know cgroup files, or keep limits: the kernel does.

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::Cgroup;

use crate::error::{Error, Result};
use crate::options::Globals;
use crate::resctrl::Resctrl;
pub use crate::resctrl::Schemata;
use crate::status::Status;
use crate::store::Store;

/// Changes the limits and the schemata that are given; all others stay.
///
/// # Errors
/// When the container is stopped, or the kernel refuses a value.
pub fn update(globals: &Globals, id: &str, resources: &LinuxResources, schemata: &Schemata) -> Result<()> {
    let container = Store::new(&globals.root).load(id)?;
    let groups = container.state.resctrl.as_ref();
    if !schemata.is_empty() {
        schemata.check(Resctrl::find().ok().as_ref(), groups)?;
    }
    if container.status()? == Status::Stopped {
        return Err(Error::NotRunning(None));
    }
    let groups = groups.cloned().filter(|_| !schemata.is_empty());
    Cgroup::new(container.state.cgroup).update_and_warn(resources, &mut |warning| globals.warn(warning))?;
    groups.map_or(Ok(()), |groups| groups.update(schemata))
}
