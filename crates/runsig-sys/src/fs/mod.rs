//! Files and directories, always from a descriptor.
//!
//! Owns: opening, reading and writing here; `attributes`, `tree`, `descriptors` and `memory`
//! have the rest. Must not: mount ([`crate::mount`]).

mod attributes;
mod descriptors;
mod memory;
mod tree;

use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::{Errno, Result, retry};
use crate::fd::{BorrowedFd, OwnedFd};

pub use attributes::*;
pub use descriptors::*;
pub use memory::*;
pub use tree::*;

/// Open flags: read only.
pub const O_RDONLY: u32 = k::O_RDONLY;
/// Open flags: write only.
pub const O_WRONLY: u32 = k::O_WRONLY;
/// Open flags: read and write.
pub const O_RDWR: u32 = k::O_RDWR;
/// Open flags: a reference only, no access to the content.
pub const O_PATH: u32 = k::O_PATH;
/// Open flags: must be a directory.
pub const O_DIRECTORY: u32 = k::O_DIRECTORY;
/// Open flags: do not follow a final symbolic link.
pub const O_NOFOLLOW: u32 = k::O_NOFOLLOW;
/// Open flags: close on exec.
pub const O_CLOEXEC: u32 = k::O_CLOEXEC;
/// Open flags: create.
pub const O_CREAT: u32 = k::O_CREAT;
/// Open flags: fail when it exists.
pub const O_EXCL: u32 = k::O_EXCL;
/// Open flags: cut to nothing.
pub const O_TRUNC: u32 = k::O_TRUNC;
/// Open flags: write at the end.
pub const O_APPEND: u32 = k::O_APPEND;
/// Open flags: do not block.
pub const O_NONBLOCK: u32 = k::O_NONBLOCK;
/// Open flags: do not become the controlling terminal.
pub const O_NOCTTY: u32 = k::O_NOCTTY;

/// openat2: treat the descriptor as the root of the tree; `..` and absolute links stay inside.
pub const RESOLVE_IN_ROOT: u64 = k::RESOLVE_IN_ROOT as u64;
/// openat2: fail rather than leave the tree below the descriptor.
pub const RESOLVE_BENEATH: u64 = k::RESOLVE_BENEATH as u64;
/// openat2: do not cross a mount point.
pub const RESOLVE_NO_XDEV: u64 = k::RESOLVE_NO_XDEV as u64;
/// openat2: do not follow procfs magic links.
pub const RESOLVE_NO_MAGICLINKS: u64 = k::RESOLVE_NO_MAGICLINKS as u64;
/// openat2: do not follow any symbolic link.
pub const RESOLVE_NO_SYMLINKS: u64 = k::RESOLVE_NO_SYMLINKS as u64;

/// Opens a file. `O_CLOEXEC` is always added.
/// <https://man7.org/linux/man-pages/man2/openat.2.html>
///
/// # Errors
/// As openat(2).
pub fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: u32, mode: u32) -> Result<OwnedFd> {
    retry(|| {
        // SAFETY: `path` is a terminated string.
        unsafe {
            sys!(
                k::__NR_openat,
                dir.arg(),
                path.as_ptr() as usize,
                (flags | O_CLOEXEC) as usize,
                mode as usize
            )
        }
    })
    .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Opens a file with rules for the walk (`RESOLVE_*`). `O_CLOEXEC` is always added.
/// A rename elsewhere can make the kernel answer `EAGAIN` for an in-root walk: it is tried again
/// a bounded number of times. <https://man7.org/linux/man-pages/man2/openat2.2.html>
///
/// # Errors
/// As openat2(2).
pub fn openat2(dir: BorrowedFd<'_>, path: &CStr, flags: u32, mode: u32, resolve: u64) -> Result<OwnedFd> {
    let how = k::open_how { flags: u64::from(flags | O_CLOEXEC), mode: u64::from(mode), resolve };
    let mut tries = 0;
    loop {
        let ret = retry(|| {
            // SAFETY: `path` is a terminated string and `how` a whole open_how of the size given.
            unsafe {
                sys!(
                    k::__NR_openat2,
                    dir.arg(),
                    path.as_ptr() as usize,
                    &raw const how as usize,
                    size_of::<k::open_how>()
                )
            }
        });
        match ret {
            Err(Errno::EAGAIN) if tries < 128 => tries += 1,
            other => return other.map(|fd| OwnedFd::from_raw(fd as i32)),
        }
    }
}

/// Reads once; 0 is the end. <https://man7.org/linux/man-pages/man2/read.2.html>
///
/// # Errors
/// As read(2), but for `EINTR`.
pub fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    retry(|| {
        // SAFETY: `buf` is writable for its length.
        unsafe { sys!(k::__NR_read, fd.arg(), buf.as_mut_ptr() as usize, buf.len()) }
    })
}

/// Reads once at an offset. <https://man7.org/linux/man-pages/man2/pread.2.html>
///
/// # Errors
/// As pread(2), but for `EINTR`.
pub fn pread(fd: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> Result<usize> {
    retry(|| {
        // SAFETY: `buf` is writable for its length.
        unsafe { sys!(k::__NR_pread64, fd.arg(), buf.as_mut_ptr() as usize, buf.len(), offset as usize) }
    })
}

/// Writes once. <https://man7.org/linux/man-pages/man2/write.2.html>
///
/// # Errors
/// As write(2), but for `EINTR`.
pub fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> Result<usize> {
    retry(|| {
        // SAFETY: `buf` is readable for its length.
        unsafe { sys!(k::__NR_write, fd.arg(), buf.as_ptr() as usize, buf.len()) }
    })
}

/// Writes everything.
///
/// # Errors
/// As write(2); `EIO` when the kernel takes nothing.
pub fn write_all(fd: BorrowedFd<'_>, mut buf: &[u8]) -> Result<()> {
    while !buf.is_empty() {
        match write(fd, buf)? {
            0 => return Err(Errno::EIO),
            n => buf = buf.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Fills the whole buffer.
///
/// # Errors
/// As read(2); `ENODATA` when the end comes first.
pub fn read_exact(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match read(fd, buf.get_mut(done..).unwrap_or_default())? {
            0 => return Err(Errno::ENODATA),
            n => done += n,
        }
    }
    Ok(())
}

/// Cuts or grows a file. <https://man7.org/linux/man-pages/man2/ftruncate.2.html>
///
/// # Errors
/// As ftruncate(2).
pub fn truncate(fd: BorrowedFd<'_>, len: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_ftruncate, fd.arg(), len as usize) }.map(drop)
}

/// Copies up to `count` bytes inside the kernel, from the current positions; 0 is the end.
/// <https://man7.org/linux/man-pages/man2/sendfile.2.html>
///
/// # Errors
/// As sendfile(2).
pub fn sendfile(to: BorrowedFd<'_>, from: BorrowedFd<'_>, count: usize) -> Result<usize> {
    // SAFETY: a null offset pointer means the file position.
    retry(|| unsafe { sys!(k::__NR_sendfile, to.arg(), from.arg(), 0, count) })
}
