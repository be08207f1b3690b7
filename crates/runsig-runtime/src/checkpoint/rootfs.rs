//! The root of a restored container, in the mount namespace of the CRIU that restores it.
//!
//! CRIU wants the root to be a mount point, and a place for every mount. The namespace is private to
//! that CRIU: nothing has to be unmounted, whatever ends when. It goes on receiving the host's mounts,
//! so that what is mounted from it belongs to the same peer groups as before.
//!
//! Owns: the binds and the missing places. Must not: run anywhere but in the child that becomes CRIU.

use std::path::{Component, Path, PathBuf};

use runsig_sys::mount::{self, MS_REC, MS_SLAVE};
use runsig_sys::process::{self, CLONE_NEWNS};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs};

use super::external::Place;
use crate::error::{Error, Result};
use crate::store::c_path;

/// What the child does before it becomes CRIU.
pub(super) struct Root<'a> {
    /// The rootfs on the host.
    pub(super) rootfs: &'a Path,
    /// The directory it is bound to.
    pub(super) at: &'a Path,
    /// What is mounted in it.
    pub(super) places: &'a [Place],
}

impl Root<'_> {
    /// Enters a mount namespace, makes the places that are missing, and binds the rootfs.
    ///
    /// # Errors
    /// Where it failed, and why.
    pub(super) fn prepare(&self) -> Result<()> {
        let failed = |errno| Error::io("mount namespace for", "criu")(errno);
        process::unshare(CLONE_NEWNS).map_err(failed)?;
        mount::mount(None, c"/", None, MS_REC | MS_SLAVE, None).map_err(failed)?;
        // Binds are made for the places in them, as when the container was made, and go again.
        let scratch = self.bind()?;
        self.places.iter().try_for_each(|place| make(&scratch, place))?;
        drop(scratch);
        mount::umount(&c_path(self.at)?, true).map_err(Error::io("unmount", self.at))?;
        self.bind().map(drop)
    }

    fn bind(&self) -> Result<OwnedFd> {
        let bind = || {
            let tree = mount::open_tree(fd::CWD, &c_path(self.rootfs)?, true)
                .map_err(Error::io("open", self.rootfs))?;
            let at = fs::openat(fd::CWD, &c_path(self.at)?, fs::O_PATH | fs::O_DIRECTORY, 0)
                .map_err(Error::io("open", self.at))?;
            mount::move_mount(tree.as_fd(), at.as_fd()).map_err(Error::io("mount", self.at))?;
            Ok(tree)
        };
        bind()
    }
}

/// Makes one place, and binds its source to it.
fn make(root: &OwnedFd, place: &Place) -> Result<()> {
    let failed = |errno: Errno| Error::io("create criu restore mountpoint for", &place.inside)(errno);
    let directory = place.source.as_ref().is_none_or(|source| source.is_dir());
    let inside = place.inside.strip_prefix("/").unwrap_or(&place.inside);
    if inside.as_os_str().is_empty() {
        return Ok(());
    }
    let at = find_or_make(root.as_fd(), inside, directory).map_err(failed)?;
    let Some(source) = &place.source else { return Ok(()) };
    let tree = mount::open_tree(fd::CWD, &c_path(source)?, true).map_err(Error::io("open", source))?;
    mount::move_mount(tree.as_fd(), at.as_fd()).map_err(failed)
}

/// Opens a path below the root, and makes what is missing of it. Nothing leads out of the root.
fn find_or_make(root: BorrowedFd<'_>, inside: &Path, directory: bool) -> runsig_sys::Result<OwnedFd> {
    let open = |path: &Path| {
        let name = c_path(path).map_err(|_| Errno::EINVAL)?;
        fs::openat2(root, &name, fs::O_PATH, 0, fs::RESOLVE_IN_ROOT)
    };
    match open(inside) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let mut reached = PathBuf::new();
    let mut above = open(Path::new("."))?;
    let mut parts = inside.components().filter(|part| matches!(part, Component::Normal(_))).peekable();
    while let Some(part) = parts.next() {
        reached.push(part);
        let last = parts.peek().is_none();
        above = match open(&reached) {
            Err(Errno::ENOENT) => {
                let name = c_path(Path::new(&part)).map_err(|_| Errno::EINVAL)?;
                if last && !directory {
                    fs::openat(above.as_fd(), &name, fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW, 0o755)?;
                } else {
                    fs::mkdirat(above.as_fd(), &name, 0o755)?;
                }
                open(&reached)?
            }
            other => other?,
        };
    }
    Ok(above)
}
