//! From the host's root to the container's.
//!
//! Owns: propagation of the host's tree as we see it, the mount the rootfs gets of its own, and
//! pivot_root, move or chroot. Must not: look into the rootfs.

use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::Op;
use runsig_proto::plan::{Rootfs, SwitchRoot};
use runsig_sys::fd::CWD;
use runsig_sys::fs::{self, O_DIRECTORY, O_PATH};
use runsig_sys::mount::{self, AttrChange, MS_PRIVATE, MS_REC, MS_SLAVE};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use super::path::terminated;
use crate::error::{During, Failure, Result};

/// Gives the rootfs a mount of its own that nobody else sees, and returns its root.
/// Without a mount namespace of ours nothing is mounted: it would be the host that changes.
pub(super) fn own_root(rootfs: &Rootfs, own_namespace: bool) -> Result<OwnedFd> {
    let fail = |errno| Failure::at(Op::PrepareRoot, &rootfs.path, errno);
    let place = fs::openat(CWD, &rootfs.path, O_PATH | O_DIRECTORY, 0).map_err(fail)?;
    if !own_namespace {
        return Ok(place);
    }
    mount::mount(None, c"/", None, rootfs.propagation, None).during_at(Op::PrepareRoot, c"/")?;
    if !unshares_everything(rootfs.propagation) {
        unshare_parent(rootfs).map_err(fail)?;
    }
    let tree = mount::open_tree(place.as_fd(), c"", true).map_err(fail)?;
    mount::move_mount(tree.as_fd(), place.as_fd()).map_err(fail)?;
    Ok(tree)
}

/// Whether no mount of the namespace is shared any more.
fn unshares_everything(propagation: u64) -> bool {
    propagation & MS_REC != 0 && propagation & (MS_SLAVE | MS_PRIVATE) != 0
}

/// Takes the mount the rootfs is on out of its peer group: pivot_root refuses a shared parent, and
/// the rootfs's own mount would appear on the host. The path is the host's, so it is walked up to
/// the next mount point by name.
fn unshare_parent(rootfs: &Rootfs) -> core::result::Result<(), Errno> {
    let kind = if rootfs.propagation & MS_SLAVE != 0 { MS_SLAVE } else { MS_PRIVATE };
    let mut path: Vec<u8> = rootfs.path.as_bytes().to_vec();
    loop {
        let at = if path.is_empty() { c"/".into() } else { terminated(&path)? };
        match mount::mount(None, &at, None, kind, None) {
            Err(Errno::EINVAL) if !path.is_empty() => {
                path.truncate(path.iter().rposition(|b| *b == b'/').unwrap_or(0));
            }
            other => return other,
        }
    }
}

/// Makes `root` the root of the process and its working directory.
pub(super) fn switch(rootfs: &Rootfs, root: BorrowedFd<'_>) -> Result<()> {
    let done = match rootfs.switch {
        SwitchRoot::Pivot => pivot(root),
        SwitchRoot::Move => move_over(root),
        SwitchRoot::Chroot => fs::fchdir(root).and_then(|()| chroot_here()),
    };
    done.during_at(Op::SwitchRoot, &rootfs.path)
}

fn pivot(root: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    let old = fs::openat(CWD, c"/", O_PATH | O_DIRECTORY, 0)?;
    fs::fchdir(root)?;
    // The old root ends up on top of the new one, so no directory is needed for it.
    mount::pivot_root(c".", c".")?;
    fs::fchdir(old.as_fd())?;
    // Slave, so that the unmounts do not reach the host. Not private: that would keep mounts of
    // the host busy that are unmounted there just now.
    mount::mount(None, c".", None, MS_SLAVE | MS_REC, None)?;
    mount::umount(c".", true)?;
    fs::chdir(c"/")
}

/// The way for a root on the initial ramfs, which pivot_root refuses. The host's tree stays in
/// the namespace, below the new root.
fn move_over(root: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    fs::fchdir(root)?;
    let mut buf = [0; 4096];
    let own = fs::getcwd(&mut buf)?.to_vec();
    for point in full_mounts(&own)? {
        take_away(&point)?;
    }
    let slash = fs::openat(CWD, c"/", O_PATH | O_DIRECTORY, 0)?;
    mount::move_mount(root, slash.as_fd())?;
    chroot_here()
}

