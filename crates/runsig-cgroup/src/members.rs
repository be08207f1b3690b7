//! The processes of a container.
//!
//! Owns: listing them over nested cgroups, and pidfds that are certain to be theirs.
//! Must not: signal anybody.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use runsig_sys::process::pidfd_open;
use runsig_sys::{Errno, OwnedFd};

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::events::{Events, Watch};
use crate::walk::walk;

/// A process of the container.
#[derive(Debug)]
pub struct Member {
    /// Its number in the caller's PID namespace.
    pub pid: i32,
    /// Its descriptor: opened while the process was in the container's cgroup, so never anybody
    /// else's, whatever becomes of the number.
    pub pidfd: OwnedFd,
}

/// So many pidfds are open at once: the soft limit of descriptors is often 1024.
const BATCH: usize = 256;

impl Cgroup {
    /// The processes in the container's cgroup and all below it. Without a cgroup, or when it is
    /// gone: none.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>> {
        // It may also vanish between being opened and being read: a delete does not ask.
        match self.listing_dir().and_then(|dir| dir.map_or(Ok(Vec::new()), list)) {
            Err(error) if error.is_gone() => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Calls `each` for every process of the container, while all of them are frozen, so that none
    /// can fork away or end and give its number to a stranger. Thaws at the end, unless the
    /// container was frozen before. Returns how many there were.
    ///
    /// `each` gets the descriptor and may keep it.
    ///
    /// # Errors
    /// When freezing fails (nobody has been called then) or the list cannot be read. The container
    /// is thawed in any case.
    pub fn for_each_frozen(&self, each: impl FnMut(Member)) -> Result<usize> {
        let was_frozen = self.is_frozen()?;
        let thaw = if was_frozen {
            None
        } else {
            self.freeze()?;
            Some(Thaw(self))
        };
        let visited = self.for_each(each);
        match thaw {
            None => visited,
            Some(guard) => {
                let thawed = guard.now();
                visited.and_then(|count| thawed.map(|()| count))
            }
        }
    }

    /// Calls `each` for every process that is in the container now, without freezing. New ones may
    /// appear meanwhile.
    ///
    /// # Errors
    /// When the list cannot be read or the limit of open descriptors is reached.
    pub fn for_each(&self, mut each: impl FnMut(Member)) -> Result<usize> {
        let Some(dir) = self.freezing_dir()? else { return Ok(0) };
        let mut count = 0;
        for batch in list(dir)?.chunks(BATCH) {
            for member in members(dir, batch)? {
                each(member);
                count += 1;
            }
        }
        Ok(count)
    }

    /// Whether a live process is in the container's cgroup. Zombies do not count.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn populated(&self) -> Result<bool> {
        match self.populated_now() {
            Err(error) if error.is_gone() => Ok(false),
            other => other,
        }
    }

    fn populated_now(&self) -> Result<bool> {
        if self.paths().is_unified() {
            return self.v2_dir()?.map_or(Ok(false), |dir| Ok(Events::read(dir)?.populated));
        }
        Ok(!self.pids()?.is_empty())
    }

    /// Waits until no live process is in the container's cgroup, at most `timeout`. Returns whether
    /// that is so.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn wait_empty(&self, timeout: Duration) -> Result<bool> {
        match self.wait_empty_in(timeout) {
            Err(error) if error.is_gone() => Ok(true),
            other => other,
        }
    }

    fn wait_empty_in(&self, timeout: Duration) -> Result<bool> {
        let end = Instant::now() + timeout;
        if let Some(dir) = self.v2_dir()? {
            // On a hybrid host this tells nothing about processes that are in v1 only, but it ends
            // the wait for the others without any polling.
            if !Watch::new(dir)?.wait(timeout, |events| !events.populated)? {
                return Ok(false);
            }
        }
        if self.paths().is_unified() {
            return Ok(true);
        }
        let mut pause = Duration::from_micros(100);
        while !self.pids()?.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(true)
    }
}

/// Thaws when dropped, also when the caller's closure panics.
struct Thaw<'a>(&'a Cgroup);

impl Thaw<'_> {
    fn now(self) -> Result<()> {
        let thawed = self.0.thaw();
        std::mem::forget(self);
        thawed
    }
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        let _ = self.0.thaw();
    }
}

/// Every PID in a cgroup and below.
pub(crate) fn list(dir: &Dir) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    let enter = |dir: &Dir| {
        pids.extend(own(dir)?);
        Ok(())
    };
    walk(dir, enter, |_, _| Ok(()))?;
    Ok(pids)
}

/// The processes of one cgroup. A threaded one lists threads only; their processes are listed by
/// its domain, except when the container's own cgroup is threaded.
fn own(dir: &Dir) -> Result<Vec<i32>> {
    match dir.read("cgroup.procs") {
        Ok(text) => Ok(numbers(&text).collect()),
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => {
            let text = dir.read("cgroup.threads")?;
            let mut pids: Vec<i32> = numbers(&text).filter_map(process_of).collect();
            pids.sort_unstable();
            pids.dedup();
            Ok(pids)
        }
        Err(error) => Err(error),
    }
}

fn numbers(text: &str) -> impl Iterator<Item = i32> {
    // 0 stands for a process outside our PID namespace: nothing we could name.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0)
}

fn process_of(thread: i32) -> Option<i32> {
    let status = std::fs::read_to_string(Path::new("/proc").join(thread.to_string()).join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Pidfds of those PIDs that are in the cgroup for certain: a number that is listed after its pidfd
/// was opened still belongs to the process the pidfd names, or that process has ended (and then
/// signals to it go nowhere).
pub(crate) fn members(dir: &Dir, pids: &[i32]) -> Result<Vec<Member>> {
    let mut opened = Vec::with_capacity(pids.len());
    for &pid in pids {
        match pidfd_open(pid) {
            Ok(pidfd) => opened.push(Member { pid, pidfd }),
            // Gone; or a zombie leader's number that is no process to signal any more.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(Error::call("pidfd_open", pid.to_string(), errno)),
        }
    }
    let still: HashSet<i32> = list(dir)?.into_iter().collect();
    opened.retain(|member| still.contains(&member.pid));
    Ok(opened)
}
