//! Who a signal is for.
//!
//! Owns: what the engine must know about a container, and signals to single processes of it.
//! Must not: read the container's state from disk; callers know it and pass it in.

use std::collections::{BTreeMap, HashSet};

use runsig_sys::{Errno, OwnedFd, process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::identity::{self, Identity, Life, ProcessFd};
use crate::names::{Signal, Source, default_signal};
use crate::procfs::{self, Stat};
use crate::zap;

/// Descriptors left unused when processes take all others.
const SPARE_DESCRIPTORS: usize = 16;
/// So many processes never take all descriptors.
const FEW: usize = 32;

/// Takes descriptors to be given back when those for processes have been opened.
fn spare_descriptors() -> Vec<OwnedFd> {
    let me = process::getpid();
    (0..SPARE_DESCRIPTORS).map_while(|_| process::pidfd_open(me).ok()).collect()
}

/// Whose PID namespace the container's processes are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PidNamespace {
    /// Its own: init is PID 1, and when it ends the kernel ends everybody else.
    Own,
    /// Another container's: it joined the namespace by path.
    Shared,
    /// The runtime's.
    Host,
}

/// A container as the stop engine sees it.
#[derive(Debug)]
pub struct Target {
    /// Its name, for messages.
    pub id: String,
    /// Its init; `None` when it is known to be gone.
    pub init: Option<Identity>,
    /// Whose PID namespace it lives in.
    pub pid_namespace: PidNamespace,
    /// The inode of that namespace, where it was written down.
    pub namespace_inode: Option<u64>,
    /// Whether it waits to be started.
    pub created: bool,
    /// Who makes it, or was to, as long as it is half made: then nobody knows its init yet.
    pub creator: Option<Identity>,
    /// Its cgroup; `None` where it has none of its own.
    pub group: Option<Box<dyn Group>>,
    /// The bundle's annotations.
    pub annotations: BTreeMap<String, String>,
    /// What its init is, where that is Runsig's own.
    pub resident: Option<ResidentInit>,
}

/// A resident init: it takes every signal and hands it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResidentInit {
    /// Its child that runs the container's program, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<Identity>,
    /// Whether every process gets a signal that it gets.
    #[serde(default)]
    pub forwards_to_all: bool,
    /// Whether the others are zapped without a signal when the main process ends.
    #[serde(default)]
    pub hurries: bool,
}

impl Target {
    /// The signal of a `kill` or `stop` of this container.
    ///
    /// # Errors
    /// An argument or annotation that names no signal.
    pub fn default_signal(&self, argument: Option<&str>) -> Result<(Signal, Source)> {
        Ok(default_signal(argument, &self.annotations)?)
    }

    /// Its init, held, when that is there at all: running or exiting.
    ///
    /// # Errors
    /// When the process cannot be opened for another reason than being gone.
    pub fn find_init(&self) -> Result<Option<(ProcessFd, Life)>> {
        let Some(identity) = self.init else { return Ok(None) };
        let found = identity::open(&identity)?.map(|init| {
            let life = init.life_when_opened();
            (init, life)
        });
        Ok(found.filter(|(_, life)| life.exists()))
    }

    /// Its init, held, when signals can do anything to it.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it is a zombie or gone, [`Error::Exiting`] with the cause when it
    /// is caught on its way out.
    pub fn running_init(&self) -> Result<ProcessFd> {
        match self.find_init()? {
            Some((init, Life::Running)) => Ok(init),
            Some((init, _)) => Err(self.exiting(&init)),
            None => Err(Error::NotRunning),
        }
    }
    pub(crate) fn exiting(&self, init: &ProcessFd) -> Error {
        Error::Exiting(Box::new(zap::examine(init.pid(), self.namespace_inode)))
    }

    /// Sends a signal to init.
    ///
    /// # Errors
    /// As [`Target::running_init`], and `EPERM`.
    pub fn send(&self, signal: Signal) -> Result<()> {
        let sent = self.running_init()?.send(signal)?;
        if sent { Ok(()) } else { Err(Error::NotRunning) }
    }

    /// Whether the container is paused.
    ///
    /// # Errors
    /// When its cgroup cannot be read.
    pub fn is_paused(&self) -> Result<bool> {
        self.group.as_ref().map_or(Ok(false), |group| group.is_frozen())
    }

    /// The numbers of its processes: from its cgroup, else from its PID namespace, else init and its
    /// descendants. Numbers go stale; open a process and ask again before acting on one.
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>> {
        if let Some(group) = &self.group {
            // 0 stands for a process that our PID namespace cannot see.
            return Ok(group.pids()?.into_iter().filter(|pid| *pid > 0).collect());
        }
        let Some(identity) = self.init else { return Ok(Vec::new()) };
        if self.pid_namespace != PidNamespace::Own {
            return Ok(descendants(identity.pid));
        }
        let Some(namespace) = self.namespace() else { return Ok(Vec::new()) };
        let here = |pid: &i32| procfs::pid_namespace(*pid) == Some(namespace);
        Ok(procfs::processes().into_iter().filter(here).collect())
    }
    fn namespace(&self) -> Option<u64> {
        self.namespace_inode.or_else(|| procfs::pid_namespace(self.init?.pid))
    }

