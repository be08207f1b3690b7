//! The state directory: one directory a container, with state.json and the exec fifo.
//!
//! Owns: names and files below the root, IDs, atomic replacement. Must not: know processes.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use runsig_sys::process::getpid;
use runsig_sys::{Errno, OwnedFd, fd, fs};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::state::State;

/// The state file's name.
const STATE: &CStr = c"state.json";
/// Its name while it is written.
const STATE_NEW: &CStr = c".state.json.new";
/// The exec fifo's name.
pub(crate) const FIFO: &CStr = c"exec.fifo";

/// How long a file below the root may be. Annotations are the longest part of one, and come from a config.json.
const MOST_BYTES: usize = 64 << 20;

/// All containers below one root.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// One container's directory and what is known of it.
#[derive(Debug)]
pub struct Container {
    /// The directory's path, for messages.
    pub path: PathBuf,
    pub(crate) dir: OwnedFd,
    /// state.json.
    pub state: State,
}

/// Whether `id` may name a container: runc's rule, plus that it names one path component.
///
/// # Errors
/// [`Error::InvalidId`]; an empty one has words of its own.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::Invalid("container id cannot be empty".to_owned()));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    if id == "." || id == ".." || id.len() > 1024 || !id.bytes().all(allowed) {
        return Err(Error::InvalidId(id.to_owned()));
    }
    Ok(())
}

pub(crate) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::Invalid(format!("path {} has a NUL byte", path.display())))
}

impl Store {
    /// The containers below `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A container's directory.
    #[must_use]
    pub fn path(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// The directory all are in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open_dir(&self, id: &str) -> Result<(PathBuf, OwnedFd)> {
        check_id(id)?;
        let path = self.path(id);
        match fs::openat(fd::CWD, &c_path(&path)?, fs::O_DIRECTORY | fs::O_NOFOLLOW, 0) {
            Ok(dir) => Ok((path, dir)),
            Err(Errno::ENOENT) => Err(Error::NotExist),
            Err(errno) => Err(Error::io("open", &path)(errno)),
        }
    }

    /// Claims an ID and writes its first state, in one step that is either done or not: a directory
    /// under another name, moved into place. A killed claim leaves `ID~PID`, which [`Self::sweep`]
    /// removes and nothing else sees, because `~` is not allowed in an ID.
    ///
    /// # Errors
    /// [`Error::Exists`] when it is taken; when the state cannot be written.
    pub(crate) fn claim(&self, state: State) -> Result<Container> {
        check_id(&state.id)?;
        let path = self.path(&state.id);
        let (from, to) = (c_path(&self.path(&format!("{}~{}", state.id, getpid())))?, c_path(&path)?);
        self.make_directory(&from)?;
        let claimed = (|| {
            let dir = fs::openat(fd::CWD, &from, fs::O_DIRECTORY | fs::O_NOFOLLOW, 0)
                .map_err(Error::io("open", &path))?;
            let container = Container { path: path.clone(), dir, state };
            container.save()?;
            match fs::renameat(fd::CWD, &from, fd::CWD, &to, fs::RENAME_NOREPLACE) {
                Ok(()) => Ok(container),
                Err(Errno::EEXIST) => Err(Error::Exists),
                Err(errno) => Err(Error::io("mkdir", &path)(errno)),
            }
        })();
        if claimed.is_err() {
            let _ = std::fs::remove_dir_all(OsStr::from_bytes(from.as_bytes()));
        }
        claimed
    }

    fn make_directory(&self, name: &CStr) -> Result<()> {
        let mut made = fs::mkdirat(fd::CWD, name, 0o711);
        if made == Err(Errno::ENOENT) {
            self.make_root()?;
            made = fs::mkdirat(fd::CWD, name, 0o711);
        }
        match made {
            // A killed process with our number began the same claim.
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(Error::io("mkdir", OsStr::from_bytes(name.to_bytes()))(errno)),
        }
    }

