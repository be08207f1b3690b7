//! Files in memory.

use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::{Errno, Result};
use crate::fd::{BorrowedFd, OwnedFd};
use crate::fs::{seek_to, write_all};

/// An anonymous executable file that can be sealed.
/// `MFD_EXEC` is asked for (6.3) so that `vm.memfd_noexec` does not take the execute bit away; an
/// older kernel answers `EINVAL` and gets the call without it.
/// <https://man7.org/linux/man-pages/man2/memfd_create.2.html>
///
/// # Errors
/// As memfd_create(2).
pub fn memfd(name: &CStr) -> Result<OwnedFd> {
    let base = k::MFD_CLOEXEC | k::MFD_ALLOW_SEALING;
    let create = |flags: u32| {
        // SAFETY: `name` is a terminated string.
        unsafe { sys!(k::__NR_memfd_create, name.as_ptr() as usize, flags as usize) }
    };
    create(base | k::MFD_EXEC)
        .or_else(|errno| if errno == Errno::EINVAL { create(base) } else { Err(errno) })
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// An anonymous file for data. Nothing in it is ever executed, so `vm.memfd_noexec` may forbid that.
/// <https://man7.org/linux/man-pages/man2/memfd_create.2.html>
///
/// # Errors
/// As memfd_create(2).
pub fn memfd_data(name: &CStr) -> Result<OwnedFd> {
    // SAFETY: `name` is a terminated string.
    unsafe { sys!(k::__NR_memfd_create, name.as_ptr() as usize, k::MFD_CLOEXEC as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// An anonymous file with data in it, to be read from its beginning.
///
/// # Errors
/// Those of [`memfd_data`], write(2) and lseek(2).
pub fn memfd_holding(name: &CStr, data: &[u8]) -> Result<OwnedFd> {
    let file = memfd_data(name)?;
    write_all(file.as_fd(), data)?;
    seek_to(file.as_fd(), 0)?;
    Ok(file)
}

/// Seals a memfd against every change, for good.
/// <https://man7.org/linux/man-pages/man2/F_GET_SEALS.2const.html>
///
/// # Errors
/// As fcntl(2).
pub fn seal(fd: BorrowedFd<'_>) -> Result<()> {
    let seals = k::F_SEAL_SEAL | k::F_SEAL_SHRINK | k::F_SEAL_GROW | k::F_SEAL_WRITE;
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fcntl, fd.arg(), k::F_ADD_SEALS as usize, seals as usize) }.map(drop)
}
