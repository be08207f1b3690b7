//! Stop plans: which signals, in which order, and how long each may take.
//!
//! Owns: reading and printing them. Must not: carry them out.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::duration;
use crate::names::Signal;

/// How long the default plan waits after the stop signal: what Docker and runc's callers wait.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// How long to wait for the end after a KILL without a time of its own.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(10);
/// More stages than this are a mistake.
const MOST_STAGES: usize = 16;

/// One step of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What is sent.
    pub signal: Signal,
    /// How long to wait for the end before the next stage begins.
    #[serde(rename = "waitMs", serialize_with = "millis")]
    pub wait: Duration,
}

pub(crate) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The stages of a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StopPlan {
    stages: Vec<Stage>,
}

impl StopPlan {
    /// KILL and nothing before it.
    #[must_use]
    pub fn kill() -> Self {
        Self { stages: vec![Stage { signal: Signal::KILL, wait: KILL_WAIT }] }
    }
    /// The stop signal, some time, KILL.
    #[must_use]
    pub fn simple(signal: Signal, wait: Duration) -> Self {
        let mut plan = Self::kill();
        if signal != Signal::KILL {
            plan.stages.insert(0, Stage { signal, wait });
        }
        plan
    }

    /// Reads `TERM:10s,INT:500ms,KILL`. Every stage but KILL needs a time; KILL comes last or not at
    /// all, and a plan without it leaves alive what outlives it.
    ///
    /// # Errors
    /// What is wrong, for a message that already shows the plan.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > MOST_STAGES {
            return Err(format!("more than {MOST_STAGES} stages"));
        }
        let stages = parts.iter().map(|part| stage(part)).collect::<Result<Vec<Stage>, String>>()?;
        let before_last = stages.split_last().map_or(&[][..], |(_, before)| before);
        if before_last.iter().any(|stage| stage.signal == Signal::KILL) {
            return Err("KILL can only be the last stage".to_owned());
        }
        Ok(Self { stages })
    }

    /// The stages.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    if text.is_empty() {
        return Err("an empty stage (write stages as SIGNAL:TIME, as in TERM:10s,KILL)".to_owned());
    }
    let (name, time) = text.split_once(':').map_or((text, None), |(name, time)| (name, Some(time)));
    let signal = Signal::parse(name).map_err(|unknown| unknown.to_string())?;
    if signal == Signal::PROBE {
        return Err("signal 0 stops nothing".to_owned());
    }
    let wait = match time {
        Some(time) => duration::parse(time).map_err(|problem| format!("{time:?} is {problem}"))?,
        None if signal == Signal::KILL => KILL_WAIT,
        None => return Err(format!("stage {text:?} needs a time, as in {}:10s", signal.name())),
    };
    Ok(Stage { signal, wait })
}

impl fmt::Display for StopPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, stage) in self.stages.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}", stage.signal.name())?;
            if stage.signal != Signal::KILL || stage.wait != KILL_WAIT {
                write!(f, ":{}", duration::print(stage.wait))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_printed() {
        for (text, printed) in [
            ("TERM:10s,KILL", "TERM:10s,KILL"),
            ("sigquit:500ms, 15:1m30s , KILL:3s", "QUIT:500ms,TERM:1m30s,KILL:3s"),
            ("KILL", "KILL"),
            ("RTMIN+3:0", "RTMIN+3:0s"),
        ] {
            let plan = StopPlan::parse(text).unwrap();
            assert_eq!(plan.to_string(), printed);
            assert_eq!(StopPlan::parse(printed), Ok(plan));
        }
        assert_eq!(StopPlan::simple(Signal::QUIT, DEFAULT_WAIT).to_string(), "QUIT:10s,KILL");
        assert_eq!(StopPlan::simple(Signal::KILL, DEFAULT_WAIT).to_string(), "KILL");
    }

    #[test]
    fn bad_plans_say_what_is_wrong() {
        for (text, problem) in [
            ("", "an empty stage"),
            ("TERM:10s,", "an empty stage"),
            ("TERM,KILL", "stage \"TERM\" needs a time"),
            ("KILL,TERM:1s", "KILL can only be the last stage"),
            ("FOO:1s", "unknown signal \"FOO\""),
            ("TERM:soon", "\"soon\" is not a time"),
            ("TERM:9999h", "\"9999h\" is longer than 30 days"),
            ("TERM:", "\"\" is not a time"),
            ("0:1s", "signal 0 stops nothing"),
            ("TERM:1s:2s", "\"1s:2s\" is not a time"),
        ] {
            let got = StopPlan::parse(text).unwrap_err();
            assert!(got.starts_with(problem), "{text}: {got}");
        }
        assert_eq!(StopPlan::parse(&["TERM:1s"; 17].join(",")), Err("more than 16 stages".to_owned()));
    }
}
