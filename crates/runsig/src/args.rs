//! From what was typed to what is meant.
//!
//! Owns: the two steps of parsing (globals, then one verb), each the quick way where that will do,
//! defaults, numbers, booleans, paths. Must not: act on a container.

use std::ffi::OsString;
use std::num::IntErrorKind;
use std::path::{Path, PathBuf};

use runsig_runtime::{CgroupManager, Globals};

use crate::by_clap;
use crate::failure::{Failure, Result};
use crate::given::{self, Given};
use crate::go_flags::parse_bool;
use crate::log::Format;
use runsig::cli::Verb;

/// The global flags, and the verb with its arguments still unparsed.
pub(crate) struct Invocation {
    given: Given,
    verb: Option<(String, Vec<OsString>)>,
}

impl Invocation {
    /// Parses the globals.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self> {
        let args: Vec<OsString> = args.collect();
        match given::globals(args.clone()) {
            Some((given, verb)) => Ok(Self { given, verb: Some(verb) }),
            None => by_clap::globals(args).map(|(given, verb)| Self { given, verb }),
        }
    }

    pub(crate) fn wants_help(&self) -> bool {
        self.given.has("help")
    }

    pub(crate) fn wants_version(&self) -> bool {
        self.given.has("version")
    }

    pub(crate) fn debug(&self) -> bool {
        self.given.has("debug")
    }

    /// The verb as typed, and what follows it.
    pub(crate) fn verb(&self) -> Option<(&str, &[OsString])> {
        self.verb.as_ref().map(|(name, rest)| (name.as_str(), rest.as_slice()))
    }

    /// The log file, where one is named.
    pub(crate) fn log_file(&self) -> Option<PathBuf> {
        path(&self.given, "log")
    }

    /// The format of the log.
    pub(crate) fn log_format(&self) -> Result<Format> {
        match text(&self.given, "log-format")?.as_deref() {
            None | Some("text") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            Some(other) => Err(Failure::new(format!("invalid log-format: {other}"))),
        }
    }

    /// The state directory: the one asked for, or the default with whether it must be made first.
    pub(crate) fn root(&self) -> Result<Root> {
        if self.given.value("root").is_none() {
            return Ok(Root::default_for(&HostUser::of_process()));
        }
        let asked = path(&self.given, "root").unwrap_or_default();
        match absolute(&asked)? {
            root if root == Path::new("/") => {
                Err(Failure::new("Option --root argument should not be set to /"))
            }
            path => Ok(Root { path, is_default: false, in_runtime_dir: false }),
        }
    }

    /// What every verb of the runtime is given.
    pub(crate) fn globals(&self, root: &Root) -> Result<Globals> {
        Ok(Globals {
            root: root.path.clone(),
            rootless: self.rootless()?,
            cgroup_manager: self.manager()?,
            warnings: runsig_runtime::Warnings::default(),
            debug_log: None,
        })
    }

    fn rootless(&self) -> Result<Option<bool>> {
        match text(&self.given, "rootless")? {
            None => Ok(None),
            Some(auto) if auto.eq_ignore_ascii_case("auto") => Ok(None),
            Some(other) => parse_bool(&other).map(Some).ok_or_else(|| {
                Failure::new(format!("--rootless: strconv.ParseBool: parsing {other:?}: invalid syntax"))
            }),
        }
    }

    fn manager(&self) -> Result<CgroupManager> {
        let manager = match text(&self.given, "cgroup-manager")?.as_deref() {
            None | Some("cgroupfs") => CgroupManager::Cgroupfs,
            Some("systemd") => CgroupManager::Systemd,
            Some("disabled") => CgroupManager::Disabled,
            Some(other) => {
                return Err(Failure::new(format!(
                    "unknown cgroup manager {other:?}: it is cgroupfs, systemd or disabled"
                )));
            }
        };
        let systemd = self.given.has("systemd-cgroup") || manager == CgroupManager::Systemd;
        Ok(if systemd { CgroupManager::Systemd } else { manager })
    }
}

/// Where state is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// Absolute and clean.
    pub(crate) path: PathBuf,
    /// Nobody asked for it, so it need not exist.
    pub(crate) is_default: bool,
    /// It is in `$XDG_RUNTIME_DIR` and has to be made, sticky, so that nobody prunes it.
    pub(crate) in_runtime_dir: bool,
}

