//! What a container's owner, its image or the host wants `kill` and `stop` to do differently.
//!
//! For every setting the first that is there wins: the flag, the annotation, the host's file. The
//! defaults are what runc does.
//!
//! Owns: the names and values of the settings and where each came from.
//! Must not: act on them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::Signal;
use crate::plan::StopPlan;

/// Annotation: what to do about a signal that the kernel will not deliver to init.
pub const ON_DROPPED: &str = "dev.runsig.kill.on-dropped";
/// Annotation: whom a plain `kill` reaches.
pub const SCOPE: &str = "dev.runsig.kill.scope";
/// Annotation: signals to replace.
pub const REWRITE: &str = "dev.runsig.kill.rewrite";
/// Annotation: the stages of a stop.
pub const STOP_PLAN: &str = "dev.runsig.stop.plan";

/// What to do when the kernel will drop the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDropped {
    /// Send it all the same, and say so.
    Warn,
    /// Give it to init's children instead, as an init such as tini would.
    Forward,
    /// End the container.
    Kill,
}

/// Whom `kill` reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillScope {
    /// Init.
    Init,
    /// Every process.
    All,
}

/// Whom a stop's signals reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopScope {
    /// Init.
    Init,
    /// Every process.
    All,
    /// Everybody else first; init when they have ended or the stage's time is over.
    OthersFirst,
}

/// The policies of `kill`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillPolicy {
    /// About a signal that the kernel will drop.
    pub on_dropped: OnDropped,
    /// Whom it reaches.
    pub scope: KillScope,
    rewrite: Vec<(Signal, Signal)>,
}

impl Default for KillPolicy {
    /// What runc does.
    fn default() -> Self {
        Self { on_dropped: OnDropped::Warn, scope: KillScope::Init, rewrite: Vec::new() }
    }
}

/// The flags of `kill` that override annotations and file, as they were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct KillFlags<'a> {
    /// `--on-dropped`.
    pub on_dropped: Option<&'a str>,
    /// `--scope`.
    pub scope: Option<&'a str>,
    /// `--rewrite`.
    pub rewrite: Option<&'a str>,
}

impl KillPolicy {
    /// Finds out what holds for one `kill` of `signal`. KILL and the probe 0 are never subject to a
    /// policy, so nothing is looked up for them: a mistake in a file must not keep anybody from
    /// ending a container.
    ///
    /// # Errors
    /// A bad value, with the value and where it came from.
    pub fn find(
        signal: Signal,
        flags: KillFlags<'_>,
        annotations: &BTreeMap<String, String>,
        config: &Config,
    ) -> Result<Self> {
        if signal == Signal::KILL || signal == Signal::PROBE {
            return Ok(Self::default());
        }
        let lookup = Lookup { annotations, config };
        let find = |flag, given, key, section: &str, name| lookup.find((flag, given), key, section, name);
        let default = Self::default();
        let on_dropped = find("--on-dropped", flags.on_dropped, ON_DROPPED, "kill", "on-dropped")?;
        let scope = find("--scope", flags.scope, SCOPE, "kill", "scope")?;
        let rewrite = find("--rewrite", flags.rewrite, REWRITE, "kill", "rewrite")?;
        Ok(Self {
            on_dropped: on_dropped.map_or(Ok(default.on_dropped), |s| s.read(on_dropped_value))?,
            scope: scope.map_or(Ok(default.scope), |s| s.read(kill_scope_value))?,
            rewrite: rewrite.map_or(Ok(default.rewrite), |s| s.read(rewrite_value))?,
        })
    }

    /// The signal to send for the one asked for.
    #[must_use]
    pub fn rewritten(&self, signal: Signal) -> Signal {
        self.rewrite.iter().find(|(from, _)| *from == signal).map_or(signal, |(_, to)| *to)
    }
}

