//! `runsig`, the program: what is typed becomes one call of the runtime or of the stop engine, and
//! what comes back becomes output and an exit code.
//!
//! Owns: the order of a call, from the globals to the exit code. Must not: make system calls, or
//! hold logic that a verb or another crate could own.
#![cfg_attr(not(test), no_main)]

mod args;
mod by_clap;
mod failure;
mod given;
mod go_flags;
mod help;
mod log;
mod output;
mod pattern;
mod session;
mod target;
mod verbs;

use args::{Args, Invocation};
use failure::{Failure, Result};
use log::{Format, Log};
use runsig::cli;
use session::Session;

/// The exit code runc has for a verb it does not know.
const UNKNOWN_VERB: u8 = 3;

#[global_allocator]
static HEAP: runsig_sys::heap::Heap = runsig_sys::heap::Heap::new();

#[cfg(not(test))]
runsig_sys::program!(program);

/// The test harness brings its own; this one only keeps what it calls from being unused.
#[cfg(test)]
fn main() {
    std::process::exit(program().into());
}

/// From the command line to the exit code.
fn program() -> u8 {
    match Invocation::parse(runsig_sys::entry::arguments()) {
        Ok(invocation) => call(&invocation),
        // Nothing is known of a log file when the globals cannot be parsed.
        Err(failure) => report(&Log::to_stderr(Format::Text, false), &failure),
    }
}

fn call(invocation: &Invocation) -> u8 {
    if invocation.wants_version() {
        return finish(&Log::to_stderr(Format::Text, false), verbs::version());
    }
    let Some((name, rest)) = invocation.verb().filter(|_| !invocation.wants_help()) else {
        return finish(&Log::to_stderr(Format::Text, false), show_help(None));
    };
    match open_log(invocation) {
        Ok(log) => {
            // One call, one log: it lives as long as the program, and so may what logs to it.
            let log: &'static Log = Box::leak(Box::new(log));
            let outcome = dispatch(invocation, log, name, rest);
            finish(log, outcome)
        }
        Err(failure) => report(&Log::to_stderr(Format::Text, false), &failure),
    }
}

fn open_log(invocation: &Invocation) -> Result<Log> {
    let (format, debug) = (invocation.log_format()?, invocation.debug());
    match invocation.log_file() {
        Some(path) => Log::to_file(&path, format, debug),
        None => Ok(Log::to_stderr(format, debug)),
    }
}

fn dispatch(
    invocation: &Invocation,
    log: &'static Log,
    name: &str,
    rest: &[std::ffi::OsString],
) -> Result<u8> {
    if name == "help" || name == "h" {
        let about = rest.first().map(|verb| verb.to_string_lossy().into_owned());
        return show_help(about.as_deref());
    }
    let verb = cli::find(name).ok_or_else(|| unknown_verb(name))?;
    let args = Args::parse(verb, rest.to_vec())?;
    if args.flag("help") {
        return show_help(Some(name));
    }
    let session = Session::new(invocation, log)?;
    if invocation.debug() {
        log.debug(&format!("{name}: {:?}", session.globals));
    }
    verbs::run(name, &session, &args)
}

fn unknown_verb(name: &str) -> Failure {
    Failure::new(format!("No help topic for '{name}'")).exit_with(UNKNOWN_VERB)
}

/// The help of the program, or of one verb.
fn show_help(verb: Option<&str>) -> Result<u8> {
    let text = match verb {
        None => help::of_program(),
        Some(name) => help::of_verb(cli::find(name).ok_or_else(|| unknown_verb(name))?),
    };
    output::print(&text)?;
    Ok(0)
}

fn finish(log: &Log, outcome: Result<u8>) -> u8 {
    match outcome {
        Ok(code) => code,
        Err(failure) => report(log, &failure),
    }
}

/// Says why a call failed: for a wrong command line the help on standard output, then the one
/// error line every caller looks for.
fn report(log: &Log, failure: &Failure) -> u8 {
    if let Some((note, verb)) = failure.incorrect_usage() {
        let separator = if note.is_empty() { "." } else { ": " };
        // The error line matters more than the help: a closed standard output must not replace it.
        let _ =
            output::print(&format!("Incorrect Usage{separator}{note}\n\n")).and_then(|()| show_help(verb));
    }
    log.failure(&failure.to_string());
    failure.code()
}
