//! Mount sources that only the host side can open: idmapped trees, and binds for a container
//! whose user could not reach them.
//!
//! Owns: making detached trees. Must not: attach them; that is the init's business.

use std::ffi::CStr;
use std::path::PathBuf;

use runsig_proto::plan::{Mount, MountWhat};
use runsig_spec::Plan;
use runsig_spec::plan::{HostMount, IdMapping};
use runsig_sys::mount::{self, ATTR_IDMAP, AttrChange};
use runsig_sys::process::CLONE_NEWUSER;
use runsig_sys::{Errno, OwnedFd, fd, fs};

use crate::error::{Error, InitError, Result};
use crate::store::c_path;
use crate::userns;

/// Makes every tree the plan asks for and enters its descriptor in the plan.
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
        let tree = match make_tree(mount, host, &owner) {
            Ok(tree) => tree,
            // The init tries by itself, and reports what is wrong then. Without privilege we may
            // not clone trees, and it may; a source that an earlier mount brings into the rootfs
            // is there only when the init comes to it.
            Err(_) if !host.idmap => continue,
            Err(error) => return Err(error),
        };
        if host.idmap {
            // So that the init knows that no tree of its own would do.
            mount.set |= ATTR_IDMAP;
        }
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

fn make_tree(mount: &Mount, host: &HostMount, owner: &Owner) -> Result<OwnedFd> {
    let failed = |errno: Errno| {
        Error::Init(InitError {
            op: runsig_proto::Op::Mount,
            subject: mount.destination.to_string_lossy().into_owned(),
            detail: mount.source.to_string_lossy().into_owned(),
            errno: Some(errno),
        })
    };
    let tree = match &mount.what {
        MountWhat::Bind { source, recursive, .. } => mount::open_tree(fd::CWD, source, *recursive),
        MountWhat::FileSystem { fstype, source, options, .. } => new_file_system(fstype, source, options),
        MountWhat::Cgroup { .. } => Err(Errno::EINVAL),
    }
    .map_err(failed)?;
    if host.idmap {
        let namespace = owner.namespace()?;
        let change = AttrChange {
            set: ATTR_IDMAP,
            userns: Some(namespace.as_fd()),
            recursive: host.recursive_idmap,
            ..AttrChange::default()
        };
        mount::mount_setattr(tree.as_fd(), &change).map_err(failed)?;
    }
    Ok(tree)
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
