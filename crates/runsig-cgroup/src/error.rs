//! What can go wrong with a cgroup, in the words that engines know.
//!
//! Owns: the one error type of the crate. Must not: log.

use std::fmt;
use std::path::{Path, PathBuf};

use runsig_sys::Errno;

use crate::systemd::BusError;

/// The result of a cgroup operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with the operation, the path and the reason.
#[derive(Debug)]
pub enum Error {
    /// A system call on a path failed.
    Call {
        /// The call, such as `mkdir`.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// The kernel did not take a value.
    Write {
        /// The value.
        value: String,
        /// The file.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A limit was asked for whose controller this cgroup does not have (v2).
    NoController {
        /// The controller.
        controller: String,
        /// The file that is not there.
        path: PathBuf,
        /// What opening it gave.
        errno: Errno,
    },
    /// A limit was asked for in a hierarchy the container is not in (v1).
    NotJoined {
        /// The controller.
        controller: String,
    },
    /// `linux.resources.unified` on cgroup v1.
    UnifiedOnV1,
    /// A file of `linux.resources.unified` could not be written.
    Unified {
        /// Its name.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// A value of the bundle, or a file of the kernel, that makes no sense. The text says it all.
    Invalid(String),
    /// The cgroup is there already and holds processes.
    NotEmpty {
        /// How many.
        count: usize,
    },
    /// The cgroup is there already and frozen.
    Frozen,
    /// No permission, and limits or a path were asked for in a rootless container.
    Rootless(Box<Error>),
    /// The container has no cgroup (`--cgroup-manager disabled`, or rootless without permission).
    NotConfigured {
        /// What was to be done.
        what: &'static str,
    },
    /// It did not happen in time.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// In which cgroup.
        path: PathBuf,
    },
    /// bpf(2) failed for the device filter.
    Bpf {
        /// The command, such as `BPF_PROG_LOAD`.
        op: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// This host has no cgroup hierarchy for a controller that must be there.
    NoMount {
        /// The controller.
        controller: &'static str,
    },
    /// systemd did not do what it was asked.
    Systemd {
        /// What that was; may be empty.
        what: String,
        /// Why not.
        source: BusError,
    },
}

impl Error {
    pub(crate) fn call(op: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self::Call { op, path: path.into(), errno }
    }
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
    /// The kernel's error number, where one is behind the failure.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. }
            | Self::Write { errno, .. }
            | Self::NoController { errno, .. }
            | Self::Bpf { errno, .. } => Some(*errno),
            Self::Rootless(inner) | Self::Unified { source: inner, .. } => inner.errno(),
            _ => None,
        }
    }
    /// Whether systemd has a unit of this name already: somebody else's.
    #[must_use]
    pub fn is_unit_exists(&self) -> bool {
        matches!(self, Self::Systemd { source, .. } if source.is("UnitExists"))
    }
    /// Whether the cgroup, or the file in it, is gone: reading a file of a removed cgroup gives
    /// `ENODEV`, looking it up `ENOENT`.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV))
    }
    /// Whether it is for want of permission, in the loose sense runc gives it: a read-only mount
    /// is one too.
    pub(crate) fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES | Errno::EROFS))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { op, path, errno } => write!(f, "{op} {}: {errno}", path.display()),
            Self::Write { value, path, errno } => {
                write!(f, "failed to write {value:?}: write {}: {errno}", path.display())
            }
            Self::NoController { controller, path, errno } => write!(
                f,
                "cannot set {controller} limit: open {}: {errno} (controller {controller:?} not available)",
                path.display()
            ),
            Self::NotJoined { controller } => {
                write!(f, "cannot set {controller} limit: container could not join or create cgroup")
            }
            Self::UnifiedOnV1 => f.write_str("invalid configuration: cannot use unified on cgroup v1"),
            Self::Unified { name, source } => {
                write!(f, "unable to set unified resource {name:?}: {source}")
            }
            Self::Invalid(text) => f.write_str(text),
            Self::NotEmpty { count } => {
                write!(f, "container's cgroup is not empty: {count} process(es) found")
            }
            Self::Frozen => f.write_str("container's cgroup unexpectedly frozen"),
            Self::Rootless(inner) => write!(
                f,
                "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: {inner}"
            ),
            Self::NotConfigured { what } => {
                write!(f, "cannot {what}: cgroups not configured for container")
            }
            Self::Timeout { what, path } => {
                write!(f, "timeout reached waiting for {what} ({})", path.display())
            }
            Self::Bpf { op, path, errno } => {
                write!(f, "failed to call {op} (BPF_CGROUP_DEVICE) for {}: {errno}", path.display())
            }
            Self::NoMount { controller } => write!(f, "mountpoint for {controller} not found"),
            Self::Systemd { what, source } if what.is_empty() => source.fmt(f),
            Self::Systemd { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rootless(inner) | Self::Unified { source: inner, .. } => Some(inner.as_ref()),
            _ => None,
        }
    }
}

/// Turns the result of a system call into ours.
pub(crate) trait On<T> {
    fn on(self, op: &'static str, path: &Path) -> Result<T>;
}

impl<T> On<T> for runsig_sys::Result<T> {
    fn on(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|errno| Error::call(op, path, errno))
    }
}
