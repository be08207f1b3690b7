//! What the resident init was told, in tables of a fixed size.
//!
//! Owns: looking signals and exit codes up without memory of its own.
//! Must not: refuse anything; the runtime has checked it all.

use runsig_proto::plan::{Forward, Resident};
use runsig_sys::signal::NSIG;

/// Numbers of signals: 0 to 64.
const SIGNALS: usize = NSIG as usize + 1;
/// Exit codes: 0 to 255.
const CODES: usize = 256;

/// A stop signal that everybody was sent less than this long ago need not be sent again: longer than
/// a shell takes to end by it, shorter than anybody takes to start something new and forget it.
pub(super) const JUST_NS: u64 = 10_000_000_000;

/// See [`Resident`].
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) forward: Forward,
    stop_signal: u8,
    linger_ms: u64,
    signals: [u8; SIGNALS],
    codes: [u8; CODES],
}

impl Settings {
    pub(super) fn new(wanted: &Resident) -> Self {
        Self {
            forward: wanted.forward.clone(),
            stop_signal: wanted.stop_signal as u8,
            linger_ms: wanted.linger_ms,
            signals: table(&wanted.rewrite),
            codes: table(&wanted.exit_remap),
        }
    }

    /// The signal to hand on for this one; 0 for none.
    pub(super) fn rewritten(&self, signal: i32) -> i32 {
        lookup(&self.signals, signal)
    }

    /// What the others are sent when the main process has ended; 0 for nothing.
    pub(super) fn stop_signal(&self) -> i32 {
        self.rewritten(i32::from(self.stop_signal))
    }

    /// The code to end with for the main process's.
    pub(super) fn exit_code(&self, code: i32) -> i32 {
        lookup(&self.codes, code)
    }

    pub(super) fn linger_ns(&self) -> u64 {
        self.linger_ms.saturating_mul(1_000_000)
    }
}

/// Every number stands for itself, but for those in `changes`.
fn table<const N: usize>(changes: &[(u32, u32)]) -> [u8; N] {
    let mut table = [0; N];
    for (number, entry) in table.iter_mut().enumerate() {
        *entry = number as u8;
    }
    for (from, to) in changes {
        if let Some(entry) = table.get_mut(*from as usize) {
            *entry = *to as u8;
        }
    }
    table
}

fn lookup(table: &[u8], number: i32) -> i32 {
    let entry = usize::try_from(number).ok().and_then(|index| table.get(index));
    entry.map_or(number, |entry| i32::from(*entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn settings() -> Settings {
        Settings::new(&Resident {
            forward: Forward::Group,
            rewrite: vec![(15, 3), (1, 0), (64, 34), (9999, 1)],
            stop_signal: 15,
            linger_ms: 2000,
            exit_remap: vec![(143, 0), (0, 255), (9999, 1)],
        })
    }

    #[test]
    fn signals_stand_for_themselves_or_for_what_was_said() {
        let settings = settings();
        for (from, to) in [(15, 3), (1, 0), (64, 34), (2, 2), (34, 34), (63, 63)] {
            assert_eq!(settings.rewritten(from), to, "{from}");
        }
        assert_eq!(settings.stop_signal(), 3, "the stop signal is rewritten too");
    }

    #[test]
    fn exit_codes_too() {
        let settings = settings();
        for (from, to) in [(143, 0), (0, 255), (137, 137), (255, 255), (1, 1)] {
            assert_eq!(settings.exit_code(from), to, "{from}");
        }
    }

    #[test]
    fn the_longest_time_is_no_overflow() {
        let endless = Settings { linger_ms: u64::MAX, ..settings() };
        assert_eq!((settings().linger_ns(), endless.linger_ns()), (2_000_000_000, u64::MAX));
    }
}
