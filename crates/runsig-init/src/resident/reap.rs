//! Reaping: no zombie stays, whoever's child it was.
//!
//! Owns: how many are reaped before signals get their turn. Must not: wait for anybody.

use runsig_sys::Errno;
use runsig_sys::process::{self, WaitFor};

use super::Resident;

/// A fork bomb ends children as fast as we reap them.
const AT_ONCE: u32 = 256;

impl Resident {
    /// Reaps what has ended, and notes when the main process is among it.
    pub(super) fn reap(&mut self) {
        for _ in 0..AT_ONCE {
            match process::wait(WaitFor::Any, true) {
                Ok(Some((pid, status))) if pid == self.main && self.ending.is_none() => {
                    self.main_has_ended(status);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => {
                    self.unreaped = false;
                    return;
                }
            }
        }
        self.unreaped = true;
    }
}

/// Whether there is any child, alive or not. As PID 1 or a subreaper we are the parent of every
/// orphan, so nobody descends from us when there is none.
pub(super) fn has_children() -> bool {
    // One that has ended since the last reaping is reaped here; then there may be more.
    process::wait(WaitFor::Any, true) != Err(Errno::ECHILD)
}
