//! What was given on a command line, and the quick way to find out.
//!
//! Owns: the flags and arguments of a call; parsing the plain forms (`--flag`, `--flag value`,
//! `--flag=value`, `-f`, `-f value`, arguments) by the tables of [`runsig::cli`]. Must not: judge:
//! whatever is not plain is `None` here, and clap's to parse or to refuse (docs/decisions/0005).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::ArgMatches;
use runsig::cli::{self, Flag, Takes, Verb};

/// A verb as typed, and what follows it.
pub(crate) type Rest = (String, Vec<OsString>);

/// The flags that were given, and the arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    flags: Vec<(&'static str, Option<OsString>)>,
    /// The positional arguments.
    pub(crate) arguments: Vec<String>,
}

impl Given {
    /// What clap has found.
    pub(crate) fn from_clap(mut matches: ArgMatches, flags: impl Iterator<Item = &'static Flag>) -> Self {
        let mut given = Self::default();
        for flag in flags {
            if flag.takes == Takes::Nothing {
                given.flags.extend(matches.get_flag(flag.name).then_some((flag.name, None)));
            } else {
                let values = matches.remove_many::<OsString>(flag.name).into_iter().flatten();
                given.flags.extend(values.map(|value| (flag.name, Some(value))));
            }
        }
        let arguments = matches.try_remove_many(cli::positionals()).ok().flatten();
        given.arguments = arguments.map(Iterator::collect).unwrap_or_default();
        given
    }

    /// Whether a flag is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(flag, _)| *flag == name)
    }

    /// The last value of a flag.
    pub(crate) fn value(&self, name: &str) -> Option<&OsString> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name)?.1.as_ref()
    }

    /// All values of a flag.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &OsString> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).filter_map(|(_, value)| value.as_ref())
    }

    fn take(
        &mut self,
        word: &OsStr,
        rest: &mut std::vec::IntoIter<OsString>,
        flags: impl Iterator<Item = &'static Flag>,
    ) -> Option<()> {
        let (flag, attached) = find(word, flags)?;
        let value = match (flag.takes, attached) {
            (Takes::Nothing, None) => None,
            (Takes::Nothing, Some(_)) | (Takes::Switch, _) => return None,
            (_, Some(value)) => Some(value.to_owned()),
            (_, None) => Some(rest.next()?),
        };
        if value.as_ref().is_some_and(|value| value.is_empty() || value == "--") {
            return None;
        }
        self.flags.push((flag.name, value));
        Some(())
    }
}

/// The flag a word names, and the value behind its equals sign.
fn find(
    word: &OsStr,
    mut flags: impl Iterator<Item = &'static Flag>,
) -> Option<(&'static Flag, Option<&OsStr>)> {
    let bytes = word.as_bytes();
    if let Some(long) = bytes.strip_prefix(b"--") {
        let end = long.iter().position(|byte| *byte == b'=');
        let name = long.get(..end.unwrap_or(long.len()))?;
        let value = end.and_then(|end| long.get(end + 1..)).map(OsStr::from_bytes);
        return Some((flags.find(|flag| flag.name.as_bytes() == name)?, value));
    }
    match *bytes {
        [b'-', letter] => Some((flags.find(|flag| flag.short == Some(char::from(letter)))?, None)),
        _ => None,
    }
}

/// The globals, the verb and what follows it; `None` for what is not plain, or has no verb.
pub(crate) fn globals(args: Vec<OsString>) -> Option<(Given, Rest)> {
    let mut given = Given::default();
    let mut rest = args.into_iter();
    let _program = rest.next()?;
    loop {
        let word = rest.next()?;
        match word.as_bytes() {
            b"" => return None,
            [b'-', ..] => given.take(&word, &mut rest, cli::GLOBALS.iter())?,
            _ => return Some((given, (word.into_string().ok()?, rest.collect()))),
        }
    }
}

