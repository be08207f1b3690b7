//! Files and directories, always from a descriptor.
//!
//! Owns: open, read, write, make, remove, look at. Must not: mount ([`crate::mount`]).

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::{Errno, Result, retry};
use crate::fd::{BorrowedFd, OwnedFd};

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

/// `access` mode: may execute.
pub const X_OK: u32 = 1;
/// `access` mode: may read.
pub const R_OK: u32 = 4;

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

/// Moves the file position; only from the start. <https://man7.org/linux/man-pages/man2/lseek.2.html>
///
/// # Errors
/// As lseek(2).
pub fn seek_to(fd: BorrowedFd<'_>, offset: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_lseek, fd.arg(), offset as usize, 0) }.map(drop)
}

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
