//! The container side of Runsig: from clone to execve.
//!
//! A program of its own, without the standard library or a C library: the runtime starts it from a
//! sealed memfd inside the new namespaces and sends it a plan over a socket. It makes what the plan
//! says, answers over the same socket, and becomes the container's program.
//!
//! Owns: everything that happens inside the container's namespaces. Must not: decide anything. The
//! plan has been checked and resolved; what cannot be done ends the init with a typed failure.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

use core::ffi::CStr;

use runsig_proto::InitPlan;
use runsig_proto::plan::Kind;

pub mod console;
pub mod create;
pub mod credentials;
pub mod env;
pub mod error;
pub mod exec;
pub mod find;
pub mod hooks;
pub mod namespaces;
pub mod placement;
pub mod procfs;
pub mod program;
pub mod resident;
pub mod rootfs;
pub mod security;
pub mod signals;
pub mod sync;
pub mod words;

/// The exit code when the program could not be run, as runc's init has it.
const FAILED: i32 = 255;

/// Runs the init: `socket` is the decimal number of the sync socket. It comes back only when
/// something failed, which the runtime or standard error has been told, with the exit code.
#[must_use]
pub fn run(socket: Option<&CStr>) -> i32 {
    if let Some(mut sync) = socket.and_then(sync::Sync::from_argument) {
        let failure = match begin(&sync) {
            Ok(plan) if plan.kind == Kind::Create => create::run(plan, &mut sync),
            Ok(plan) => exec::run(plan, &mut sync),
            Err(failure) => failure,
        };
        sync.report(failure);
    }
    FAILED
}

/// What comes before anything that could take time or give others a way to us.
fn begin(sync: &sync::Sync) -> error::Result<InitPlan> {
    signals::end_on_signals()?;
    security::hide_from_tracers()?;
    let plan = sync.plan()?;
    namespaces::keep_descriptors_in(&plan)?;
    Ok(plan)
}
