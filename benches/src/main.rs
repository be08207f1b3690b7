//! `runsig-bench`: Runsig beside its peers, verb by verb.
//!
//! Every row is measured in turns (one run of each runtime, then the next round), with a pause
//! before each run, because a tight loop hides the kernel's RCU waits. Medians are compared.
//! It runs in a private mount namespace with pure cgroup v2. `hack/bench` builds and starts it.

mod bundle;
mod call;
mod memory;
mod report;
mod rows;
mod sandbox;

use std::path::PathBuf;
use std::process::ExitCode;

use call::Peer;

struct Options {
    rounds: usize,
    /// Parts of the names of rows; none means all of them.
    only: Vec<String>,
    update: Option<PathBuf>,
    /// A target that is missed, or cannot be measured, is a failure.
    strict: bool,
    programs: Vec<PathBuf>,
}

const USAGE: &str = "usage: runsig-bench [--rounds N] [--only ROW]... [--update FILE] [--strict] RUNTIME...";

fn main() -> ExitCode {
    let result = options().and_then(|options| sandbox::inside().and_then(|inside| go(&options, inside)));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("runsig-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(options: &Options, inside: bool) -> Result<ExitCode, String> {
    if !inside {
        return sandbox::restart();
    }
    let peers = options.programs.iter().map(|program| Peer::new(program)).collect::<Result<Vec<_>, _>>()?;
    let mut table = report::Table::new(&peers);
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| name.contains(only));
    for row in rows::ROWS.iter().filter(|row| wanted(row.name)) {
        eprintln!("{} ...", row.name);
        table.add(row, rows::measure(row, &peers, options.rounds));
    }
    let text = table.markdown();
    println!("{text}");
    if let Some(file) = &options.update {
        report::update(file, &text, !options.only.is_empty())?;
    }
    Ok(if table.holds() || !options.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { rounds: 40, only: Vec::new(), update: None, strict: false, programs: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--rounds" => options.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?,
            "--only" => options.only.push(value()?),
            "--update" => options.update = Some(PathBuf::from(value()?)),
            "--strict" => options.strict = true,
            flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}\n{USAGE}")),
            program => options.programs.push(PathBuf::from(program)),
        }
    }
    if options.programs.is_empty() || options.rounds == 0 {
        return Err(USAGE.to_string());
    }
    Ok(options)
}
