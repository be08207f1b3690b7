//! The definitions of the command line: the single source for parsing, help, manual pages and
//! completions.
//!
//! Owns: names, flags and help texts. Must not: read the process's arguments, or act.
//!
//! A call parses in two steps: [`globals`] first, which leaves the verb and what follows it alone,
//! then [`verb`], the definition of that verb only. So a call pays for one verb, not for twenty,
//! and a mistake after the verb can already be written to the log file named before it.

mod lifecycle;
mod resources;
mod stopping;

use clap::{Arg, ArgAction, Command, builder::OsStringValueParser};

/// A verb: its name, what it does, and the rest of its definition.
pub struct Verb {
    /// As typed.
    pub name: &'static str,
    /// One line for the list of verbs.
    pub about: &'static str,
    /// How its arguments are written, after the flags.
    pub usage: &'static str,
    /// Adds flags and positional arguments.
    define: fn(Command) -> Command,
}

/// Every verb, in the order in which help lists them.
pub const VERBS: &[Verb] = &[
    lifecycle::CREATE,
    lifecycle::START,
    lifecycle::RUN,
    lifecycle::STATE,
    stopping::KILL,
    stopping::STOP,
    stopping::SIGNALS,
    stopping::WAIT,
    lifecycle::DELETE,
    lifecycle::LIST,
    lifecycle::EXEC,
    lifecycle::PS,
    resources::PAUSE,
    resources::RESUME,
    resources::UPDATE,
    resources::EVENTS,
    resources::CHECKPOINT,
    resources::RESTORE,
    lifecycle::SPEC,
    lifecycle::FEATURES,
];

const ABOUT: &str = "An OCI runtime that cares how containers end";
const LONG_ABOUT: &str = "An OCI runtime that cares how containers end.

Runsig makes and runs containers from bundles, as runc does: a bundle is a
directory with a file config.json and a root file system. Engines (podman,
Docker, containerd, CRI-O) can call it in runc's place.

    # runsig run [ -b bundle ] <container-id>

The verbs stop, signals and wait are about the end of a container: which
process gets which signal, what it would do with it, and how it ended.";

/// The program with its global flags; a verb and all that follows it stay unparsed.
pub fn globals() -> Command {
    Command::new("runsig")
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .override_usage("runsig [global options] <verb> [options] [arguments...]")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(OsStringValueParser::new())
        .arg(flag("debug", "Log more"))
        .arg(value("log", "FILE", "Write the log to this file (default: standard error)"))
        .arg(value("log-format", "FORMAT", "Format of the log: text (default) or json"))
        .arg(value("root", "DIR", "Where the state of containers is kept; should be on a tmpfs"))
        .arg(value("criu", "PATH", "Accepted for old callers; ignored").hide(true))
        .arg(flag("systemd-cgroup", "Let systemd make the cgroups; cgroupsPath is \"slice:prefix:name\""))
        .arg(value("cgroup-manager", "NAME", "cgroupfs (default), systemd or disabled"))
        .arg(value(
            "rootless",
            "BOOL",
            "Go on where cgroups may not be changed: true, false or auto (default)",
        ))
        .arg(flag("help", "Show this help").short('h'))
        .arg(flag("version", "Show the version").short('v'))
}

/// The whole tree, for the program's own help, manual pages and completions.
pub fn full() -> Command {
    VERBS.iter().fold(globals(), |program, verb| program.subcommand(command(verb)))
}

/// The verb with this name.
pub fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// The definition of one verb. It is parsed without the program's name in front.
pub fn command(verb: &Verb) -> Command {
    let command = Command::new(verb.name)
        .about(verb.about)
        .override_usage(format!("runsig {} [options] {}", verb.name, verb.usage))
        .no_binary_name(true)
        .disable_help_flag(true)
        .args_override_self(true)
        .arg(flag("help", "Show this help").short('h'));
    (verb.define)(command)
}

/// Every positional argument of a verb. How many there may be is checked later, in runc's words.
const POSITIONALS: &str = "arguments";

/// The id of the positional arguments in a verb's matches.
pub fn positionals() -> &'static str {
    POSITIONALS
}

fn arguments() -> Arg {
    Arg::new(POSITIONALS).num_args(0..).hide(true).action(ArgAction::Append)
}

/// After the first argument everything belongs to it, flags too: `exec ID ls -l`.
fn rest() -> Arg {
    arguments().trailing_var_arg(true)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// A flag for which `=false` is something else than to leave it out.
fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(OsStringValueParser::new())
}

/// A flag with a value. Not checked here: an empty one means "not given" to runc's callers.
fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .value_name(placeholder)
        .allow_hyphen_values(true)
        .value_parser(OsStringValueParser::new())
}

/// A flag with a value that may be given several times.
fn values(name: &'static str, placeholder: &'static str, help: &'static str) -> Arg {
    value(name, placeholder, help).action(ArgAction::Append)
}

fn format(choices: &'static str) -> Arg {
    value("format", "FORMAT", choices).short('f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_hold_together() {
        full().debug_assert();
        for verb in VERBS {
            command(verb).debug_assert();
        }
    }

    #[test]
    fn globals_leave_the_verb_alone() {
        let matches =
            globals().try_get_matches_from(["runsig", "--root", "/r", "state", "--bogus", "x"]).unwrap();
        let (verb, rest) = matches.subcommand().unwrap();
        let rest: Vec<_> =
            rest.get_many::<std::ffi::OsString>("").unwrap().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!((verb, rest), ("state", vec!["--bogus", "x"]));
    }

    #[test]
    fn exec_keeps_the_flags_of_its_command() {
        let exec = command(find("exec").unwrap());
        let matches = exec.try_get_matches_from(["-e", "A=b", "id", "-e", "ls", "--detach"]).unwrap();
        let rest: Vec<_> = matches.get_many::<String>(positionals()).unwrap().collect();
        assert_eq!(rest, ["id", "-e", "ls", "--detach"]);
        assert!(!matches.get_flag("detach"));
    }

    #[test]
    fn other_verbs_take_flags_after_the_id() {
        let delete = command(find("delete").unwrap());
        let matches = delete.try_get_matches_from(["id", "--force"]).unwrap();
        assert!(matches.get_flag("force"));
    }
}
