//! The command lines that the quick way ([`crate::given`]) leaves to clap, and all mistakes.
//!
//! Owns: calling clap, and its errors in runc's words. Must not: know what a flag means.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use runsig::cli::{self, Verb};

use crate::failure::{Failure, Result};
use crate::given::{Given, Rest};
use crate::go_flags;

/// The globals, and the verb with what follows it, where there is one.
pub(crate) fn globals(args: Vec<OsString>) -> Result<(Given, Option<Rest>)> {
    let matches = parse(cli::globals(), args)?;
    let verb = matches.subcommand().map(|(name, rest)| {
        let rest = rest.try_get_many::<OsString>("").ok().flatten();
        (name.to_owned(), rest.map(|rest| rest.cloned().collect()).unwrap_or_default())
    });
    Ok((Given::from_clap(matches, cli::GLOBALS.iter()), verb))
}

/// What follows a verb.
pub(crate) fn verb(verb: &'static Verb, args: Vec<OsString>) -> Result<Given> {
    parse(cli::command(verb), args).map(|matches| Given::from_clap(matches, verb.flags()))
}

fn parse(command: Command, args: Vec<OsString>) -> Result<ArgMatches> {
    let args = go_flags::two_dashes(&command, args);
    match command.clone().try_get_matches_from(args.iter()) {
        Ok(matches) => Ok(matches),
        // Go's boolean flags take a value after an equals sign; clap's do not.
        Err(error) if error.kind() == ErrorKind::TooManyValues => command
            .try_get_matches_from(go_flags::without_booleans(args))
            .map_err(|error| in_runc_words(&error)),
        Err(error) => Err(in_runc_words(&error)),
    }
}

fn in_runc_words(error: &clap::Error) -> Failure {
    let flag = context(error, ContextKind::InvalidArg).unwrap_or_default();
    // clap adds the placeholder, runc names flags with one dash.
    let flag = flag.split([' ', '=']).next().unwrap_or_default().trim_start_matches('-');
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::UnknownArgument => format!("flag provided but not defined: -{flag}"),
        ErrorKind::TooManyValues => format!("invalid boolean value {value:?} for -{flag}: parse error"),
        ErrorKind::InvalidValue if value.is_empty() => format!("flag needs an argument: -{flag}"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Failure::usage(message.clone(), message)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}
