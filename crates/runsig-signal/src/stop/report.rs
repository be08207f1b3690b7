//! What a stop did, process by process.
//!
//! Owns: the data of the report, as people and programs get it. Must not: find anything out.

use runsig_sys::process::ExitStatus;
use serde::Serialize;

use crate::names::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum End {
    /// It exited by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// Which.
        signal: Signal,
        /// Whether it left a core dump.
        core: bool,
    },
    /// The stop killed it because it had not ended in time (or could not be asked).
    KilledByStage,
    /// The kernel killed it when init ended.
    Zapped,
    /// It has ended, and the kernel does not tell how.
    Unknown,
}

impl End {
    /// Judges an exit status by what the stop did. `zapped`: the process was in the PID namespace of
    /// an init that has ended or was killed.
    #[must_use]
    pub fn judge(status: Option<ExitStatus>, sent: &[Sent], zapped: bool) -> Self {
        const SIGKILL: i32 = 9;
        match status {
            None => Self::Unknown,
            Some(ExitStatus::Exited(code)) => Self::Exited { code },
            Some(ExitStatus::Killed { signal: SIGKILL, .. })
                if sent.iter().any(|sent| sent.signal == Signal::KILL) =>
            {
                Self::KilledByStage
            }
            Some(ExitStatus::Killed { signal: SIGKILL, .. }) if zapped => Self::Zapped,
            Some(ExitStatus::Killed { signal, core }) => match Signal::from_number(signal) {
                Some(signal) => Self::Killed { signal, core },
                None => Self::Unknown,
            },
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exited {code}"),
            Self::Killed { signal, core: false } => write!(f, "killed by {signal}"),
            Self::Killed { signal, core: true } => write!(f, "killed by {signal}, core dumped"),
            Self::KilledByStage => f.write_str("killed by stage"),
            Self::Zapped => f.write_str("zapped when init ended"),
            Self::Unknown => f.write_str("ended, unknown how"),
        }
    }
}

/// A signal sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Which.
    pub signal: Signal,
    /// Milliseconds after the stop began.
    pub at_ms: u64,
}

/// One process of a stopped container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessReport {
    /// Its number for us.
    pub pid: i32,
    /// Its number in its own PID namespace.
    pub inside: Option<i32>,
    /// Whether it is init.
    pub init: bool,
    /// Its command.
    pub command: String,
    /// What it was sent.
    pub sent: Vec<Sent>,
    /// How it ended; none while it is alive.
    pub end: Option<End>,
    /// When it had ended, in milliseconds after the stop began.
    pub after_ms: Option<u64>,
}

/// How a container's stop went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing of it lives any more.
    Stopped,
    /// Nothing of it lived.
    AlreadyStopped,
    /// Something of it lives on.
    StillRunning {
        /// What keeps it, when more is known than its processes.
        cause: Option<String>,
    },
    /// Somebody interrupted the stop before that.
    Interrupted,
    /// The stop could not be carried out.
    Failed {
        /// Why.
        error: String,
    },
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerReport {
    /// Its name.
    pub id: String,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What a shell would say of init's end: its exit code, or 128+n; none where the kernel does not
    /// tell.
    pub exit_code: Option<i32>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What there is to say beyond the numbers, in order.
    pub notes: Vec<String>,
    /// Its processes, init first.
    pub processes: Vec<ProcessReport>,
    /// How many more there were than descriptors to watch them with.
    pub unwatched: usize,
}

impl ContainerReport {
    /// Its processes that are alive.
    pub fn alive(&self) -> impl Iterator<Item = &ProcessReport> {
        self.processes.iter().filter(|process| process.end.is_none())
    }
}

/// A whole `stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The containers, in the order they were given in.
    pub containers: Vec<ContainerReport>,
}

impl Report {
    /// 130 when it was interrupted, 1 when anything is alive or failed, else 0.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        let outcomes = || self.containers.iter().map(|container| &container.outcome);
        let stopped = |outcome: &Outcome| matches!(outcome, Outcome::Stopped | Outcome::AlreadyStopped);
        if outcomes().any(|outcome| *outcome == Outcome::Interrupted) {
            130
        } else if outcomes().all(stopped) {
            0
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_judged_by_what_was_sent() {
        let kill9 = Some(ExitStatus::Killed { signal: 9, core: false });
        let sent = |signal| vec![Sent { signal, at_ms: 1 }];
        assert_eq!(End::judge(kill9, &sent(Signal::KILL), true), End::KilledByStage);
        assert_eq!(End::judge(kill9, &sent(Signal::TERM), true), End::Zapped);
        let foreign = End::judge(kill9, &sent(Signal::TERM), false);
        assert_eq!(foreign.to_string(), "killed by SIGKILL");
        let core = Some(ExitStatus::Killed { signal: 3, core: true });
        assert_eq!(End::judge(core, &[], true).to_string(), "killed by SIGQUIT, core dumped");
        assert_eq!(End::judge(Some(ExitStatus::Exited(7)), &[], true).to_string(), "exited 7");
        assert_eq!(End::judge(None, &[], true), End::Unknown);
    }

    #[test]
    fn the_json_is_flat_and_named() {
        let report = Report {
            containers: vec![ContainerReport {
                id: "c".into(),
                outcome: Outcome::StillRunning { cause: None },
                exit_code: None,
                took_ms: 3,
                notes: vec![],
                processes: vec![ProcessReport {
                    pid: 9,
                    inside: Some(1),
                    init: true,
                    command: "sh".into(),
                    sent: vec![Sent { signal: Signal::TERM, at_ms: 0 }],
                    end: Some(End::Killed { signal: Signal::TERM, core: false }),
                    after_ms: Some(2),
                }],
                unwatched: 0,
            }],
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            "[{\"id\":\"c\",\"outcome\":\"still-running\",\"cause\":null,\"exitCode\":null,\"tookMs\":3,\
             \"notes\":[],\"processes\":[{\"pid\":9,\"inside\":1,\"init\":true,\"command\":\"sh\",\
             \"sent\":[{\"signal\":\"SIGTERM\",\"atMs\":0}],\"end\":{\"how\":\"killed\",\"signal\":\"SIGTERM\",\
             \"core\":false},\"afterMs\":2}],\"unwatched\":0}]"
        );
        assert_eq!(report.exit_code(), 1);
    }
}
