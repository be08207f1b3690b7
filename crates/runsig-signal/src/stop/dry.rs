//! What a stop would do, without doing it.
//!
//! Owns: the data of `stop --dry-run`. Must not: send anything.

use serde::Serialize;

use super::Request;
use crate::error::Result;
use crate::identity::Life;
use crate::names::Signal;
use crate::plan::StopPlan;
use crate::policy::{OnDropped, StopScope};
use crate::table::{Row, table};

/// What a stop would do to one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Its name.
    pub id: String,
    /// Whether there is anything to stop.
    pub running: bool,
    /// Whether it would be thawed after the first signal.
    pub paused: bool,
    /// The stages; a created container gets KILL only.
    pub stages: StopPlan,
    /// Whom they would reach.
    pub scope: StopScope,
    /// What would be done about a signal that init would not get.
    pub on_dropped: OnDropped,
    /// Its processes with what the first stage would do to each.
    pub processes: Vec<Row>,
}

/// Looks at one container.
///
/// # Errors
/// When its processes cannot be listed.
pub fn dry_run(request: &Request<'_>) -> Result<DryRun> {
    let (target, policy) = (request.target, &request.policy);
    let plan = request.plan();
    let first = plan.stages().first().map_or(Signal::TERM, |stage| stage.signal);
    Ok(DryRun {
        id: target.id.clone(),
        running: target.find_init()?.is_some_and(|(_, life)| life == Life::Running),
        paused: target.is_paused()?,
        stages: plan,
        scope: policy.scope,
        on_dropped: policy.on_dropped,
        processes: table(target, first, policy.scope, policy.on_dropped)?,
    })
}
