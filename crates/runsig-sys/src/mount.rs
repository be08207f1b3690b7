//! The mount API: detached trees first, attached by descriptor.
//!
//! Owns: fsopen, fsconfig, fsmount, open_tree, move_mount, mount_setattr, pivot_root, umount, and
//! mount(2) for the few things only it can do. Must not: walk paths inside a rootfs by name.

use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::{BorrowedFd, OwnedFd};

/// Mount attribute: read-only.
pub const ATTR_RDONLY: u64 = k::MOUNT_ATTR_RDONLY as u64;
/// Mount attribute: no set-user-ID.
pub const ATTR_NOSUID: u64 = k::MOUNT_ATTR_NOSUID as u64;
/// Mount attribute: no devices.
pub const ATTR_NODEV: u64 = k::MOUNT_ATTR_NODEV as u64;
/// Mount attribute: no execution.
pub const ATTR_NOEXEC: u64 = k::MOUNT_ATTR_NOEXEC as u64;
/// Mount attribute: the bits that choose how access times are kept.
pub const ATTR_ATIME_MASK: u64 = k::MOUNT_ATTR__ATIME as u64;
/// Mount attribute: relative access times (0).
pub const ATTR_RELATIME: u64 = k::MOUNT_ATTR_RELATIME as u64;
/// Mount attribute: no access times.
pub const ATTR_NOATIME: u64 = k::MOUNT_ATTR_NOATIME as u64;
/// Mount attribute: exact access times.
pub const ATTR_STRICTATIME: u64 = k::MOUNT_ATTR_STRICTATIME as u64;
/// Mount attribute: no access times for directories.
pub const ATTR_NODIRATIME: u64 = k::MOUNT_ATTR_NODIRATIME as u64;
/// Mount attribute: identity-map by a user namespace (5.12).
pub const ATTR_IDMAP: u64 = k::MOUNT_ATTR_IDMAP as u64;
/// Mount attribute: do not follow symbolic links (5.10).
pub const ATTR_NOSYMFOLLOW: u64 = k::MOUNT_ATTR_NOSYMFOLLOW as u64;

/// Propagation: shared.
pub const MS_SHARED: u64 = k::MS_SHARED as u64;
/// Propagation: slave.
pub const MS_SLAVE: u64 = k::MS_SLAVE as u64;
/// Propagation: private.
pub const MS_PRIVATE: u64 = k::MS_PRIVATE as u64;
/// Propagation: cannot be bound.
pub const MS_UNBINDABLE: u64 = k::MS_UNBINDABLE as u64;
/// mount(2): the whole tree.
pub const MS_REC: u64 = k::MS_REC as u64;
/// mount(2): bind.
pub const MS_BIND: u64 = k::MS_BIND as u64;
/// mount(2): move.
pub const MS_MOVE: u64 = k::MS_MOVE as u64;
/// mount(2): change an existing mount.
pub const MS_REMOUNT: u64 = k::MS_REMOUNT as u64;
/// mount(2): read-only.
pub const MS_RDONLY: u64 = k::MS_RDONLY as u64;

