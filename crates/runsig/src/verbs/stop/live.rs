//! The live line of a stop on a terminal: the stage, the countdown, who is left.

use std::io::Write;
use std::time::Duration;

use runsig_signal::stop::{Event, Observer, Progress};
use runsig_sys::{BorrowedFd, term};

use crate::verbs::signals::printable;

/// How often the countdown changes.
const EVERY: Duration = Duration::from_millis(100);
/// Where a terminal does not tell its width.
const COLUMNS: usize = 80;
/// Back to the first column, and clear the line.
const CLEAR: &str = "\r\u{1b}[K";

/// One line on standard error, rewritten in place.
pub(super) struct Line {
    shown: bool,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { shown: false }
    }

    fn clear(&mut self) {
        if self.shown {
            self.write(CLEAR);
            self.shown = false;
        }
    }

    fn write(&self, text: &str) {
        // A terminal that went away must not end the stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl Observer for Line {
    fn event(&mut self, _id: &str, event: &Event<'_>) {
        if matches!(event, Event::Done(_)) {
            self.clear();
        }
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn tick(&mut self, progress: &[Progress<'_>]) {
        if progress.is_empty() {
            return self.clear();
        }
        let text: Vec<_> = progress.iter().map(one).collect();
        self.write(&format!("{CLEAR}{}", fitting(&text.join("  |  "), columns())));
        self.shown = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

fn one(progress: &Progress<'_>) -> String {
    let Progress { id, signal, left, alive } = progress;
    let signal = signal.map_or_else(|| "ending".to_owned(), |signal| signal.to_string());
    let who: Vec<_> = alive.iter().map(|(pid, command)| format!("{pid} {}", printable(command))).collect();
    let tenths = left.as_millis().div_ceil(100);
    format!("{id}: {signal}, {}.{} s, {} left: {}", tenths / 10, tenths % 10, alive.len(), who.join(", "))
}

fn columns() -> usize {
    match term::size(BorrowedFd::from_raw(2)) {
        Ok((_, columns)) if columns > 0 => usize::from(columns),
        _ => COLUMNS,
    }
}

/// Cut so that it never wraps: a wrapped line cannot be cleared.
fn fitting(text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room.saturating_sub(3)).collect();
    cut.push_str("...");
    cut
}

#[cfg(test)]
mod tests {
    use runsig_signal::Signal;

    use super::*;

    #[test]
    fn the_line_says_what_is_waited_for() {
        let progress = Progress {
            id: "c",
            signal: Some(Signal::TERM),
            left: Duration::from_millis(7249),
            alive: vec![(7, "sh"), (8, "sleep\u{1b}[2J")],
        };
        assert_eq!(one(&progress), "c: SIGTERM, 7.3 s, 2 left: 7 sh, 8 sleep?[2J");
    }

    #[test]
    fn it_never_wraps() {
        assert_eq!(fitting("123456", 7), "123456");
        assert_eq!(fitting("1234567", 7), "123...");
        assert_eq!(fitting("1234567", 0), "...");
    }
}
