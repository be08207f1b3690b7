//! Mount options: words of mount(8), runc's extensions, and what is left for the file system.
//!
//! Owns: the tables (`features` prints them) and the parser. Must not: know mounts as a whole.

use std::ffi::CString;

use runsig_sys::mount as m;

use crate::error::{Result, SpecError};
use crate::text::cstring;

/// An attribute of a mount that a word sets or clears, and that `r` before the word does for the
/// whole tree.
pub(crate) const ATTRIBUTES: [(&str, bool, u64); 18] = [
    ("ro", true, m::ATTR_RDONLY),
    ("rw", false, m::ATTR_RDONLY),
    ("nosuid", true, m::ATTR_NOSUID),
    ("suid", false, m::ATTR_NOSUID),
    ("nodev", true, m::ATTR_NODEV),
    ("dev", false, m::ATTR_NODEV),
    ("noexec", true, m::ATTR_NOEXEC),
    ("exec", false, m::ATTR_NOEXEC),
    ("nodiratime", true, m::ATTR_NODIRATIME),
    ("diratime", false, m::ATTR_NODIRATIME),
    ("nosymfollow", true, m::ATTR_NOSYMFOLLOW),
    ("symfollow", false, m::ATTR_NOSYMFOLLOW),
    ("noatime", true, m::ATTR_NOATIME),
    ("atime", false, m::ATTR_NOATIME),
    ("strictatime", true, m::ATTR_STRICTATIME),
    ("nostrictatime", false, m::ATTR_STRICTATIME),
    ("relatime", true, m::ATTR_RELATIME),
    ("norelatime", false, m::ATTR_RELATIME),
];

/// Propagation words.
pub(crate) const PROPAGATION: [(&str, u64); 8] = [
    ("private", m::MS_PRIVATE),
    ("rprivate", m::MS_PRIVATE | m::MS_REC),
    ("shared", m::MS_SHARED),
    ("rshared", m::MS_SHARED | m::MS_REC),
    ("slave", m::MS_SLAVE),
    ("rslave", m::MS_SLAVE | m::MS_REC),
    ("unbindable", m::MS_UNBINDABLE),
    ("runbindable", m::MS_UNBINDABLE | m::MS_REC),
];

/// Words about the file system as a whole, with the word for fsconfig(2) that they stand for.
/// Empty: it changes nothing we could set (`silent` only hides kernel messages, and since 6.6
/// every file system that can count inode versions does).
const FILE_SYSTEM: [(&str, &str); 12] = [
    ("sync", "sync"),
    ("async", "async"),
    ("dirsync", "dirsync"),
    ("lazytime", "lazytime"),
    ("nolazytime", "nolazytime"),
    ("mand", "mand"),
    ("nomand", "nomand"),
    ("silent", ""),
    ("loud", ""),
    ("iversion", ""),
    ("noiversion", ""),
    ("remount", ""),
];

/// Words that are no mount flag.
const EXTENSIONS: [&str; 5] = ["bind", "rbind", "tmpcopyup", "idmap", "ridmap"];

/// The words of a mount, sorted out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// `ATTR_*` to set.
    pub(crate) set: u64,
    /// `ATTR_*` to clear.
    pub(crate) clear: u64,
    /// `ATTR_*` to set on the tree.
    pub(crate) set_recursive: u64,
    /// `ATTR_*` to clear on the tree.
    pub(crate) clear_recursive: u64,
    /// A word about attributes was given, if only to say what holds anyway.
    pub(crate) attributes: bool,
    /// `MS_*`, in order.
    pub(crate) propagation: Vec<u64>,
    /// A bind mount.
    pub(crate) bind: bool,
    /// With the mounts below.
    pub(crate) recursive: bool,
    /// Change what is mounted there.
    pub(crate) remount: bool,
    /// Fill the tmpfs with what it hides.
    pub(crate) copy_up: bool,
    /// Map identities; `Some(true)` for the mounts below too.
    pub(crate) idmap: Option<bool>,
    /// For fsconfig(2): words about the file system as a whole.
    pub(crate) flags: Vec<&'static str>,
    /// The file system's own.
    pub(crate) data: Vec<(CString, Option<CString>)>,
}

/// Sorts out the words of one mount; `field` names the list.
pub(crate) fn parse(words: Vec<String>, field: &str) -> Result<Options> {
    let mut options = Options::default();
    for (i, word) in words.into_iter().enumerate() {
        if !options.take(&word) {
            options.take_data(&word, || format!("{field}[{i}]"))?;
        }
    }
    Ok(options)
}

