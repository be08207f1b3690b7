//! The host-wide settings, /etc/runsig/config.toml.
//!
//! ```toml
//! [kill]
//! on-dropped = "forward"      # warn, forward, kill
//! scope = "all"               # init, all
//! rewrite = "TERM=QUIT"
//!
//! [stop]
//! plan = "TERM:10s,KILL"
//!
//! [init]
//! enabled = true              # a resident init in every container
//! forward = "all"             # child, group, all
//! rewrite = "TERM=QUIT,HUP=0"
//! linger = "5s"
//! exit-remap = "143=0"
//! ```
//!
//! Owns: reading the file, once and only when a verb asks for a setting that nobody nearer has set.
//! Must not: know what the values mean.

use std::cell::OnceCell;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use runsig_sys::Errno;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Where the file is.
pub const PATH: &str = "/etc/runsig/config.toml";

/// What the file can say. A key nobody knows is an error: a typo must not switch a policy off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// For `kill`.
    pub kill: KillSettings,
    /// For `stop`.
    pub stop: StopSettings,
    /// For `create` and `run`.
    pub init: InitSettings,
}

/// The section `[kill]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct KillSettings {
    /// What to do about a signal that init will not get.
    pub on_dropped: Option<String>,
    /// Whom a plain `kill` reaches.
    pub scope: Option<String>,
    /// Signals to replace.
    pub rewrite: Option<String>,
}

/// The section `[stop]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StopSettings {
    /// The stages.
    pub plan: Option<String>,
}

/// The section `[init]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct InitSettings {
    /// Whether containers get a resident init.
    pub enabled: Option<bool>,
    /// Who gets the signals that it gets.
    pub forward: Option<String>,
    /// Signals to forward as others.
    pub rewrite: Option<String>,
    /// How long the others have when the main process has ended.
    pub linger: Option<String>,
    /// Exit codes to replace.
    pub exit_remap: Option<String>,
}

/// The settings, read when they are first needed.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    read: OnceCell<Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Self::at(PATH)
    }
}

impl Config {
    /// The settings in this file; one that does not exist says nothing.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: OnceCell::new() }
    }
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// What it says.
    ///
    /// # Errors
    /// [`Error::Config`] with the file and, for a syntax error, the line.
    pub fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.read.get() {
            return Ok(settings);
        }
        let settings = self.load()?;
        Ok(self.read.get_or_init(|| settings))
    }
    fn load(&self) -> Result<Settings> {
        let bad = |problem: String| Error::Config { path: self.path.display().to_string(), problem };
        let text = match read(&self.path) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(bad("not a regular file of at most 1 MiB".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Settings::default()),
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(bad("not UTF-8".to_owned())),
            Err(error) => return Err(bad(Errno::from_io(&error).to_string())),
        };
        toml::from_str(&text).map_err(|error| {
            let message = error.message().replace('\n', " ");
            let before = error.span().and_then(|span| text.get(..span.start));
            match before.map(|before| before.matches('\n').count() + 1) {
                Some(line) => bad(format!("line {line}: {message}")),
                None => bad(message),
            }
        })
    }
}

/// The file's text; `None` for what is no file of a few lines. Whatever somebody put in its place, a `kill`
/// must neither wait for it nor take all memory for it.
fn read(path: &Path) -> std::io::Result<Option<String>> {
    const MOST_BYTES: u64 = 1 << 20;
    let mut file =
        OpenOptions::new().read(true).custom_flags(runsig_sys::fs::O_NONBLOCK.cast_signed()).open(path)?;
    let kind = file.metadata()?;
    // A directory has words of its own when it is read.
    if !(kind.is_file() && kind.len() <= MOST_BYTES || kind.is_dir()) {
        return Ok(None);
    }
    let mut text = String::new();
    (&mut file).take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &[u8]) -> (PathBuf, Result<Settings>) {
        let path = std::env::temp_dir().join(format!("runsig-config-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let read = Config::at(&path).settings().cloned();
        std::fs::remove_file(&path).unwrap();
        (path, read)
    }

    #[test]
    fn reads_what_is_there() {
        assert_eq!(Config::at("/nonexistent/config.toml").settings().unwrap(), &Settings::default());
        let (_, read) = file("good", b"[kill]\non-dropped = 'kill'\n[stop]\nplan = \"KILL\"\n");
        let settings = read.unwrap();
        assert_eq!(settings.kill.on_dropped.as_deref(), Some("kill"));
        assert_eq!((settings.kill.scope, settings.stop.plan.as_deref()), (None, Some("KILL")));
        assert_eq!(file("empty", b"").1.unwrap(), Settings::default());
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (name, text, line, words) in [
            ("typo", "[kill]\nscoop = 'all'\n", "line 2: ", "scoop"),
            ("section", "\n\n[kil]\n", "line 3: ", "kil"),
            ("syntax", "[kill]\nscope = \n", "line 2: ", ""),
            ("type", "[kill]\nscope = 3\n", "line 2: ", "string"),
        ] {
            let (path, read) = file(name, text.as_bytes());
            let message = read.unwrap_err().to_string();
            assert!(message.starts_with(&format!("{}: {line}", path.display())), "{message}");
            assert!(message.contains(words) && !message.contains('\n'), "{message}");
        }
        assert!(file("bytes", b"\xff\xfe").1.unwrap_err().to_string().ends_with(": not UTF-8"));
        let message = Config::at("/proc/self").settings().unwrap_err().to_string();
        assert_eq!(message, "/proc/self: is a directory");
    }
}
