//! Where and how the program runs: scheduler, I/O priority, NUMA policy, CPUs, personality, limits.
//!
//! Owns: setting these on ourselves, who hand them on through exec. Must not: touch cgroups.

use runsig_proto::Op;
use runsig_proto::plan::Process;
use runsig_sys::process;
use runsig_sys::sched::{self, SchedAttr};

use crate::error::{During, Failure, Result};

/// Sets the resource limits: while we are still who may (prlimit(2) wants the same user or
/// CAP_SYS_RESOURCE), and late enough for them not to get in the way of the set-up. Where a user
/// namespace would forbid raising a hard limit, the runtime has raised it before.
///
/// # Errors
/// [`Op::Rlimit`] with the limit's number.
pub fn limit(process: &Process) -> Result<()> {
    process.rlimits.iter().try_for_each(|(resource, soft, hard)| {
        sched::prlimit(0, *resource, *soft, *hard).map_err(|errno| {
            Failure::at(Op::Rlimit, &crate::words::Text::new().number(*resource).into_cstring(), errno)
        })
    })
}

/// Sets what the plan asks for and leaves the rest.
///
/// # Errors
/// [`Op::Scheduler`], [`Op::IoPriority`], [`Op::Personality`], [`Op::MemoryPolicy`], [`Op::Affinity`].
pub fn apply(process: &Process) -> Result<()> {
    if let Some(wanted) = &process.scheduler {
        let attr = SchedAttr {
            size: 0,
            policy: wanted.policy,
            flags: wanted.flags,
            nice: wanted.nice,
            priority: wanted.priority,
            runtime: wanted.runtime,
            deadline: wanted.deadline,
            period: wanted.period,
        };
        sched::sched_setattr(&attr).during(Op::Scheduler)?;
    }
    if let Some((class, level)) = process.io_priority {
        sched::ioprio_set(class, level).during(Op::IoPriority)?;
    }
    if let Some(domain) = process.personality {
        process::personality(domain).during(Op::Personality)?;
    }
    if let Some((mode, nodes)) = &process.memory_policy {
        sched::set_mempolicy(*mode, nodes).during(Op::MemoryPolicy)?;
    }
    if let Some(mask) = &process.affinity {
        sched::sched_setaffinity(0, mask).during(Op::Affinity)?;
    }
    Ok(())
}
