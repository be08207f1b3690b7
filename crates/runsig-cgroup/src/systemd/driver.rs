//! A container's cgroup as a unit of systemd's: where it is, starting it with its first process,
//! changing its limits, and its end.
//!
//! Owns: what [`Cgroup`] does differently with a unit. Must not: speak D-Bus.

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::manager::Manager;
use super::translate::{self, Properties, Target};
use super::unit::Unit;
use super::value::Value;
use super::{BusError, Property, devices};
use crate::cgroup::Cgroup;
use crate::devices::{from_lines, set_v1, to_lines};
use crate::error::{Error, Result};
use crate::host::{Host, Mode};
use crate::paths::{Directory, Legacy, Paths, Request};
use crate::resources::Knobs;

/// What a new unit is to be, beside its limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// The paths of `linux.devices`.
    pub bundle_devices: &'a [&'a str],
    /// Of the annotations.
    pub properties: &'a [Property],
}

/// Decides where a unit's cgroups are.
pub(crate) fn paths(host: &Host, request: Request<'_>) -> Result<Paths> {
    if !super::is_running() {
        return Err(Error::invalid("systemd not running on this host, cannot use systemd cgroups manager"));
    }
    let unified = match host.mode() {
        Mode::None => return Err(Error::NoMount { controller: "cgroup" }),
        Mode::Unified => true,
        Mode::Legacy | Mode::Hybrid if request.rootless => {
            return Err(Error::invalid("cannot use rootless systemd cgroups manager on cgroup v1"));
        }
        Mode::Legacy | Mode::Hybrid => false,
    };
    let unit = Unit::parse(request.cgroups_path, request.id, request.rootless)?;
    // A bad name is no reason to look for systemd.
    unit.path("")?;
    let top = if unit.user { control_group_of_user()? } else { String::new() };
    let relative = unit.path(&top)?;
    let on = |mount: &Path| Directory::new(mount, &relative);
    let legacy = host.legacy.iter().map(|hierarchy| {
        let directory = on(&hierarchy.mount)?;
        Ok(Legacy { controllers: hierarchy.controllers.clone(), directory })
    });
    let paths = Paths {
        unified: host.unified.as_deref().map(on).transpose()?,
        legacy: legacy.collect::<Result<_>>()?,
        shared: Vec::new(),
        rootless: request.rootless,
        explicit: true,
        made: Vec::new(),
        unit: Some(unit),
    };
    if unified || paths.find("devices").is_some() {
        return Ok(paths);
    }
    // Without it every device would be open to the container.
    Err(Error::NoMount { controller: "devices" })
}

fn failed(what: impl Into<String>) -> impl FnOnce(BusError) -> Error {
    let what = what.into();
    move |source| Error::Systemd { what, source }
}

/// A connection and the number of the systemd behind it.
fn connect(unit: &Unit, unable: &str) -> Result<(Manager, u32)> {
    let connect = || {
        let mut manager = Manager::connect(unit.user)?;
        let version = manager.version()?;
        Ok((manager, version))
    };
    connect().map_err(failed(unable))
}

/// The cgroup that a user's units are below.
fn control_group_of_user() -> Result<String> {
    Manager::connect(true).and_then(|mut manager| manager.control_group()).map_err(failed(""))
}

