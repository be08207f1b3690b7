//! What can be wrong with a bundle.
//!
//! Owns: [`SpecError`] and its words. Must not: print anything.

use std::fmt;
use std::path::PathBuf;

use runsig_sys::Errno;

/// The longest value a message repeats; more is cut, so that a message stays one readable line.
const LONGEST_VALUE: usize = 160;
/// The same for a whole line, in characters.
const LONGEST_LINE: usize = 400;

/// Why a bundle or a process file is refused. Every message is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecError {
    /// There is no such file.
    NotFound {
        /// `config.json`, or the process file's path.
        file: String,
    },
    /// A file could not be read, or the bundle's directory not entered.
    Read {
        /// What was being done.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A file is longer than anybody needs.
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is no JSON, or not of the shape the specification gives.
    Json {
        /// `config.json` or `process.json`.
        file: &'static str,
        /// The field it happened at, such as `process.user.uid`; empty at the top.
        field: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// A field has a value that is refused.
    Value {
        /// Such as `linux.namespaces[2].type`.
        field: String,
        /// The value, as given.
        value: String,
        /// Why.
        why: String,
    },
    /// The root file system is not there or not what it should be.
    Rootfs {
        /// Its path.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A rule about fields that need, or exclude, each other.
    Rule(String),
    /// libseccomp refused the filter.
    Seccomp {
        /// What was being done.
        doing: String,
        /// What the library says.
        message: String,
    },
}

impl SpecError {
    /// A refused value.
    pub(crate) fn value(field: impl Into<String>, value: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::Value { field: field.into(), value: shortened(&value.to_string()), why: one_line(why.into()) }
    }

    /// A rule in runc's words.
    pub(crate) fn rule(words: impl Into<String>) -> Self {
        Self::Rule(one_line(words.into()))
    }
}

/// The words as one readable line, whatever of the bundle is in them.
pub(crate) fn one_line(words: String) -> String {
    if words.len() <= LONGEST_LINE && !words.contains(char::is_control) {
        return words;
    }
    let line: String =
        words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect();
    if line.len() < words.len() { format!("{line}...") } else { line }
}

/// The value with its end cut off when it is very long.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { file } => write!(f, "JSON specification file {file} not found"),
            Self::Read { operation, path, errno } => write!(f, "{operation} {}: {errno}", path.display()),
            Self::TooLarge { path, limit } => {
                write!(f, "{} is longer than {} MiB", path.display(), limit >> 20)
            }
            Self::Json { file, field, message } if field.is_empty() => write!(f, "{file}: {message}"),
            Self::Json { file, field, message } => write!(f, "{file}: {field}: {message}"),
            Self::Value { field, value, why } => write!(f, "invalid {field} {value:?}: {why}"),
            Self::Rootfs { path, errno } => write!(f, "invalid rootfs: stat {}: {errno}", path.display()),
            Self::Rule(words) => f.write_str(words),
            Self::Seccomp { doing, message } => write!(f, "seccomp: {doing}: {message}"),
        }
    }
}

impl std::error::Error for SpecError {}

/// What everything in this crate returns.
pub(crate) type Result<T> = std::result::Result<T, SpecError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_and_short() {
        assert_eq!(one_line("a\nb\0c".to_owned()), "a b c");
        assert_eq!(one_line("é".repeat(400)), "é".repeat(400));
        assert_eq!(one_line("é".repeat(401)), "é".repeat(400) + "...");
        let error = SpecError::value("f", "x\n".repeat(1000), "w").to_string();
        assert!(error.len() < 600 && !error.contains('\n') && error.ends_with("...\": w"), "{error}");
    }
}
