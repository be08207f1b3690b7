//! cgroup v2: the directory and its controllers.
//!
//! Owns: making the container's directory with every controller there is. Must not: set limits.

use std::path::Path;

use runsig_sys::Errno;

use crate::cgroup::Need;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::paths::Directory;

const CONTROLLERS: &str = "cgroup.controllers";
const SUBTREE: &str = "cgroup.subtree_control";
const TYPE: &str = "cgroup.type";

/// What [`create`] made.
pub(crate) struct Created {
    /// The container's directory.
    pub(crate) dir: Dir,
    /// It was not there before.
    pub(crate) fresh: bool,
}

/// Makes the directory, and its parents with all controllers enabled.
pub(crate) fn create(directory: &Directory, need: Need, made: &mut Vec<Directory>) -> Result<Created> {
    let mount = Dir::open_mount(directory.mount())?;
    let available = mount.read(CONTROLLERS)?;
    let parents = parents(directory.relative());
    let parent = open_parent(&mount, directory, &parents, made)?;
    let nearest = parent.as_ref().unwrap_or(&mount);
    if !missing(nearest, &available).is_empty() {
        // A controller enabled in the nearest parent is enabled in all above it, so only a gap
        // there is a reason to look further up.
        enable_down(&mount, &parents, &available);
    }
    let created = make_leaf(&mount, directory)?;
    if let Err(error) = settle_types(&mount, &parents, &created.dir, need) {
        if created.fresh {
            let _ = mount.unmake(directory.relative());
        }
        return Err(error);
    }
    Ok(created)
}

/// Makes the directory in the hierarchy without controllers of a hybrid host.
pub(crate) fn create_plain(directory: &Directory, made: &mut Vec<Directory>) -> Result<Created> {
    let mount = Dir::open_mount(directory.mount())?;
    open_parent(&mount, directory, &parents(directory.relative()), made)?;
    make_leaf(&mount, directory)
}

/// The directories between the mount point and the container's, topmost first.
pub(crate) fn parents(relative: &Path) -> Vec<&Path> {
    let mut all: Vec<&Path> =
        relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    all.reverse();
    all
}

/// Opens the parent, making what is missing; `None` when that is the mount point.
fn open_parent(
    mount: &Dir,
    directory: &Directory,
    parents: &[&Path],
    made: &mut Vec<Directory>,
) -> Result<Option<Dir>> {
    let Some(nearest) = parents.last() else { return Ok(None) };
    match mount.descend(nearest) {
        Ok(dir) => return Ok(Some(dir)),
        Err(error) if error.errno() == Some(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    make_parents(mount, directory, parents, made)?;
    mount.descend(nearest).map(Some)
}

/// Makes missing parents and notes them down.
pub(crate) fn make_parents(
    mount: &Dir,
    directory: &Directory,
    parents: &[&Path],
    made: &mut Vec<Directory>,
) -> Result<()> {
    for parent in parents {
        if mount.make(parent)? {
            made.push(directory.above(parent));
        }
    }
    Ok(())
}

fn make_leaf(mount: &Dir, directory: &Directory) -> Result<Created> {
    let fresh = mount.make(directory.relative())?;
    Ok(Created { dir: mount.descend(directory.relative())?, fresh })
}

/// What is available but not enabled for the children of a directory.
fn missing(dir: &Dir, available: &str) -> Vec<String> {
    let enabled = dir.read(SUBTREE).unwrap_or_default();
    available
        .split_ascii_whitespace()
        .filter(|controller| !enabled.split_ascii_whitespace().any(|on| on == *controller))
        .map(|controller| format!("+{controller}"))
        .collect()
}

/// Enables everything from the mount point down to the nearest parent. What fails is passed over:
/// a limit that needs it fails later, and by name.
fn enable_down(mount: &Dir, parents: &[&Path], available: &str) {
    enable(mount, available);
    for parent in parents {
        if let Ok(dir) = mount.descend(parent) {
            enable(&dir, available);
        }
    }
}

fn enable(dir: &Dir, available: &str) {
    let missing = missing(dir, available);
    if missing.is_empty() || dir.write(SUBTREE, &missing.join(" ")).is_ok() {
        return;
    }
    // The kernel takes all or none of a line; one that cannot be had must not cost the others.
    for controller in &missing {
        let _ = dir.write(SUBTREE, controller);
    }
}

/// Below a cgroup that is threaded, or that has both processes and controllers, a new one is
/// "domain invalid": it takes processes only as a threaded one, without the controllers that know
/// whole processes only. <https://docs.kernel.org/admin-guide/cgroup-v2.html#threads>
fn settle_types(mount: &Dir, parents: &[&Path], leaf: &Dir, need: Need) -> Result<()> {
    if is_plain_domain(leaf) {
        return Ok(());
    }
    for parent in parents {
        settle_type(&mount.descend(parent)?, need)?;
    }
    settle_type(leaf, need)
}

fn is_plain_domain(dir: &Dir) -> bool {
    dir.read(TYPE).is_ok_and(|kind| kind.trim_end() == "domain")
}

fn settle_type(dir: &Dir, need: Need) -> Result<()> {
    let refuse = |why: &str| {
        let path = dir.path();
        Err(Error::invalid(format!(
            "cannot enter cgroupv2 {path:?} with domain controllers -- it is in {why}"
        )))
    };
    match dir.read(TYPE).unwrap_or_default().trim_end() {
        "domain invalid" if need.domain => refuse("an invalid state"),
        "domain invalid" => {
            let _ = dir.write(TYPE, "threaded");
            Ok(())
        }
        kind @ ("domain threaded" | "threaded") if need.domain => refuse(&format!("{kind} mode")),
        _ => Ok(()),
    }
}