    /// Its processes, each held and still one of the container's. Those we cannot open (out of
    /// descriptors) are counted.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn processes(&self, known: &HashSet<i32>) -> Result<(Vec<ProcessFd>, usize)> {
        let (mut held, mut missed) = (Vec::new(), 0);
        let pids = self.pids()?;
        // Should they take all descriptors, some must be left over for looking at those we hold.
        let spare = if pids.len() + known.len() > FEW { spare_descriptors() } else { Vec::new() };
        for pid in pids.into_iter().filter(|pid| !known.contains(pid)) {
            match identity::open_pid(pid) {
                Ok(found) => held.extend(found.filter(ProcessFd::lives)),
                Err(_) => missed += 1,
            }
        }
        drop(spare);
        // A number may have changed hands between the list and the descriptor. What we hold now and
        // find in the list again is the container's.
        let still: HashSet<i32> = self.pids()?.into_iter().collect();
        held.retain(|process| still.contains(&process.pid()) && !self.is_stranger(process.pid()));
        Ok((held, missed))
    }

    /// Whether a process of the container's cgroup is none of its own: one of another container, whose cgroup
    /// is nested in this one, or somebody that was put there. Init's end does not end it.
    fn is_stranger(&self, pid: i32) -> bool {
        self.pid_namespace == PidNamespace::Own
            && self.namespace_inode.is_some_and(|ns| procfs::is_in_pid_namespace(pid, ns) == Some(false))
    }

    /// Whether a process that we hold is one of the container's.
    fn contains(&self, process: &ProcessFd) -> Result<bool> {
        let same_namespace = || {
            self.pid_namespace == PidNamespace::Own
                && self.namespace().is_some_and(|ns| procfs::pid_namespace(process.pid()) == Some(ns))
        };
        Ok(self.pids()?.contains(&process.pid()) || same_namespace())
    }

    /// Sends a signal to one process of the container, known by its number on the host, or to the
    /// process group it leads.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::NotInContainer`], `EPERM`.
    pub fn send_pid(&self, pid: i32, signal: Signal, whole_group: bool) -> Result<()> {
        let gone = || Error::NoSuchProcess(format!("process {pid}"));
        let process = identity::open_pid(pid)?.ok_or_else(gone)?;
        if !self.contains(&process)? {
            return Err(Error::NotInContainer { pid, id: self.id.clone() });
        }
        send_one_or_group(&process, signal, whole_group)
    }
}

/// Sends a signal to an exec'd process that somebody wrote down, or to its process group.
///
/// # Errors
/// [`Error::NoSuchProcess`] when it is gone or its number is another's, `EPERM`.
pub fn send_exec(name: &str, identity: &Identity, signal: Signal, whole_group: bool) -> Result<()> {
    let process = identity::open(identity)?.ok_or_else(|| Error::NoSuchProcess(format!("exec {name:?}")))?;
    send_one_or_group(&process, signal, whole_group)
}

fn send_one_or_group(process: &ProcessFd, signal: Signal, whole_group: bool) -> Result<()> {
    let gone = || Error::NoSuchProcess(format!("process {}", process.pid()));
    let ended = process.seen().is_exiting() && !process.life().exists();
    if !whole_group {
        return if !ended && process.send(signal)? { Ok(()) } else { Err(gone()) };
    }
    match process::pidfd_send_signal_group(process.as_fd(), signal.number()) {
        Ok(()) => Ok(()),
        // Before 6.9, or not the leader of its group.
        Err(Errno::EINVAL | Errno::ESRCH) => {
            send_group_one_by_one(process, signal)?.then_some(()).ok_or_else(gone)
        }
        Err(errno) => {
            let what = format!("send {signal} to the process group of process {}", process.pid());
            Err(Error::sys(what)(errno))
        }
    }
}

/// The group's members through their pidfds: kill(2) with a negative number could meet strangers.
fn send_group_one_by_one(process: &ProcessFd, signal: Signal) -> Result<bool> {
    let Some(group) = Stat::of(process.pid()).map(|stat| stat.pgrp).filter(|_| !process.has_ended()) else {
        return Ok(false);
    };
    let mut reached = false;
    for pid in procfs::processes() {
        if Stat::of(pid).is_none_or(|stat| stat.pgrp != group) {
            continue;
        }
        let member = identity::open_pid(pid)?.filter(|member| member.seen().pgrp == group);
        if let Some(member) = member {
            reached |= member.send(signal)?;
        }
    }
    Ok(reached)
}

/// A process and everybody below it.
fn descendants(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let new: Vec<i32> =
            procfs::children(parent).into_iter().filter(|child| !all.contains(child)).collect();
        all.extend(new);
    }
    all
}