fn chroot_here() -> core::result::Result<(), Errno> {
    fs::chroot(c".")?;
    fs::chdir(c"/")
}

/// The host's whole procfs and sysfs mounts. As long as one is in the namespace without anything
/// masked, the kernel lets the container mount a fresh, unmasked one.
fn full_mounts(own_root: &[u8]) -> core::result::Result<Vec<Vec<u8>>, Errno> {
    let info = read_whole(c"/proc/self/mountinfo")?;
    Ok(info
        .split(|b| *b == b'\n')
        .filter_map(parse_mount)
        .filter(|m| m.root == b"/" && matches!(m.fstype, b"proc" | b"sysfs"))
        .map(|m| unescape(m.point))
        .filter(|point| !point.starts_with(own_root))
        .collect())
}

/// Unmounts the mount at `point`, or hides it where that is not allowed.
fn take_away(point: &[u8]) -> core::result::Result<(), Errno> {
    let point = terminated(point)?;
    match mount::mount(None, &point, None, MS_SLAVE | MS_REC, None) {
        // Something above it has been unmounted already.
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    }
    match mount::umount(&point, true) {
        Err(Errno::EINVAL | Errno::EPERM) => mount::mount(Some(c"tmpfs"), &point, Some(c"tmpfs"), 0, None),
        other => other,
    }
}

/// Sets the propagation the bundle asks for on the new root. Private and slave it is already.
pub(super) fn set_propagation(rootfs: &Rootfs, root: BorrowedFd<'_>) -> Result<()> {
    let wanted = rootfs.final_propagation;
    if wanted == 0 || wanted & (MS_PRIVATE | MS_SLAVE) != 0 {
        return Ok(());
    }
    propagate(root, wanted).during_at(Op::PrepareRoot, c"/")
}

/// Sets one propagation (`MS_SHARED` and its like, with or without `MS_REC`) on a mount.
pub(super) fn propagate(mount: BorrowedFd<'_>, flags: u64) -> core::result::Result<(), Errno> {
    let change =
        AttrChange { propagation: flags & !MS_REC, recursive: flags & MS_REC != 0, ..Default::default() };
    mount::mount_setattr(mount, &change)
}

/// One line of mountinfo. <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
struct MountLine<'a> {
    root: &'a [u8],
    point: &'a [u8],
    fstype: &'a [u8],
}

fn parse_mount(line: &[u8]) -> Option<MountLine<'_>> {
    let mut fields = line.split(|b| *b == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    fields.find(|field| *field == b"-")?;
    Some(MountLine { root, point, fstype: fields.next()? })
}

/// Undoes the octal escapes of mountinfo.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let digits = tail.get(..3).filter(|d| *first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        match digits {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
                rest = tail.get(3..).unwrap_or_default();
            }
            None => out.push(*first),
        }
    }
    out
}

fn read_whole(path: &CStr) -> core::result::Result<Vec<u8>, Errno> {
    let file = fs::openat(CWD, path, fs::O_RDONLY, 0)?;
    let (mut all, mut buf) = (Vec::new(), alloc::vec![0; 8192]);
    loop {
        match fs::read(file.as_fd(), &mut buf)? {
            0 => return Ok(all),
            n => all.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_taken_apart() {
        let line = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - proc /dev/root rw,errors=continue";
        let mount = parse_mount(line).unwrap();
        assert_eq!((mount.root, mount.fstype), (&b"/mnt1"[..], &b"proc"[..]));
        assert_eq!(unescape(mount.point), b"/mnt 2");
        assert!(parse_mount(b"36 35 98:0 /").is_none());
        assert_eq!(unescape(b"a\\09\\134\\"), b"a\\09\\\\");
    }

    #[test]
    fn only_a_recursive_slave_or_private_tree_has_no_shared_mounts() {
        assert!(unshares_everything(MS_REC | MS_SLAVE));
        assert!(!unshares_everything(MS_SLAVE));
        assert!(!unshares_everything(MS_REC | mount::MS_SHARED));
    }
}
