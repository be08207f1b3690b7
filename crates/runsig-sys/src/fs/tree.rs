//! Names: making, removing, renaming, listing them; and where in the tree the process is.

use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::BorrowedFd;

/// Makes a directory. <https://man7.org/linux/man-pages/man2/mkdirat.2.html>
///
/// # Errors
/// As mkdirat(2).
pub fn mkdirat(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_mkdirat, dir.arg(), path.as_ptr() as usize, mode as usize) }.map(drop)
}

/// Makes a node: device, fifo, regular file. <https://man7.org/linux/man-pages/man2/mknodat.2.html>
///
/// # Errors
/// As mknodat(2).
pub fn mknodat(dir: BorrowedFd<'_>, path: &CStr, mode: u32, major: u32, minor: u32) -> Result<()> {
    // The kernel's own 32-bit encoding of a device number (new_encode_dev).
    let dev = (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12);
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_mknodat, dir.arg(), path.as_ptr() as usize, mode as usize, dev as usize) }.map(drop)
}

/// Makes a symbolic link at `path` that holds `target`.
/// <https://man7.org/linux/man-pages/man2/symlinkat.2.html>
///
/// # Errors
/// As symlinkat(2).
pub fn symlinkat(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    // SAFETY: both are terminated strings.
    unsafe { sys!(k::__NR_symlinkat, target.as_ptr() as usize, dir.arg(), path.as_ptr() as usize) }.map(drop)
}

/// Removes a file, or with `directory` an empty directory.
/// <https://man7.org/linux/man-pages/man2/unlinkat.2.html>
///
/// # Errors
/// As unlinkat(2).
pub fn unlinkat(dir: BorrowedFd<'_>, path: &CStr, directory: bool) -> Result<()> {
    let flags = if directory { k::AT_REMOVEDIR } else { 0 };
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_unlinkat, dir.arg(), path.as_ptr() as usize, flags as usize) }.map(drop)
}

/// [`renameat`]: fail when the new name is taken (3.15).
pub const RENAME_NOREPLACE: u32 = k::RENAME_NOREPLACE;

/// Renames. <https://man7.org/linux/man-pages/man2/renameat2.2.html>
///
/// # Errors
/// As renameat2(2).
pub fn renameat(
    from_dir: BorrowedFd<'_>,
    from: &CStr,
    to_dir: BorrowedFd<'_>,
    to: &CStr,
    flags: u32,
) -> Result<()> {
    // SAFETY: both are terminated strings.
    unsafe {
        sys!(
            k::__NR_renameat2,
            from_dir.arg(),
            from.as_ptr() as usize,
            to_dir.arg(),
            to.as_ptr() as usize,
            flags as usize
        )
    }
    .map(drop)
}

/// Reads a symbolic link into `buf`; the length says how much was filled.
/// <https://man7.org/linux/man-pages/man2/readlinkat.2.html>
///
/// # Errors
/// As readlinkat(2).
pub fn readlinkat(dir: BorrowedFd<'_>, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: `path` is a terminated string, `buf` writable for its length.
    unsafe {
        sys!(k::__NR_readlinkat, dir.arg(), path.as_ptr() as usize, buf.as_mut_ptr() as usize, buf.len())
    }
}

/// Fills `buf` with directory entries; 0 is the end. Walk them with [`dir_entries`].
/// <https://man7.org/linux/man-pages/man2/getdents.2.html>
///
/// # Errors
/// As getdents64(2).
pub fn getdents(dir: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: `buf` is writable for its length.
    unsafe { sys!(k::__NR_getdents64, dir.arg(), buf.as_mut_ptr() as usize, buf.len()) }
}

/// The names (and `DT_*` types) in a buffer that [`getdents`] filled, without `.` and `..`.
pub fn dir_entries(buf: &[u8]) -> impl Iterator<Item = (&CStr, u8)> {
    let mut rest = buf;
    core::iter::from_fn(move || {
        // struct linux_dirent64: ino u64, off u64, reclen u16, type u8, name
        let reclen = usize::from(u16::from_ne_bytes(rest.get(16..18)?.try_into().ok()?));
        let entry = rest.get(..reclen)?;
        rest = rest.get(reclen..)?;
        let name = CStr::from_bytes_until_nul(entry.get(19..)?).ok()?;
        Some((name, *entry.get(18)?))
    })
    .filter(|(name, _)| !matches!(name.to_bytes(), b"." | b".."))
}

/// Changes the current directory to an open one. <https://man7.org/linux/man-pages/man2/chdir.2.html>
///
/// # Errors
/// As fchdir(2).
pub fn fchdir(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fchdir, fd.arg()) }.map(drop)
}

/// Changes the current directory. <https://man7.org/linux/man-pages/man2/chdir.2.html>
///
/// # Errors
/// As chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_chdir, path.as_ptr() as usize) }.map(drop)
}

/// The current directory, in `buf`; without the terminator. A directory outside the root comes
/// back with a leading `(unreachable)`. <https://man7.org/linux/man-pages/man2/getcwd.2.html>
///
/// # Errors
/// As getcwd(2): `ERANGE`, `ENOENT`.
pub fn getcwd(buf: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: `buf` is writable for its length.
    let len = unsafe { sys!(k::__NR_getcwd, buf.as_mut_ptr() as usize, buf.len()) }?;
    Ok(buf.get(..len.saturating_sub(1)).unwrap_or_default())
}

/// Changes the root to the current directory's tree. <https://man7.org/linux/man-pages/man2/chroot.2.html>
///
/// # Errors
/// As chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_chroot, path.as_ptr() as usize) }.map(drop)
}

/// Sets the file mode creation mask and returns the old one.
/// <https://man7.org/linux/man-pages/man2/umask.2.html>
pub fn umask(mask: u32) -> u32 {
    // SAFETY: no pointers; cannot fail.
    unsafe { sys!(k::__NR_umask, mask as usize) }.unwrap_or(0) as u32
}