/// The flags of `stop`, as they were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopFlags<'a> {
    /// `--timeout`.
    pub timeout: Option<&'a str>,
    /// `--plan`.
    pub plan: Option<&'a str>,
    /// `--scope`.
    pub scope: Option<&'a str>,
    /// `--on-dropped`.
    pub on_dropped: Option<&'a str>,
}

/// What holds for one container's stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPolicy {
    /// The stages.
    pub plan: StopPlan,
    /// Whom they reach.
    pub scope: StopScope,
    /// About a signal that the kernel will drop.
    pub on_dropped: OnDropped,
}

impl StopPolicy {
    /// Finds out what holds: `--plan` or `--timeout` (with the container's stop signal), else the
    /// annotation, else the file, else the stop signal, ten seconds, KILL.
    ///
    /// # Errors
    /// A bad value, with the value and where it came from.
    pub fn find(
        flags: StopFlags<'_>,
        annotations: &BTreeMap<String, String>,
        config: &Config,
    ) -> Result<Self> {
        let given = |flag: &str, text: Option<&str>| text.map(|text| Setting::new(flag, text));
        let scope = given("--scope", flags.scope).map_or(Ok(StopScope::Init), |s| s.read(stop_scope_value));
        let on_dropped = given("--on-dropped", flags.on_dropped)
            .map_or(Ok(OnDropped::Forward), |s| s.read(on_dropped_value));
        Ok(Self { scope: scope?, on_dropped: on_dropped?, plan: find_plan(flags, annotations, config)? })
    }
}

fn find_plan(
    flags: StopFlags<'_>,
    annotations: &BTreeMap<String, String>,
    config: &Config,
) -> Result<StopPlan> {
    let simple = |wait: Duration| -> Result<StopPlan> {
        let (signal, _) = crate::names::default_signal(None, annotations)?;
        if signal == Signal::PROBE {
            let origin = format!("annotation {}", crate::names::STOP_SIGNAL_ANNOTATION);
            return Err(Error::Setting {
                origin,
                value: "0".to_owned(),
                problem: "signal 0 stops nothing".to_owned(),
            });
        }
        Ok(StopPlan::simple(signal, wait))
    };
    if let (None, Some(timeout)) = (flags.plan, flags.timeout) {
        let wait = Setting::new("--timeout", timeout)
            .read(|text| crate::duration::parse(text).map_err(str::to_owned));
        return simple(wait?);
    }
    let lookup = Lookup { annotations, config };
    match lookup.find(("--plan", flags.plan), STOP_PLAN, "stop", "plan")? {
        Some(setting) => setting.read(StopPlan::parse),
        None => simple(crate::plan::DEFAULT_WAIT),
    }
}

/// A value and where it came from.
#[derive(Debug)]
pub(crate) struct Setting {
    origin: String,
    value: String,
}

impl Setting {
    pub(crate) fn new(origin: impl Into<String>, value: &str) -> Self {
        Self { origin: origin.into(), value: value.to_owned() }
    }
    pub(crate) fn read<T>(self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T> {
        parse(&self.value).map_err(|problem| Error::Setting {
            origin: self.origin,
            value: self.value,
            problem,
        })
    }
}

/// Where settings are looked for.
pub(crate) struct Lookup<'a> {
    pub(crate) annotations: &'a BTreeMap<String, String>,
    pub(crate) config: &'a Config,
}

impl Lookup<'_> {
    pub(crate) fn find(
        &self,
        (flag, given): (&str, Option<&str>),
        annotation: &str,
        section: &str,
        key: &str,
    ) -> Result<Option<Setting>> {
        if let Some(text) = given {
            return Ok(Some(Setting::new(flag, text)));
        }
        if let Some(text) = self.annotations.get(annotation) {
            return Ok(Some(Setting::new(format!("annotation {annotation}"), text)));
        }
        let settings = self.config.settings()?;
        let value = match (section, key) {
            ("kill", "on-dropped") => &settings.kill.on_dropped,
            ("kill", "scope") => &settings.kill.scope,
            ("kill", "rewrite") => &settings.kill.rewrite,
            ("init", "forward") => &settings.init.forward,
            ("init", "rewrite") => &settings.init.rewrite,
            ("init", "linger") => &settings.init.linger,
            ("init", "exit-remap") => &settings.init.exit_remap,
            _ => &settings.stop.plan,
        };
        let origin = || format!("{}: {section}.{key}", self.config.path().display());
        Ok(value.as_deref().map(|text| Setting::new(origin(), text)))
    }
}

