//! Descriptors for processes: they stay that process's whatever becomes of its number.

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::{BorrowedFd, OwnedFd};

/// A descriptor for a process, close-on-exec. It stays that process for as long as it is open,
/// whatever becomes of the number. <https://man7.org/linux/man-pages/man2/pidfd_open.2.html> (5.3)
///
/// # Errors
/// `ESRCH` when there is no such process (or it was reaped); `EINVAL` for a thread that is no leader.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_pidfd_open, pid as usize, 0) }.map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Sends a signal through a pidfd; 0 probes.
/// <https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html> (5.1)
///
/// # Errors
/// `ESRCH` when the process is gone, `EPERM`, `EINVAL` for an unknown signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    pidfd_send(pidfd, signal, 0)
}

/// Sends a signal to the process group of which the pidfd's process is the leader (6.9).
/// <https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html>
///
/// # Errors
/// `EINVAL` on an older kernel; `ESRCH` when it leads no group.
pub fn pidfd_send_signal_group(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    const PIDFD_SIGNAL_PROCESS_GROUP: usize = 1 << 2;
    pidfd_send(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

fn pidfd_send(pidfd: BorrowedFd<'_>, signal: i32, flags: usize) -> Result<()> {
    // SAFETY: a null siginfo means the one kill(2) would make.
    unsafe { sys!(k::__NR_pidfd_send_signal, pidfd.arg(), signal as usize, 0, flags) }.map(drop)
}

/// Copies descriptor number `target` of another process.
/// <https://man7.org/linux/man-pages/man2/pidfd_getfd.2.html> (5.6)
///
/// # Errors
/// `EBADF`, `EPERM`, `ESRCH`.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, target: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_pidfd_getfd, pidfd.arg(), target as usize, 0) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}
