//! Flags as Go's programs take them: with one dash or two, and booleans with a value.
//!
//! Owns: rewriting such arguments into what clap takes. Must not: know what a flag means.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// `-name` as `--name`, and `-n=value` as `--name=value`. clap would take `-name` for a heap of short flags. Values
/// of flags and what follows the flags stay as they are.
pub(crate) fn two_dashes(command: &Command, mut args: Vec<OsString>) -> Vec<OsString> {
    if !args.iter().any(|arg| one_dash(arg).is_some()) {
        return args;
    }
    let ends_at_the_first_argument = command.is_allow_external_subcommands_set()
        || command.get_positionals().any(Arg::is_trailing_var_arg_set);
    let own_name = usize::from(!command.is_no_binary_name_set());
    let mut is_value = false;
    for arg in args.iter_mut().skip(own_name) {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if let Some(renamed) = one_dash(arg).and_then(|text| with_two(command, text)) {
            *arg = renamed.into();
        }
        let Some(text) = arg.to_str() else { continue };
        if text == "--" || (ends_at_the_first_argument && !text.starts_with('-')) {
            break;
        }
        is_value = !text.contains('=') && flag(command, text).is_some_and(takes_value);
    }
    args
}

/// The text after the dash, when there is one dash and more than a letter.
fn one_dash(arg: &OsString) -> Option<&str> {
    let text = arg.to_str()?.strip_prefix('-')?;
    (text.len() > 1 && !text.starts_with('-')).then_some(text)
}

fn with_two(command: &Command, text: &str) -> Option<String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let known = flag(command, name).and_then(Arg::get_long)?;
    Some(value.map_or_else(|| format!("--{known}"), |value| format!("--{known}={value}")))
}

/// The flag with this name or letter, dashes or none.
fn flag<'a>(command: &'a Command, text: &str) -> Option<&'a Arg> {
    let name = text.trim_start_matches('-');
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name) || (letter.is_some() && arg.get_short() == letter))
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
}

/// `--flag=true` as `--flag`, and `--flag=false` as nothing. Only called when a flag that takes no
/// value was given one, so no value of another flag is lost that could have been accepted.
pub(crate) fn without_booleans(args: Vec<OsString>) -> Vec<OsString> {
    args.into_iter().filter_map(without_boolean).collect()
}

fn without_boolean(arg: OsString) -> Option<OsString> {
    let parts = arg.to_str().filter(|text| text.starts_with("--")).and_then(|text| text.split_once('='));
    match parts.map(|(flag, value)| (flag, parse_bool(value))) {
        Some((flag, Some(true))) => Some(flag.into()),
        Some((_, Some(false))) => None,
        _ => Some(arg),
    }
}

/// The booleans Go accepts.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn of_verb(verb: &str, args: &[&str]) -> Vec<String> {
        let args = args.iter().map(OsString::from).collect();
        let rewritten = two_dashes(&cli::command(cli::find(verb).unwrap()), args);
        rewritten.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for (verb, given, meant) in [
            ("delete", &["-force", "x"][..], &["--force", "x"][..]),
            ("delete", &["x", "-force"], &["x", "--force"]),
            ("delete", &["-f=true", "x"], &["--force=true", "x"]),
            (
                "create",
                &["-bundle", "-force", "-b=/x", "-pid-file=/p"],
                &["--bundle", "-force", "--bundle=/x", "--pid-file=/p"],
            ),
            // Nothing of ours after the first argument, nor after the end of the flags.
            ("exec", &["-tty", "x", "ls", "-tty"], &["--tty", "x", "ls", "-tty"]),
            ("delete", &["--", "-force"], &["--", "-force"]),
            // Not a name: clap tells.
            ("delete", &["-fq", "x"], &["-fq", "x"]),
            ("kill", &["x", "-15"], &["x", "-15"]),
        ] {
            assert_eq!(of_verb(verb, given), meant, "{verb} {given:?}");
        }
    }

    #[test]
    fn globals_too() {
        let args =
            ["runsig", "-root", "-r", "-log-format=json", "list", "-quiet"].map(OsString::from).to_vec();
        let expected = ["runsig", "--root", "-r", "--log-format=json", "list", "-quiet"].map(OsString::from);
        assert_eq!(two_dashes(&cli::globals(), args), expected);
    }
}
