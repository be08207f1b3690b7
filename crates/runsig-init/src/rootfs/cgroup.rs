//! The container's view of its cgroups.
//!
//! Owns: how version 2 and version 1 appear below /sys/fs/cgroup. Must not: make or join cgroups.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::plan::Mount;
use runsig_sys::fs::{self, O_DIRECTORY, O_PATH};
use runsig_sys::mount::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, AttrChange};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use super::mount::{New, Word, attach, destination, make, refused};
use super::path::{LastLink, Make, terminated};
use super::{Context, bind, mask, switch};
use crate::error::Result;

/// Attributes of everything in a version 1 view.
const V1_ATTRS: u64 = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;

/// Version 2. With a cgroup namespace a mount of our own shows our cgroup as the root. Without
/// one, a copy of the host's directory shows the same as a mount would, and spares the 11 ms that
/// the kernel takes to make a cgroup2 mount outside a namespace.
pub(super) fn mount_v2(ctx: Context<'_>, m: &Mount, host_dir: &CStr, namespace: bool) -> Result<OwnedFd> {
    let place = destination(ctx, m, Make::Directory, LastLink::Follow, false)?;
    let tree = fresh_v2(m, namespace)
        .transpose()
        .unwrap_or_else(|| bind::view(m, host_dir))
        .or_else(|errno| hidden(ctx, errno))
        .map_err(|errno| refused(m, errno))?;
    attach(m, tree.as_fd(), place.fd.as_fd())?;
    Ok(tree)
}

/// A mount of our own; `None` where a bind has to do: without a namespace, and in a user namespace
/// that does not own the cgroup namespace.
fn fresh_v2(m: &Mount, namespace: bool) -> core::result::Result<Option<OwnedFd>, Errno> {
    if !namespace {
        return Ok(None);
    }
    match make(&New { fstype: c"cgroup2", source: c"cgroup", options: &[] }, m.set, None) {
        Err(Errno::EPERM | Errno::EBUSY) => Ok(None),
        other => other.map(Some),
    }
}

/// For a rootless container without a cgroup there is nothing to show: an empty directory hides
/// the host's.
fn hidden(ctx: Context<'_>, errno: Errno) -> core::result::Result<OwnedFd, Errno> {
    if errno != Errno::ENOENT || !ctx.plan.namespaces.user {
        return Err(errno);
    }
    mask::empty_directory(ctx.rootfs.mount_label.as_deref())
}

/// Version 1: a tmpfs with a directory for each hierarchy, and links for each controller that
/// shares its hierarchy with others.
pub(super) fn mount_v1(
    ctx: Context<'_>,
    m: &Mount,
    hierarchies: &[(CString, CString)],
    links: &[(CString, CString)],
    namespace: bool,
) -> Result<OwnedFd> {
    let fail = |errno| refused(m, errno);
    let place = destination(ctx, m, Make::Directory, LastLink::Follow, false)?;
    let options = [(CString::from(c"mode"), Some(CString::from(c"755")))];
    let label = ctx.rootfs.mount_label.as_deref();
    let new = New { fstype: c"tmpfs", source: c"tmpfs", options: &options };
    let tmpfs = make(&new, V1_ATTRS, label).map_err(fail)?;
    attach(m, tmpfs.as_fd(), place.fd.as_fd())?;
    for (name, host_dir) in hierarchies {
        hierarchy(m, tmpfs.as_fd(), name, host_dir, namespace).map_err(|errno| fail(errno).with(host_dir))?;
    }
    for (name, target) in links {
        match fs::symlinkat(target, tmpfs.as_fd(), name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    if m.set & ATTR_RDONLY != 0 {
        let change = AttrChange { set: ATTR_RDONLY, ..Default::default() };
        mount::mount_setattr(tmpfs.as_fd(), &change).map_err(fail)?;
    }
    Ok(tmpfs)
}

/// One hierarchy, in the tmpfs that we have just made ourselves.
fn hierarchy(
    m: &Mount,
    tmpfs: BorrowedFd<'_>,
    name: &CStr,
    host_dir: &CStr,
    namespace: bool,
) -> core::result::Result<(), Errno> {
    let tree = if namespace {
        let options = v1_options(name)?;
        let source = if name.to_bytes() == b"systemd" { c"systemd" } else { c"cgroup" };
        let new = New { fstype: c"cgroup", source, options: &options };
        // Not through `ro`: the superblock is the host's too.
        mount_shared(&new, V1_ATTRS | (m.set & ATTR_RDONLY))?
    } else {
        bind::view(m, host_dir)?
    };
    fs::mkdirat(tmpfs, name, 0o755)?;
    let place = fs::openat(tmpfs, name, O_PATH | O_DIRECTORY | fs::O_NOFOLLOW, 0)?;
    mount::move_mount(tree.as_fd(), place.as_fd())?;
    m.propagation.iter().try_for_each(|flags| switch::propagate(tree.as_fd(), *flags))
}

/// A mount of an existing superblock: its options choose which, its own flags stay.
fn mount_shared(new: &New<'_>, attrs: u64) -> core::result::Result<OwnedFd, Errno> {
    let tree = make(new, attrs & !ATTR_RDONLY, None)?;
    if attrs & ATTR_RDONLY != 0 {
        mount::mount_setattr(tree.as_fd(), &AttrChange { set: ATTR_RDONLY, ..Default::default() })?;
    }
    Ok(tree)
}

/// The options that name a hierarchy: its controllers, or for one without any its name.
fn v1_options(mount_point: &CStr) -> core::result::Result<Vec<Word>, Errno> {
    let bytes = mount_point.to_bytes();
    if bytes == b"systemd" {
        return Ok([(c"name".into(), Some(c"systemd".into()))].into());
    }
    if let Some(name) = bytes.strip_prefix(b"name=") {
        return Ok([(c"name".into(), Some(terminated(name)?))].into());
    }
    bytes.split(|b| *b == b',').map(|controller| Ok((terminated(controller)?, None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_names_its_hierarchy() {
        let options = v1_options(c"cpu,cpuacct").unwrap();
        assert_eq!(options, [(c"cpu".into(), None), (c"cpuacct".into(), None)]);
        assert_eq!(v1_options(c"systemd").unwrap(), [(c"name".into(), Some(c"systemd".into()))]);
    }
}
