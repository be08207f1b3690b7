//! A container's cgroup: making it and placing tasks in it.
//!
//! Owns: [`Cgroup`], the descriptors of its directories, and the order in which they are made.
//! Must not: choose paths ([`crate::Paths`]) or know the files of any controller.

use std::cell::OnceCell;

use oci_spec::runtime::LinuxResources;
use runsig_sys::fs::O_WRONLY;
use runsig_sys::{BorrowedFd, OwnedFd};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::members::list;
use crate::paths::{Directory, Legacy, Paths};
use crate::remove::remove_made;
use crate::{resources, v1, v2};

/// What limits ask of the directory they are set in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Need {
    /// Some controller.
    pub(crate) any: bool,
    /// A controller that knows whole processes only.
    pub(crate) domain: bool,
}

/// What [`Cgroup::create`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The directories are there.
    Made,
    /// There was no permission, nothing was asked for, and the container is rootless: it goes
    /// without (some of) them. [`Cgroup::paths`] tells which are left.
    Without,
}

/// A container's cgroup.
#[derive(Debug)]
pub struct Cgroup {
    paths: Paths,
    v2: OnceCell<Dir>,
    v1: Vec<OnceCell<Dir>>,
    /// [`Cgroup::create`] made the directory with the devices filter: nothing is attached yet.
    pub(crate) fresh: bool,
}

