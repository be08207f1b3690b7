//! Which process is meant, and is it still that one.
//!
//! Owns: identity (number, start time, pidfs inode), opening it without ever meeting a stranger,
//! and how alive a process is. Must not: choose signals.

use serde::{Deserialize, Serialize};

use runsig_sys::process::{self, ExitStatus, POLLHUP, POLLIN, PollFd};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs};

use crate::error::{Error, Result};
use crate::names::Signal;
use crate::procfs::{self, Stat};

/// Names one process for as long as the machine is up, whatever becomes of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its number in our PID namespace.
    pub pid: i32,
    /// Ticks since boot when it was made (field 22 of /proc/PID/stat).
    pub start_time: u64,
    /// The inode of its pidfd, never used twice, where pidfds are files of pidfs (6.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Which boot of the machine the other numbers are of. A state directory may outlive it, and after a
    /// boot the kernel counts processes and the inodes of their pidfds from the same numbers again: the same
    /// PID then often comes with the same inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
}

impl Identity {
    /// The identity of a process that the caller knows to be the right one now: its own child, say.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Self::read(pid).ok()
    }

    /// Whether it is known to be of another boot.
    fn is_of_another_boot(&self) -> bool {
        matches!((self.boot, procfs::this_boot()), (Some(then), Some(now)) if then != now)
    }

    /// As [`Identity::of`], saying why there is none.
    ///
    /// # Errors
    /// `ESRCH` when there is no such process; what pidfd_open(2) and open(2) fail with: `EMFILE`.
    pub fn read(pid: i32) -> std::result::Result<Self, Errno> {
        let fd = process::pidfd_open(pid)?;
        let start_time = Stat::try_read(&pid.to_string())?.ok_or(Errno::ESRCH)?.start_time;
        Ok(Self { pid, start_time, inode: pidfs_inode(fd.as_fd()), boot: procfs::this_boot() })
    }
}

/// Before pidfs all pidfds shared one inode.
fn pidfs_inode(fd: BorrowedFd<'_>) -> Option<u64> {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let (magic, _) = fs::fstatfs(fd).ok()?;
    if magic != PID_FS_MAGIC {
        return None;
    }
    fs::fstat(fd).ok().map(|stat| stat.ino)
}

/// How alive a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// It runs (or sleeps, or is stopped).
    Running,
    /// All its threads are on their way out but it has not ended: PID 1 of a PID namespace waits in
    /// `zap_pid_ns_processes` for everybody else there.
    Exiting,
    /// It has ended and nobody has reaped it.
    Zombie,
    /// It is not there any more.
    Gone,
}

impl Life {
    /// Whether it can still do anything, if only block a removal.
    #[must_use]
    pub fn exists(self) -> bool {
        matches!(self, Self::Running | Self::Exiting)
    }
}

/// A process held by a descriptor: it cannot turn into another one.
#[derive(Debug)]
pub struct ProcessFd {
    fd: OwnedFd,
    identity: Identity,
    seen: Stat,
}

/// Opens a process known from before. `None` when it is gone or its number belongs to another one.
///
/// The descriptor comes first and the comparison second: were it the other way round, the number
/// could change hands in between.
///
/// # Errors
/// What pidfd_open(2) fails with other than "no such process": `EMFILE`, `ENOSYS` before 5.3.
pub fn open(identity: &Identity) -> Result<Option<ProcessFd>> {
    if identity.is_of_another_boot() {
        return Ok(None);
    }
    let process = open_pid(identity.pid)?;
    Ok(process.filter(|found| {
        let same_inode = || match identity.inode {
            Some(inode) => pidfs_inode(found.fd.as_fd()).is_none_or(|now| now == inode),
            None => true,
        };
        found.seen.start_time == identity.start_time && same_inode()
    }))
}

