//! `signals`: what each process of a container would do with a signal, and what a stop would do.

use runsig_signal::policy::{OnDropped, StopScope};
use runsig_signal::table::{self, Row};

use crate::args::Args;
use crate::failure::Result;
use crate::output;
use crate::session::Session;
use crate::target;

pub(super) fn signals(session: &Session<'_>, args: &Args) -> Result<()> {
    args.at_least(1)?;
    let signal = args.optional_second()?;
    let json = args.wants_json("table")?;
    let target = target::of(&session.load(args.first_id()?)?);
    let (signal, _) = target.default_signal(signal)?;
    let rows = table::table(&target, signal, StopScope::Init, OnDropped::Forward)?;
    if json {
        return output::print(&(output::compact_json(&rows)? + "\n"));
    }
    output::print(&as_table(&signal.to_string(), &rows))
}

fn as_table(signal: &str, rows: &[Row]) -> String {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    output::table(["PID", "INSIDE", signal, "A STOP WITH IT", "COMMAND"], &cells)
}

/// A row for people; the same columns serve a stop's dry run.
pub(super) fn cells(row: &Row) -> [String; 5] {
    let pending = if row.pending { ", pending" } else { "" };
    [
        row.pid.to_string(),
        row.inside.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        format!("{}{pending}", row.disposition.word()),
        row.stop.words().to_owned(),
        match (row.main, row.command.as_str()) {
            (true, command) => format!("{} (main)", printable(command)),
            (false, command) => printable(command),
        },
    ]
}

/// A process chooses its own command line: it must not be able to drive the terminal with it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
