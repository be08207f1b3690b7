//! Completions for bash, zsh and fish.

use clap::{Arg, Command, ValueHint};
use clap_complete::{Shell, generate};

/// The shells, and the file name each of them looks for in its directory of completions.
pub const SHELLS: &[(Shell, &str)] =
    &[(Shell::Bash, "runsig"), (Shell::Zsh, "_runsig"), (Shell::Fish, "runsig.fish")];

/// The completion script of a shell.
#[must_use]
pub fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut hinted(runsig::cli::full()), "runsig", &mut script);
    script
}

/// The definitions with what a value is, from what help calls it.
fn hinted(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(hint);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |verb| verb.mut_args(hint)))
}

fn hint(arg: Arg) -> Arg {
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    match name.as_deref() {
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("FILE" | "SOCKET" | "PATH") => arg.value_hint(ValueHint::FilePath),
        _ => arg,
    }
}
