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
    let Some(text) = args.text("interval")? else { return Ok(INTERVAL) };
    let (negative, positive) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, &*text),
    };
    let interval = runsig_signal::duration::parse(positive).map_err(|_| {
        let message = format!("invalid value {text:?} for flag -interval: time: invalid duration {text:?}");
        args.wrong(message)
    })?;
    if negative || interval.is_zero() {
        return Err(Failure::new("duration interval must be greater than 0"));
    }
    Ok(interval)
}

fn print<T: Serialize>(kind: &'static str, id: &str, data: Option<T>) -> Result<()> {
    output::print(&(output::compact_json(&Line { kind, id, data })? + "\n"))
}
