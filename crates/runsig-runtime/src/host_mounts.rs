//! Mount sources that only the host side can open: idmapped trees, and binds for a container
//! whose user could not reach them.
//!
//! Owns: making detached trees, before the init runs or, for an idmapped bind, when it asks: its source
//! may be a mount that the init has just made. Must not: attach them; that is the init's business.

use std::ffi::CStr;
use std::path::PathBuf;

use runsig_proto::frame;
use runsig_proto::plan::{Mount, MountWhat};
use runsig_spec::Plan;
use runsig_spec::plan::{HostMount, IdMapping};
use runsig_sys::fork::fork;
use runsig_sys::mount::{self, ATTR_IDMAP, AttrChange};
use runsig_sys::process::{self, CLONE_NEWNS, CLONE_NEWUSER, ExitStatus, WaitFor};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs};

use crate::error::{Error, InitError, Result};
use crate::store::c_path;
use crate::userns;

/// Makes every tree the init cannot ask for in time, and enters its descriptor in the plan.
/// The descriptors have to stay open until the init has inherited them.
///
/// # Errors
/// As a mount that fails in the init: source, destination, error number.
pub(crate) fn open_trees(plan: &mut Plan) -> Result<Vec<OwnedFd>> {
    let mut trees = Vec::with_capacity(plan.host_mounts.len());
    let wanted = std::mem::take(&mut plan.host_mounts);
    for host in &wanted {
        let owner = Owner::of(host, plan);
        let Some(mount) = plan.init.rootfs.as_mut().and_then(|r| r.mounts.get_mut(host.index)) else {
            continue;
        };
        if host.idmap && matches!(mount.what, MountWhat::Bind { .. }) {
            // The init asks in this mount's turn: see [`send_tree`].
            mount.set |= ATTR_IDMAP;
            continue;
        }
        let tree = match make_tree(mount, host, &owner) {
            Ok(tree) => tree,
            // The init tries by itself, and reports what is wrong then. Without privilege we may
            // not clone trees, and it may; a source that an earlier mount brings into the rootfs
            // is there only when the init comes to it.
            Err(_) if !host.idmap => continue,
            Err(error) => return Err(error),
        };
        match &mut mount.what {
            MountWhat::Bind { tree: slot, .. } | MountWhat::FileSystem { tree: slot, .. } => {
                *slot = tree.raw()
            }
            MountWhat::Cgroup { .. } => {}
        }
        trees.push(tree);
    }
    plan.host_mounts = wanted;
    Ok(trees)
}

/// Makes the tree of an idmapped bind in the mount namespace that `init` is in by now, and sends it
/// over its sync socket. The work is a copy of ours: who enters a mount namespace loses sight of its own.
///
/// # Errors
/// As a mount that fails in the init: source, destination, error number.
pub(crate) fn send_tree(plan: &Plan, number: u32, init: BorrowedFd<'_>, sync: BorrowedFd<'_>) -> Result<()> {
    let at = |host: &&HostMount| host.idmap && u32::try_from(host.index) == Ok(number);
    let mounts = plan.init.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.mounts);
    let (Some(host), Some(mount)) = (plan.host_mounts.iter().find(at), mounts.get(number as usize)) else {
        return Err(Error::Invalid(format!("the init asks for mount {number}, which is not idmapped")));
    };
    let namespace = Owner::of(host, plan).namespace()?;
    let failed = |errno| failed(mount, errno);
    let Some(copy) = fork().map_err(failed)? else {
        let sent = process::setns(init, CLONE_NEWNS)
            .and_then(|()| clone_tree(mount))
            .and_then(|tree| shift(&tree, &namespace, host.recursive_idmap).map(|()| tree))
            .and_then(|tree| frame::send_descriptor(sync, frame::TREE, tree.as_fd()));
        process::exit(sent.map_or_else(Errno::raw, |()| 0))
    };
    match process::wait(WaitFor::Pid(copy), false).map_err(failed)? {
        Some((_, ExitStatus::Exited(0))) => Ok(()),
        Some((_, ExitStatus::Exited(errno))) => Err(failed(Errno::from_raw(errno))),
        _ => Err(failed(Errno::ECANCELED)),
    }
}

