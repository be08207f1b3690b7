//! CRIU's own log: where it says why.
//!
//! Owns: quoting it. Must not: fail because of it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::options::Globals;

/// How many lines before an error are quoted with it.
const CONTEXT: usize = 5;
/// A log with more errors than this is quoted only so far.
const MOST_LINES: usize = 200;

/// Warns of every line with "Error" and those before it, as runc does.
pub(super) fn quote(globals: &Globals, path: &Path) {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let why = runsig_sys::Errno::from_io(&error);
            return globals.warn(&format!("open {}: {why}", path.display()));
        }
    };
    let lines = errors(BufReader::new(file));
    if lines.is_empty() {
        return;
    }
    globals.warn(&format!("--- Quoting {:?}", path.display().to_string()));
    lines.iter().for_each(|line| globals.warn(line));
    globals.warn("---");
}

/// The lines to quote, numbered; `...` for a gap.
fn errors(log: impl BufRead) -> Vec<String> {
    let mut quoted = Vec::new();
    let mut recent = VecDeque::with_capacity(CONTEXT + 1);
    let mut printed = 0;
    for (index, line) in log.split(b'\n').map_while(std::result::Result::ok).enumerate() {
        let text = String::from_utf8_lossy(&line).into_owned();
        let is_error = text.contains("Error");
        if recent.len() > CONTEXT {
            recent.pop_front();
        }
        recent.push_back((index + 1, text));
        if !is_error {
            continue;
        }
        if printed > 0 && recent.front().is_some_and(|(number, _)| *number > printed + 1) {
            quoted.push("...".to_owned());
        }
        let new = recent.drain(..).filter(|(number, text)| *number > printed && !text.is_empty());
        quoted.extend(new.map(|(number, text)| format!("{number}:{text}")));
        printed = index + 1;
        if quoted.len() > MOST_LINES {
            break;
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_quoted_with_what_led_to_them() {
        let log: String = (1..=20)
            .map(
                |n| if n == 8 || n == 10 || n == 20 { format!("Error {n}\n") } else { format!("line {n}\n") },
            )
            .collect();
        let expected = [
            "3:line 3",
            "4:line 4",
            "5:line 5",
            "6:line 6",
            "7:line 7",
            "8:Error 8",
            "9:line 9",
            "10:Error 10",
            "...",
            "15:line 15",
            "16:line 16",
            "17:line 17",
            "18:line 18",
            "19:line 19",
            "20:Error 20",
        ];
        assert_eq!(errors(log.as_bytes()), expected);
        assert!(errors(&b"all\nis\nwell\n"[..]).is_empty());
        assert_eq!(errors(&b"\xff Error"[..]), ["1:\u{fffd} Error"]);
    }
}
