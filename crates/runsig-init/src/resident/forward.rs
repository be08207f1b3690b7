//! Handing a signal on.
//!
//! Owns: who gets it. Must not: know how all processes of a container are reached.

use runsig_proto::plan::Forward;
use runsig_sys::process::{self, monotonic_ns};

use super::Resident;

impl Resident {
    /// Hands a signal on as the settings say. When the main process has ended everybody left gets it:
    /// a second stop signal is meant for whoever makes the stop take long.
    pub(super) fn forward(&mut self, signal: i32) {
        let signal = self.settings.rewritten(signal);
        match self.settings.forward {
            _ if self.ending.is_some() => drop(self.others.send(signal)),
            Forward::Child => self.signal_main(signal),
            Forward::Group => self.signal_group(signal),
            Forward::All => self.signal_all(signal),
        }
    }

    fn signal_main(&self, signal: i32) {
        // It has not been reaped, so the number is still its own. 0 only asks whether it is there.
        let _ = process::kill(self.main, signal);
    }

    /// The group is there as long as its leader has not been reaped, but for a moment at the start.
    fn signal_group(&self, signal: i32) {
        if process::kill(-self.main, signal).is_err() {
            self.signal_main(signal);
        }
    }

    /// The others first: when the main process ends by it, they have it already.
    fn signal_all(&mut self, signal: i32) {
        if !self.others.send(signal) {
            self.signal_group(signal);
        }
        if signal == self.settings.stop_signal() {
            self.told = Some(monotonic_ns());
        }
    }
}