/// Opens a context for a new file system. <https://man7.org/linux/man-pages/man2/fsopen.2.html> (5.2)
///
/// # Errors
/// `ENODEV` when the kernel does not know the type.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: `fstype` is a terminated string.
    unsafe { sys!(k::__NR_fsopen, fstype.as_ptr() as usize, k::FSOPEN_CLOEXEC as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Opens a context for an existing mount's superblock, to reconfigure it.
/// <https://man7.org/linux/man-pages/man2/fspick.2.html>
///
/// # Errors
/// As fspick(2).
pub fn fspick(mount: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = k::FSPICK_CLOEXEC | k::FSPICK_EMPTY_PATH;
    // SAFETY: the path is a terminated string.
    unsafe { sys!(k::__NR_fspick, mount.arg(), c"".as_ptr() as usize, flags as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

fn fsconfig(ctx: BorrowedFd<'_>, cmd: k::fsconfig_command, key: usize, value: usize) -> Result<()> {
    // SAFETY: the callers below pass null or terminated strings that outlive the call.
    unsafe { sys!(k::__NR_fsconfig, ctx.arg(), cmd as usize, key, value, 0) }.map(drop)
}

/// Sets `key=value`. <https://man7.org/linux/man-pages/man2/fsconfig.2.html>
///
/// # Errors
/// `EINVAL` when the file system does not take it.
pub fn fsconfig_string(ctx: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    fsconfig(ctx, k::fsconfig_command::FSCONFIG_SET_STRING, key.as_ptr() as usize, value.as_ptr() as usize)
}

/// Sets a flag option. <https://man7.org/linux/man-pages/man2/fsconfig.2.html>
///
/// # Errors
/// `EINVAL` when the file system does not take it.
pub fn fsconfig_flag(ctx: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    fsconfig(ctx, k::fsconfig_command::FSCONFIG_SET_FLAG, key.as_ptr() as usize, 0)
}

/// Makes the superblock. <https://man7.org/linux/man-pages/man2/fsconfig.2.html>
///
/// # Errors
/// Whatever the file system says: `EPERM`, `EBUSY`, `ENODEV`, `EINVAL`.
pub fn fsconfig_create(ctx: BorrowedFd<'_>) -> Result<()> {
    fsconfig(ctx, k::fsconfig_command::FSCONFIG_CMD_CREATE, 0, 0)
}

/// Applies the options to an existing superblock. <https://man7.org/linux/man-pages/man2/fsconfig.2.html>
///
/// # Errors
/// Whatever the file system says.
pub fn fsconfig_reconfigure(ctx: BorrowedFd<'_>) -> Result<()> {
    fsconfig(ctx, k::fsconfig_command::FSCONFIG_CMD_RECONFIGURE, 0, 0)
}

/// A detached mount of the context's superblock with these attributes (`ATTR_*`).
/// <https://man7.org/linux/man-pages/man2/fsmount.2.html>
///
/// # Errors
/// As fsmount(2).
pub fn fsmount(ctx: BorrowedFd<'_>, attrs: u64) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_fsmount, ctx.arg(), k::FSMOUNT_CLOEXEC as usize, attrs as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// A detached copy of the mount (or the tree of mounts) at a path; an empty path means the
/// descriptor itself. <https://man7.org/linux/man-pages/man2/open_tree.2.html> (5.2)
///
/// # Errors
/// As open_tree(2).
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = k::OPEN_TREE_CLONE | k::OPEN_TREE_CLOEXEC | k::AT_EMPTY_PATH;
    if recursive {
        flags |= k::AT_RECURSIVE;
    }
    // SAFETY: `path` is a terminated string.
    unsafe { sys!(k::__NR_open_tree, dir.arg(), path.as_ptr() as usize, flags as usize) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Attaches a detached mount (or moves an attached one) onto the file `to` refers to.
/// <https://man7.org/linux/man-pages/man2/move_mount.2.html> (5.2)
///
/// # Errors
/// As move_mount(2).
pub fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let flags = k::MOVE_MOUNT_F_EMPTY_PATH | k::MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr() as usize;
    // SAFETY: both paths are terminated strings.
    unsafe { sys!(k::__NR_move_mount, from.arg(), empty, to.arg(), empty, flags as usize) }.map(drop)
}

/// What [`mount_setattr`] changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttrChange<'a> {
    /// `ATTR_*` to set.
    pub set: u64,
    /// `ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED` and its like, or 0.
    pub propagation: u64,
    /// The user namespace for `ATTR_IDMAP`.
    pub userns: Option<BorrowedFd<'a>>,
    /// The whole tree.
    pub recursive: bool,
}

/// Changes attributes of the mount `fd` is the root of.
/// <https://man7.org/linux/man-pages/man2/mount_setattr.2.html> (5.12)
///
/// # Errors
/// As mount_setattr(2).
pub fn mount_setattr(fd: BorrowedFd<'_>, change: &AttrChange<'_>) -> Result<()> {
    let attr = k::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: change.userns.map_or(0, |fd| fd.raw() as u64),
    };
    let flags = k::AT_EMPTY_PATH | if change.recursive { k::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a terminated string, `attr` a whole mount_attr of the size given.
    unsafe {
        sys!(
            k::__NR_mount_setattr,
            fd.arg(),
            c"".as_ptr() as usize,
            flags as usize,
            &raw const attr as usize,
            size_of::<k::mount_attr>()
        )
    }
    .map(drop)
}

/// mount(2), for what the new API cannot say. Null pointers stand for `None`.
/// <https://man7.org/linux/man-pages/man2/mount.2.html>
///
/// # Errors
/// As mount(2).
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Result<()> {
    let ptr = |s: Option<&CStr>| s.map_or(0, |s| s.as_ptr() as usize);
    // SAFETY: every pointer is null or a terminated string that outlives the call.
    unsafe {
        sys!(k::__NR_mount, ptr(source), target.as_ptr() as usize, ptr(fstype), flags as usize, ptr(data))
    }
    .map(drop)
}

/// Unmounts; `detach` takes the whole tree out of sight at once (MNT_DETACH).
/// <https://man7.org/linux/man-pages/man2/umount2.2.html>
///
/// # Errors
/// As umount2(2).
pub fn umount(target: &CStr, detach: bool) -> Result<()> {
    let flags = k::UMOUNT_NOFOLLOW | if detach { k::MNT_DETACH } else { 0 };
    // SAFETY: `target` is a terminated string.
    unsafe { sys!(k::__NR_umount2, target.as_ptr() as usize, flags as usize) }.map(drop)
}

/// Makes `new_root` the root mount and puts the old one at `put_old`. `.` and `.` stacks the old
/// root on the new one, from where it can be detached.
/// <https://man7.org/linux/man-pages/man2/pivot_root.2.html>
///
/// # Errors
/// As pivot_root(2).
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<()> {
    // SAFETY: both are terminated strings.
    unsafe { sys!(k::__NR_pivot_root, new_root.as_ptr() as usize, put_old.as_ptr() as usize) }.map(drop)
}
