//! Device nodes, the links beside them, the null device and the console.
//!
//! Owns: what is in the container's /dev. Must not: make /dev itself; that is a mount.

use core::ffi::CStr;

use runsig_proto::Op;
use runsig_proto::plan::Device;
use runsig_sys::fd::CWD;
use runsig_sys::fs::{self, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, Stat};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, mount};

use super::path::{self, LastLink, Make};
use super::{Context, path::names};
use crate::error::{During, Failure, Result};

/// The null device's numbers.
const NULL: (u32, u32) = (1, 3);
/// Major numbers of terminals' slaves (`UNIX98_PTY_SLAVE_MAJOR`, eight of them).
const PTY_SLAVES: core::ops::Range<u32> = 136..144;
/// `f_type` of devpts.
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Links that programs expect. (Name in /dev, target.)
const LINKS: [(&CStr, &CStr); 4] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
];

/// Makes all devices of the plan.
pub(super) fn make_all(ctx: Context<'_>) -> Result<()> {
    for device in &ctx.rootfs.devices {
        // That one is a link into the container's own devpts.
        if names(device.path.to_bytes()).eq([&b"dev"[..], b"ptmx"]) {
            continue;
        }
        make(ctx, device).during_at(Op::Device, &device.path)?;
    }
    Ok(())
}

fn make(ctx: Context<'_>, device: &Device) -> core::result::Result<(), Errno> {
    let (dir, name) = path::parent(ctx.root, &device.path)?;
    if ctx.rootfs.bind_devices {
        return bind(device, dir.as_fd(), name);
    }
    match fs::mknodat(dir.as_fd(), name, device.mode, device.major, device.minor) {
        // The image may bring its own nodes.
        Err(Errno::EEXIST) => Ok(()),
        Err(Errno::EPERM | Errno::EACCES) => bind(device, dir.as_fd(), name),
        Err(errno) => Err(errno),
        Ok(()) => finish(device, dir.as_fd(), name),
    }
}

/// Checks that the new node is what we made and gives it its owner.
fn finish(device: &Device, dir: BorrowedFd<'_>, name: &CStr) -> core::result::Result<(), Errno> {
    let node = fs::openat2(dir, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH)?;
    let stat = fs::fstat(node.as_fd())?;
    if !same_device(device, &stat) {
        return Err(Errno::ENXIO);
    }
    if (stat.uid, stat.gid) == (device.uid, device.gid) {
        return Ok(());
    }
    fs::fchownat(node.as_fd(), c"", device.uid, device.gid)
}

fn same_device(device: &Device, stat: &Stat) -> bool {
    let kind = device.mode & fs::S_IFMT;
    stat.is(kind)
        && (kind == fs::S_IFIFO || (stat.rdev_major, stat.rdev_minor) == (device.major, device.minor))
}

/// Binds the host's node of the same path onto an empty file: in a user namespace nobody may make
/// device nodes.
fn bind(device: &Device, dir: BorrowedFd<'_>, name: &CStr) -> core::result::Result<(), Errno> {
    let node = mount::open_tree(CWD, &device.path, false)?;
    if !same_device(device, &fs::fstat(node.as_fd())?) {
        return Err(Errno::ENXIO);
    }
    let place = file_to_mount_on(dir, name, 0)?;
    mount::move_mount(node.as_fd(), place.as_fd())
}

/// The file `name`, made if it is missing; never what a link leads to.
fn file_to_mount_on(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> core::result::Result<OwnedFd, Errno> {
    let open = || fs::openat2(dir, name, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    match open() {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    match fs::mknodat(dir, name, fs::S_IFREG | mode, 0, 0) {
        Ok(()) | Err(Errno::EEXIST) => open(),
        Err(errno) => Err(errno),
    }
}

/// Makes /dev/ptmx and the links to the standard streams.
pub(super) fn make_links(root: BorrowedFd<'_>) -> Result<()> {
    let dev =
        path::find_or_make(root, c"/dev", Make::Directory, LastLink::Follow).during_at(Op::Link, c"/dev")?.fd;
    match fs::unlinkat(dev.as_fd(), c"ptmx", false) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(Failure::at(Op::Link, c"/dev/ptmx", errno)),
    }
    fs::symlinkat(c"pts/ptmx", dev.as_fd(), c"ptmx").during_at(Op::Link, c"/dev/ptmx")?;
    for (name, target) in LINKS {
        link(dev.as_fd(), name, target).during_at(Op::Link, name)?;
    }
    // The kernel may be built without it.
    if fs::stat(CWD, c"/proc/kcore", true).is_ok() {
        link(dev.as_fd(), c"core", c"/proc/kcore").during_at(Op::Link, c"core")?;
    }
    Ok(())
}

fn link(dir: BorrowedFd<'_>, name: &CStr, target: &CStr) -> core::result::Result<(), Errno> {
    match fs::symlinkat(target, dir, name) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// The container's null device, checked to be one.
pub(super) fn null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let fail = |errno| Failure::at(Op::Device, c"/dev/null", errno);
    let null = path::open(root, c"/dev/null").map_err(fail)?;
    if is_null(&fs::fstat(null.as_fd()).map_err(fail)?) { Ok(null) } else { Err(not_null()) }
}

fn not_null() -> Failure {
    Failure::because(Op::Device, c"/dev/null", c"container's /dev/null is invalid")
}

fn is_null(stat: &Stat) -> bool {
    stat.is(fs::S_IFCHR) && (stat.rdev_major, stat.rdev_minor) == NULL
}

/// Standard streams that are the host's null device become the container's, so that nothing of
/// the host's stays open.
pub(super) fn reopen_null(root: BorrowedFd<'_>) -> Result<()> {
    let fail = |errno| Failure::at(Op::Device, c"/dev/null", errno);
    let mut own = None;
    for stream in 0..3 {
        let stat = fs::fstat(BorrowedFd::from_raw(stream));
        if !stat.as_ref().is_ok_and(is_null) {
            continue;
        }
        if own.is_none() {
            null(root)?;
            let flags = fs::O_RDWR | fs::O_NOCTTY;
            let opened = fs::openat2(root, c"/dev/null", flags, 0, fs::RESOLVE_IN_ROOT).map_err(fail)?;
            if !is_null(&fs::fstat(opened.as_fd()).map_err(fail)?) {
                return Err(not_null());
            }
            own = Some(opened);
        }
        if let Some(own) = &own {
            fs::dup_to(own.as_fd(), stream, false).map_err(fail)?;
        }
    }
    Ok(())
}

/// Binds a terminal onto /dev/console. Both ends are checked: the terminal is a slave of a devpts,
/// and the place is a file in the container's /dev itself, never what a link leads to
/// (CVE-2025-52565).
pub(super) fn console(root: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let bound = || {
        let stat = fs::fstat(slave)?;
        let (magic, _) = fs::fstatfs(slave)?;
        if magic != DEVPTS_SUPER_MAGIC || !stat.is(fs::S_IFCHR) || !PTY_SLAVES.contains(&stat.rdev_major) {
            return Err(Errno::ENOTTY);
        }
        let (dev, name) = path::parent(root, c"/dev/console")?;
        let place = file_to_mount_on(dev.as_fd(), name, 0o666)?;
        let terminal = mount::open_tree(slave, c"", false)?;
        mount::move_mount(terminal.as_fd(), place.as_fd())
    };
    bound().during_at(Op::Console, c"/dev/console")
}