impl Options {
    /// Takes a word that is not the file system's own.
    fn take(&mut self, word: &str) -> bool {
        if let Some((_, on, attr)) = ATTRIBUTES.iter().find(|(known, ..)| *known == word) {
            self.attributes = true;
            change(&mut self.set, &mut self.clear, *on, *attr);
        } else if let Some((_, flag)) = PROPAGATION.iter().find(|(known, _)| *known == word) {
            self.propagation.push(*flag);
        } else if let Some((_, on, attr)) = recursive_attribute(word) {
            change(&mut self.set_recursive, &mut self.clear_recursive, *on, *attr);
        } else if let Some((_, flag)) = FILE_SYSTEM.iter().find(|(known, _)| *known == word) {
            self.remount |= word == "remount";
            if !flag.is_empty() {
                self.flags.push(flag);
            }
        } else {
            return self.take_extension(word);
        }
        true
    }

    fn take_extension(&mut self, word: &str) -> bool {
        match word {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.idmap = Some(false),
            "ridmap" => self.idmap = Some(true),
            _ => return false,
        }
        true
    }

    /// Takes a word for the file system; one entry may hold several, between commas.
    fn take_data(&mut self, word: &str, field: impl Fn() -> String) -> Result<()> {
        for option in split(word) {
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, Some(unquoted(key, value))),
                None => (option, None),
            };
            // mount(8)'s word for "nothing special": no file system knows it.
            if key.is_empty() || option == "defaults" {
                continue;
            }
            let value = value.map(|value| cstring(value.to_owned(), &field)).transpose()?;
            self.data.push((cstring(key.to_owned(), &field)?, value));
        }
        Ok(())
    }

    /// Whether fsconfig(2) would get anything that a bind mount cannot have.
    pub(crate) fn data_words(&self) -> Option<String> {
        let (key, value) = self.data.first()?;
        let key = key.to_string_lossy();
        Some(value.as_ref().map_or_else(|| key.to_string(), |v| format!("{key}={}", v.to_string_lossy())))
    }
}

/// Records a change, the later word winning. The three access-time modes are one setting of which
/// the kernel wants the old value cleared whenever a new one is set.
fn change(set: &mut u64, clear: &mut u64, on: bool, attr: u64) {
    let atime = attr & m::ATTR_ATIME_MASK != 0 || attr == m::ATTR_RELATIME;
    if !atime {
        let (to, from) = if on { (set, clear) } else { (clear, set) };
        *to |= attr;
        *from &= !attr;
    } else if on {
        *set = *set & !m::ATTR_ATIME_MASK | attr;
        *clear |= m::ATTR_ATIME_MASK;
    } else if attr != m::ATTR_RELATIME {
        *set &= !attr;
        *clear |= m::ATTR_ATIME_MASK;
    } else if *set & m::ATTR_ATIME_MASK == m::ATTR_RELATIME {
        // `norelatime`: the kernel has no such thing; relatime is what it does by default.
    }
}

fn recursive_attribute(word: &str) -> Option<&'static (&'static str, bool, u64)> {
    let base = word.strip_prefix('r')?;
    ATTRIBUTES.iter().find(|(known, ..)| *known == base)
}

/// Splits at commas, but not inside double quotes (SELinux contexts) or after a backslash (overlay).
fn split(word: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    word.split(move |c| {
        let here = c == ',' && !quoted && !escaped;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        here
    })
}

/// The value of an SELinux context without the quotes that protect its commas from mount(2).
fn unquoted<'a>(key: &str, value: &'a str) -> &'a str {
    if matches!(key, "context" | "fscontext" | "defcontext" | "rootcontext") {
        value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
    } else {
        value
    }
}

/// The propagation of `linux.rootfsPropagation`; 0 for none.
pub(crate) fn root_propagation(word: Option<&str>, no_pivot: bool) -> Result<u64> {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(0) };
    let Some((_, flags)) = PROPAGATION.iter().find(|(known, _)| *known == word) else {
        return Err(SpecError::rule(format!("rootfsPropagation={word} is not supported")));
    };
    if no_pivot && flags & m::MS_PRIVATE != 0 {
        return Err(SpecError::rule("rootfsPropagation of [r]private is not safe without pivot_root"));
    }
    Ok(*flags)
}

/// Every option word known here, sorted, for `features`.
#[must_use]
pub fn known() -> Vec<String> {
    let mut all: Vec<String> = ATTRIBUTES.iter().map(|(word, ..)| (*word).to_owned()).collect();
    all.extend(ATTRIBUTES.iter().map(|(word, ..)| format!("r{word}")));
    all.extend(PROPAGATION.iter().map(|(word, _)| (*word).to_owned()));
    all.extend(FILE_SYSTEM.iter().map(|(word, _)| (*word).to_owned()));
    all.extend(EXTENSIONS.iter().map(|word| (*word).to_owned()));
    all.push("defaults".to_owned());
    all.sort();
    all
}
