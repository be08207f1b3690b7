//! Descriptors: copies, flags, positions, locks, pipes.

use linux_raw_sys::general as k;

use super::O_CLOEXEC;
use crate::arch::sys;
use crate::errno::{Result, retry};
use crate::fd::{BorrowedFd, OwnedFd};

/// A pipe: (read end, write end), both close-on-exec.
/// <https://man7.org/linux/man-pages/man2/pipe2.2.html>
///
/// # Errors
/// As pipe2(2).
pub fn pipe(flags: u32) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1i32; 2];
    // SAFETY: `fds` has room for two descriptors.
    unsafe { sys!(k::__NR_pipe2, fds.as_mut_ptr() as usize, (flags | O_CLOEXEC) as usize) }?;
    Ok((OwnedFd::from_raw(fds[0]), OwnedFd::from_raw(fds[1])))
}

/// Makes descriptor `to` a copy of `from`, close-on-exec only if asked.
/// <https://man7.org/linux/man-pages/man2/dup3.2.html>
///
/// # Errors
/// As dup3(2); the same number twice is no error here and only sets the flag.
pub fn dup_to(from: BorrowedFd<'_>, to: i32, cloexec: bool) -> Result<()> {
    if from.raw() == to {
        return set_cloexec(from, cloexec);
    }
    let flags = if cloexec { O_CLOEXEC } else { 0 };
    // SAFETY: no pointers.
    retry(|| unsafe { sys!(k::__NR_dup3, from.arg(), to as usize, flags as usize) }).map(drop)
}

/// A close-on-exec copy with the lowest free number at or above `at_least`.
/// <https://man7.org/linux/man-pages/man2/fcntl.2.html>
///
/// # Errors
/// As fcntl(2).
pub fn dup(fd: BorrowedFd<'_>, at_least: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_DUPFD_CLOEXEC as usize, at_least as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Whether it is close-on-exec. <https://man7.org/linux/man-pages/man2/fcntl.2.html>
///
/// # Errors
/// `EBADF` when it is not open.
pub fn is_cloexec(fd: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_GETFD as usize) }
        .map(|flags| flags & k::FD_CLOEXEC as usize != 0)
}

/// Sets or clears close-on-exec. <https://man7.org/linux/man-pages/man2/fcntl.2.html>
///
/// # Errors
/// `EBADF` when it is not open.
pub fn set_cloexec(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    let flag = if on { k::FD_CLOEXEC as usize } else { 0 };
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_SETFD as usize, flag) }.map(drop)
}

/// Sets the status flags (`O_NONBLOCK`, `O_APPEND`).
/// <https://man7.org/linux/man-pages/man2/fcntl.2.html>
///
/// # Errors
/// As fcntl(2).
pub fn set_status_flags(fd: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_SETFL as usize, flags as usize) }.map(drop)
}

/// The status flags (`O_WRONLY`, `O_NONBLOCK`, ...). <https://man7.org/linux/man-pages/man2/fcntl.2.html>
///
/// # Errors
/// `EBADF` when it is not open.
pub fn status_flags(fd: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_GETFL as usize, 0) }.map(|flags| flags as u32)
}

/// Marks every descriptor from `first` on close-on-exec.
/// <https://man7.org/linux/man-pages/man2/close_range.2.html> (CLOSE_RANGE_CLOEXEC: 5.11)
///
/// # Errors
/// As close_range(2).
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 1 << 2;
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_close_range, first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC) }.map(drop)
}

/// Closes every descriptor from `first` on.
/// <https://man7.org/linux/man-pages/man2/close_range.2.html> (5.9)
///
/// # Errors
/// As close_range(2).
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: no pointers. Descriptors that somebody still means to use fail with `EBADF` from now on.
    unsafe { sys!(k::__NR_close_range, first as usize, u32::MAX as usize, 0) }.map(drop)
}

/// Takes (or tries to take) the exclusive advisory lock of an open file.
/// <https://man7.org/linux/man-pages/man2/flock.2.html>
///
/// # Errors
/// `EAGAIN` when `wait` is false and someone else has it.
pub fn lock(fd: BorrowedFd<'_>, wait: bool) -> Result<()> {
    let op = k::LOCK_EX | if wait { 0 } else { k::LOCK_NB };
    // SAFETY: no pointers.
    retry(|| unsafe { sys!(k::__NR_flock, fd.arg(), op as usize) }).map(drop)
}

/// Moves the file position; only from the start. <https://man7.org/linux/man-pages/man2/lseek.2.html>
///
/// # Errors
/// As lseek(2).
pub fn seek_to(fd: BorrowedFd<'_>, offset: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_lseek, fd.arg(), offset as usize, 0) }.map(drop)
}