/// What decides about the default root.
struct HostUser {
    effective_uid: u32,
    in_user_namespace: bool,
    name: Option<OsString>,
    runtime_dir: Option<OsString>,
}

impl HostUser {
    fn of_process() -> Self {
        let effective_uid = runsig_sys::process::geteuid();
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        // Only root with a runtime directory has to know; everyone else is spared the read.
        let in_user_namespace = effective_uid == 0 && runtime_dir.is_some() && in_user_namespace();
        Self { effective_uid, in_user_namespace, name: std::env::var_os("USER"), runtime_dir }
    }
}

/// Whether the process's map of user IDs is other than that of the first user namespace.
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

impl Root {
    /// `$XDG_RUNTIME_DIR/runsig` for users, `/run/runsig` for the real root, whatever its environment says.
    fn default_for(user: &HostUser) -> Self {
        let real_root = user.effective_uid == 0
            && (!user.in_user_namespace || user.name.as_deref().is_some_and(|name| name == "root"));
        let (base, in_runtime_dir) = match &user.runtime_dir {
            Some(dir) if !real_root => (Path::new(dir), true),
            _ => (Path::new("/run"), false),
        };
        Self { path: base.join("runsig"), is_default: true, in_runtime_dir }
    }
}

/// The parsed arguments of one verb.
pub(crate) struct Args {
    verb: &'static Verb,
    given: Given,
}

impl Args {
    /// Parses what follows the verb.
    pub(crate) fn parse(verb: &'static Verb, rest: Vec<OsString>) -> Result<Self> {
        let given = match given::verb(verb, rest.clone()) {
            Some(given) => Ok(given),
            None => by_clap::verb(verb, rest),
        };
        let checked = given.and_then(|given| whole_numbers(&given).map(|()| given));
        Ok(Self { verb, given: checked.map_err(|failure| failure.with_help_of(verb))? })
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.given.has(name)
    }

    /// Whether a flag is set or unset; `None` where it is not given.
    pub(crate) fn switch(&self, name: &str) -> Result<Option<bool>> {
        let wrong = |value| self.wrong(format!("invalid boolean value {value:?} for -{name}: parse error"));
        self.text(name)?.map(|value| parse_bool(&value).ok_or_else(|| wrong(value))).transpose()
    }

    /// How many descriptors are passed on. Less than none is none, as for runc.
    pub(crate) fn descriptors(&self) -> Result<u32> {
        let count: i64 = self.number("preserve-fds")?.unwrap_or(0);
        Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
    }

    /// A mistake in the arguments, to be told with the verb's help.
    pub(crate) fn wrong(&self, message: String) -> Failure {
        Failure::usage(message.clone(), message).with_help_of(self.verb)
    }

    /// The text of a flag; empty counts as not given.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        text(&self.given, name)
    }

    /// The text of a flag as it was given. Where runc does not have the flag, an empty one is a mistake (an unset
    /// variable, most likely), and must not do what the call would do without it.
    pub(crate) fn given(&self, name: &str) -> Result<Option<String>> {
        self.given.value(name).map(|value| utf8(name, value)).transpose()
    }

    /// Every value of a flag that may be repeated.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.given.values(name).map(|value| utf8(name, value)).collect()
    }

    /// The path of a flag, as typed; empty counts as not given.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        path(&self.given, name)
    }

    /// The path of a flag, absolute.
    pub(crate) fn absolute_path(&self, name: &str) -> Result<Option<PathBuf>> {
        self.path(name).map(|path| absolute(&path)).transpose()
    }

    /// The number of a flag.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let number = |value: String| number(name, &value).map_err(|failure| failure.with_help_of(self.verb));
        self.text(name)?.map(number).transpose()
    }

    /// `json` or the default format.
    pub(crate) fn wants_json(&self, default: &str) -> Result<bool> {
        match self.text("format")?.as_deref() {
            None => Ok(false),
            Some("json") => Ok(true),
            Some(name) if name == default => Ok(false),
            Some(name) => Err(Failure::new(format!("invalid format option {name:?}"))),
        }
    }

    /// Exactly this many arguments.
    pub(crate) fn exactly(&self, count: usize) -> Result<&[String]> {
        self.counted(self.given.arguments.len() == count, "exactly", count)
    }

    /// At least this many arguments.
    pub(crate) fn at_least(&self, count: usize) -> Result<&[String]> {
        self.counted(self.given.arguments.len() >= count, "a minimum of", count)
    }

    /// At most this many arguments.
    pub(crate) fn at_most(&self, count: usize) -> Result<&[String]> {
        self.counted(self.given.arguments.len() <= count, "a maximum of", count)
    }

    fn counted(&self, holds: bool, how: &str, count: usize) -> Result<&[String]> {
        if holds {
            return Ok(&self.given.arguments);
        }
        let program = runsig_sys::entry::arguments().next().unwrap_or_default();
        let program = program.to_string_lossy();
        let message = format!("{program}: {:?} requires {how} {count} argument(s)", self.verb.name);
        Err(Failure::usage(message, "").with_help_of(self.verb))
    }

    /// The only argument, a container's ID.
    pub(crate) fn only_id(&self) -> Result<&str> {
        self.exactly(1)?;
        self.first_id()
    }

    /// The first argument, a container's ID. Its form is the store's business.
    pub(crate) fn first_id(&self) -> Result<&str> {
        match self.at_least(1)?.first().map(String::as_str) {
            None | Some("") => Err(Failure::new("container id cannot be empty")),
            Some(id) => Ok(id),
        }
    }

    /// What follows the ID, for another program to read. `--` before it is ours, as it is runc's since 1.5.
    pub(crate) fn after_id(&self) -> Result<&[String]> {
        let rest = self.at_least(1)?.get(1..).unwrap_or_default();
        Ok(rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest))
    }

    /// The second argument, where there may be at most two.
    pub(crate) fn optional_second(&self) -> Result<Option<&str>> {
        Ok(self.at_most(2)?.get(1).map(String::as_str).filter(|value| !value.is_empty()))
    }
}