fn on_dropped_value(text: &str) -> Result<OnDropped, String> {
    match text {
        "warn" => Ok(OnDropped::Warn),
        "forward" => Ok(OnDropped::Forward),
        "kill" => Ok(OnDropped::Kill),
        _ => Err("must be warn, forward or kill".to_owned()),
    }
}

fn kill_scope_value(text: &str) -> Result<KillScope, String> {
    match text {
        "init" => Ok(KillScope::Init),
        "all" => Ok(KillScope::All),
        _ => Err("must be init or all".to_owned()),
    }
}

fn stop_scope_value(text: &str) -> Result<StopScope, String> {
    match text {
        "init" => Ok(StopScope::Init),
        "all" => Ok(StopScope::All),
        "others-first" => Ok(StopScope::OthersFirst),
        _ => Err("must be init, all or others-first".to_owned()),
    }
}

/// Reads `TERM=QUIT,HUP=USR1`. An engine's KILL is its last resort and stays what it is.
fn rewrite_value(text: &str) -> Result<Vec<(Signal, Signal)>, String> {
    replacements(text, "SIGNAL=SIGNAL", |from, to| {
        let read = |name: &str| Signal::parse(name).map_err(|unknown| unknown.to_string());
        let (from, to) = (read(from)?, read(to)?);
        if from == Signal::KILL || from == Signal::PROBE {
            return Err(format!("{from} cannot be replaced"));
        }
        Ok((from, to))
    })
}

