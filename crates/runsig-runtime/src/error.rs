//! What can go wrong, in the words engines look for.
//!
//! Owns: [`Error`]. Must not: log.

use std::fmt;
use std::path::{Path, PathBuf};

use runsig_proto::Op;
use runsig_sys::Errno;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation.
#[derive(Debug)]
pub enum Error {
    /// No container has this ID.
    NotExist,
    /// A container has this ID already.
    Exists,
    /// The ID is not one.
    InvalidId(String),
    /// Init is gone, a zombie, or (with the cause) ending.
    NotRunning(Option<String>),
    /// The container is paused.
    Paused,
    /// The container is not paused.
    NotPaused,
    /// The state does not allow the operation; the whole message.
    State(String),
    /// The bundle is bad.
    Spec(runsig_spec::SpecError),
    /// cgroups.
    Cgroup(runsig_cgroup::Error),
    /// A process could not enter the cgroups.
    Placing {
        /// Why.
        why: String,
        /// They are there; it is for where the caller is.
        foreign: bool,
    },
    /// Finding or signalling a process.
    Signal(runsig_signal::Error),
    /// A system call on a path.
    Io {
        /// What was being done, as a verb phrase.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// A network device could not be moved into the container.
    NetDevice {
        /// Its name on the host.
        name: String,
        /// Where it was to go.
        namespace: PathBuf,
        /// Which step failed, in runc's words.
        why: String,
        /// Why not.
        errno: Errno,
    },
    /// A hook failed: its kind, its number, how.
    Hook {
        /// `prestart`, `createRuntime`, ...
        kind: &'static str,
        /// Which of them.
        index: usize,
        /// How it ended.
        how: String,
    },
    /// The init could not be made or failed while setting up.
    Init(InitError),
    /// state.json is not what this program writes.
    BadState {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// CRIU failed, or could not be spoken with.
    Criu(crate::checkpoint::CriuError),
    /// A request that is wrong in itself; the whole message.
    Invalid(String),
}

/// What the init reported, or that it died.
#[derive(Debug)]
pub struct InitError {
    /// What it was doing.
    pub op: Op,
    /// To what.
    pub subject: String,
    /// More.
    pub detail: String,
    /// Why not; `None` where no system call failed.
    pub errno: Option<Errno>,
}

impl Error {
    /// Wraps a failed system call on a path.
    pub fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(Errno) -> Self {
        let path = path.as_ref().to_owned();
        move |errno| Self::Io { operation, path, errno }
    }
    /// Wraps a failed operation of the standard library on a path.
    pub fn std_io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |error| Self::Io { operation, path, errno: Errno::from_io(&error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExist => f.write_str("container does not exist"),
            Self::Exists => f.write_str("container with given ID already exists"),
            Self::InvalidId(id) => write!(f, "invalid container ID format: {id:?}"),
            Self::NotRunning(None) => f.write_str("container not running"),
            Self::NotRunning(Some(cause)) => write!(f, "container not running: {cause}"),
            Self::Paused => f.write_str("container paused"),
            Self::NotPaused => f.write_str("container not paused"),
            Self::State(message) | Self::Invalid(message) => f.write_str(message),
            Self::Spec(error) => error.fmt(f),
            Self::Signal(error) => error.fmt(f),
            Self::Criu(error) => error.fmt(f),
            Self::Cgroup(error) => write!(f, "unable to apply cgroup configuration: {error}"),
            Self::Placing { why, .. } => write!(f, "error adding pid of the process to cgroups: {why}"),
            Self::Io { operation, path, errno } => write!(f, "{operation} {}: {errno}", path.display()),
            Self::NetDevice { name, namespace, why, errno } => {
                let place = namespace.display();
                f.write_str("unable to start container process: error creating network interfaces: ")?;
                write!(f, "move netDevice {name} to namespace {place}: {why}: {errno}")
            }
            Self::Hook { kind, index, how } => {
                let creating = matches!(*kind, "prestart" | "createRuntime");
                f.write_str(if creating { "unable to start container process: " } else { "" })?;
                write!(f, "error running {kind} hook #{index}: {how}")
            }
            Self::Init(error) => write!(f, "unable to start container process: {error}"),
            Self::BadState { path, reason } => write!(f, "cannot read {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

impl From<runsig_spec::SpecError> for Error {
    fn from(error: runsig_spec::SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<runsig_signal::Error> for Error {
    fn from(error: runsig_signal::Error) -> Self {
        Self::Signal(error)
    }
}

impl From<runsig_cgroup::Error> for Error {
    fn from(error: runsig_cgroup::Error) -> Self {
        Self::Cgroup(error)
    }
}

impl fmt::Display for InitError {
    /// In runc's words where engines or people know them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.op {
            // The two lines that engines turn into exit codes 127 and 126.
            Op::FindExecutable if self.errno == Some(Errno::ENOENT) && !subject.contains('/') => {
                return write!(f, "exec: {subject:?}: executable file not found in $PATH");
            }
            // runc looks at a path with stat(2), and at the permissions after that.
            Op::FindExecutable if subject.contains('/') && self.errno != Some(Errno::EACCES) => {
                write!(f, "exec: {subject:?}: stat {subject}")?;
            }
            Op::FindExecutable => {
                write!(f, "exec: {subject:?}")?;
                self.describe_cause(f)?;
            }
            Op::Exec => write!(f, "exec {subject}")?,
            Op::Cwd => write!(f, "chdir to cwd ({subject:?}) set in config.json failed")?,
            Op::CwdOutside => {
                return f.write_str(
                    "current working directory is outside of container mount namespace root \
                     -- possible container breakout detected",
                );
            }
            _ => self.describe_setup(f)?,
        }
        match self.errno {
            Some(errno) => write!(f, ": {errno}"),
            None => Ok(()),
        }
    }
}

impl InitError {
    fn describe_setup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, detail) = (&self.subject, &self.detail);
        f.write_str("error during container init: ")?;
        match &self.op {
            Op::Mount => write!(f, "error mounting {detail:?} to rootfs at {subject:?}"),
            Op::MountPoint => {
                write!(f, "error mounting to rootfs at {subject:?}: create mountpoint for {subject} mount")?;
                self.describe_cause(f)
            }
            Op::Device => {
                write!(f, "error creating device node {subject:?}")?;
                self.describe_cause(f)
            }
            Op::Link => write!(f, "error creating link {subject:?}"),
            // A sentence of its own, with the kind of hook in it.
            Op::Hook => f.write_str(detail),
            Op::PrepareRoot => write!(f, "error preparing rootfs {subject:?}"),
            Op::SwitchRoot => f.write_str("error jailing process inside rootfs"),
            Op::Rlimit => write!(f, "error setting rlimit type {subject}"),
            Op::Sysctl if self.errno == Some(Errno::EINVAL) => write!(f, "failed to write sysctl {subject}"),
            Op::Sysctl => write!(f, "open sysctl {subject}"),
            Op::MaskPath => write!(f, "can't mask path {subject:?}"),
            Op::ReadonlyPath => write!(f, "can't make {subject:?} read-only"),
            // The process in between, which joins several, does not say which it could not.
            Op::JoinNamespace if subject.is_empty() => write!(f, "can't join namespace ({detail})"),
            Op::JoinNamespace => write!(f, "can't join namespace {subject}"),
            op => {
                write!(f, "{}", op.words())?;
                if !subject.is_empty() {
                    write!(f, " {subject:?}")?;
                }
                if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
            }
        }
    }

    /// What the init says in words, where an error number does not say it.
    fn describe_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}
