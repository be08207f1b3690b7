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

/// Words about the file system as a whole, not about one view of it: the init passes them on.
const FILE_SYSTEM: [&str; 11] = [
    "async",
    "dirsync",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noiversion",
    "nolazytime",
    "nomand",
    "silent",
    "sync",
];

/// Words that are no mount flag.
const EXTENSIONS: [&str; 7] = ["bind", "rbind", "tmpcopyup", "idmap", "ridmap", "remount", "defaults"];

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
    /// Words about the file system as a whole.
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
            if !*on && (is_atime(*attr) || *attr == m::ATTR_NODIRATIME) {
                take_back(&mut self.set, &mut self.clear, *attr);
            } else {
                change(&mut self.set, &mut self.clear, *on, *attr);
            }
        } else if let Some((_, flag)) = PROPAGATION.iter().find(|(known, _)| *known == word) {
            self.propagation.push(*flag);
        } else if let Some((_, on, attr)) = recursive_attribute(word) {
            change(&mut self.set_recursive, &mut self.clear_recursive, *on, *attr);
        } else if let Some(known) = FILE_SYSTEM.iter().find(|known| **known == word) {
            self.flags.push(known);
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
            "remount" => self.remount = true,
            // mount(8)'s word for "nothing special".
            "defaults" => {}
            _ => return false,
        }
        true
    }

    /// Takes a word for the file system; one entry may hold several, between commas.
    fn take_data(&mut self, word: &str, field: impl Fn() -> String) -> Result<()> {
        for option in split(word) {
            let (key, value) =
                option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
            if key.is_empty() {
                continue;
            }
            let value = value.map(|value| cstring(value.to_owned(), &field)).transpose()?;
            self.data.push((cstring(key.to_owned(), &field)?, value));
        }
        Ok(())
    }

    /// The first word for a file system, which a bind mount does not make.
    pub(crate) fn first_data(&self) -> Option<String> {
        let (key, value) = self.data.first()?;
        let key = key.to_string_lossy();
        Some(value.as_ref().map_or_else(|| key.to_string(), |v| format!("{key}={}", v.to_string_lossy())))
    }
}

/// Records a change, the later word winning. The three access-time modes are one setting of which
/// the kernel wants the old value cleared whenever a new one is set.
fn change(set: &mut u64, clear: &mut u64, on: bool, attr: u64) {
    if !is_atime(attr) {
        let (to, from) = if on { (set, clear) } else { (clear, set) };
        *to |= attr;
        *from &= !attr;
    } else if on {
        *set = *set & !m::ATTR_ATIME_MASK | attr;
        *clear |= m::ATTR_ATIME_MASK;
    } else if attr != m::ATTR_RELATIME {
        *set &= !attr;
        *clear |= m::ATTR_ATIME_MASK;
    }
    // What is left is `norelatime`. No kernel does that: relatime is what is done without a word.
}

/// Takes back a word about access times. For the mount itself such words mean what they mean to
/// mount(2), and so to runc: a mode that nobody names stays as it is at the source, and `atime`
/// names none.
fn take_back(set: &mut u64, clear: &mut u64, attr: u64) {
    if attr != m::ATTR_NODIRATIME && attr != m::ATTR_RELATIME && *set & m::ATTR_ATIME_MASK == attr {
        *clear &= !m::ATTR_ATIME_MASK;
    }
    *set &= !attr;
    // It is an option all the same, and a bind mount with any option keeps no `nosymfollow`.
    *clear |= m::ATTR_NOSYMFOLLOW & !*set;
}

fn is_atime(attr: u64) -> bool {
    attr & m::ATTR_ATIME_MASK != 0 || attr == m::ATTR_RELATIME
}

fn recursive_attribute(word: &str) -> Option<&'static (&'static str, bool, u64)> {
    let base = word.strip_prefix('r')?;
    ATTRIBUTES.iter().find(|(known, ..)| *known == base)
}