impl Cgroup {
    /// The cgroup at these paths, whether it exists or not.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        let v1 = paths.legacy.iter().map(|_| OnceCell::new()).collect();
        Self { paths, v2: OnceCell::new(), v1, fresh: false }
    }

    /// Where it is. [`Cgroup::create`] notes in it what it made: store it again afterwards.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Makes the directories; where systemd does that ([`Cgroup::start_unit`]), only those it does not
    /// know, after a look whether somebody lives in the others. The limits are not set yet ([`Cgroup::apply`]); they are looked at,
    /// because cpuset (v1) has to have CPUs before it takes tasks, and because a rootless
    /// container may go without a cgroup only when it has none.
    ///
    /// # Errors
    /// When a directory cannot be made, or exists and has processes in it, or is frozen. What this
    /// call made is removed again.
    pub fn create(&mut self, limits: Option<&LinuxResources>) -> Result<Creation> {
        let need = resources::need(limits);
        if !self.paths.legacy.is_empty() && has_unified(limits) {
            return Err(Error::UnifiedOnV1);
        }
        let is_hybrid = !self.paths.legacy.is_empty();
        let planned = self.paths.clone();
        let mut leaves = Vec::with_capacity(self.paths.legacy.len() + 1);
        let made = self.create_all(limits, need, is_hybrid, &mut leaves);
        if made.is_err() {
            remove_made(&leaves);
            remove_made(&self.paths.made);
            self.paths = planned;
            self.forget_dirs();
        }
        made
    }

    fn create_all(
        &mut self,
        resources: Option<&LinuxResources>,
        need: Need,
        is_hybrid: bool,
        leaves: &mut Vec<Directory>,
    ) -> Result<Creation> {
        self.forget_dirs();
        let mut creation = Creation::Made;
        let cpuset = cpuset(resources);
        let mut kept = Vec::with_capacity(self.paths.legacy.len());
        for hierarchy in std::mem::take(&mut self.paths.legacy) {
            if self.paths.unit.is_some() && hierarchy.is_systemds() {
                check_unused_if_there(&hierarchy.directory)?;
                kept.push((hierarchy, OnceCell::new()));
                continue;
            }
            match self.create_legacy(&hierarchy, cpuset, leaves) {
                Ok(dir) => kept.push((hierarchy, OnceCell::from(dir))),
                Err(error) if self.may_go_without() && error.is_permission() => {
                    self.paths.shared.extend(creators(hierarchy));
                    creation = Creation::Without;
                }
                Err(error) => return Err(error),
            }
        }
        (self.paths.legacy, self.v1) = kept.into_iter().unzip();
        match self.create_unified(need, is_hybrid, leaves) {
            Ok(()) => Ok(creation),
            // The v1 hierarchies do the work; runc does not even tell that this one is missing.
            Err(error) if is_hybrid && self.paths.rootless && error.is_permission() => {
                self.paths.unified = None;
                Ok(if self.paths.explicit { creation } else { Creation::Without })
            }
            // Processes in it are no reason to go without it.
            Err(error) if !is_hybrid && self.may_go_without() && error.errno().is_some() => {
                if need.any {
                    return Err(Error::Rootless(Box::new(error)));
                }
                self.paths.unified = None;
                Ok(Creation::Without)
            }
            Err(error) => Err(error),
        }
    }

    fn create_legacy(
        &mut self,
        hierarchy: &Legacy,
        cpuset: v1::Cpuset<'_>,
        leaves: &mut Vec<Directory>,
    ) -> Result<Dir> {
        let made = &mut self.paths.made;
        let (dir, fresh) = unless_gone(|| v1::create(hierarchy, cpuset, made))?;
        if fresh {
            leaves.push(hierarchy.directory.clone());
        } else {
            check_unused(&dir, "freezer.state", "FROZEN")?;
        }
        if hierarchy.controls("devices") {
            self.fresh = fresh;
        }
        Ok(dir)
    }

    fn create_unified(&mut self, need: Need, is_hybrid: bool, leaves: &mut Vec<Directory>) -> Result<()> {
        let Some(directory) = &self.paths.unified else { return Ok(()) };
        if self.paths.unit.is_some() {
            return check_unused_if_there(directory);
        }
        let made = &mut self.paths.made;
        let created = unless_gone(|| {
            if is_hybrid { v2::create_plain(directory, made) } else { v2::create(directory, need, made) }
        })?;
        if created.fresh {
            leaves.push(directory.clone());
        } else {
            check_unused(&created.dir, "cgroup.freeze", "1")?;
        }
        if !is_hybrid {
            self.fresh = created.fresh;
        }
        self.v2 = OnceCell::from(created.dir);
        Ok(())
    }

    /// Takes what systemd has made for the unit: its directories, with all controllers that can be had
    /// on v2. Hierarchies it does not use, where it has made nothing, are none of the container's.
    pub(crate) fn adopt(&mut self, resources: Option<&LinuxResources>) -> Result<()> {
        self.forget_dirs();
        if self.paths.is_unified() {
            if let Some(directory) = &self.paths.unified {
                let created = v2::create(directory, resources::need(resources), &mut self.paths.made)?;
                self.v2 = OnceCell::from(created.dir);
            }
            return Ok(());
        }
        let is_there = |directory: &Directory| Dir::open(directory).is_ok();
        self.paths.legacy.retain(|hierarchy| is_there(&hierarchy.directory));
        self.paths.unified.take_if(|directory| !is_there(directory));
        self.forget_dirs();
        Ok(())
    }

    /// Notes the device rules in the unit, for [`Cgroup::update`].
    pub(crate) fn remember_devices(&mut self, lines: Vec<(bool, String)>) {
        if let Some(unit) = &mut self.paths.unit {
            unit.devices = lines;
        }
    }

    /// The ways in for the first process: as [`Cgroup::dir_fd`] and [`Cgroup::task_files`], but for
    /// what systemd is going to move it into.
    ///
    /// # Errors
    /// As there.
    pub fn first_doors(&self) -> Result<(Option<BorrowedFd<'_>>, Vec<OwnedFd>)> {
        if self.paths.unit.is_none() {
            return Ok((self.dir_fd()?, self.task_files()?));
        }
        let ours = self.paths.legacy.iter().enumerate().filter(|(_, hierarchy)| !hierarchy.is_systemds());
        let files = ours.map(|(index, _)| self.v1_at(index)?.open_file("tasks", O_WRONLY));
        Ok((None, files.collect::<Result<_>>()?))
    }

    /// runc's rule: no cgroup is fine for a rootless container whose bundle asks for no path.
    fn may_go_without(&self) -> bool {
        self.paths.rootless && !self.paths.explicit
    }

    /// The v2 directory, to be cloned into (CLONE_INTO_CGROUP); `None` on a host without cgroup v2
    /// and without a cgroup. On a hybrid host it is the directory without controllers, and the
    /// v1 hierarchies need [`Cgroup::task_files`] as well.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn dir_fd(&self) -> Result<Option<BorrowedFd<'_>>> {
        Ok(self.v2_dir()?.map(Dir::fd))
    }

    /// The `tasks` file of every v1 directory, open for writing; none on cgroup v2. A process that
    /// writes `0` to each of them has entered the cgroup (`runsig_sys::spawn::Spawn::tasks`), at
    /// 0.02 ms a piece.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn task_files(&self) -> Result<Vec<OwnedFd>> {
        (0..self.paths.legacy.len()).map(|index| self.v1_at(index)?.open_file("tasks", O_WRONLY)).collect()
    }

    /// Places a process with all its threads in every hierarchy by way of `cgroup.procs`: for a
    /// process that could not be cloned into the cgroup. Slow: the kernel waits 7 to 11 ms for RCU.
    ///
    /// # Errors
    /// When the kernel refuses; in a rootless container without a path of its own a refusal for
    /// want of permission is passed over.
    pub fn add_process(&self, pid: i32) -> Result<()> {
        for index in 0..self.paths.legacy.len() {
            self.excuse(self.v1_at(index).and_then(|dir| place(dir, "cgroup.procs", pid)))?;
        }
        self.add_to_unified(pid)
    }

    /// Places a process in the v2 hierarchy only, by way of `cgroup.procs`. Slow (11 ms).
    ///
    /// # Errors
    /// As [`Cgroup::add_process`].
    pub fn add_to_unified(&self, pid: i32) -> Result<()> {
        match self.v2_dir()? {
            Some(dir) => self.excuse(place(dir, "cgroup.procs", pid)),
            None => Ok(()),
        }
    }

    fn excuse(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if self.may_go_without() && error.is_permission() => Ok(()),
            other => other,
        }
    }

    /// Whether any of its directories exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        let legacy = self.paths.legacy.iter().map(|h| &h.directory);
        self.paths.unified.iter().chain(legacy).any(|directory| Dir::open(directory).is_ok())
    }

    /// The v2 directory, opened once.
    pub(crate) fn v2_dir(&self) -> Result<Option<&Dir>> {
        let Some(directory) = &self.paths.unified else { return Ok(None) };
        open_once(&self.v2, || Dir::open(directory)).map(Some)
    }

    /// The directory in the v1 hierarchy of this controller, opened once.
    pub(crate) fn v1_dir(&self, controller: &str) -> Result<Option<&Dir>> {
        match self.paths.legacy.iter().position(|h| h.controls(controller)) {
            Some(index) => self.v1_at(index).map(Some),
            None => Ok(None),
        }
    }

    fn v1_at(&self, index: usize) -> Result<&Dir> {
        match (self.paths.legacy.get(index), self.v1.get(index)) {
            (Some(hierarchy), Some(cell)) => open_once(cell, || Dir::open(&hierarchy.directory)),
            _ => Err(Error::NotConfigured { what: "open cgroup" }),
        }
    }

    /// The directory whose processes count as the container's. On v1 that is runc's choice: the
    /// devices hierarchy.
    pub(crate) fn listing_dir(&self) -> Result<Option<&Dir>> {
        if self.paths.legacy.is_empty() {
            return self.v2_dir();
        }
        match self.v1_dir("devices")? {
            Some(dir) => Ok(Some(dir)),
            None => self.v1_at(0).map(Some),
        }
    }

    /// The directory whose processes the freezer stops.
    pub(crate) fn freezing_dir(&self) -> Result<Option<&Dir>> {
        match self.v1_dir("freezer")? {
            Some(dir) => Ok(Some(dir)),
            None => self.listing_dir(),
        }
    }

    pub(crate) fn forget_dirs(&mut self) {
        self.v2 = OnceCell::new();
        self.v1 = self.paths.legacy.iter().map(|_| OnceCell::new()).collect();
    }
}

