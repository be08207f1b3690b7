//! A cgroup directory as a descriptor, and the files in it.
//!
//! Owns: opening, reading and writing control files, always relative to an open directory, so that
//! no path is walked twice. Must not: know what any file means.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use runsig_sys::fs::{self, O_DIRECTORY, O_PATH, O_RDONLY, O_WRONLY};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use crate::error::{Error, On as _, Result};
use crate::paths::Directory;

/// An open cgroup directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// The terminated string of a path; one with a NUL inside names nothing.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("path {path:?} contains a null byte")))
}

/// The terminated name of a control file. Parts of some names come from the bundle (page sizes,
/// `unified`): a name is never a path.
fn c_name(dir: &Path, name: &str) -> Result<CString> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(Error::call("open", dir.join(name.replace('/', "_")), Errno::ENOENT));
    }
    CString::new(name).map_err(|_| Error::call("open", dir.join(name), Errno::EINVAL))
}

impl Dir {
    /// Opens the mount point of a hierarchy.
    pub(crate) fn open_mount(mount: &Path) -> Result<Self> {
        let fd = fs::openat(runsig_sys::fd::CWD, &c_path(mount)?, O_PATH | O_DIRECTORY, 0);
        Ok(Self { fd: fd.on("open", mount)?, path: mount.to_owned() })
    }

    /// Opens a container's directory in a hierarchy.
    pub(crate) fn open(directory: &Directory) -> Result<Self> {
        Self::open_mount(directory.mount())?.descend(directory.relative())
    }

    /// Opens a directory below this one. The walk cannot leave this tree, follow a link or cross
    /// into another mount: cgroupfs has neither of its own, so any of them is somebody's trap.
    pub(crate) fn descend(&self, relative: &Path) -> Result<Self> {
        let path = self.path.join(relative);
        let resolve = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS | fs::RESOLVE_NO_XDEV;
        let fd = fs::openat2(self.fd.as_fd(), &c_path(relative)?, O_RDONLY | O_DIRECTORY, 0, resolve);
        Ok(Self { fd: fd.on("open", &path)?, path })
    }

    /// The directory above, also of one that has been removed.
    pub(crate) fn parent(&self) -> Result<Self> {
        let path = self.path.parent().unwrap_or(&self.path).to_owned();
        let fd = fs::openat(self.fd(), c"..", O_RDONLY | O_DIRECTORY, 0);
        Ok(Self { fd: fd.on("open", &path)?, path })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory below; false when it was there.
    pub(crate) fn make(&self, relative: &Path) -> Result<bool> {
        match fs::mkdirat(self.fd(), &c_path(relative)?, 0o755) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::call("mkdir", self.path.join(relative), errno)),
        }
    }

    /// Removes the empty directory `relative` below.
    pub(crate) fn unmake(&self, relative: &Path) -> Result<()> {
        fs::unlinkat(self.fd(), &c_path(relative)?, true).on("rmdir", &self.path.join(relative))
    }

    /// Opens a control file.
    pub(crate) fn open_file(&self, name: &str, flags: u32) -> Result<OwnedFd> {
        let opened = fs::openat(self.fd(), &c_name(&self.path, name)?, flags | fs::O_NOFOLLOW, 0);
        opened.map_err(|errno| Error::call("open", self.path.join(name), errno))
    }

    /// The whole content of a control file.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        let fd = self.open_file(name, O_RDONLY)?;
        read_all(fd.as_fd()).map_err(|errno| Error::call("read", self.path.join(name), errno))
    }

    /// Whether a control file below this directory holds this short value and no more. The walk is that
    /// of [`Dir::descend`].
    pub(crate) fn holds_below(&self, relative: &Path, name: &str, value: &[u8]) -> Result<bool> {
        let path = relative.join(name);
        let resolve = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS | fs::RESOLVE_NO_XDEV;
        let mut buf = [0; 32];
        let held = fs::openat2(self.fd.as_fd(), &c_path(&path)?, O_RDONLY, 0, resolve)
            .and_then(|file| fs::read(file.as_fd(), &mut buf))
            .map_err(|errno| Error::call("read", self.path.join(&path), errno))?;
        Ok(buf.get(..held).unwrap_or_default().trim_ascii() == value)
    }

    /// Writes one value.
    pub(crate) fn write(&self, name: &str, value: &str) -> Result<()> {
        let fd = self.open_file(name, O_WRONLY)?;
        self.write_to(fd.as_fd(), name, value)
    }

    /// Writes one value to a control file that is open already.
    pub(crate) fn write_to(&self, fd: BorrowedFd<'_>, name: &str, value: &str) -> Result<()> {
        fs::write(fd, value.as_bytes()).map(drop).map_err(|errno| Error::Write {
            value: value.to_owned(),
            path: self.path.join(name),
            errno,
        })
    }

    /// Whether there is such a control file.
    pub(crate) fn has(&self, name: &str) -> bool {
        c_name(&self.path, name).is_ok_and(|name| fs::stat(self.fd(), &name, false).is_ok())
    }

    /// The names of the cgroups right below.
    pub(crate) fn children(&self) -> Result<Vec<PathBuf>> {
        const DT_DIR: u8 = 4;
        use std::os::unix::ffi::OsStrExt as _;
        // kernfs counts them: no need to read some forty names to find that all are files.
        if fs::fstat(self.fd()).on("stat", &self.path)?.nlink == 2 {
            return Ok(Vec::new());
        }
        // The descriptor's position is shared with every other reader of it.
        fs::seek_to(self.fd(), 0).on("seek", &self.path)?;
        let mut names = Vec::new();
        let mut buf = vec![0u8; 8192];
        loop {
            let filled = fs::getdents(self.fd(), &mut buf).on("readdir", &self.path)?;
            if filled == 0 {
                return Ok(names);
            }
            let entries = fs::dir_entries(buf.get(..filled).unwrap_or_default());
            names.extend(
                entries
                    .filter(|(_, kind)| *kind == DT_DIR)
                    .map(|(name, _)| PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes()))),
            );
        }
    }
}

/// Reads a descriptor from the start to the end. Control files are text; anything else in them
/// would be a kernel bug and is replaced, not refused.
pub(crate) fn read_all(fd: BorrowedFd<'_>) -> runsig_sys::Result<String> {
    let mut text = Vec::new();
    let mut buf = [0u8; 4096];
    loop {
        let n = fs::pread(fd, &mut buf, text.len() as u64)?;
        if n == 0 {
            return Ok(String::from_utf8(text)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()));
        }
        text.extend_from_slice(buf.get(..n).unwrap_or_default());
    }
}
