//! Visiting a cgroup and all below it.
//!
//! Owns: the walk. A container that may make cgroups of its own can nest them as deep as it likes
//! (`cgroup.max.depth` has no limit by default), so the walk neither recurses nor holds a
//! descriptor for each level, and never needs the whole path of anything.
//! Must not: look into a directory or change it; its callers do.

use std::path::{Path, PathBuf};

use crate::dir::Dir;
use crate::error::Result;

/// Calls `enter` for `top` and each cgroup below it before its children, and `leave` after them,
/// with the parent and the name (not for `top`). Cgroups that vanish meanwhile are passed over.
pub(crate) fn walk(
    top: &Dir,
    mut enter: impl FnMut(&Dir) -> Result<()>,
    mut leave: impl FnMut(&Dir, &Path) -> Result<()>,
) -> Result<()> {
    enter(top)?;
    let mut pending = top.children()?;
    // The level we are on, and those above it: their names and what is left to visit on them.
    let mut here: Option<Dir> = None;
    let mut above: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    loop {
        let current = here.as_ref().unwrap_or(top);
        if let Some(name) = pending.pop() {
            match open_child(current, &name, &mut enter) {
                Ok((child, children)) => {
                    above.push((name, std::mem::replace(&mut pending, children)));
                    here = Some(child);
                }
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        } else if let Some((name, rest)) = above.pop() {
            let parent = if above.is_empty() { None } else { Some(current.parent()?) };
            leave(parent.as_ref().unwrap_or(top), &name)?;
            here = parent;
            pending = rest;
        } else {
            return Ok(());
        }
    }
}

fn open_child(
    parent: &Dir,
    name: &Path,
    enter: &mut impl FnMut(&Dir) -> Result<()>,
) -> Result<(Dir, Vec<PathBuf>)> {
    let child = parent.descend(name)?;
    enter(&child)?;
    let children = child.children()?;
    Ok((child, children))
}
