//! Whether a container gets a resident init, and how that treats signals.
//!
//! For whether: the flag, the annotation, the host's file; the first that is there wins. For how: the
//! annotation, the file, the default. How is not looked at for a container that gets none.
//!
//! Owns: the names and values of these settings. Must not: act on them.

use std::collections::BTreeMap;

use runsig_proto::plan::{Forward, Resident};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::{STOP_SIGNAL_ANNOTATION, Signal, default_signal};
use crate::policy::{Lookup, Setting, replacements};

/// Annotation: whether there is one.
pub const INIT: &str = "dev.runsig.init";
/// Annotation: who gets the signals that it gets.
pub const FORWARD: &str = "dev.runsig.init.forward";
/// Annotation: signals to forward as others.
pub const REWRITE: &str = "dev.runsig.init.rewrite";
/// Annotation: how long the others have when the main process has ended.
pub const LINGER: &str = "dev.runsig.init.linger";
/// Annotation: exit codes to replace.
pub const EXIT_REMAP: &str = "dev.runsig.init.exit-remap";

/// How long the others have where nobody says anything.
const DEFAULT_LINGER_MS: u64 = 2000;

/// Finds out what holds for a container. `None`: it gets no resident init.
///
/// # Errors
/// A bad value, with the value and where it came from.
pub fn find(flag: bool, annotations: &BTreeMap<String, String>, config: &Config) -> Result<Option<Resident>> {
    if !(flag || is_wanted(annotations, config)?) {
        return Ok(None);
    }
    let lookup = Lookup { annotations, config };
    let find = |key, name| lookup.find(("", None), key, "init", name);
    let forward = find(FORWARD, "forward")?.map_or(Ok(Forward::Child), |s| s.read(forward_value));
    let rewrite = find(REWRITE, "rewrite")?.map_or(Ok(Vec::new()), |s| s.read(rewrite_value));
    let linger = find(LINGER, "linger")?.map_or(Ok(DEFAULT_LINGER_MS), |s| s.read(linger_value));
    let remap = find(EXIT_REMAP, "exit-remap")?.map_or(Ok(Vec::new()), |s| s.read(remap_value));
    Ok(Some(Resident {
        forward: forward?,
        rewrite: rewrite?,
        stop_signal: number(stop_signal(annotations)?),
        linger_ms: linger?,
        exit_remap: remap?,
    }))
}

fn is_wanted(annotations: &BTreeMap<String, String>, config: &Config) -> Result<bool> {
    match annotations.get(INIT) {
        Some(text) => Setting::new(format!("annotation {INIT}"), text).read(bool_value),
        None => Ok(config.settings()?.init.enabled.unwrap_or(false)),
    }
}

/// What the others are sent: what a `stop` of the container would send.
fn stop_signal(annotations: &BTreeMap<String, String>) -> Result<Signal> {
    match default_signal(None, annotations)?.0 {
        Signal::PROBE => Err(Error::Setting {
            origin: format!("annotation {STOP_SIGNAL_ANNOTATION}"),
            value: "0".to_owned(),
            problem: "signal 0 stops nothing".to_owned(),
        }),
        signal => Ok(signal),
    }
}

fn number(signal: Signal) -> u32 {
    signal.number().unsigned_abs()
}

