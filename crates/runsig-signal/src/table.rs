//! Every process of a container with what a signal would do to it.
//!
//! Owns: the rows of `signals ID [SIGNAL]`. Must not: send anything, or lay out text.

use std::collections::HashSet;

use serde::Serialize;

use crate::disposition::{Disposition, Dispositions, Prediction, Wait};
use crate::error::Result;
use crate::identity::{Identity, ProcessFd};
use crate::names::Signal;
use crate::policy::{OnDropped, StopScope};
use crate::procfs;
use crate::target::{PidNamespace, ResidentInit, Target};

/// What a stop would do to a process in its first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopWould {
    /// Send it the signal.
    Signal,
    /// Send it the signal because init would not get it.
    Forward,
    /// Nothing at first: it is an init that would not get the signal, and its children are asked in its
    /// place. When it does not end with them it is killed.
    Wait,
    /// Kill it at once: it is an init that would not get the signal, and nobody else can.
    Kill,
    /// Leave it to the kernel, which kills it when init ends.
    Zap,
    /// Kill it when init has ended: no kernel zaps a PID namespace that others use.
    KillAfterInit,
    /// Nothing: init is a resident one and hands it the signal.
    FromInit,
    /// Nothing: init is a resident one and sends it the stop signal when the main process has ended.
    AfterMain,
    /// Nothing: it has ended already.
    Nothing,
}

impl StopWould {
    /// The words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Signal => "gets the signal",
            Self::Forward => "gets the signal in init's place",
            Self::Wait => "ends with its children, or is killed",
            Self::Kill => "killed at once",
            Self::Zap => "zapped when init ends",
            Self::KillAfterInit => "killed when init has ended",
            Self::FromInit => "gets the signal from init",
            Self::AfterMain => "gets the stop signal when the main process has ended",
            Self::Nothing => "nothing",
        }
    }
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its number for us.
    pub pid: i32,
    /// Its number in its own PID namespace.
    pub inside: Option<i32>,
    /// Whether it is the container's init.
    pub init: bool,
    /// Whether it is the main process of a resident init.
    #[serde(skip_serializing_if = "is_false")]
    pub main: bool,
    /// Its command.
    pub command: String,
    /// What the signal would do to it.
    pub disposition: Disposition,
    /// How it waits for the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Whether the signal is pending already.
    pub pending: bool,
    /// What a stop would do to it.
    pub stop: StopWould,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Every process of the container, init first. Empty when it is stopped.
///
/// # Errors
/// When the processes cannot be listed.
pub fn table(target: &Target, signal: Signal, scope: StopScope, on_dropped: OnDropped) -> Result<Vec<Row>> {
    let init = target.find_init()?.map(|(init, _)| init);
    let (processes, _) = target.processes(&HashSet::new())?;
    let children = init.as_ref().map_or_else(Vec::new, |init| procfs::children(init.pid()));
    let init_pid = init.as_ref().map(ProcessFd::pid);
    let mut rows: Vec<Row> =
        processes.iter().filter_map(|process| row(process.pid(), init_pid, signal)).collect();
    let deaf = on_dropped != OnDropped::Warn
        && rows.iter().any(|row| row.init && row.disposition == Disposition::Dropped);
    let heirs = rows.iter().any(|row| children.contains(&row.pid));
    for row in &mut rows {
        row.stop = match (row.disposition, row.init, deaf) {
            (Disposition::Ended, ..) => StopWould::Nothing,
            (_, true, true) if on_dropped == OnDropped::Kill || !heirs => StopWould::Kill,
            (_, true, true) => StopWould::Wait,
            (_, false, _) if scope != StopScope::Init => StopWould::Signal,
            (_, false, true) if on_dropped == OnDropped::Forward && children.contains(&row.pid) => {
                StopWould::Forward
            }
            (_, false, _) if target.pid_namespace == PidNamespace::Own => StopWould::Zap,
            (_, false, _) => StopWould::KillAfterInit,
            (_, true, _) => StopWould::Signal,
        };
    }
    if let Some(resident) = target.resident {
        rows.iter_mut().for_each(|row| under_resident(row, resident, scope));
    }
    rows.sort_by_key(|row| (!row.init, !row.main, row.pid));
    Ok(rows)
}

/// What is different where init is a resident one.
fn under_resident(row: &mut Row, resident: ResidentInit, scope: StopScope) {
    row.main = resident.main.is_some_and(|main| main.pid == row.pid && Identity::of(row.pid) == Some(main));
    // Whether it waits right now or is about to: it takes every signal there is.
    if row.init && matches!(row.disposition, Disposition::WaitedFor | Disposition::BlockedQueued) {
        (row.disposition, row.wait) = (Disposition::Handled, None);
    }
    row.stop = match row.stop {
        StopWould::Nothing => StopWould::Nothing,
        _ if row.init || scope != StopScope::Init => StopWould::Signal,
        _ if row.main || resident.forwards_to_all => StopWould::FromInit,
        zapped if resident.hurries => zapped,
        _ => StopWould::AfterMain,
    };
}

fn row(pid: i32, init: Option<i32>, signal: Signal) -> Option<Row> {
    let all = Dispositions::of(pid)?;
    let Prediction { disposition, wait } = all.predict(signal);
    Some(Row {
        pid,
        inside: all.inside(),
        init: init == Some(pid),
        main: false,
        command: procfs::command(pid),
        disposition,
        wait,
        pending: all.is_pending(signal),
        stop: StopWould::Signal,
    })
}