impl Cgroup {
    /// Has systemd start the unit around a process, which waits for us and has done nothing yet, and
    /// returns what there is to be warned of. Limits that systemd knows are set with it;
    /// [`Cgroup::apply`] has to set all of them in the files afterwards, for which `resources` is
    /// given what systemd made of a CPU quota.
    ///
    /// # Errors
    /// When systemd cannot be reached or refuses. See [`Error::is_unit_exists`].
    pub fn start_unit(
        &mut self,
        pid: i32,
        wishes: Wishes<'_>,
        resources: &mut LinuxResources,
    ) -> Result<Vec<String>> {
        let Some(unit) = self.paths().unit.clone() else { return Ok(Vec::new()) };
        let (mut manager, version) = connect(&unit, "")?;
        let unified = self.paths().is_unified();
        let target = Target { version, unified, memory: 0, idle: false };
        let mut all = first_properties(&unit, unified, pid);
        all.list.extend_from_slice(wishes.properties);
        let rules = resources.devices().as_deref().unwrap_or_default();
        let filter = crate::devices::filter(rules, wishes.bundle_devices)?;
        devices::properties(&filter, target.version, unified, &mut all);
        let limits = translate::limits(resources, target)?;
        all.list.extend(limits.list);
        all.warnings.extend(limits.warnings);
        translate::at_start(resources, target, &mut all)?;
        manager
            .start(&unit, &all.list, pid)
            .map_err(failed(format!("unable to start unit {:?}", unit.name)))?;
        self.adopt(Some(resources))?;
        if !unified {
            self.remember_devices(to_lines(&filter));
        }
        Ok(all.warnings)
    }

    /// Tells systemd of changed limits, before they are written to the files.
    pub(crate) fn change_unit(
        &self,
        unit: &Unit,
        changes: &LinuxResources,
        warn: &mut dyn FnMut(&str),
    ) -> Result<LinuxResources> {
        let mut changes = changes.clone();
        let unified = self.paths().is_unified();
        let memory = self.complete(&mut changes)?;
        let unable = "unable to set unit properties";
        let (mut manager, version) = connect(unit, unable)?;
        let target = Target { version, unified, memory, idle: self.is_idle()? };
        let Properties { list: properties, warnings } = translate::limits(&mut changes, target)?;
        warnings.iter().for_each(|warning| warn(warning));
        if properties.is_empty() {
            return Ok(changes);
        }
        let mut set = || manager.set_properties(unit, &properties).map_err(failed(unable));
        if unified {
            set()?
        } else {
            self.without_its_devices(unit, set)?
        }
        Ok(changes)
    }

    /// On v1 systemd writes all it has of a unit whichever property changes, the device list too:
    /// nothing is allowed for a moment, and then what systemd can say of the rules. So nobody runs
    /// until the list is the exact one again.
    fn without_its_devices(&self, unit: &Unit, mut change: impl FnMut() -> Result<()>) -> Result<()> {
        let mut changed = || change().and_then(|()| self.set_devices_again(unit));
        if self.is_frozen()? {
            return changed();
        }
        match self.freeze() {
            // A host without freezer has to live with that moment.
            Ok(()) | Err(Error::NotConfigured { .. }) => {}
            Err(error) => return Err(error),
        }
        let changed = changed();
        match self.thaw() {
            Ok(()) | Err(Error::NotConfigured { .. }) => changed,
            Err(error) => changed.and(Err(error)),
        }
    }

    fn set_devices_again(&self, unit: &Unit) -> Result<()> {
        match self.v1_dir("devices")? {
            Some(dir) if !unit.devices.is_empty() => set_v1(dir, &from_lines(&unit.devices)?),
            _ => Ok(()),
        }
    }