    /// Removes what killed claims of an ID have left, and a directory that has no state.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(crate) fn sweep(&self, id: &str) -> Result<()> {
        check_id(id)?;
        let Ok(entries) = std::fs::read_dir(&self.root) else { return Ok(()) };
        let names =
            entries.filter_map(std::result::Result::ok).filter_map(|e| e.file_name().into_string().ok());
        for name in names {
            let claimer =
                name.strip_prefix(id).and_then(|rest| rest.strip_prefix('~')).and_then(|n| n.parse().ok());
            let gone = claimer
                .is_some_and(|pid: i32| Path::new(&format!("/proc/{pid}")).symlink_metadata().is_err());
            if gone || name == id {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    fn make_root(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .map_err(Error::std_io("mkdir", &self.root))
    }

    /// The container with this ID.
    ///
    /// # Errors
    /// [`Error::NotExist`], also for a directory whose state was never written.
    pub fn load(&self, id: &str) -> Result<Container> {
        let (path, dir) = self.open_dir(id)?;
        // Whatever somebody put in its place, opening it must not wait.
        let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
        let file = match fs::openat(dir.as_fd(), STATE, flags, 0) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Err(Error::NotExist),
            Err(errno) => return Err(Error::io("open", path.join("state.json"))(errno)),
        };
        let state = read_state(&file, || path.join("state.json"))?;
        Ok(Container { path, dir, state })
    }

    /// The IDs, sorted. A missing root means none.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::std_io("open", &self.root)(error)),
        };
        let mut ids: Vec<String> = entries
            .filter_map(std::result::Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|id| check_id(id).is_ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes a container's directory and what we keep in it.
    ///
    /// # Errors
    /// When something in it cannot be removed; a missing directory is none.
    pub(crate) fn remove(&self, id: &str) -> Result<()> {
        let path = self.path(id);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::std_io("unable to remove container state dir", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Container {
    /// Replaces state.json in one step.
    ///
    /// # Errors
    /// When it cannot be written (a full disk leaves the old one as it was).
    pub(crate) fn save(&self) -> Result<()> {
        let file_path = || self.path.join("state.json");
        let bytes = serde_json::to_vec(&self.state)
            .map_err(|e| Error::BadState { path: file_path(), reason: e.to_string() })?;
        let write = || -> runsig_sys::Result<()> {
            let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC | fs::O_NOFOLLOW;
            let file = fs::openat(self.dir.as_fd(), STATE_NEW, flags, 0o600)?;
            fs::write_all(file.as_fd(), &bytes)?;
            fs::renameat(self.dir.as_fd(), STATE_NEW, self.dir.as_fd(), STATE, 0)
        };
        write().map_err(Error::io("write", file_path()))
    }

    /// The container's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.state.id
    }
}

/// Reads an open state.json, or a part of it.
pub(crate) fn read_state<T: DeserializeOwned>(file: &OwnedFd, path: impl Fn() -> PathBuf) -> Result<T> {
    let bytes = read_all(file).map_err(|errno| Error::io("read", path())(errno))?;
    let bad = |reason: String| Error::BadState { path: path(), reason };
    // Checked as a whole at once: string by string costs several times as much.
    let text = std::str::from_utf8(&bytes).map_err(|error| bad(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| bad(error.to_string()))
}

/// The whole of a regular file, `EFBIG` when that is more than we ever write. A short read is its end: only
/// then does read(2) stop early there.
pub(crate) fn read_all(file: &OwnedFd) -> runsig_sys::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let mut filled = 0;
    loop {
        filled += fs::read(file.as_fd(), bytes.get_mut(filled..).unwrap_or_default())?;
        if filled < bytes.len() {
            bytes.truncate(filled);
            return Ok(bytes);
        }
        if filled >= MOST_BYTES {
            return Err(Errno::EFBIG);
        }
        bytes.resize(filled * 4, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_single_harmless_names() {
        for good in ["a", "A-b_c.d+1", "...", "0"] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "ä", "a\0", "a\n"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