/// Opens whatever process has this number now. For processes found in a list (a cgroup's, a
/// parent's): the caller must check afterwards that it is (still) in that list.
///
/// # Errors
/// As [`open`].
pub fn open_pid(pid: i32) -> Result<Option<ProcessFd>> {
    // EINVAL: the number is now that of a thread, or no number of a process at all.
    let fd = match process::pidfd_open(pid) {
        Ok(fd) => fd,
        Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
        Err(errno) => return Err(Error::sys(format!("open process {pid}"))(errno)),
    };
    let seen = Stat::try_read(&pid.to_string()).map_err(Error::sys(format!("open /proc/{pid}/stat")))?;
    Ok(seen.map(|seen| ProcessFd {
        fd,
        identity: Identity { pid, start_time: seen.start_time, inode: None, boot: None },
        seen,
    }))
}

/// Whether a process known from before has ended: reaped or not, or its number is another one's by
/// now. Costs a fraction of [`open`] where pidfds have inodes of their own, because an inode that is
/// the same says what a start time would, and the pidfd says the rest: nothing is read from procfs.
///
/// # Errors
/// As [`open`].
pub fn has_ended(identity: &Identity) -> Result<bool> {
    let (Some(inode), Some(_)) = (identity.inode, identity.boot) else {
        return Ok(open(identity)?.is_none_or(|process| process.has_ended()));
    };
    if identity.is_of_another_boot() {
        return Ok(true);
    }
    match process::pidfd_open(identity.pid) {
        Ok(fd) => Ok(fs::fstat(fd.as_fd()).is_ok_and(|stat| stat.ino != inode) || is_ready(fd.as_fd())),
        Err(Errno::ESRCH | Errno::EINVAL) => Ok(true),
        Err(errno) => Err(Error::sys(format!("open process {}", identity.pid))(errno)),
    }
}

/// Whether the process behind a pidfd has ended.
fn is_ready(pidfd: BorrowedFd<'_>) -> bool {
    poll_now(pidfd) & (POLLIN | POLLHUP) != 0
}

fn poll_now(pidfd: BorrowedFd<'_>) -> i16 {
    let mut fds = [PollFd { fd: pidfd.raw(), events: POLLIN, revents: 0 }];
    match runsig_sys::errno::retry(|| process::poll(&mut fds, 0)) {
        Ok(_) => fds[0].revents,
        Err(_) => 0,
    }
}

/// Whether every thread of a process has begun to exit. The first one may have left while others run on;
/// then the process is as alive as they are.
///
/// Threads come and go while they are looked at: one may start its successor and end between the list and
/// the look. So a look counts only when everybody in the list was still there afterwards and they were all
/// there are. One whose threads never hold still that long lives.
pub(crate) fn all_threads_exit(pid: i32) -> bool {
    const LOOKS: usize = 100;
    for _ in 0..LOOKS {
        let tids = procfs::threads(pid);
        let stat = |tid: &i32| Stat::read(&format!("{pid}/task/{tid}"));
        let seen: Vec<Stat> = tids.iter().filter_map(stat).collect();
        if seen.iter().any(|thread| !thread.is_exiting()) {
            return false;
        }
        let Some(now) = Stat::of(pid) else { return true };
        let settled = seen.len() == tids.len() && usize::try_from(now.threads).ok() == Some(tids.len());
        if settled && tids.iter().all(|tid| stat(tid).is_some()) {
            return true;
        }
    }
    false
}

impl ProcessFd {
    /// The descriptor.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
    /// Its /proc/PID/stat when it was opened.
    #[must_use]
    pub fn seen(&self) -> &Stat {
        &self.seen
    }

