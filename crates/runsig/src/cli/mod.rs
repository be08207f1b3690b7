//! The definitions of the command line: the single source for parsing, help, manual pages and
//! completions. They are tables, so that a call can be parsed by looking into them; clap's commands
//! are made from them.
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

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is given or not.
    Nothing,
    /// A value; the last one counts.
    Value,
    /// A value, each time it is given.
    Values,
    /// Nothing, or a boolean after an equals sign: `=false` is something else than to leave it out.
    Switch,
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// As typed, without dashes.
    pub name: &'static str,
    /// Its single letter.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
    placeholder: &'static str,
    help: &'static str,
    hidden: bool,
}

impl Flag {
    const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    const fn hide(self) -> Self {
        Self { hidden: true, ..self }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).long(self.name).help(self.help).hide(self.hidden);
        let arg = self.short.into_iter().fold(arg, Arg::short);
        let action = match self.takes {
            Takes::Nothing => return arg.action(ArgAction::SetTrue),
            Takes::Value | Takes::Switch => ArgAction::Set,
            Takes::Values => ArgAction::Append,
        };
        let arg = if self.takes == Takes::Switch {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg.allow_hyphen_values(true)
        };
        // The value is not checked here: an empty one means "not given" to runc's callers.
        arg.value_name(self.placeholder).value_parser(OsStringValueParser::new()).action(action)
    }
}

/// A verb: its name, what it does, and the rest of its definition.
#[derive(Debug)]
pub struct Verb {
    /// As typed.
    pub name: &'static str,
    /// One line for the list of verbs.
    pub about: &'static str,
    /// How its arguments are written, after the flags.
    pub usage: &'static str,
    /// Its flags, but for [`HELP`]; several verbs have some in common.
    flags: &'static [&'static [Flag]],
    /// After the first argument everything belongs to it, flags too: `exec ID ls -l`.
    pub rest: bool,
}

impl Verb {
    /// Its flags, in the order of its help.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        std::iter::once(&HELP).chain(self.flags.iter().copied().flatten())
    }
}

/// The flag that every verb has.
pub const HELP: Flag = flag("help", "Show this help").short('h');

/// The global flags.
pub const GLOBALS: &[Flag] = &[
    flag("debug", "Log more"),
    value("log", "FILE", "Write the log to this file (default: standard error)"),
    value("log-format", "FORMAT", "Format of the log: text (default) or json"),
    value("root", "DIR", "Where the state of containers is kept; should be on a tmpfs"),
    value("criu", "PATH", "Accepted for old callers; ignored").hide(),
    flag("systemd-cgroup", "Let systemd make the cgroups; cgroupsPath is \"slice:prefix:name\""),
    value("cgroup-manager", "NAME", "cgroupfs (default), systemd or disabled"),
    value("rootless", "BOOL", "Go on where cgroups may not be changed: true, false or auto (default)"),
    HELP,
    flag("version", "Show the version").short('v'),
];

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

const ABOUT: &str = "Open Container Initiative runtime that cares how containers end";

/// What the program's help says after that line.
pub const MORE_ABOUT: &str = "Runsig makes and runs containers from bundles, as runc does: a bundle is a
directory with a file config.json and a root file system. Engines (podman,
Docker, containerd, CRI-O) can call it in runc's place.

    # runsig run [ -b bundle ] <container-id>

The verbs stop, signals and wait are about the end of a container: which
process gets which signal, what it would do with it, and how it ended.";

/// How the program is called, after its name.
pub const USAGE: &str = "[global options] <verb> [options] [arguments...]";

/// The program with its global flags; a verb and all that follows it stay unparsed.
pub fn globals() -> Command {
    Command::new("runsig")
        .about(ABOUT)
        .override_usage(format!("runsig {USAGE}"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(OsStringValueParser::new())
        .args(GLOBALS.iter().map(Flag::arg))
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
    Command::new(verb.name)
        .about(verb.about)
        .override_usage(format!("runsig {} [options] {}", verb.name, verb.usage))
        .no_binary_name(true)
        .disable_help_flag(true)
        .args_override_self(true)
        .args(verb.flags().map(Flag::arg))
        .arg(
            Arg::new(POSITIONALS)
                .num_args(0..)
                .hide(true)
                .action(ArgAction::Append)
                .trailing_var_arg(verb.rest),
        )
}

/// Every positional argument of a verb. How many there may be is checked later, in runc's words.
const POSITIONALS: &str = "arguments";

/// The id of the positional arguments in a verb's matches.
pub fn positionals() -> &'static str {
    POSITIONALS
}

const fn flag(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, takes: Takes::Nothing, placeholder: "", help, hidden: false }
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { takes: Takes::Switch, placeholder: "BOOL", ..flag(name, help) }
}

const fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Flag {
    Flag { takes: Takes::Value, placeholder, ..flag(name, help) }
}

const fn values(name: &'static str, placeholder: &'static str, help: &'static str) -> Flag {
    Flag { takes: Takes::Values, ..value(name, placeholder, help) }
}

const fn format(choices: &'static str) -> Flag {
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