fn bool_value(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn forward_value(text: &str) -> Result<Forward, String> {
    match text {
        "child" => Ok(Forward::Child),
        "group" => Ok(Forward::Group),
        "all" => Ok(Forward::All),
        _ => Err("must be child, group or all".to_owned()),
    }
}

fn linger_value(text: &str) -> Result<u64, String> {
    let time = crate::duration::parse(text).map_err(str::to_owned)?;
    u64::try_from(time.as_millis()).map_err(|error| error.to_string())
}

/// Reads `TERM=QUIT,HUP=0`; 0 drops the signal.
fn rewrite_value(text: &str) -> Result<Vec<(u32, u32)>, String> {
    replacements(text, "SIGNAL=SIGNAL", |from, to| {
        let read = |name: &str| Signal::parse(name).map_err(|unknown| unknown.to_string());
        let (from, to) = (read(from)?, read(to)?);
        if from.is_kernel_only() || from == Signal::PROBE || from == Signal::CHLD {
            return Err(format!("{from} never reaches an init to be replaced"));
        }
        Ok((number(from), number(to)))
    })
}

/// Reads `143=0,137=1`.
fn remap_value(text: &str) -> Result<Vec<(u32, u32)>, String> {
    replacements(text, "CODE=CODE", |from, to| {
        let read = |code: &str| {
            let number = code.parse::<u8>().ok().filter(|_| code.bytes().all(|b| b.is_ascii_digit()));
            number.map(u32::from).ok_or_else(|| format!("{code:?} is no exit code (0 to 255)"))
        };
        Ok((read(from)?, read(to)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_settings::{annotations, config, none};

    fn bad(pairs: &[(&str, &str)]) -> String {
        find(true, &annotations(pairs), &none()).unwrap_err().to_string()
    }

    #[test]
    fn nobody_gets_one_unasked_and_the_nearest_wins() {
        let file = config("on", "[init]\nenabled = true\n");
        let off = annotations(&[(INIT, "false")]);
        let on = annotations(&[(INIT, "true")]);
        let wanted = |flag, notes: &BTreeMap<String, String>, file: &Config| {
            find(flag, notes, file).unwrap().is_some()
        };
        assert!(!wanted(false, &annotations(&[]), &none()));
        assert!(wanted(true, &off, &none()) && wanted(false, &on, &none()));
        assert!(wanted(false, &annotations(&[]), &file) && !wanted(false, &off, &file));
    }

    #[test]
    fn defaults_annotations_and_file() {
        let defaults = find(true, &annotations(&[]), &none()).unwrap().unwrap();
        let plain = Resident {
            forward: Forward::Child,
            rewrite: vec![],
            stop_signal: 15,
            linger_ms: 2000,
            exit_remap: vec![],
        };
        assert_eq!(defaults, plain);
        let notes = annotations(&[
            (FORWARD, "group"),
            (REWRITE, "TERM=QUIT, rtmin+1=0"),
            (LINGER, "1m"),
            (EXIT_REMAP, "143=0,0=255"),
            (STOP_SIGNAL_ANNOTATION, "SIGINT"),
        ]);
        let file = config("how", "[init]\nenabled = true\nforward = 'all'\nlinger = '0'\n");
        let found = find(false, &notes, &file).unwrap().unwrap();
        let said = Resident {
            forward: Forward::Group,
            rewrite: vec![(15, 3), (35, 0)],
            stop_signal: 2,
            linger_ms: 60_000,
            exit_remap: vec![(143, 0), (0, 255)],
        };
        assert_eq!(found, said);
        let found = find(false, &annotations(&[]), &file).unwrap().unwrap();
        assert_eq!((found.forward, found.linger_ms), (Forward::All, 0));
    }

    #[test]
    fn bad_values_are_named_with_their_origin() {
        let text = "annotation dev.runsig.init: \"yes\": must be true or false";
        let notes = annotations(&[(INIT, "yes")]);
        assert_eq!(find(false, &notes, &none()).unwrap_err().to_string(), text);
        for (key, value, problem) in [
            (FORWARD, "everyone", "must be child, group or all"),
            (FORWARD, "", "must be child, group or all"),
            (REWRITE, "TERM", "\"TERM\" is not SIGNAL=SIGNAL"),
            (REWRITE, "TERM=NOPE", "unknown signal \"NOPE\""),
            (REWRITE, "KILL=TERM", "SIGKILL never reaches an init to be replaced"),
            (REWRITE, "CHLD=TERM", "SIGCHLD never reaches an init to be replaced"),
            (REWRITE, "TERM=INT,15=HUP", "\"15\" is replaced twice"),
            (LINGER, "soon", "not a time (10s, 500ms, 1m30s, or seconds)"),
            (LINGER, "-1s", "not a time (10s, 500ms, 1m30s, or seconds)"),
            (LINGER, "1000h", "longer than 30 days"),
            (EXIT_REMAP, "143", "\"143\" is not CODE=CODE"),
            (EXIT_REMAP, "143=256", "\"256\" is no exit code (0 to 255)"),
            (EXIT_REMAP, "+1=0", "\"+1\" is no exit code (0 to 255)"),
            (EXIT_REMAP, "1=0,1=2", "\"1\" is replaced twice"),
        ] {
            assert_eq!(bad(&[(key, value)]), format!("annotation {key}: {value:?}: {problem}"));
        }
        assert!(bad(&[(STOP_SIGNAL_ANNOTATION, "0")]).ends_with("signal 0 stops nothing"));
        assert!(bad(&[(STOP_SIGNAL_ANNOTATION, "FOO")]).contains("unknown signal"));
    }

    #[test]
    fn what_a_container_without_one_says_does_not_matter() {
        let notes = annotations(&[(LINGER, "soon"), (FORWARD, "nobody")]);
        assert_eq!(find(false, &notes, &none()).unwrap(), None);
        let file = config("bad", "[init]\nlinger = 'soon'\n");
        let message = find(true, &annotations(&[]), &file).unwrap_err().to_string();
        assert!(message.contains(": init.linger: \"soon\": not a time"), "{message}");
    }
}