fn path(given: &Given, name: &str) -> Option<PathBuf> {
    given.value(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn text(given: &Given, name: &str) -> Result<Option<String>> {
    let value = given.value(name).filter(|value| !value.is_empty());
    value.map(|value| utf8(name, value)).transpose()
}

fn utf8(name: &str, value: &OsString) -> Result<String> {
    match value.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::new(format!("invalid value {value:?} for flag -{name}: not UTF-8"))),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    let parsed = value.parse().ok();
    parsed.ok_or_else(|| {
        // What is no number at all was refused before.
        let message = format!(
            "invalid value {value:?} for flag -{name}: strconv.ParseInt: parsing {value:?}: value out of range"
        );
        Failure::usage(message.clone(), message)
    })
}

/// Flags whose values runc parses with the command line, not when it uses them: a wrong one is a wrong
/// command line, whatever else is wrong with the call.
const NUMBERS: [&str; 5] = ["preserve-fds", "additional-gids", "pids-limit", "blkio-weight", "status-fd"];

fn whole_numbers(given: &Given) -> Result<()> {
    for name in NUMBERS {
        for value in given.values(name) {
            let value = utf8(name, value)?;
            let Err(error) = value.parse::<i64>() else { continue };
            let why = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            let message = format!(
                "invalid value {value:?} for flag -{name}: strconv.ParseInt: parsing {value:?}: {why}"
            );
            return Err(Failure::usage(message.clone(), message));
        }
    }
    Ok(())
}

/// Absolute, with `.` and `..` resolved by their names alone, as Go's filepath.Abs does.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    use std::path::Component;
    let base = if path.is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().map_err(|error| Failure::io("getwd", Path::new(""), &error))?
    };
    let mut clean = PathBuf::from("/");
    for component in base.join(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runsig::cli;

    fn invocation(args: &[&str]) -> Result<Invocation> {
        Invocation::parse(std::iter::once("runsig").chain(args.iter().copied()).map(OsString::from))
    }

    fn args(verb: &str, rest: &[&str]) -> Result<Args> {
        Args::parse(cli::find(verb).unwrap(), rest.iter().map(OsString::from).collect())
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().map(|failure| failure.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_engine_s_call_parses() {
        let call = invocation(&[
            "--root",
            "/run/x/../c",
            "--log",
            "/l",
            "--log-format=json",
            "kill",
            "--all",
            "id",
            "9",
        ]);
        let call = call.ok().unwrap();
        assert_eq!(call.root().ok().unwrap().path, Path::new("/run/c"));
        assert_eq!(call.log_file(), Some("/l".into()));
        assert!(matches!(call.log_format(), Ok(Format::Json)));
        let (verb, rest) = call.verb().unwrap();
        let kill = Args::parse(cli::find(verb).unwrap(), rest.to_vec()).ok().unwrap();
        assert!(kill.flag("all"));
        assert_eq!(kill.only_id().err().unwrap().code(), 1);
        assert_eq!((kill.first_id().ok(), kill.optional_second().ok()), (Some("id"), Some(Some("9"))));
    }

    #[test]
    fn mistakes_are_told_in_runc_s_words() {
        assert_eq!(message(args("state", &["--bogus", "x"])), "flag provided but not defined: -bogus");
        assert_eq!(message(args("state", &["-z"])), "flag provided but not defined: -z");
        assert_eq!(message(invocation(&["--root"])), "flag needs an argument: -root");
        assert_eq!(
            message(invocation(&["--debug=perhaps", "list"])),
            "invalid boolean value \"perhaps\" for -debug: parse error"
        );
        for (value, why) in [("xx", "invalid syntax"), ("99999999999999999999", "value out of range")] {
            assert_eq!(
                message(args("create", &["--preserve-fds", value, "c"])),
                format!(
                    "invalid value {value:?} for flag -preserve-fds: strconv.ParseInt: parsing {value:?}: {why}"
                )
            );
        }
        let negative = args("create", &["--preserve-fds", "-1", "c"]).ok().unwrap();
        assert_eq!(negative.descriptors().ok(), Some(0));
        let switch = |value: &str| args("exec", &[value, "c"]).ok().unwrap().switch("no-new-privs");
        assert_eq!(switch("--no-new-privs").ok(), Some(Some(true)));
        assert_eq!(switch("--no-new-privs=F").ok(), Some(Some(false)));
        assert!(switch("--no-new-privs=maybe").is_err());
        assert_eq!(
            message(args("state", &[""]).unwrap_or_else(|_| unreachable!()).only_id()),
            "container id cannot be empty"
        );
    }

    #[test]
    fn the_number_of_arguments_is_checked() {
        for (verb, rest) in [("state", vec![]), ("state", vec!["a", "b"])] {
            let text = message(args(verb, &rest).ok().unwrap().only_id());
            assert!(text.ends_with(": \"state\" requires exactly 1 argument(s)"), "{text}");
        }
        let kill = args("kill", &["a", "b", "c"]).ok().unwrap();
        assert!(message(kill.optional_second()).ends_with("requires a maximum of 2 argument(s)"));
    }

    #[test]
    fn go_s_booleans_are_accepted() {
        let on = args("run", &["--detach=true", "--keep=F", "c"]).ok().unwrap();
        assert_eq!((on.flag("detach"), on.flag("keep")), (true, false));
        assert!(invocation(&["--systemd-cgroup=1", "list"]).ok().unwrap().given.has("systemd-cgroup"));
        assert!(args("run", &["--detach", "--detach", "c"]).ok().unwrap().flag("detach"));
    }

    #[test]
    fn bad_globals_are_refused() {
        assert_eq!(
            message(invocation(&["--root", "/..", "list"]).ok().unwrap().root()),
            "Option --root argument should not be set to /"
        );
        assert!(
            message(invocation(&["--log-format", "xml", "list"]).ok().unwrap().log_format()).contains("xml")
        );
        assert!(invocation(&["--rootless", "maybe", "list"]).ok().unwrap().rootless().is_err());
        assert!(matches!(invocation(&["--rootless", "AUTO", "list"]).ok().unwrap().rootless(), Ok(None)));
        assert!(invocation(&["--cgroup-manager", "none", "list"]).ok().unwrap().manager().is_err());
    }

    #[test]
    fn the_default_root_follows_the_user() {
        let user = |effective_uid, in_user_namespace, name: Option<&str>| HostUser {
            effective_uid,
            in_user_namespace,
            name: name.map(OsString::from),
            runtime_dir: Some("/run/user/7".into()),
        };
        let path = |user: HostUser| Root::default_for(&user).path;
        assert_eq!(path(user(0, false, Some("root"))), Path::new("/run/runsig"));
        assert_eq!(path(user(7, false, Some("u"))), Path::new("/run/user/7/runsig"));
        assert_eq!(path(user(0, true, Some("u"))), Path::new("/run/user/7/runsig"));
        assert_eq!(path(user(0, true, Some("root"))), Path::new("/run/runsig"));
        let bare = HostUser { runtime_dir: None, ..user(7, false, None) };
        assert_eq!(path(bare), Path::new("/run/runsig"));
    }
}