    /// Sends a signal. `false` when the process is gone.
    ///
    /// # Errors
    /// `EPERM`, mostly.
    pub fn send(&self, signal: Signal) -> Result<bool> {
        match process::pidfd_send_signal(self.as_fd(), signal.number()) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::sys(format!("send {signal} to process {}", self.pid()))(errno)),
        }
    }

    /// Whether it has ended, reaped or not: the pidfd tells, also for one whose first thread is dead
    /// while others run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        is_ready(self.as_fd())
    }

    /// Whether a process that was just opened has not ended. Its first thread may be dead while others
    /// run on: the pidfd knows.
    pub(crate) fn lives(&self) -> bool {
        !self.seen.is_dead() || !self.has_ended()
    }

    /// How alive it was when it was opened: costs nothing for one that was well.
    #[must_use]
    pub fn life_when_opened(&self) -> Life {
        if self.seen.is_exiting() { self.life() } else { Life::Running }
    }

    /// How alive it is.
    #[must_use]
    pub fn life(&self) -> Life {
        let ready = poll_now(self.as_fd());
        if ready & POLLHUP != 0 {
            return Life::Gone;
        }
        let now = Stat::of(self.pid()).filter(|stat| stat.start_time == self.identity.start_time);
        match now {
            None => Life::Gone,
            Some(_) if ready & POLLIN != 0 => Life::Zombie,
            Some(stat) if stat.is_exiting() && all_threads_exit(self.pid()) => Life::Exiting,
            Some(_) => Life::Running,
        }
    }

    /// How it ended, as far as anybody can tell: the kernel keeps the status behind the pidfd once it
    /// is reaped (6.15), and procfs shows it while it is a zombie. `None` before the end, too.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let kept = || runsig_sys::pidfd_info::pidfd_info(self.as_fd()).ok().and_then(|info| info.exit);
        kept().or_else(|| self.zombie_status()).or_else(kept)
    }
    fn zombie_status(&self) -> Option<ExitStatus> {
        if !self.has_ended() {
            return None;
        }
        let stat = Stat::of(self.pid()).filter(|stat| stat.start_time == self.identity.start_time)?;
        stat.is_dead().then(|| ExitStatus::from_wait(stat.exit_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_same_number_with_another_start_time_is_a_stranger() {
        let me = Identity::of(process::getpid()).unwrap();
        assert!(open(&me).unwrap().is_some());
        assert!(!has_ended(&me).unwrap());
        assert!(has_ended(&Identity { pid: i32::MAX, ..me }).unwrap());
        let other = Identity { start_time: me.start_time + 1, ..me };
        assert!(has_ended(&Identity { inode: None, ..other }).unwrap());
        assert!(open(&other).unwrap().is_none());
        assert!(open(&Identity { pid: i32::MAX, ..me }).unwrap().is_none());
    }

    #[test]
    fn the_same_numbers_of_another_boot_are_a_stranger() {
        let me = Identity::of(process::getpid()).unwrap();
        let before = Identity { boot: me.boot.map(|boot| boot ^ 1), ..me };
        assert!(me.boot.is_some() && open(&before).unwrap().is_none() && has_ended(&before).unwrap());
        // Written before boots were: then the start time has to tell.
        let unknown = Identity { boot: None, ..me };
        assert!(!has_ended(&unknown).unwrap());
        assert!(has_ended(&Identity { start_time: me.start_time + 1, ..unknown }).unwrap());
    }

    #[test]
    fn another_pidfs_inode_is_a_stranger() {
        let me = Identity::of(process::getpid()).unwrap();
        let Some(inode) = me.inode else { return eprintln!("skipped: no pidfs before Linux 6.9") };
        assert!(open(&Identity { inode: Some(inode + 1), ..me }).unwrap().is_none());
        assert!(open(&Identity { inode: None, ..me }).unwrap().is_some());
        assert!(has_ended(&Identity { inode: Some(inode + 1), ..me }).unwrap());
    }

    #[test]
    fn life_and_end_of_a_child() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id() as i32;
        let identity = Identity::of(pid).unwrap();
        let held = open(&identity).unwrap().unwrap();
        assert!(!has_ended(&identity).unwrap());
        assert_eq!((held.life(), held.exit_status()), (Life::Running, None));
        assert!(held.send(Signal::TERM).unwrap());
        let mut fds = [PollFd { fd: held.as_fd().raw(), events: POLLIN, revents: 0 }];
        process::poll(&mut fds, 5000).unwrap();
        let killed = Some(ExitStatus::Killed { signal: 15, core: false });
        assert_eq!((held.life(), held.exit_status()), (Life::Zombie, killed));
        assert!(has_ended(&identity).unwrap());
        child.wait().unwrap();
        assert!(has_ended(&identity).unwrap());
        assert_eq!(held.life(), Life::Gone);
        assert!(!held.send(Signal::TERM).unwrap());
        if held.exit_status().is_none() {
            eprintln!("skipped: no exit status behind a pidfd before Linux 6.15");
        } else {
            assert_eq!(held.exit_status(), killed);
        }
    }
}
