//! The files of one controller.
//!
//! Owns: telling a missing controller from a missing file. Must not: know any file.

use runsig_sys::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};

/// The control files of a controller in the container's directory.
pub(crate) struct Knobs<'a> {
    pub(crate) dir: &'a Dir,
    controller: &'static str,
    is_unified: bool,
}

impl<'a> Knobs<'a> {
    pub(crate) fn unified(dir: &'a Dir, controller: &'static str) -> Self {
        Self { dir, controller, is_unified: true }
    }

    /// Without a directory in its hierarchy the container cannot have a limit there.
    pub(crate) fn legacy(dir: Option<&'a Dir>, controller: &'static str) -> Result<Self> {
        let dir = dir.ok_or_else(|| Error::NotJoined { controller: controller.to_owned() })?;
        Ok(Self { dir, controller, is_unified: false })
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.dir.write(file, value).map_err(|error| self.explain(error))
    }

    pub(crate) fn write_number(&self, file: &str, value: impl ToString) -> Result<()> {
        self.write(file, &value.to_string())
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        self.dir.read(file).map_err(|error| self.explain(error))
    }

    /// A number in a file; `None` for `max`.
    pub(crate) fn read_number(&self, file: &str) -> Result<Option<u64>> {
        let text = self.read(file)?;
        match text.trim() {
            "max" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| {
                Error::invalid(format!(
                    "unable to parse {:?} as a uint from Cgroup file {:?}",
                    digits,
                    self.dir.path().join(file)
                ))
            }),
        }
    }

    fn explain(&self, error: Error) -> Error {
        match error {
            Error::Call {
                op: "open",
                path,
                errno: errno @ (Errno::ENOENT | Errno::EACCES | Errno::EPERM),
            } if self.is_unified && !has_controller(self.dir, self.controller) => {
                Error::NoController { controller: self.controller.to_owned(), path, errno }
            }
            other => other,
        }
    }
}

/// Whether a v2 directory has this controller.
pub(crate) fn has_controller(dir: &Dir, controller: &str) -> bool {
    dir.read("cgroup.controllers")
        .is_ok_and(|text| text.split_ascii_whitespace().any(|name| name == controller))
}

/// Whether a write failed because the kernel did not like the value: mostly it does not go with
/// another one that is about to change.
pub(crate) fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Write { errno: Errno::EINVAL, .. })
}

/// Whether there is no such file.
pub(crate) fn is_missing(error: &Error) -> bool {
    error.errno() == Some(Errno::ENOENT)
}
