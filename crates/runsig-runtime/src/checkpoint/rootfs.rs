//! The root of a restored container, in the mount namespace of the CRIU that restores it.
//!
//! CRIU wants the root to be a mount point, and a place for every mount. The namespace is private to
//! that CRIU: nothing has to be unmounted, whatever ends when. It goes on receiving the host's mounts,
//! so that what is mounted from it belongs to the same peer groups as before.
//!
//! Two kinds of binds it cannot make from their sources: idmapped ones, for it knows nothing of maps
//! (3.17, 4.2), and those of what is mounted in the rootfs, for it is not there before CRIU is. Of these it is
//! given clones made here. A bind of a mount with maps has them, too.
//!
//! Owns: the binds, the clones and the missing places. Must not: run anywhere but in the child that becomes
//! CRIU.

use std::ffi::CStr;
use std::path::{Component, Path, PathBuf};

use runsig_sys::mount::{self, MS_REC, MS_SLAVE};
use runsig_sys::process::{self, CLONE_NEWNS};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs};

use super::external::{Place, StandIn};
use crate::error::{Error, Result};
use crate::host_mounts;
use crate::store::c_path;

/// Among the clones, the directory of work as it is.
pub(super) const WORK: &str = "work";
/// More images than this, each made on top of others, are a loop.
const MOST_IMAGES: usize = 1000;

/// Images for somebody else than the host's root.
pub(super) struct Images<'a> {
    /// Their directory.
    pub(super) at: &'a Path,
    /// The directory of work.
    pub(super) work: &'a Path,
    /// The user namespace.
    pub(super) owner: &'a OwnedFd,
}

/// What the child does before it becomes CRIU.
pub(super) struct Root<'a> {
    /// The rootfs on the host.
    pub(super) rootfs: &'a Path,
    /// The directory it is bound to.
    pub(super) at: &'a Path,
    /// The directory with the clones.
    pub(super) clones: &'a Path,
    /// The images that CRIU reads as the root of a user namespace after a while.
    pub(super) images: Option<Images<'a>>,
    /// What is mounted in it.
    pub(super) places: &'a [Place<'a>],
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
        let mut clones = Vec::new();
        if let Some(images) = &self.images {
            // It may be the same directory, and CRIU writes its log as the host's root.
            clones.push((WORK, open_tree(images.work)?));
            earlier(images.at).iter().try_for_each(|at| show_to(at, images.owner))?;
        }
        for place in self.places {
            // In its turn: its source may be in a mount that was made just before.
            if let (Some(source), Some(wanted)) = (&place.source, &place.stand_in) {
                clones.push((wanted.name.as_str(), wanted.make(&self.now(source))?));
            }
            if !place.on_tmpfs {
                make(&scratch, &place.inside, place.source.as_deref().map(|source| self.now(source)))?;
            }
        }
        drop(scratch);
        mount::umount(&c_path(self.at)?, true).map_err(Error::io("unmount", self.at))?;
        self.bind()?;
        if clones.is_empty() { Ok(()) } else { self.attach(&clones) }
    }

    /// Where a source is at the moment: what is mounted in the rootfs is where that is bound.
    fn now(&self, source: &Path) -> PathBuf {
        let below = source.strip_prefix(self.rootfs).ok();
        below.map_or_else(|| source.to_owned(), |below| self.at.join(below))
    }

    /// Puts the clones where CRIU is told to look for them.
    fn attach(&self, clones: &[(&str, OwnedFd)]) -> Result<()> {
        let tmpfs = Some(c"tmpfs");
        mount::mount(tmpfs, &c_path(self.clones)?, tmpfs, 0, Some(c"mode=755"))
            .map_err(Error::io("mount", self.clones))?;
        for (name, tree) in clones {
            let at = self.clones.join(name);
            let attach = |at: &CStr| {
                if fs::fstat(tree.as_fd())?.is(fs::S_IFDIR) {
                    fs::mkdirat(fd::CWD, at, 0o700)?;
                } else {
                    fs::openat(fd::CWD, at, fs::O_CREAT | fs::O_EXCL, 0o600)?;
                }
                let place = fs::openat(fd::CWD, at, fs::O_PATH, 0)?;
                mount::move_mount(tree.as_fd(), place.as_fd())
            };
            attach(&c_path(&at)?).map_err(Error::io("mount", &at))?;
        }
        Ok(())
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

fn open_tree(path: &Path) -> Result<OwnedFd> {
    mount::open_tree(fd::CWD, &c_path(path)?, false).map_err(Error::io("open", path))
}

/// These images, and those they were made on top of.
fn earlier(images: &Path) -> Vec<PathBuf> {
    let next =
        |images: &PathBuf| std::fs::read_link(images.join("parent")).ok().map(|link| images.join(link));
    std::iter::successors(Some(images.to_owned()), next).take(MOST_IMAGES).collect()
}

/// Images are the host root's alone, and CRIU opens the last of them when it is the container's root already. For
/// it they are that one's, in this mount namespace. On a file system without idmapped mounts they stay as they are:
/// those that everybody may read will do.
fn show_to(images: &Path, namespace: &OwnedFd) -> Result<()> {
    let tree = open_tree(images)?;
    if host_mounts::shift(&tree, namespace, false).is_err() {
        return Ok(());
    }
    let failed = |errno| Error::io("mount", images)(errno);
    let at = fs::openat(fd::CWD, &c_path(images)?, fs::O_PATH | fs::O_DIRECTORY, 0).map_err(failed)?;
    mount::move_mount(tree.as_fd(), at.as_fd()).map_err(failed)
}

impl StandIn<'_> {
    fn make(&self, source: &Path) -> Result<OwnedFd> {
        let tree = mount::open_tree(fd::CWD, &c_path(source)?, self.tree).and_then(|tree| {
            if let Some((host, namespace)) = &self.idmap {
                host_mounts::shift(&tree, namespace, host.recursive_idmap)?;
            }
            Ok(tree)
        });
        tree.map_err(Error::io("clone mount of", source))
    }
}

/// Makes one place, and binds its source to it.
fn make(root: &OwnedFd, inside: &Path, source: Option<PathBuf>) -> Result<()> {
    let failed = |errno: Errno| Error::io("create criu restore mountpoint for", inside)(errno);
    let directory = source.as_ref().is_none_or(|source| source.is_dir());
    let below = inside.strip_prefix("/").unwrap_or(inside);
    if below.as_os_str().is_empty() {
        return Ok(());
    }
    let at = find_or_make(root.as_fd(), below, directory).map_err(failed)?;
    let Some(source) = &source else { return Ok(()) };
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