/// The user namespace whose IDs an idmapped mount shows.
///
/// # Errors
/// When it cannot be made or opened.
pub(crate) fn namespace(host: &HostMount, plan: &Plan) -> Result<OwnedFd> {
    Owner::of(host, plan).namespace()
}

/// Whose IDs an idmapped mount shows.
enum Owner {
    /// Those of these maps, the mount's own or the container's.
    Maps(Vec<IdMapping>, Vec<IdMapping>),
    /// Those of the user namespace the container joins.
    Joined(PathBuf),
}

impl Owner {
    fn of(host: &HostMount, plan: &Plan) -> Self {
        if !host.uid_mappings.is_empty() || !host.gid_mappings.is_empty() {
            return Self::Maps(host.uid_mappings.clone(), host.gid_mappings.clone());
        }
        let joined = plan.joined_namespaces.iter().find(|(flag, _)| *flag == CLONE_NEWUSER);
        match joined {
            Some((_, path)) => Self::Joined(path.clone()),
            None => Self::Maps(plan.uid_mappings.clone(), plan.gid_mappings.clone()),
        }
    }

    fn namespace(&self) -> Result<OwnedFd> {
        match self {
            Self::Maps(uids, gids) => userns::for_maps(uids, gids),
            Self::Joined(path) => {
                fs::openat(fd::CWD, &c_path(path)?, fs::O_RDONLY, 0).map_err(Error::io("open", path))
            }
        }
    }
}

fn failed(mount: &Mount, errno: Errno) -> Error {
    Error::Init(InitError {
        op: runsig_proto::Op::Mount,
        subject: mount.destination.to_string_lossy().into_owned(),
        detail: mount.source.to_string_lossy().into_owned(),
        errno: Some(errno),
    })
}

fn make_tree(mount: &Mount, host: &HostMount, owner: &Owner) -> Result<OwnedFd> {
    let tree = clone_tree(mount).map_err(|errno| failed(mount, errno))?;
    if host.idmap {
        let namespace = owner.namespace()?;
        shift(&tree, &namespace, host.recursive_idmap).map_err(|errno| failed(mount, errno))?;
    }
    Ok(tree)
}

fn clone_tree(mount: &Mount) -> runsig_sys::Result<OwnedFd> {
    match &mount.what {
        MountWhat::Bind { source, recursive, .. } => mount::open_tree(fd::CWD, source, *recursive),
        MountWhat::FileSystem { fstype, source, options, .. } => new_file_system(fstype, source, options),
        MountWhat::Cgroup { .. } => Err(Errno::EINVAL),
    }
}

/// Shows a detached tree's owners through the maps of a user namespace.
///
/// # Errors
/// As mount_setattr(2).
pub(crate) fn shift(tree: &OwnedFd, namespace: &OwnedFd, recursive: bool) -> runsig_sys::Result<()> {
    let userns = Some(namespace.as_fd());
    let change = AttrChange { set: ATTR_IDMAP, userns, recursive, ..AttrChange::default() };
    mount::mount_setattr(tree.as_fd(), &change)
}

fn new_file_system(
    fstype: &CStr,
    source: &CStr,
    options: &[(std::ffi::CString, Option<std::ffi::CString>)],
) -> runsig_sys::Result<OwnedFd> {
    let context = mount::fsopen(fstype)?;
    mount::fsconfig_string(context.as_fd(), c"source", source)?;
    for (key, value) in options {
        match value {
            Some(value) => mount::fsconfig_string(context.as_fd(), key, value)?,
            None => mount::fsconfig_flag(context.as_fd(), key)?,
        }
    }
    mount::fsconfig_create(context.as_fd())?;
    mount::fsmount(context.as_fd(), 0)
}
