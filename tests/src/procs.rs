//! Processes, as /proc of the sandbox shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All PIDs the sandbox sees, zombies included.
#[must_use]
pub fn all() -> BTreeSet<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The state letter of a process; None when it is gone.
#[must_use]
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// Whether it exists and is no zombie.
#[must_use]
pub fn alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The command line, words joined by blanks.
#[must_use]
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_string()
}

/// A process with exactly this command line.
#[must_use]
pub fn find_command(words: &str) -> Option<i32> {
    all().into_iter().find(|pid| command_line(*pid) == words)
}

/// A field of /proc/PID/status, of any process directory.
#[must_use]
pub fn status_field(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}

/// What a namespace link of a process points to, as `pid:[4026531836]`.
#[must_use]
pub fn namespace(pid: i32, kind: &str) -> String {
    let link = Path::new("/proc").join(pid.to_string()).join("ns").join(kind);
    fs::read_link(link).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}
