//! Hiding paths and making them read-only, once the container's root is the root.
//!
//! Owns: read-only mounts, masked files and directories. Must not: decide which.

use alloc::ffi::CString;
use core::ffi::CStr;

use runsig_proto::Op;
use runsig_sys::mount::{self, ATTR_RDONLY, AttrChange};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, process};

use super::device;
use super::mount::{New, make};
use super::path;
use crate::error::{During, Result};

/// How often, and how long in between in milliseconds, a mount is tried that somebody writes to.
const TRIES: u32 = 5;
const PAUSE_MS: i64 = 100;

/// Makes a mount read-only; its other attributes stay. A process that has a file open for writing
/// (one a hook left) makes it busy for a moment.
pub(super) fn make_read_only(mount: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    let change = AttrChange { set: ATTR_RDONLY, ..Default::default() };
    let mut tries = 1;
    loop {
        match mount::mount_setattr(mount, &change) {
            Err(Errno::EBUSY) if tries < TRIES => {
                tries += 1;
                let _ = process::poll(&mut [], PAUSE_MS);
            }
            other => return other,
        }
    }
}

/// Binds each path on itself, read-only, with the other attributes it has. Missing ones are passed over.
pub(super) fn read_only_paths(root: BorrowedFd<'_>, paths: &[CString]) -> Result<()> {
    for path in paths {
        read_only_path(root, path).during_at(Op::ReadonlyPath, path)?;
    }
    Ok(())
}

fn read_only_path(root: BorrowedFd<'_>, path: &CStr) -> core::result::Result<(), Errno> {
    let Some(place) = existing(root, path)? else { return Ok(()) };
    let tree = mount::open_tree(place.as_fd(), c"", true)?;
    mount::mount_setattr(tree.as_fd(), &AttrChange { set: ATTR_RDONLY, ..Default::default() })?;
    mount::move_mount(tree.as_fd(), place.as_fd())
}

/// Hides each path: a file behind the null device, a directory behind an empty one. Missing ones
/// are passed over.
pub(super) fn mask_paths(root: BorrowedFd<'_>, paths: &[CString], label: Option<&CStr>) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    // The container made its own /dev: what is bound over secrets must be the null device, or it
    // would be an opening of the container's choice (CVE-2025-31133).
    let null = device::null(root)?;
    let mut empty = None;
    for (n, path) in paths.iter().enumerate() {
        if paths.iter().take(n).any(|earlier| earlier == path) {
            continue;
        }
        mask_path(root, path, null.as_fd(), &mut empty, label).during_at(Op::MaskPath, path)?;
    }
    Ok(())
}

fn mask_path(
    root: BorrowedFd<'_>,
    path: &CStr,
    null: BorrowedFd<'_>,
    empty: &mut Option<OwnedFd>,
    label: Option<&CStr>,
) -> core::result::Result<(), Errno> {
    let Some(place) = existing(root, path)? else { return Ok(()) };
    if !fs::fstat(place.as_fd())?.is(fs::S_IFDIR) {
        let cover = mount::open_tree(null, c"", false)?;
        return mount::move_mount(cover.as_fd(), place.as_fd());
    }
    // One superblock for all directories; a copy of it needs the first to be attached (before 6.15).
    if let Some(first) = empty {
        let cover = mount::open_tree(first.as_fd(), c"", false)?;
        return mount::move_mount(cover.as_fd(), place.as_fd());
    }
    let cover = empty_directory(label)?;
    mount::move_mount(cover.as_fd(), place.as_fd())?;
    *empty = Some(cover);
    Ok(())
}

/// A detached, empty, read-only tmpfs.
pub(super) fn empty_directory(label: Option<&CStr>) -> core::result::Result<OwnedFd, Errno> {
    let with_inodes = |inodes: &CStr| {
        let options = [(c"nr_blocks".into(), Some(c"1".into())), (c"nr_inodes".into(), Some(inodes.into()))];
        make(&New { fstype: c"tmpfs", source: c"tmpfs", options: &options }, ATTR_RDONLY, label)
    };
    // Ubuntu's 5.4 kernels refuse a single inode.
    with_inodes(c"1").or_else(|_| with_inodes(c"2"))
}

fn existing(root: BorrowedFd<'_>, path: &CStr) -> core::result::Result<Option<OwnedFd>, Errno> {
    match path::open(root, path) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}
