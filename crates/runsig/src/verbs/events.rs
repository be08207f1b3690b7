//! `events`: one line of JSON an event, as runc prints them.
//!
//! Owns: the form. Must not: read counters.

use std::time::Duration;

use runsig_runtime::events::{self, Event};
use serde::Serialize;

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::Session;

const INTERVAL: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

pub(super) fn events(session: &Session<'_>, args: &Args) -> Result<()> {
    let id = args.only_id()?;
    let interval = interval(args)?;
    if args.flag("stats") {
        let stats = events::stats(&session.store, id)?;
        return print("stats", id, Some(stats));
    }
    events::follow(&session.store, id, interval, |event| match event {
        Event::Stats(stats) => print("stats", id, Some(stats)),
        Event::Oom => print("oom", id, None::<()>),
    })
}

fn interval(args: &Args) -> Result<Duration> {
    let Some(text) = args.given("interval")? else { return Ok(INTERVAL) };
    let (negative, positive) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, &*text),
    };
    let interval = go_duration(positive).map_err(|why| {
        args.wrong(format!("invalid value {text:?} for flag -interval: time: {why} {text:?}"))
    })?;
    if negative || interval.is_zero() {
        return Err(Failure::new("duration interval must be greater than 0"));
    }
    Ok(interval)
}

/// A duration as runc reads it: numbers, fractions too, each with a unit; nothing but 0 may lack one.
fn go_duration(text: &str) -> std::result::Result<Duration, &'static str> {
    const INVALID: &str = "invalid duration";
    let mut total = Duration::ZERO;
    let mut rest = if text == "0" { "0s" } else { text };
    if rest.is_empty() {
        return Err(INVALID);
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let end = unit.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let number: f64 = number.parse().map_err(|_| INVALID)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err("missing unit in duration"),
            _ => return Err("unknown unit in duration"),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| INVALID)?;
        total = total.checked_add(part).ok_or(INVALID)?;
        rest = after;
    }
    Ok(total)
}

fn print<T: Serialize>(kind: &'static str, id: &str, data: Option<T>) -> Result<()> {
    output::print(&(output::compact_json(&Line { kind, id, data })? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let of = |text| go_duration(text).map(|time| time.as_micros());
        assert_eq!(of("5s"), Ok(5_000_000));
        assert_eq!(of("1.5s"), Ok(1_500_000));
        assert_eq!(of(".5m100us"), Ok(30_000_100));
        assert_eq!(of("0"), Ok(0));
        assert_eq!(of("5"), Err("missing unit in duration"));
        assert_eq!(of("5x"), Err("unknown unit in duration"));
        for bad in ["", "s", "soon", "1.2.3s", ".s", "5 s ", "999999999999999999999h"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