/// What follows a verb; `None` for what is not plain.
pub(crate) fn verb(verb: &'static Verb, args: Vec<OsString>) -> Option<Given> {
    let mut given = Given::default();
    let mut rest = args.into_iter();
    while let Some(word) = rest.next() {
        let to_the_end = verb.rest && !given.arguments.is_empty();
        match word.as_bytes() {
            b"" | b"-" | b"--" => return None,
            [b'-', ..] if !to_the_end => given.take(&word, &mut rest, verb.flags())?,
            _ => given.arguments.push(word.into_string().ok()?),
        }
    }
    Some(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_clap;

    /// Pieces of command lines, put together in every way: the quick parser says what clap says, or
    /// nothing.
    #[test]
    fn the_quick_way_says_what_clap_says() {
        let mut plain = 0;
        for verb in cli::VERBS {
            let pieces = pieces(verb);
            for first in &pieces {
                for second in &pieces {
                    let line: Vec<OsString> = [first.as_slice(), second, &["id".into()]].concat();
                    plain += usize::from(agrees(verb, &line));
                }
            }
        }
        assert!(plain > 5_000, "only {plain} lines were plain");
    }

    fn pieces(verb: &cli::Verb) -> Vec<Vec<OsString>> {
        let words =
            ["id", "9", "-", "--", "", "-9", "--nope", "-z", "--help", "-h", "--=", "--help=1", "-hh"];
        let mut pieces: Vec<Vec<OsString>> = words.iter().map(|word| vec![word.into()]).collect();
        // A few flags of each kind will do: there are hundreds of pairs of them.
        for takes in [cli::Takes::Nothing, cli::Takes::Value, cli::Takes::Values, cli::Takes::Switch] {
            for flag in verb.flags().filter(|flag| flag.takes == takes).take(2) {
                let long = format!("--{}", flag.name);
                pieces.push(vec![long.clone().into()]);
                pieces.push(vec![format!("-{}", flag.name).into(), "v".into()]);
                for value in ["v", "", "--", "-1", "--help"] {
                    pieces.push(vec![long.clone().into(), value.into()]);
                    pieces.push(vec![format!("{long}={value}").into()]);
                }
                if let Some(letter) = flag.short {
                    pieces.push(vec![format!("-{letter}").into(), "v".into()]);
                    pieces.push(vec![format!("-{letter}v").into()]);
                    pieces.push(vec![format!("-{letter}=v").into()]);
                }
            }
        }
        pieces
    }

    /// Whether the line was plain; then both have to find the same.
    fn agrees(verb: &'static cli::Verb, line: &[OsString]) -> bool {
        let Some(quick) = super::verb(verb, line.to_vec()) else { return false };
        let clap = by_clap::verb(verb, line.to_vec());
        let clap = clap.unwrap_or_else(|error| panic!("{} {line:?}: clap refuses: {error}", verb.name));
        for flag in verb.flags() {
            let name = flag.name;
            assert_eq!((quick.has(name), quick.value(name)), (clap.has(name), clap.value(name)), "{line:?}");
            if flag.takes == cli::Takes::Values {
                assert!(quick.values(name).eq(clap.values(name)), "{line:?}");
            }
        }
        assert_eq!(quick.arguments, clap.arguments, "{} {line:?}", verb.name);
        true
    }

    #[test]
    fn the_quick_way_finds_the_verb_that_clap_finds() {
        for line in [
            &["runsig", "--root", "/r", "--log=l", "--debug", "kill", "--all", "id"][..],
            &["runsig", "state", "id"],
            &["runsig", "--root", "-x", "list"],
            &["runsig", "-v", "list"],
        ] {
            let line: Vec<OsString> = line.iter().map(OsString::from).collect();
            let (clap, clap_verb) = by_clap::globals(line.clone()).ok().unwrap();
            let (given, verb) = super::globals(line.clone()).unwrap();
            assert_eq!(Some(verb), clap_verb, "{line:?}");
            for flag in cli::GLOBALS {
                assert_eq!(given.value(flag.name), clap.value(flag.name), "{line:?}");
                assert_eq!(given.has(flag.name), clap.has(flag.name), "{line:?}");
            }
        }
        for line in
            [&["runsig"][..], &["runsig", "--", "list"], &["runsig", "--root"], &["runsig", "-", "list"]]
        {
            assert!(super::globals(line.iter().map(OsString::from).collect()).is_none(), "{line:?}");
        }
    }
}
