//! What signals do to us while we set up and wait.
//!
//! Owns: the handlers. Must not: outlive exec, which puts every handler back to the default.

use runsig_proto::Op;
use runsig_sys::signal::{Action, NSIG, SigSet, set_action};

use crate::error::{During, Result};

/// Signals whose default action does not end a process: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG,
/// WINCH (signal(7)). KILL is here because nobody can handle it.
const NOT_ENDING: &[i32] = &[9, 17, 18, 19, 20, 21, 22, 23, 28];

/// Makes every signal that would end another process end us too. Without a handler the kernel
/// drops them for PID 1 of a namespace (SIGNAL_UNKILLABLE), and a created container could not be
/// stopped by anything but SIGKILL.
///
/// # Errors
/// [`Op::Session`].
pub fn end_on_signals() -> Result<()> {
    ending().try_for_each(|signal| set_action(signal, Action::Exit)).during_at(Op::Session, c"signals")
}

fn ending() -> impl Iterator<Item = i32> {
    let spared = NOT_ENDING.iter().fold(SigSet::EMPTY, |set, signal| set.with(*signal));
    (1..=NSIG).filter(move |signal| !spared.has(*signal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn stopping_and_harmless_signals_are_spared() {
        let ending: Vec<i32> = ending().collect();
        for signal in [1, 2, 3, 10, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 64] {
            assert!(ending.contains(&signal), "{signal}");
        }
        assert_eq!(ending.len(), 64 - NOT_ENDING.len());
        assert!(NOT_ENDING.iter().all(|signal| !ending.contains(signal)));
    }
}
