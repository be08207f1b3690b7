//! What a file is, whose it is and who may use it.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::BorrowedFd;

/// `st_mode`: the bits that say what kind of file it is.
pub const S_IFMT: u32 = k::S_IFMT;
/// `st_mode`: directory.
pub const S_IFDIR: u32 = k::S_IFDIR;
/// `st_mode`: regular file.
pub const S_IFREG: u32 = k::S_IFREG;
/// `st_mode`: symbolic link.
pub const S_IFLNK: u32 = k::S_IFLNK;
/// `st_mode`: character device.
pub const S_IFCHR: u32 = k::S_IFCHR;
/// `st_mode`: block device.
pub const S_IFBLK: u32 = k::S_IFBLK;
/// `st_mode`: fifo.
pub const S_IFIFO: u32 = k::S_IFIFO;

/// `f_type` of procfs. <https://man7.org/linux/man-pages/man2/statfs.2.html>
pub const PROC_SUPER_MAGIC: i64 = k::PROC_SUPER_MAGIC as i64;

/// `f_type` of cgroup v2.
pub const CGROUP2_SUPER_MAGIC: i64 = k::CGROUP2_SUPER_MAGIC as i64;

/// `f_type` of cgroup v1.
pub const CGROUP_SUPER_MAGIC: i64 = k::CGROUP_SUPER_MAGIC as i64;

/// `f_type` of tmpfs.
pub const TMPFS_MAGIC: i64 = k::TMPFS_MAGIC as i64;

/// What [`stat`] tells about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Kind and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub ino: u64,
    /// Major number of the device that holds it.
    pub dev_major: u32,
    /// Minor number of the device that holds it.
    pub dev_minor: u32,
    /// Major number of the device it is, for a device node.
    pub rdev_major: u32,
    /// Minor number of the device it is, for a device node.
    pub rdev_minor: u32,
    /// Bytes.
    pub size: u64,
    /// Hard links.
    pub nlink: u32,
}

impl Stat {
    /// Whether it is of the kind `S_IF*`.
    #[must_use]
    pub fn is(&self, kind: u32) -> bool {
        self.mode & S_IFMT == kind
    }
}

/// Looks at a file; an empty path means the descriptor itself.
/// <https://man7.org/linux/man-pages/man2/statx.2.html>
///
/// # Errors
/// As statx(2).
pub fn stat(dir: BorrowedFd<'_>, path: &CStr, follow: bool) -> Result<Stat> {
    let mut out = MaybeUninit::<k::statx>::zeroed();
    let flags = k::AT_EMPTY_PATH | if follow { 0 } else { k::AT_SYMLINK_NOFOLLOW };
    // SAFETY: `path` is a terminated string, `out` has room for a statx.
    unsafe {
        sys!(
            k::__NR_statx,
            dir.arg(),
            path.as_ptr() as usize,
            flags as usize,
            k::STATX_BASIC_STATS as usize,
            out.as_mut_ptr() as usize
        )
    }?;
    // SAFETY: zeroed before and filled by the kernel; every bit pattern is a statx.
    let x = unsafe { out.assume_init() };
    Ok(Stat {
        mode: u32::from(x.stx_mode),
        uid: x.stx_uid,
        gid: x.stx_gid,
        ino: x.stx_ino,
        dev_major: x.stx_dev_major,
        dev_minor: x.stx_dev_minor,
        rdev_major: x.stx_rdev_major,
        rdev_minor: x.stx_rdev_minor,
        size: x.stx_size,
        nlink: x.stx_nlink,
    })
}

/// Looks at what a descriptor refers to.
///
/// # Errors
/// As statx(2).
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    stat(fd, c"", true)
}

/// The magic number and the mount flags (`ST_*`) of the file system a descriptor is on.
/// <https://man7.org/linux/man-pages/man2/statfs.2.html>
///
/// # Errors
/// As fstatfs(2).
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<(i64, u64)> {
    let mut out = MaybeUninit::<k::statfs>::zeroed();
    // SAFETY: `out` has room for a statfs.
    unsafe { sys!(k::__NR_fstatfs, fd.arg(), out.as_mut_ptr() as usize) }?;
    // SAFETY: zeroed before and filled by the kernel; every bit pattern is a statfs.
    let s = unsafe { out.assume_init() };
    Ok((s.f_type, s.f_flags as u64))
}

/// Changes the permissions of an open file. <https://man7.org/linux/man-pages/man2/fchmod.2.html>
///
/// # Errors
/// As fchmod(2); `EBADF` for an `O_PATH` descriptor.
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fchmod, fd.arg(), mode as usize) }.map(drop)
}

/// Changes the permissions of a file by name (follows links).
/// <https://man7.org/linux/man-pages/man2/fchmodat.2.html>
///
/// # Errors
/// As fchmodat(2).
pub fn fchmodat(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_fchmodat, dir.arg(), path.as_ptr() as usize, mode as usize) }.map(drop)
}

/// Changes owner and group; an empty path means the descriptor itself. Links are not followed.
/// <https://man7.org/linux/man-pages/man2/fchownat.2.html>
///
/// # Errors
/// As fchownat(2).
pub fn fchownat(dir: BorrowedFd<'_>, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = k::AT_EMPTY_PATH | k::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `path` is a terminated string.
    unsafe {
        sys!(k::__NR_fchownat, dir.arg(), path.as_ptr() as usize, uid as usize, gid as usize, flags as usize)
    }
    .map(drop)
}

/// `access` mode: may execute.
pub const X_OK: u32 = 1;

/// `access` mode: may read.
pub const R_OK: u32 = 4;

/// Whether the effective user may execute (or read, write) the file.
/// <https://man7.org/linux/man-pages/man2/faccessat2.2.html>
///
/// # Errors
/// As faccessat2(2): `EACCES` when not.
pub fn eaccess(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe {
        sys!(k::__NR_faccessat2, dir.arg(), path.as_ptr() as usize, mode as usize, k::AT_EACCESS as usize)
    }
    .map(drop)
}

/// Reads an extended attribute of an open file into `buf`.
/// <https://man7.org/linux/man-pages/man2/getxattr.2.html>
///
/// # Errors
/// As fgetxattr(2).
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: `name` is a terminated string, `buf` writable for its length.
    unsafe { sys!(k::__NR_fgetxattr, fd.arg(), name.as_ptr() as usize, buf.as_mut_ptr() as usize, buf.len()) }
}

/// Lists the names of a file's extended attributes, each terminated by a NUL.
/// <https://man7.org/linux/man-pages/man2/listxattr.2.html>
///
/// # Errors
/// As flistxattr(2).
pub fn flistxattr(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: `buf` is writable for its length.
    unsafe { sys!(k::__NR_flistxattr, fd.arg(), buf.as_mut_ptr() as usize, buf.len()) }
}

/// Sets an extended attribute of an open file. <https://man7.org/linux/man-pages/man2/setxattr.2.html>
///
/// # Errors
/// As fsetxattr(2).
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: `name` is a terminated string, `value` readable for its length.
    unsafe {
        sys!(k::__NR_fsetxattr, fd.arg(), name.as_ptr() as usize, value.as_ptr() as usize, value.len(), 0)
    }
    .map(drop)
}
