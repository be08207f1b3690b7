//! Why a call failed, and with which exit code the program ends.
//!
//! Owns: [`Failure`]. Must not: print; `main` does, once.

use std::fmt;
use std::path::Path;

use runsig_sys::Errno;

use runsig::cli::Verb;

/// The result of a step of the program.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit code of most failures.
const GENERAL: u8 = 1;

/// The name messages give this program: the words around it are runc's, and whoever has put it in
/// runc's place, under runc's name, looks for those.
pub(crate) fn called_as() -> &'static str {
    let path = runsig_sys::entry::arguments().next().unwrap_or_default();
    if Path::new(&path).file_name().is_some_and(|name| name == "runc") { "runc" } else { "runsig" }
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    usage: Option<Usage>,
}

/// A wrong command line: help goes to standard output before the message.
#[derive(Debug)]
struct Usage {
    /// What follows "Incorrect Usage".
    note: String,
    /// The verb whose help it is; the program's without.
    verb: Option<&'static str>,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: GENERAL, usage: None }
    }

    /// A wrong command line. `note` is what follows "Incorrect Usage".
    pub(crate) fn usage(message: impl Into<String>, note: impl Into<String>) -> Self {
        let usage = Usage { note: note.into(), verb: None };
        Self { message: message.into(), code: GENERAL, usage: Some(usage) }
    }

    /// A failed operation of the standard library on a path.
    pub(crate) fn io(operation: &str, path: &Path, error: &std::io::Error) -> Self {
        let errno = Errno::from_io(error);
        Self::new(format!("{operation} {}: {errno}", path.display()))
    }

    /// With another exit code.
    pub(crate) fn exit_with(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// With words in front.
    pub(crate) fn context(mut self, prefix: &str) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// The help shown is this verb's.
    pub(crate) fn with_help_of(mut self, verb: &'static Verb) -> Self {
        if let Some(usage) = &mut self.usage {
            usage.verb = Some(verb.name);
        }
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// For a wrong command line: the note after "Incorrect Usage", and whose help to show.
    pub(crate) fn incorrect_usage(&self) -> Option<(&str, Option<&'static str>)> {
        self.usage.as_ref().map(|usage| (usage.note.as_str(), usage.verb))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<runsig_runtime::Error> for Failure {
    fn from(error: runsig_runtime::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<runsig_signal::Error> for Failure {
    fn from(error: runsig_signal::Error) -> Self {
        Self::new(error.to_string())
    }
}