/// Splits at commas, but not inside double quotes (SELinux contexts), after a backslash (overlay),
/// or before a digit (lists of NUMA nodes): no option's name begins with one.
fn split(word: &str) -> impl Iterator<Item = &str> {
    let bytes = word.as_bytes();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    let ends = bytes.iter().enumerate().filter_map(move |(at, byte)| {
        let next_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let here = *byte == b',' && !quoted && !escaped && !next_digit;
        quoted ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        here.then_some(at)
    });
    ends.chain([word.len()]).map(move |end| {
        let part = word.get(start..end).unwrap_or_default();
        start = end + 1;
        part
    })
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

/// Every option word known here, sorted.
pub(crate) fn known() -> Vec<String> {
    let mut all: Vec<String> = ATTRIBUTES.iter().map(|(word, ..)| (*word).to_owned()).collect();
    all.extend(ATTRIBUTES.iter().map(|(word, ..)| format!("r{word}")));
    all.extend(PROPAGATION.iter().map(|(word, _)| (*word).to_owned()));
    all.extend(FILE_SYSTEM.iter().map(|word| (*word).to_owned()));
    all.extend(EXTENSIONS.iter().map(|word| (*word).to_owned()));
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Options {
        parse(words.iter().map(|word| (*word).to_owned()).collect(), "mounts[0].options").unwrap()
    }

    fn data(words: &[&str]) -> Vec<String> {
        let show = |(key, value): &(CString, Option<CString>)| match value {
            Some(value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
            None => key.to_string_lossy().into_owned(),
        };
        parsed(words).data.iter().map(show).collect()
    }

    #[test]
    fn every_attribute_word_sets_or_clears_and_so_does_its_recursive_form() {
        for (word, on, attr) in ATTRIBUTES {
            let options = parsed(&[word]);
            let recursive = parsed(&[&format!("r{word}")]);
            let (plain, whole) =
                ((options.set, options.clear), (recursive.set_recursive, recursive.clear_recursive));
            assert_eq!((options.set_recursive, options.clear_recursive, recursive.set), (0, 0, 0), "{word}");
            assert_eq!(options.data, [], "{word}");
            if word.contains("atime") && !on {
                // Only the recursive word changes access times: the other means what it means to mount(2).
                assert_eq!(plain, (0, m::ATTR_NOSYMFOLLOW), "{word}");
            } else {
                assert_eq!(plain, whole, "{word}");
            }
            let wanted = match word {
                "norelatime" => (0, 0),
                _ if !is_atime(attr) => {
                    if on {
                        (attr, 0)
                    } else {
                        (0, attr)
                    }
                }
                _ => (if on { attr } else { 0 }, m::ATTR_ATIME_MASK),
            };
            assert_eq!(whole, wanted, "{word}");
        }
    }

    #[test]
    fn later_words_win() {
        assert_eq!((parsed(&["ro", "rw"]).set, parsed(&["ro", "rw"]).clear), (0, m::ATTR_RDONLY));
        assert_eq!((parsed(&["suid", "nosuid"]).set, parsed(&["suid", "nosuid"]).clear), (m::ATTR_NOSUID, 0));
        assert_eq!(parsed(&["noatime", "strictatime"]).set, m::ATTR_STRICTATIME, "one mode at a time");
        assert_eq!(parsed(&["noatime", "relatime"]).set, m::ATTR_RELATIME);
        assert_eq!(parsed(&["ridmap", "idmap"]).idmap, Some(false));
    }

    #[test]
    fn access_times_nobody_names_stay() {
        for words in
            [&["noatime", "atime"][..], &["strictatime", "nostrictatime"], &["nodiratime", "diratime"]]
        {
            let options = parsed(words);
            assert_eq!((options.set, options.clear), (0, m::ATTR_NOSYMFOLLOW), "{words:?}");
        }
        let options = parsed(&["noatime", "norelatime", "diratime", "nostrictatime"]);
        assert_eq!((options.set, options.clear & m::ATTR_ATIME_MASK), (m::ATTR_NOATIME, m::ATTR_ATIME_MASK));
    }

    #[test]
    fn propagation_keeps_its_order() {
        for (word, flags) in PROPAGATION {
            assert_eq!(parsed(&[word]).propagation, [flags], "{word}");
            assert_eq!(root_propagation(Some(word), false), Ok(flags), "{word}");
        }
        assert_eq!(parsed(&["rslave", "shared"]).propagation, [m::MS_SLAVE | m::MS_REC, m::MS_SHARED]);
        assert_eq!((root_propagation(None, true), root_propagation(Some(""), true)), (Ok(0), Ok(0)));
        assert_eq!(
            root_propagation(Some("sharde"), false).unwrap_err().to_string(),
            "rootfsPropagation=sharde is not supported"
        );
        for unsafe_word in ["private", "rprivate"] {
            assert!(root_propagation(Some(unsafe_word), true).is_err(), "{unsafe_word}");
        }
    }

    #[test]
    fn words_of_their_own() {
        let bind = parsed(&["bind", "defaults", "remount"]);
        assert!(bind.bind && !bind.recursive && bind.remount && bind.data.is_empty());
        let rbind = parsed(&["rbind", "ridmap"]);
        assert!(rbind.bind && rbind.recursive);
        assert_eq!(rbind.idmap, Some(true));
        assert!(parsed(&["tmpcopyup"]).copy_up);
        assert_eq!(parsed(&["sync", "noiversion", "silent"]).flags, ["sync", "noiversion", "silent"]);
    }

    #[test]
    fn what_is_left_is_the_file_systems() {
        assert_eq!(
            data(&["mode=755", "size=64k,nr_inodes=1", "", "newinstance"]),
            ["mode=755", "size=64k", "nr_inodes=1", "newinstance"]
        );
        assert_eq!(data(&["acl", "=x", "a=", "b=c=d"]), ["acl", "a=", "b=c=d"]);
        assert_eq!(data(&["mpol=bind:0,2-3,size=1m"]), ["mpol=bind:0,2-3", "size=1m"]);
        assert_eq!(data(&[r#"context="u:o:r:s0:c1,c2",ro_x"#]), [r#"context="u:o:r:s0:c1,c2""#, "ro_x"]);
        assert_eq!(data(&[r"lowerdir=/a\,b:/c,upperdir=/d"]), [r"lowerdir=/a\,b:/c", "upperdir=/d"]);
        assert_eq!(data(&["RO", "ro "]), ["RO", "ro "], "words are exact");
        let error = parse(vec!["ok".into(), "a=\0".into()], "mounts[3].options").unwrap_err().to_string();
        assert!(error.starts_with("invalid mounts[3].options[1]"), "{error}");
    }
}
