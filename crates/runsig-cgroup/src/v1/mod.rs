//! cgroup v1: one directory a hierarchy.
//!
//! Owns: making them and placing a task in them. Must not: set limits.

mod cpuset;

pub(crate) use cpuset::write as write_cpuset;

use std::path::Path;

use runsig_sys::Errno;

use crate::dir::Dir;
use crate::error::Result;
use crate::paths::{Directory, Legacy};
use crate::v2;

/// CPUs and memory nodes the bundle asks for; empty means the parent's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpuset<'a> {
    pub(crate) cpus: &'a str,
    pub(crate) mems: &'a str,
}

/// Makes the container's directory in one hierarchy; false when it was there.
pub(crate) fn create(
    hierarchy: &Legacy,
    cpuset: Cpuset<'_>,
    made: &mut Vec<Directory>,
) -> Result<(Dir, bool)> {
    let directory = &hierarchy.directory;
    let mount = Dir::open_mount(directory.mount())?;
    let parents = v2::parents(directory.relative());
    let fresh = make_leaf(&mount, directory, &parents, made)?;
    let dir = mount.descend(directory.relative());
    let filled = dir.and_then(|dir| {
        if hierarchy.controls("cpuset") {
            cpuset::fill(&mount, &parents, &dir, cpuset)?;
        }
        Ok(dir)
    });
    match filled {
        Ok(dir) => Ok((dir, fresh)),
        Err(error) => {
            if fresh {
                let _ = mount.unmake(directory.relative());
            }
            Err(error)
        }
    }
}

/// The parents are there nearly always: try without them first.
fn make_leaf(
    mount: &Dir,
    directory: &Directory,
    parents: &[&Path],
    made: &mut Vec<Directory>,
) -> Result<bool> {
    match mount.make(directory.relative()) {
        Err(error) if error.errno() == Some(Errno::ENOENT) && !parents.is_empty() => {
            v2::make_parents(mount, directory, parents, made)?;
            mount.make(directory.relative())
        }
        other => other,
    }
}
