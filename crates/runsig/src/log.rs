//! The log: what logrus writes for runc, because engines read it.
//!
//! Owns: levels, the two formats, the log file. Must not: decide what is worth a line.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::failure::{Failure, Result};
use crate::output::json_string;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="..." level=error msg="..."`
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`
    Json,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The call failed.
    Error,
    /// Something to know.
    Warning,
    /// Only with `--debug`.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Debug => "debug",
        }
    }

    /// Four letters and an ANSI colour, as logrus shows levels on a terminal.
    fn short(self) -> (&'static str, u8) {
        match self {
            Self::Error => ("ERRO", 31),
            Self::Warning => ("WARN", 33),
            Self::Debug => ("DEBU", 37),
        }
    }
}

/// Where log lines go.
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// A log on standard error.
    pub(crate) fn to_stderr(format: Format, debug: bool) -> Self {
        Self { file: None, format, debug }
    }

    /// A log at the end of a file, which is made at once: engines open it even when all went well.
    pub(crate) fn to_file(path: &Path, format: Format, debug: bool) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(path)
            .map_err(|error| Failure::io("open", path, &error))?;
        Ok(Self { file: Some(file), format, debug })
    }

    /// The failure of the call: one line in the log, and its text for whoever watches.
    pub(crate) fn failure(&self, message: &str) {
        self.line(Level::Error, message);
        if self.file.is_some() {
            // Nobody is left to tell when standard error cannot be written to.
            let _ = writeln!(std::io::stderr(), "{message}");
        }
    }

    /// One warning.
    pub(crate) fn warning(&self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// One line for `--debug`.
    pub(crate) fn debug(&self, message: &str) {
        if self.debug {
            self.line(Level::Debug, message);
        }
    }

    fn line(&self, level: Level, message: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A log that cannot be written to must not fail the call.
        let _ = match &self.file {
            Some(file) => (&*file).write_all(self.plain(level, message, now).as_bytes()),
            None if self.format == Format::Text && std::io::stderr().is_terminal() => {
                std::io::stderr().write_all(on_terminal(level, message).as_bytes())
            }
            None => std::io::stderr().write_all(self.plain(level, message, now).as_bytes()),
        };
    }

    fn plain(&self, level: Level, message: &str, now: Duration) -> String {
        let time = runsig_runtime::time::rfc3339(Duration::from_secs(now.as_secs()));
        let level = level.name();
        match self.format {
            Format::Text => format!("time=\"{time}\" level={level} msg={}\n", text_value(message)),
            Format::Json => {
                let message = json_string(message);
                format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
            }
        }
    }
}

/// The line of a program that has only just started: `ERRO[0000] message`, padded to 44.
fn on_terminal(level: Level, message: &str) -> String {
    let (name, colour) = level.short();
    format!("\u{1b}[{colour}m{name}\u{1b}[0m[0000] {message:<44} \n")
}

/// Bare where it is a plain word, else quoted as Go quotes strings.
fn text_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { go_quote(value) }
}

fn go_quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::new(1_700_000_000, 123_456_789);

    #[test]
    fn lines_look_as_logrus_writes_them() {
        let text = Log::to_stderr(Format::Text, false);
        assert_eq!(
            text.plain(Level::Error, "container does not exist", NOW),
            "time=\"2023-11-14T22:13:20Z\" level=error msg=\"container does not exist\"\n"
        );
        assert_eq!(
            text.plain(Level::Warning, "a/b@c", NOW),
            "time=\"2023-11-14T22:13:20Z\" level=warning msg=a/b@c\n"
        );
        assert_eq!(text.plain(Level::Error, "", NOW), "time=\"2023-11-14T22:13:20Z\" level=error msg=\n");
        let json = Log::to_stderr(Format::Json, false);
        assert_eq!(
            json.plain(Level::Error, "exec: \"x\": <a>\n", NOW),
            "{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": \\u003ca\\u003e\\n\",\"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
    }

    #[test]
    fn a_terminal_gets_the_short_form() {
        assert_eq!(
            on_terminal(Level::Error, "container does not exist"),
            format!("\u{1b}[31mERRO\u{1b}[0m[0000] container does not exist{} \n", " ".repeat(20))
        );
    }

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(text_value("a \"b\"\\\n\u{1}\u{7f}é\u{a0}"), "\"a \\\"b\\\"\\\\\\n\\x01\\x7fé\\u00a0\"");
    }
}
