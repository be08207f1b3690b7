//! Terminals: the pseudo-terminal pair and its size.
//!
//! Owns: the ioctls of ptmx and of terminals that the container's side needs.

use core::ffi::CStr;

use linux_raw_sys::general as k;
use linux_raw_sys::ioctl as i;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::{BorrowedFd, OwnedFd};
use crate::fs;

/// Opens a new terminal through the given ptmx path; returns the master and its number.
/// <https://man7.org/linux/man-pages/man4/ptmx.4.html>
///
/// # Errors
/// As openat(2) and ioctl(2).
pub fn open_master(dir: BorrowedFd<'_>, ptmx: &CStr) -> Result<(OwnedFd, u32)> {
    let master = fs::openat(dir, ptmx, fs::O_RDWR | fs::O_NOCTTY, 0)?;
    let (mut number, unlock) = (0u32, 0i32);
    // SAFETY: TIOCGPTN writes an unsigned int, TIOCSPTLCK reads an int.
    unsafe { sys!(k::__NR_ioctl, master.as_fd().arg(), i::TIOCGPTN as usize, &raw mut number as usize) }?;
    // SAFETY: as above.
    unsafe { sys!(k::__NR_ioctl, master.as_fd().arg(), i::TIOCSPTLCK as usize, &raw const unlock as usize) }?;
    Ok((master, number))
}

/// Unlocks the slave of a master that was opened in some other way.
/// <https://man7.org/linux/man-pages/man2/TIOCSPTLCK.2const.html>
///
/// # Errors
/// `ENOTTY` when it is no master.
pub fn unlock_slave(master: BorrowedFd<'_>) -> Result<()> {
    let unlock = 0i32;
    // SAFETY: TIOCSPTLCK reads an int.
    unsafe { sys!(k::__NR_ioctl, master.arg(), i::TIOCSPTLCK as usize, &raw const unlock as usize) }.map(drop)
}

/// Opens the slave of a master without a path, so nobody can put another file in its place.
/// <https://man7.org/linux/man-pages/man2/TIOCGPTPEER.2const.html> (4.13)
///
/// # Errors
/// As ioctl(2).
pub fn open_slave(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = fs::O_RDWR | fs::O_NOCTTY | fs::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags, no pointer.
    unsafe { sys!(k::__NR_ioctl, master.arg(), i::TIOCGPTPEER as usize, flags as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Sets rows and columns. <https://man7.org/linux/man-pages/man2/TIOCSWINSZ.2const.html>
///
/// # Errors
/// As ioctl(2).
pub fn set_size(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = [rows, columns, 0, 0];
    // SAFETY: `size` has the layout of struct winsize.
    unsafe { sys!(k::__NR_ioctl, fd.arg(), i::TIOCSWINSZ as usize, size.as_ptr() as usize) }.map(drop)
}

/// Rows and columns. <https://man7.org/linux/man-pages/man2/TIOCGWINSZ.2const.html>
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn size(fd: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let mut size = [0u16; 4];
    // SAFETY: `size` has the layout of struct winsize.
    unsafe { sys!(k::__NR_ioctl, fd.arg(), i::TIOCGWINSZ as usize, size.as_mut_ptr() as usize) }?;
    Ok((size[0], size[1]))
}

/// Makes the terminal the controlling one of our session.
/// <https://man7.org/linux/man-pages/man2/TIOCSCTTY.2const.html>
///
/// # Errors
/// `EPERM` when we lead no session or it belongs to another.
pub fn set_controlling(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_ioctl, fd.arg(), i::TIOCSCTTY as usize, 0) }.map(drop)
}
