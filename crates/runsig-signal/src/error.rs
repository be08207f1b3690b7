//! What can go wrong here, in the words engines look for.
//!
//! Owns: the error type. Must not: log.

use std::fmt;

use runsig_sys::Errno;

use crate::names::BadDefault;
use crate::zap::Zap;

/// A failure of the stop engine.
#[derive(Debug)]
pub enum Error {
    /// There is no init that could get a signal.
    NotRunning,
    /// Init is on its way out, held up by others.
    Exiting(Box<Zap>),
    /// The process asked for is gone, or is another one now.
    NoSuchProcess(String),
    /// The process asked for is not one of the container's.
    NotInContainer {
        /// Its number.
        pid: i32,
        /// The container.
        id: String,
    },
    /// A system call failed: what it was for, and why.
    Sys {
        /// The operation and its object, for people.
        what: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A cgroup operation failed.
    Cgroup(runsig_cgroup::Error),
    /// There is no signal to send.
    Signal(BadDefault),
    /// A setting is wrong: where it came from, its text, what is wrong with it.
    Setting {
        /// A flag, an annotation or a key of a file.
        origin: String,
        /// The text given.
        value: String,
        /// What is wrong.
        problem: String,
    },
    /// The host-wide settings cannot be read.
    Config {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// The result of anything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: a failed system call with what it was for.
    pub(crate) fn sys(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        move |errno| Self::Sys { what, errno }
    }
    /// Whether it says that the container does not run (any more).
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        matches!(self, Self::NotRunning | Self::Exiting(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("container not running"),
            Self::Exiting(zap) => write!(f, "container not running: {zap}"),
            Self::NoSuchProcess(which) => write!(f, "{which}: no such process"),
            Self::NotInContainer { pid, id } => write!(f, "process {pid} is not in container {id:?}"),
            Self::Sys { what, errno } => write!(f, "{what}: {errno}"),
            Self::Cgroup(cause) => cause.fmt(f),
            Self::Signal(bad) => bad.fmt(f),
            Self::Setting { origin, value, problem } => write!(f, "{origin}: {value:?}: {problem}"),
            Self::Config { path, problem } => write!(f, "{path}: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<BadDefault> for Error {
    fn from(bad: BadDefault) -> Self {
        Self::Signal(bad)
    }
}
