//! Filling in what a mount of type `cgroup` shows, once the container's cgroups are known.
//!
//! Owns: the step from `runsig_cgroup::Paths` to the init's plan. Must not: mount.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use runsig_cgroup::Paths;
use runsig_proto::InitPlan;
use runsig_proto::plan::MountWhat;
use runsig_sys::process::CLONE_NEWCGROUP;

/// Enters the container's cgroup directories into every cgroup mount of the plan.
pub(crate) fn fill(init: &mut InitPlan, paths: &Paths) {
    let own = init.namespaces.unshare & CLONE_NEWCGROUP != 0
        || init.namespaces.join.iter().any(|(flag, ..)| *flag == CLONE_NEWCGROUP);
    let Some(rootfs) = &mut init.rootfs else { return };
    for mount in &mut rootfs.mounts {
        if paths.is_unified() {
            see_as_cgroup(&mut mount.what);
        }
        if let MountWhat::Cgroup { v2, v1, links, namespace } = &mut mount.what {
            let view = paths.mount_view();
            // The whole hierarchy, as a fresh mount would show it and as /proc/self/cgroup counts;
            // in a user namespace only the container's own part, as runc.
            let shown = |own: PathBuf| if init.namespaces.user { own } else { runsig_cgroup::MOUNT.into() };
            *v2 = view.v2.map(|own| c_path(&shown(own)));
            *v1 = view.v1.iter().map(|(name, path)| (c_text(name), c_path(path))).collect();
            *links = view.links.iter().map(|(link, name)| (c_text(link), c_text(name))).collect();
            *namespace = own;
        }
    }
}

/// Where there is only version 2, `cgroup2` and `cgroup` ask for the same view. On a hybrid host `cgroup2`
/// stays a file system like any other: the bundle does not want the version 1 hierarchies there.
fn see_as_cgroup(what: &mut MountWhat) {
    if matches!(what, MountWhat::FileSystem { fstype, tree: -1, .. } if fstype.as_c_str() == c"cgroup2") {
        *what = MountWhat::Cgroup { v2: None, v1: Vec::new(), links: Vec::new(), namespace: false };
    }
}

// Paths of the cgroup crate have been checked for NULs when they were resolved.
fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
