//! Times as people write them.
//!
//! Owns: `10s`, `500ms`, `1m30s`, `2h`, and bare seconds. Must not: read clocks.

use std::time::Duration;

/// Longer than any stop should wait: a slip of the finger, not a wish.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a time: parts of a number and one of h, m, s, ms, without blanks, or a bare number of seconds.
///
/// # Errors
/// What is wrong with it, for a message that already shows the text.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    const FORMS: &str = "not a time (10s, 500ms, 1m30s, or seconds)";
    const TOO_LONG: &str = "longer than 30 days";
    let mut rest = text;
    let mut total = Duration::ZERO;
    if text.is_empty() {
        return Err(FORMS);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let letters = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = unit.split_at(letters);
        if number.is_empty() {
            return Err(FORMS);
        }
        let number: u64 = number.parse().map_err(|_| TOO_LONG)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" if digits == text.len() => 1000,
            _ => return Err(FORMS),
        };
        let part = Duration::from_millis(number.checked_mul(millis).ok_or(TOO_LONG)?);
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(total)
}

/// Prints a time so that [`parse`] reads it back: `10s`, `500ms`, `1m30s`.
#[must_use]
pub fn print(time: Duration) -> String {
    let millis = time.as_millis();
    let (minutes, seconds, millis) = (millis / 60_000, millis / 1000 % 60, millis % 1000);
    let mut text = String::new();
    for (number, unit) in [(minutes, "m"), (seconds, "s"), (millis, "ms")] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        for (text, millis, printed) in [
            ("10s", 10_000, "10s"),
            ("500ms", 500, "500ms"),
            ("1m30s", 90_000, "1m30s"),
            ("7", 7_000, "7s"),
            ("0", 0, "0s"),
            ("2h", 7_200_000, "120m"),
            ("1500ms", 1_500, "1s500ms"),
        ] {
            let time = parse(text).unwrap();
            assert_eq!((time.as_millis(), print(time).as_str()), (millis, printed));
            assert_eq!(parse(printed), Ok(time));
        }
    }

    #[test]
    fn nonsense_and_absurd_times_are_refused() {
        for text in ["", "s", "10 s", "-1", "-1s", "1.5s", "10s5", "1d", "1e3", "10S", "∞", "ten", "+5s"] {
            assert!(parse(text).unwrap_err().starts_with("not a time"), "{text}");
        }
        for text in ["31000000000000000000s", "721h", "2592001", "18446744073709551615h", "999999999"] {
            assert_eq!(parse(text), Err("longer than 30 days"), "{text}");
        }
        assert_eq!(parse("720h"), Ok(LONGEST));
    }
}
