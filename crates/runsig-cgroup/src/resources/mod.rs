//! Limits: `linux.resources` written to the files of the controllers.
//!
//! Owns: the order of controllers, and what is asked of which. Which file a number goes to, and in
//! what form, is in the modules below, one for each group of controllers, both versions together.
//! 0 means "not asked for" wherever it does for runc. Must not: make cgroups.

pub(crate) mod convert;
mod cpu;
mod io;
mod knobs;
mod memory;
mod merge;
mod small;
mod unified;

use oci_spec::runtime::LinuxResources;

use crate::cgroup::{Cgroup, Need};
use crate::devices;
use crate::error::{Error, Result};

pub(crate) use knobs::Knobs;
pub use merge::merge;

/// What limits ask of the cgroup.
pub(crate) fn need(resources: Option<&LinuxResources>) -> Need {
    let Some(r) = resources else { return Need::default() };
    let (memory, io) = (memory::is_set(r), io::is_set(r));
    let (cpu, hugetlb) = (cpu::is_set(r), small::hugetlb_is_set(r));
    let domain = memory || io || cpu || hugetlb;
    let threaded = small::pids_is_set(r) || cpu::cpuset_is_set(r);
    Need { any: domain || threaded || unified::is_set(r), domain }
}

impl Cgroup {
    /// Sets the limits of a new container, and which devices it may use. Every container gets a
    /// device filter, with or without rules in its bundle. `bundle_devices` are the paths of
    /// `linux.devices`: a default device that the bundle replaces loses its default rule.
    ///
    /// Nothing is done for a container whose cgroups are disabled.
    ///
    /// # Errors
    /// A value that makes no sense or that the kernel refuses, a controller that is not there, with
    /// its name and the file. What was set before stays.
    pub fn apply(&self, resources: Option<&LinuxResources>, bundle_devices: &[&str]) -> Result<()> {
        if self.paths().is_disabled() && !self.paths().rootless {
            return Ok(());
        }
        let none = LinuxResources::default();
        let resources = resources.unwrap_or(&none);
        let rules = resources.devices().as_deref().unwrap_or_default();
        let filter = devices::filter(rules, bundle_devices)?;
        self.set(resources, Some(&filter))
    }

    /// Changes limits of a container; its devices stay as they are. What is not asked for stays,
    /// too, so the limits alone that change are enough, with one exception: on v2 swap is counted
    /// apart from memory, so a new memory limit changes the sum. Where runc's arithmetic is wanted,
    /// pass the container's limits with the changes [`merge`]d in.
    ///
    /// # Errors
    /// As [`Cgroup::apply`]; also when the container has no cgroup.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        self.update_and_warn(resources, &mut |_| {})
    }

    /// As [`Cgroup::update`]; what systemd cannot have is told to `warn`, whether the files can or not.
    ///
    /// # Errors
    /// As there.
    pub fn update_and_warn(&self, resources: &LinuxResources, warn: &mut dyn FnMut(&str)) -> Result<()> {
        match &self.paths().unit {
            None => self.set(resources, None),
            Some(unit) => {
                self.check_update(resources)?;
                self.set(&self.change_unit(unit, resources, warn)?, None)
            }
        }
    }

    /// What must be known before systemd has set the first limit.
    fn check_update(&self, r: &LinuxResources) -> Result<()> {
        match self.v2_dir()?.filter(|_| self.paths().is_unified()) {
            None if unified::is_set(r) => Err(Error::UnifiedOnV1),
            None => Ok(()),
            Some(dir) => memory::check(r, &Knobs::unified(dir, "memory")),
        }
    }

    fn set(&self, resources: &LinuxResources, filter: Option<&devices::Filter>) -> Result<()> {
        if self.paths().is_disabled() && !self.paths().rootless {
            return Err(Error::NotConfigured { what: "set limits" });
        }
        if self.paths().is_unified() {
            self.set_unified(resources, filter)
        } else {
            // Also for a rootless container that goes without: what it asks for is named.
            self.set_legacy(resources, filter)
        }
    }

    fn set_unified(&self, r: &LinuxResources, filter: Option<&devices::Filter>) -> Result<()> {
        let dir = self.v2_dir()?.ok_or(Error::NotConfigured { what: "set limits" })?;
        let knobs = |controller| Knobs::unified(dir, controller);
        small::pids(r, || Ok(knobs("pids")))?;
        memory::unified(r, &knobs("memory"))?;
        io::unified(r, &knobs("io"))?;
        cpu::unified(r, &knobs("cpu"))?;
        if let Some(filter) = filter {
            self.excuse_devices(devices::set_v2(dir, filter, self.fresh))?;
        }
        cpu::cpuset_unified(r, &knobs("cpuset"))?;
        small::hugetlb(r, ".max", || Ok(knobs("hugetlb")))?;
        small::rdma(r, || Ok(knobs("rdma")))?;
        unified::set(r, dir)
    }

    fn set_legacy(&self, r: &LinuxResources, filter: Option<&devices::Filter>) -> Result<()> {
        if unified::is_set(r) {
            return Err(Error::UnifiedOnV1);
        }
        let knobs = |controller| Knobs::legacy(self.v1_dir(controller)?, controller);
        cpu::cpuset_legacy(r, || knobs("cpuset"))?;
        if let (Some(filter), Some(dir)) = (filter, self.v1_dir("devices")?) {
            self.excuse_devices(devices::set_v1(dir, filter))?;
        }
        memory::legacy(r, || knobs("memory"))?;
        cpu::legacy(r, || knobs("cpu"))?;
        small::pids(r, || knobs("pids"))?;
        io::legacy(r, || knobs("blkio"))?;
        small::hugetlb(r, ".limit_in_bytes", || knobs("hugetlb"))?;
        small::network_class(r, || knobs("net_cls"))?;
        small::network_priorities(r, || knobs("net_prio"))?;
        small::rdma(r, || knobs("rdma"))
    }

    /// A rootless container has no access to the host's devices, filter or not.
    fn excuse_devices(&self, result: Result<()>) -> Result<()> {
        if self.paths().rootless { Ok(()) } else { result }
    }
}