/// Where a container without a cgroup in this hierarchy is, if that can be seen: without a path of its own
/// its cgroup was to be a child of its creator's.
fn creators(hierarchy: Legacy) -> Option<Legacy> {
    let parent = hierarchy.directory.relative().parent()?;
    let directory = hierarchy.directory.above(parent);
    directory.path().is_dir().then_some(Legacy { directory, ..hierarchy })
}

fn open_once(cell: &OnceCell<Dir>, open: impl FnOnce() -> Result<Dir>) -> Result<&Dir> {
    if let Some(dir) = cell.get() {
        return Ok(dir);
    }
    let opened = open()?;
    Ok(cell.get_or_init(|| opened))
}

/// Tries again when a directory on the way vanished: another container that made a parent of ours
/// may just have been removed, and the parent with it.
fn unless_gone<T>(mut make: impl FnMut() -> Result<T>) -> Result<T> {
    let mut tries = 0;
    loop {
        match make() {
            Err(error) if error.is_gone() && tries < 8 => tries += 1,
            other => return other,
        }
    }
}

fn place(dir: &Dir, file: &str, pid: i32) -> Result<()> {
    dir.write(file, &pid.to_string())
}

/// As [`check_unused`] for a directory that somebody else is going to make.
fn check_unused_if_there(directory: &Directory) -> Result<()> {
    match Dir::open(directory) {
        Ok(dir) => check_unused(&dir, "cgroup.freeze", "1"),
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => Err(error),
    }
}

/// An existing directory can be used again only when nobody lives in it.
fn check_unused(dir: &Dir, freezer: &str, frozen: &str) -> Result<()> {
    let count = match list(dir) {
        Err(error) if error.is_gone() => 0,
        other => other?.len(),
    };
    if count > 0 {
        return Err(Error::NotEmpty { count });
    }
    match dir.read(freezer) {
        Ok(state) if state.trim() == frozen => Err(Error::Frozen),
        Err(error) if !error.is_gone() => Err(error),
        _ => Ok(()),
    }
}

fn cpuset(resources: Option<&LinuxResources>) -> v1::Cpuset<'_> {
    let cpu = resources.and_then(|r| r.cpu().as_ref());
    v1::Cpuset {
        cpus: cpu.and_then(|c| c.cpus().as_deref()).unwrap_or_default(),
        mems: cpu.and_then(|c| c.mems().as_deref()).unwrap_or_default(),
    }
}

fn has_unified(resources: Option<&LinuxResources>) -> bool {
    resources.and_then(|r| r.unified().as_ref()).is_some_and(|unified| !unified.is_empty())
}