/// Reads a table of replacements, `A=B,C=D`: each side of a pair is `read`'s business, but that nothing
/// is replaced twice.
pub(crate) fn replacements<T: PartialEq>(
    text: &str,
    form: &str,
    read: impl Fn(&str, &str) -> Result<(T, T), String>,
) -> Result<Vec<(T, T)>, String> {
    let mut pairs: Vec<(T, T)> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('=').ok_or_else(|| format!("{part:?} is not {form}"))?;
        let pair = read(from.trim(), to.trim())?;
        if pairs.iter().any(|(known, _)| *known == pair.0) {
            return Err(format!("{:?} is replaced twice", from.trim()));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_settings::{annotations, config, none};

    #[test]
    fn nothing_set_means_what_runc_does() {
        let policy =
            KillPolicy::find(Signal::TERM, KillFlags::default(), &annotations(&[]), &none()).unwrap();
        assert_eq!(policy, KillPolicy::default());
        assert_eq!(policy.rewritten(Signal::TERM), Signal::TERM);
        let stop = StopPolicy::find(StopFlags::default(), &annotations(&[]), &none()).unwrap();
        assert_eq!(stop.plan.to_string(), "TERM:10s,KILL");
        assert_eq!((stop.scope, stop.on_dropped), (StopScope::Init, OnDropped::Forward));
    }

    #[test]
    fn flag_beats_annotation_beats_file() {
        let file = config(
            "order",
            "[kill]\non-dropped='kill'\nscope='all'\nrewrite='TERM=QUIT'\n[stop]\nplan='INT:1s'\n",
        );
        let notes = annotations(&[(ON_DROPPED, "forward"), (SCOPE, "init"), (STOP_PLAN, "HUP:2s,KILL")]);
        let flags = KillFlags { on_dropped: Some("warn"), ..KillFlags::default() };
        let policy = KillPolicy::find(Signal::TERM, flags, &notes, &file).unwrap();
        assert_eq!((policy.on_dropped, policy.scope), (OnDropped::Warn, KillScope::Init));
        assert_eq!(policy.rewritten(Signal::TERM), Signal::QUIT);
        let plan = |flags: StopFlags<'_>, notes: &BTreeMap<String, String>| {
            StopPolicy::find(flags, notes, &file).unwrap().plan.to_string()
        };
        let with_flag = StopFlags { plan: Some("USR1:3s"), ..StopFlags::default() };
        assert_eq!(plan(with_flag, &notes), "USR1:3s");
        assert_eq!(plan(StopFlags::default(), &notes), "HUP:2s,KILL");
        assert_eq!(plan(StopFlags::default(), &annotations(&[])), "INT:1s");
        let timeout = StopFlags { timeout: Some("250ms"), ..StopFlags::default() };
        let quit = annotations(&[(crate::names::STOP_SIGNAL_ANNOTATION, "3")]);
        assert_eq!(plan(timeout, &quit), "QUIT:250ms,KILL");
    }

    #[test]
    fn bad_values_are_named_with_their_origin() {
        let bad = |flags, notes: &[(&str, &str)], file: &Config| {
            KillPolicy::find(Signal::TERM, flags, &annotations(notes), file).unwrap_err().to_string()
        };
        let flag = KillFlags { scope: Some("everyone"), ..KillFlags::default() };
        assert_eq!(bad(flag, &[], &none()), "--scope: \"everyone\": must be init or all");
        assert_eq!(
            bad(KillFlags::default(), &[(ON_DROPPED, "Kill")], &none()),
            "annotation dev.runsig.kill.on-dropped: \"Kill\": must be warn, forward or kill"
        );
        let file = config("bad", "[kill]\nrewrite = 'TERM=NOPE'\n");
        let message = bad(KillFlags::default(), &[], &file);
        assert!(message.ends_with(": kill.rewrite: \"TERM=NOPE\": unknown signal \"NOPE\""), "{message}");
        for (text, problem) in [
            ("TERM", "\"TERM\" is not SIGNAL=SIGNAL"),
            ("KILL=TERM", "SIGKILL cannot be replaced"),
            ("TERM=INT,15=HUP", "\"15\" is replaced twice"),
            ("", "\"\" is not SIGNAL=SIGNAL"),
        ] {
            assert_eq!(rewrite_value(text), Err(problem.to_owned()));
        }
    }

    #[test]
    fn a_bad_stop_names_its_origin_too() {
        let bad = |flags, notes: &[(&str, &str)]| {
            StopPolicy::find(flags, &annotations(notes), &none()).unwrap_err().to_string()
        };
        let timeout = StopFlags { timeout: Some("forever"), ..StopFlags::default() };
        assert!(bad(timeout, &[]).starts_with("--timeout: \"forever\": not a time"));
        let scope = StopFlags { scope: Some("some"), ..StopFlags::default() };
        assert_eq!(bad(scope, &[]), "--scope: \"some\": must be init, all or others-first");
        assert_eq!(
            bad(StopFlags::default(), &[(STOP_PLAN, "TERM")]),
            "annotation dev.runsig.stop.plan: \"TERM\": stage \"TERM\" needs a time, as in TERM:10s"
        );
        let zero = [(crate::names::STOP_SIGNAL_ANNOTATION, "0")];
        assert!(bad(StopFlags::default(), &zero).ends_with("signal 0 stops nothing"));
    }

    #[test]
    fn nothing_keeps_a_kill_from_killing() {
        let notes = annotations(&[(SCOPE, "nonsense")]);
        let file = config("broken", "this is no toml");
        for signal in [Signal::KILL, Signal::PROBE] {
            let policy = KillPolicy::find(signal, KillFlags::default(), &notes, &file);
            assert_eq!(policy.unwrap(), KillPolicy::default());
        }
    }
}
