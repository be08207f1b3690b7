//! Names of exec'd processes, so that a signal can be sent to one by the name it was given.
//!
//! A name is kept as a file in the container's directory with the process's identity. A process in
//! front gives its name up when it ends; that of a detached one stays until it is given anew or the
//! container goes. That does no harm: an identity never fits another process.
//!
//! Owns: those files. Must not: send signals.

use std::ffi::CString;

use runsig_signal::identity::Identity;
use runsig_sys::{Errno, fs};

use crate::error::{Error, Result};
use crate::store::{Container, check_id, read_all};

/// Whether `name` may be given to a process: as an ID, and no number, which would be a PID.
///
/// # Errors
/// [`Error::Invalid`] with the name.
pub(crate) fn check(name: &str) -> Result<()> {
    if check_id(name).is_err() || name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Invalid(format!("invalid name {name:?} for a process")));
    }
    Ok(())
}

// `check` has refused whatever has a NUL byte or a slash.
fn file(name: &str) -> CString {
    CString::new(format!("exec~{name}")).unwrap_or_default()
}

/// Gives the process its name, which another may have had before.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn give(container: &Container, name: &str, process: Identity) -> Result<()> {
    let bytes = serde_json::to_vec(&process).unwrap_or_default();
    let write = || {
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC | fs::O_NOFOLLOW;
        let file = fs::openat(container.dir.as_fd(), &file(name), flags, 0o600)?;
        fs::write_all(file.as_fd(), &bytes)
    };
    write().map_err(Error::io("write", container.path.join(format!("exec~{name}"))))
}

/// Takes the name away again.
pub(crate) fn take_back(container: &Container, name: &str) {
    // Left behind it would name a process that is gone, and that is what a signal finds out.
    let _ = fs::unlinkat(container.dir.as_fd(), &file(name), false);
}

impl Container {
    /// The process that was given this name, whether it still runs or not.
    ///
    /// # Errors
    /// When none was, or the file cannot be read.
    pub fn named_process(&self, name: &str) -> Result<Identity> {
        check(name)?;
        let read = || {
            let file = fs::openat(self.dir.as_fd(), &file(name), fs::O_RDONLY | fs::O_NOFOLLOW, 0)?;
            read_all(&file)
        };
        let bytes = match read() {
            Ok(bytes) => bytes,
            Err(Errno::ENOENT) => {
                return Err(Error::Invalid(format!(
                    "no process of container {} is named {name:?}",
                    self.id()
                )));
            }
            Err(errno) => return Err(Error::io("read", self.path.join(format!("exec~{name}")))(errno)),
        };
        serde_json::from_slice(&bytes).map_err(|e| Error::BadState {
            path: self.path.join(format!("exec~{name}")),
            reason: e.to_string(),
        })
    }
}
