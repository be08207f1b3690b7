//! What `checkpoint` and `restore` are asked for.
//!
//! Owns: plain data, and the directories of images and work files. Must not: speak with CRIU.

use std::path::{Path, PathBuf};

use runsig_sys::{Errno, OwnedFd, RawFd, fd, fs};

use super::rpc;
use crate::error::{Error, Result};
use crate::options::CreateOptions;
use crate::store::c_path;

/// Options of both verbs.
#[derive(Debug, Clone, Default)]
pub struct CriuOptions {
    /// Where CRIU's images are.
    pub image_path: PathBuf,
    /// Where CRIU's work files and logs go; with the images where there is none.
    pub work_path: Option<PathBuf>,
    /// Save or restore open TCP connections.
    pub tcp_established: bool,
    /// Allow unix sockets whose other end is outside.
    pub ext_unix_sk: bool,
    /// Allow a session or terminal that belongs to a process outside.
    pub shell_job: bool,
    /// Bring pages back when they are used.
    pub lazy_pages: bool,
    /// Handle file locks.
    pub file_locks: bool,
    /// Deduplicate memory images.
    pub auto_dedup: bool,
    /// What CRIU does about cgroups.
    pub cgroups_mode: CgroupsMode,
}

/// What CRIU does about cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupsMode {
    /// CRIU's choice.
    #[default]
    Default,
    /// Restore properties of cgroups that CRIU makes.
    Soft,
    /// Restore properties of all.
    Full,
    /// Restore all, and fail when one exists.
    Strict,
    /// Nothing.
    Ignore,
}

impl CgroupsMode {
    pub(super) fn code(self) -> i32 {
        let mode = match self {
            Self::Default => rpc::CgroupMode::Default,
            Self::Soft => rpc::CgroupMode::Soft,
            Self::Full => rpc::CgroupMode::Full,
            Self::Strict => rpc::CgroupMode::Strict,
            Self::Ignore => rpc::CgroupMode::Ignore,
        };
        mode as i32
    }
}

/// Options of `checkpoint`.
#[derive(Debug, Clone, Default)]
pub struct CheckpointOptions {
    /// The container.
    pub id: String,
    /// What both verbs have.
    pub criu: CriuOptions,
    /// Images of an earlier pre-dump, relative to the new ones.
    pub parent_path: Option<PathBuf>,
    /// Leave the processes running.
    pub leave_running: bool,
    /// Leave out TCP connections that are being made.
    pub tcp_skip_in_flight: bool,
    /// Link unlinked files back where possible.
    pub link_remap: bool,
    /// A descriptor that gets a NUL byte once lazy pages are served.
    pub status_fd: Option<i32>,
    /// Where to send pages: address and port.
    pub page_server: Option<(String, i32)>,
    /// Save memory only, and leave the processes running.
    pub pre_dump: bool,
}

/// Options of `restore`.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The container that is made; `init` and descriptors do not count.
    pub create: CreateOptions,
    /// What both verbs have.
    pub criu: CriuOptions,
    /// Return as soon as the processes run.
    pub detach: bool,
    /// Do not become a subreaper.
    pub no_subreaper: bool,
    /// `TYPE:NAME` of the LSM profile.
    pub lsm_profile: Option<String>,
    /// LSM mount context.
    pub lsm_mount_context: Option<String>,
}

/// The open directories CRIU is given.
pub(super) struct Directories {
    pub(super) images: OwnedFd,
    pub(super) work: Option<OwnedFd>,
    /// Where CRIU's log goes.
    pub(super) log: PathBuf,
}

impl CriuOptions {
    /// The directory of work, which is that of the images where none is named.
    pub(super) fn work(&self) -> &Path {
        self.work_path.as_deref().unwrap_or(&self.image_path)
    }

    /// Makes and opens the directories. `log` is the name of CRIU's log file.
    ///
    /// # Errors
    /// When one cannot be made or opened.
    pub(super) fn directories(&self, log: &str) -> Result<Directories> {
        make_all(&self.image_path)?;
        let images = open_directory(&self.image_path)?;
        let work = match &self.work_path {
            Some(path) => {
                make(path)?;
                Some(open_directory(path)?)
            }
            None => None,
        };
        let log = self.work().join(log);
        Ok(Directories { images, work, log })
    }
}

impl Directories {
    /// Makes the directory of work another than that of the images, even where none is named.
    ///
    /// # Errors
    /// When it cannot be opened again.
    pub(super) fn divide(&mut self) -> Result<()> {
        if self.work.is_none() {
            let again = fs::dup(self.images.as_fd(), 3).map_err(Error::io("open", &self.log))?;
            self.work = Some(again);
        }
        Ok(())
    }

    /// By number and path, for the one who opens them again and finds that of work at `work`.
    pub(super) fn numbered<'a>(&self, given: &'a CriuOptions, work: &'a Path) -> Vec<(RawFd, &'a Path)> {
        let work = self.work.as_ref().map(|directory| (directory.raw(), work));
        [(self.images.raw(), given.image_path.as_path())].into_iter().chain(work).collect()
    }
}

impl CheckpointOptions {
    /// Checks that the parent images are where they are said to be.
    pub(super) fn check_parent(&self) -> Result<()> {
        let Some(parent) = &self.parent_path else { return Ok(()) };
        if parent.is_absolute() {
            return Err(Error::Invalid("--parent-path must be relative".to_owned()));
        }
        let path = self.criu.image_path.join(parent);
        let why = match std::fs::metadata(&path) {
            Ok(data) if data.is_dir() => return Ok(()),
            Ok(_) => Errno::ENOTDIR,
            Err(error) => Errno::from_io(&error),
        };
        Err(Error::Invalid(format!("invalid --parent-path: stat {}: {why}", path.display())))
    }
}

fn make_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(|error| match Errno::from_io(&error) {
        // Something else is there: Go's word for it.
        Errno::EEXIST => Error::io("mkdir", path)(Errno::ENOTDIR),
        errno => Error::io("mkdir", path)(errno),
    })
}

/// The directory alone, as runc: a path to nowhere is more likely a mistake than a wish.
fn make(path: &Path) -> Result<()> {
    match fs::mkdirat(fd::CWD, &c_path(path)?, 0o700) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Error::io("mkdir", path)(errno)),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    fs::openat(fd::CWD, &c_path(path)?, fs::O_DIRECTORY, 0).map_err(Error::io("open", path))
}
