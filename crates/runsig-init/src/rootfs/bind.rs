//! Bind mounts: a detached copy of the source's mounts, its attributes, and where it goes.
//!
//! Owns: what the option words of a bind mean for the mount's attributes.
//! Must not: make file systems.

use core::ffi::CStr;

use runsig_proto::plan::Mount;
use runsig_sys::fd::CWD;
use runsig_sys::fs;
use runsig_sys::mount::{
    self, ATTR_ATIME_MASK, ATTR_IDMAP, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID,
    ATTR_NOSYMFOLLOW, ATTR_RDONLY, AttrChange,
};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use super::Context;
use super::mount::{attach, destination, refused};
use super::path::{LastLink, Make};
use crate::error::Result;

/// What a bind mount with any option word does not keep from its source.
const NOT_KEPT: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | NEVER_LOCKED;
/// What of it no user namespace locks.
const NEVER_LOCKED: u64 = ATTR_NOSYMFOLLOW;

/// Binds `source` (or the tree that was made of it already) at the mount's destination: onto a
/// file for a file, onto a directory for a directory.
pub(super) fn mount(
    ctx: Context<'_>,
    m: &Mount,
    source: &CStr,
    recursive: bool,
    tree: i32,
) -> Result<OwnedFd> {
    let fail = |errno| refused(m, errno);
    let (tree, ours) = if m.set & ATTR_IDMAP == 0 {
        source_tree(source, recursive, tree).map_err(fail)?
    } else {
        // Of two descriptors from the runtime, this one was sent first.
        ctx.network.enter()?;
        (ctx.sync.tree(ctx.turn)?, false)
    };
    let is_directory = fs::fstat(tree.as_fd()).map_err(fail)?.is(fs::S_IFDIR);
    let (magic, _) = fs::fstatfs(tree.as_fd()).map_err(fail)?;
    let make = if is_directory { Make::Directory } else { Make::File };
    let place = destination(ctx, m, make, LastLink::Follow, magic == fs::PROC_SUPER_MAGIC)?;
    // The host's tree has no locked attributes to stop us, so we leave alone what would be locked.
    let not_kept = if ours || !ctx.plan.namespaces.user { NOT_KEPT } else { NEVER_LOCKED };
    set_attributes(m, tree.as_fd(), not_kept).map_err(fail)?;
    attach(m, tree.as_fd(), place.fd.as_fd())?;
    Ok(tree)
}

/// The detached tree to bind, and whether we made it. In a user namespace a tree of our own is
/// better than the host's, wherever we can reach the source: its attributes are locked, so that
/// the container cannot undo a `nosuid` or `ro` of the host.
fn source_tree(source: &CStr, recursive: bool, tree: i32) -> core::result::Result<(OwnedFd, bool), Errno> {
    let given = (tree >= 0).then(|| OwnedFd::from_raw(tree));
    match (given, mount::open_tree(CWD, source, recursive)) {
        (_, Ok(own)) => Ok((own, true)),
        (Some(given), Err(_)) => Ok((given, false)),
        (None, Err(errno)) => Err(errno),
    }
}

/// A view of a directory of the host that is ours to make, as [`mount`] would bind it.
pub(super) fn view(m: &Mount, directory: &CStr) -> core::result::Result<OwnedFd, Errno> {
    let tree = mount::open_tree(CWD, directory, true)?;
    set_attributes(m, tree.as_fd(), NOT_KEPT)?;
    Ok(tree)
}

/// Gives the detached tree the attributes the mount asks for, and only then it becomes visible.
/// Without any word it stays as it is; with one, it loses `not_kept` too. As for mount(2), a word
/// about access times, `nodiratime` too, decides about all of them; without one they stay.
fn set_attributes(m: &Mount, tree: BorrowedFd<'_>, not_kept: u64) -> core::result::Result<(), Errno> {
    let set = m.set & !ATTR_IDMAP;
    if set | m.clear != 0 {
        let clear =
            |clear| cleared(set, clear | if set & ATTR_NODIRATIME != 0 { ATTR_ATIME_MASK } else { 0 });
        let change = AttrChange { set, clear: clear(m.clear | not_kept), ..Default::default() };
        match mount::mount_setattr(tree, &change) {
            // In a user namespace the source's attributes can be locked: then they stay, unless
            // the bundle wants them off, which fails again.
            Err(Errno::EPERM) => {
                let change = AttrChange { clear: clear(m.clear | NEVER_LOCKED), ..change };
                mount::mount_setattr(tree, &change)?;
            }
            other => other?,
        }
    }
    if m.set_recursive | m.clear_recursive != 0 {
        let change = AttrChange {
            set: m.set_recursive,
            clear: cleared(m.set_recursive, m.clear_recursive),
            recursive: true,
            ..Default::default()
        };
        mount::mount_setattr(tree, &change)?;
    }
    Ok(())
}

/// What to clear. How access times are kept is one choice out of three: the kernel takes it only
/// as a whole, and a mount that chooses drops the source's `nodiratime` too.
pub(super) fn cleared(set: u64, clear: u64) -> u64 {
    let mut clear = clear & !set;
    if (set | clear) & ATTR_ATIME_MASK != 0 {
        clear |= ATTR_ATIME_MASK | (ATTR_NODIRATIME & !set);
    }
    clear
}

#[cfg(test)]
mod tests {
    use super::*;
    use runsig_sys::mount::ATTR_NOATIME;

    #[test]
    fn access_times_are_cleared_as_a_whole() {
        assert_eq!(cleared(ATTR_NOATIME, 0), ATTR_ATIME_MASK | ATTR_NODIRATIME);
        assert_eq!(cleared(0, ATTR_NOATIME), ATTR_ATIME_MASK | ATTR_NODIRATIME);
        assert_eq!(cleared(ATTR_NODIRATIME, ATTR_RDONLY), ATTR_RDONLY);
        assert_eq!(cleared(ATTR_RDONLY, NOT_KEPT), NOT_KEPT & !ATTR_RDONLY);
    }
}
