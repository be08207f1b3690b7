//! cpuset on v1, where a new cgroup has no CPUs and no memory nodes and takes no task until it has.
//!
//! Owns: copying them down from the parents. Must not: touch a directory that has some.

use std::path::Path;

use runsig_sys::Errno;

use super::Cpuset;
use crate::dir::Dir;
use crate::error::Result;

/// Gives the container's directory its CPUs and nodes: the ones asked for, else the parent's.
pub(crate) fn fill(mount: &Dir, parents: &[&Path], leaf: &Dir, wanted: Cpuset<'_>) -> Result<()> {
    fill_file(mount, parents, leaf, "cpus", wanted.cpus)?;
    fill_file(mount, parents, leaf, "mems", wanted.mems)
}

fn fill_file(mount: &Dir, parents: &[&Path], leaf: &Dir, what: &str, wanted: &str) -> Result<()> {
    if !wanted.is_empty() {
        // The parents have to allow it first.
        inherited(mount, parents, what)?;
        return write(leaf, what, wanted);
    }
    if read(leaf, what)?.trim().is_empty() {
        write(leaf, what, inherited(mount, parents, what)?.trim())?;
    }
    Ok(())
}

/// The value of the nearest parent, which gets it from its own parent where it has none.
fn inherited(mount: &Dir, parents: &[&Path], what: &str) -> Result<String> {
    let Some((nearest, above)) = parents.split_last() else { return read(mount, what) };
    let dir = mount.descend(nearest)?;
    let value = read(&dir, what)?;
    if !value.trim().is_empty() {
        return Ok(value);
    }
    let value = inherited(mount, above, what)?;
    write(&dir, what, value.trim())?;
    Ok(value)
}

/// A cpuset hierarchy can be mounted with `noprefix`: then the file is just `cpus`.
pub(crate) fn write(dir: &Dir, what: &str, value: &str) -> Result<()> {
    match dir.write(&format!("cpuset.{what}"), value) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => dir.write(what, value),
        other => other,
    }
}

fn read(dir: &Dir, what: &str) -> Result<String> {
    match dir.read(&format!("cpuset.{what}")) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => dir.read(what),
        other => other,
    }
}