    /// systemd wants a quota with its period, and swap apart from memory: what a change leaves out is
    /// what is in force. Returns the limit of memory.
    fn complete(&self, changes: &mut LinuxResources) -> Result<i64> {
        let unified = self.paths().is_unified();
        if let Some(cpu) = changes.cpu_mut()
            && (cpu.quota().unwrap_or(0) != 0) != (cpu.period().unwrap_or(0) != 0)
        {
            let (quota, period) = self.bandwidth(unified)?;
            if cpu.quota().unwrap_or(0) == 0 {
                cpu.set_quota(Some(quota));
            } else {
                cpu.set_period(Some(period));
            }
        }
        let swap = changes.memory().as_ref().and_then(|memory| memory.swap()).is_some_and(|sum| sum > 0);
        match self.v2_dir()?.filter(|_| unified && swap) {
            None => Ok(0),
            Some(dir) => {
                let limit = Knobs::unified(dir, "memory").read_number("memory.max")?;
                Ok(limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1)))
            }
        }
    }

    /// Whether its processes run only when nobody else wants to (v2).
    fn is_idle(&self) -> Result<bool> {
        let dir = self.v2_dir()?.filter(|_| self.paths().is_unified());
        // A kernel before 5.15 has no such file, and nor has a cgroup without the controller.
        Ok(dir.is_some_and(|dir| {
            Knobs::unified(dir, "cpu").read("cpu.idle").is_ok_and(|idle| idle.trim() == "1")
        }))
    }

    /// The quota (-1 for none) and the period in force.
    fn bandwidth(&self, unified: bool) -> Result<(i64, u64)> {
        let default = (-1, 100_000);
        if unified {
            let Some(dir) = self.v2_dir()? else { return Ok(default) };
            let text = Knobs::unified(dir, "cpu").read("cpu.max")?;
            let mut words = text.split_ascii_whitespace();
            let quota = words.next().and_then(|word| word.parse().ok()).unwrap_or(default.0);
            return Ok((quota, words.next().and_then(|word| word.parse().ok()).unwrap_or(default.1)));
        }
        let knobs = Knobs::legacy(self.v1_dir("cpu")?, "cpu")?;
        let quota = knobs.read("cpu.cfs_quota_us")?.trim().parse().unwrap_or(default.0);
        Ok((quota, knobs.read_number("cpu.cfs_period_us")?.unwrap_or(default.1)))
    }

    /// Has systemd move a process into `place`, the container's cgroup or one below, for a caller that may
    /// not do so itself because its own cgroup belongs to somebody else (rootless). cgroup v2.
    ///
    /// # Errors
    /// When the container has no unit, the place is outside of it, or systemd refuses.
    pub fn attach(&self, place: &Paths, pid: i32) -> Result<()> {
        let not_there = || Error::NotConfigured { what: "attach process" };
        let unit = self.paths().unit.as_ref().ok_or_else(not_there)?;
        let top = self.paths().unified.as_ref().ok_or_else(not_there)?;
        let place = place.unified.as_ref().ok_or_else(not_there)?;
        // systemd wants it clean: what is joined of names is.
        let below = place.relative().strip_prefix(top.relative()).map_err(|_| not_there())?;
        let below = format!("/{}", below.display());
        let pid = u32::try_from(pid).map_err(|_| Error::invalid(format!("bad process {pid}")))?;
        Manager::connect(unit.user)
            .and_then(|mut manager| manager.attach(unit, &below, pid))
            .map_err(failed(""))
    }
}

/// What every container's unit has.
fn first_properties(unit: &Unit, unified: bool, pid: i32) -> Properties {
    let mut all = Properties::default();
    all.push("Description", Value::Text(format!("libcontainer container {}", unit.container)));
    if unit.is_slice() {
        all.push("Wants", Value::Array("s".to_owned(), vec![Value::text(&unit.slice)]));
    } else {
        all.push("Slice", Value::text(&unit.slice));
        all.push("Delegate", Value::Bool(true));
    }
    // A slice takes none, and systemd says so: a container needs a scope.
    all.push("PIDs", Value::Array("u".to_owned(), vec![Value::Uint32(pid.cast_unsigned())]));
    let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
    for accounting in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
        all.push(accounting, Value::Bool(true));
    }
    all.push("DefaultDependencies", Value::Bool(false));
    all
}

/// Stops the unit, and tells whether that was done. A systemd that is not there any more has none, and from
/// one that refuses it goes with the last of its processes.
pub(crate) fn forget(unit: &Unit) -> Result<bool> {
    match Manager::connect(unit.user).and_then(|mut manager| manager.stop(unit)) {
        Err(error @ BusError::Timeout) => Err(failed(format!("unable to stop unit {:?}", unit.name))(error)),
        stopped => Ok(stopped.is_ok()),
    }
}
