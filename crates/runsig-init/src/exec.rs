//! One more process in a running container, from its plan to the program.
//!
//! Owns: the order. The one who spawned us has entered the namespaces already, all but those in the
//! plan. Must not: change anything that the container's other processes see.

use runsig_proto::{InitPlan, Op};
use runsig_sys::process;

use crate::error::{During, Failure, Result};
use crate::procfs::ProcFs;
use crate::sync::Sync;
use crate::{console, namespaces, program, security};

/// Becomes the program. Returns only on failure.
pub fn run(plan: InitPlan, sync: &mut Sync) -> Failure {
    match join(&plan) {
        Ok(()) => program::start(plan, sync),
        Err(failure) => failure,
    }
}

fn join(plan: &InitPlan) -> Result<()> {
    let procfs = &mut ProcFs::default();
    namespaces::enter(&plan.namespaces, procfs)?;
    process::setsid().during_at(Op::Session, c"setsid")?;
    security::join_keyring(plan, procfs)?;
    console::set_up(plan, |_| Ok(()))?;
    program::confine(plan, procfs)
}
