//! `stop`: takes containers through their stages and tells how each of their processes ended.

mod live;
mod report;

use std::io::IsTerminal;

use runsig_runtime::Container;
use runsig_signal::Target;
use runsig_signal::config::Config;
use runsig_signal::policy::{StopFlags, StopPolicy};
use runsig_signal::stop::{self, Request, Silent};
use runsig_sys::signal::{SigSet, set_mask, signalfd};
use runsig_sys::{Errno, OwnedFd};

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::pattern::Pattern;
use crate::session::Session;
use crate::target;

/// SIGHUP, SIGINT, SIGTERM: what ends a stop early.
const INTERRUPTS: [i32; 3] = [1, 2, 15];

/// Returns 0 when everything is stopped.
pub(super) fn stop(session: &Session<'_>, args: &Args) -> Result<u8> {
    let json = args.wants_json("text")?;
    // Whatever is wrong is found before the first signal is sent.
    let targets = targets(session, args)?;
    let policies = targets.iter().map(|target| policy(args, target)).collect::<Result<Vec<_>>>()?;
    let requests: Vec<_> =
        targets.iter().zip(policies).map(|(target, policy)| Request { target, policy }).collect();
    if args.flag("dry-run") {
        return dry_run(&requests, json).map(|()| 0);
    }
    let quiet = args.flag("quiet");
    let report = carry_out(&requests, !quiet && !json)?;
    match (quiet, json) {
        (_, true) => output::print(&(output::compact_json(&report)? + "\n"))?,
        (true, false) => {}
        (false, false) => output::print(&report::text(&report))?,
    }
    match u8::try_from(report.exit_code()).unwrap_or(1) {
        0 => Ok(0),
        code => Err(Failure::new(report::failure(&report)).exit_with(code)),
    }
}

fn targets(session: &Session<'_>, args: &Args) -> Result<Vec<Target>> {
    let mut ids = args.at_least(1)?.to_vec();
    if args.flag("regex") {
        ids = matching(session, &ids)?;
    }
    ids.sort_unstable();
    ids.dedup();
    ids.iter().map(|id| find(session, id)).collect()
}

fn matching(session: &Session<'_>, expressions: &[String]) -> Result<Vec<String>> {
    let patterns =
        expressions.iter().map(|text| Pattern::new(text)).collect::<std::result::Result<Vec<_>, _>>();
    let patterns = patterns.map_err(Failure::new)?;
    let mut ids = session.store.ids()?;
    ids.retain(|id| patterns.iter().any(|pattern| pattern.matches(id)));
    Ok(ids)
}

fn find(session: &Session<'_>, id: &str) -> Result<Target> {
    let load = || {
        let container: Container = session.load(id)?;
        target::with_status(&container)
    };
    load().map_err(|failure: Failure| failure.context(&format!("container {id:?}")))
}

fn policy(args: &Args, target: &Target) -> Result<StopPolicy> {
    let (timeout, plan) = (args.given("timeout")?, args.given("plan")?);
    if timeout.is_some() && plan.is_some() {
        return Err(Failure::new("--timeout and --plan exclude each other: a plan has times of its own"));
    }
    let (scope, on_dropped) = (args.given("scope")?, args.given("on-dropped")?);
    let flags = StopFlags {
        timeout: timeout.as_deref(),
        plan: plan.as_deref(),
        scope: scope.as_deref(),
        on_dropped: on_dropped.as_deref(),
    };
    Ok(StopPolicy::find(flags, &target.annotations, &Config::default())?)
}

fn carry_out(requests: &[Request<'_>], watched: bool) -> Result<stop::Report> {
    let interrupt = interrupt().map_err(|errno| Failure::new(format!("signalfd: {errno}")))?;
    let interrupt = Some(interrupt.as_fd());
    if watched && std::io::stderr().is_terminal() {
        let mut live = live::Line::new();
        return Ok(stop::run_stop(requests, interrupt, &mut live));
    }
    Ok(stop::run_stop(requests, interrupt, &mut Silent))
}

/// Readable once somebody wants the stop to end.
fn interrupt() -> std::result::Result<OwnedFd, Errno> {
    let signals = INTERRUPTS.into_iter().fold(SigSet::EMPTY, SigSet::with);
    set_mask(signals)?;
    signalfd(signals, true)
}

/// What a stop would do, and to whom.
fn dry_run(requests: &[Request<'_>], json: bool) -> Result<()> {
    let dry = requests.iter().map(stop::dry_run).collect::<runsig_signal::Result<Vec<_>>>()?;
    if json {
        return output::print(&(output::compact_json(&dry)? + "\n"));
    }
    output::print(&dry.iter().map(report::dry_text).collect::<String>())
}
