//! What can go wrong between us and CRIU.
//!
//! Owns: [`CriuError`] and runc's words for it. Must not: log.

use std::fmt;
use std::path::PathBuf;

use super::rpc::Kind;

/// A failure of CRIU, or in speaking with it.
#[derive(Debug)]
pub enum CriuError {
    /// There is no program `criu`.
    NotFound,
    /// It could not be started: why.
    Start(String),
    /// It is older than what was asked of it.
    TooOld {
        /// Major, minor and sublevel, two digits each.
        found: i32,
        /// Likewise.
        needed: i32,
    },
    /// It, or the kernel, cannot do what was asked: names of features.
    Missing(Vec<&'static str>),
    /// What was asked for needs a newer CRIU; the whole message.
    Needs(String),
    /// It says that it failed.
    Failed {
        /// What its answer was to.
        kind: &'static str,
        /// Its error number; 0 when it has none.
        errno: i32,
        /// Its last error message, from CRIU 4 on.
        message: Option<String>,
    },
    /// It ended otherwise than with success: how.
    Ended(String),
    /// It said something that makes no sense: what.
    Protocol(String),
    /// Another of these, with what it happened in.
    During(&'static str, Box<CriuError>),
    /// Another of these, with the log to look into.
    Logged(Box<CriuError>, PathBuf),
}

impl CriuError {
    pub(super) fn failed(kind: Option<Kind>, errno: Option<i32>, message: Option<String>) -> Self {
        let kind = kind.map_or("UNKNOWN", Kind::word);
        Self::Failed { kind, errno: errno.unwrap_or(0), message: message.filter(|text| !text.is_empty()) }
    }

    pub(super) fn during(self, what: &'static str) -> Self {
        Self::During(what, Box::new(self))
    }
}

impl fmt::Display for CriuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Go's words: engines search for them.
            Self::NotFound => f.write_str("exec: \"criu\": executable file not found in $PATH"),
            Self::Start(why) => write!(f, "cannot start criu: {why}"),
            Self::TooOld { found, needed } => {
                write!(f, "CRIU version {found} must be {needed} or higher")
            }
            Self::Missing(features) => write!(f, "criu is missing features: [{}]", features.join(" ")),
            Self::Needs(message) => f.write_str(message),
            Self::Failed { kind, errno, message } => {
                write!(f, "criu failed: type {kind} errno {errno}")?;
                message.as_ref().map_or(Ok(()), |text| write!(f, ": {}", text.trim_end().replace('\n', "; ")))
            }
            Self::Ended(how) => write!(f, "criu failed: {how}"),
            Self::Protocol(what) => write!(f, "criu: {what}"),
            Self::During(what, error) => write!(f, "{what} failed: {error}"),
            Self::Logged(error, log) => write!(f, "{error} (log file: {})", log.display()),
        }
    }
}

impl std::error::Error for CriuError {}
