//! `kill`: one signal, to init or to whom the flags and the policies name.

use runsig_runtime::Container;
use runsig_signal::broadcast::{self, Whom};
use runsig_signal::config::Config;
use runsig_signal::deliver;
use runsig_signal::policy::{KillFlags, KillPolicy};
use runsig_signal::target::send_exec;
use runsig_signal::{Signal, Target};

use super::delete::each_match;
use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::session::Session;
use crate::target;

pub(super) fn kill(session: &Session<'_>, args: &Args) -> Result<()> {
    args.at_least(1)?;
    let signal = args.optional_second()?;
    let id = args.first_id()?;
    let kill = |id: &str| kill_one(session, args, id, signal);
    if args.flag("regex") { each_match(session, id, kill) } else { kill(id) }
}

fn kill_one(session: &Session<'_>, args: &Args, id: &str, signal: Option<&str>) -> Result<()> {
    let container = session.load(id)?;
    let target = target::of(&container);
    let (signal, _) = target.default_signal(signal)?;
    if let Some(process) = args.given("exec")? {
        return send_to(&container, &target, &process, signal, args.flag("group"));
    }
    if args.flag("group") {
        return Err(Failure::new("--group needs --exec: it names the process whose group is meant"));
    }
    if args.flag("all") {
        // On a stopped container that is no error, as in runc.
        return Ok(broadcast::broadcast(&target, signal, Whom::All)?);
    }
    deliver(session, args, &target, signal)
}

fn deliver(session: &Session<'_>, args: &Args, target: &Target, signal: Signal) -> Result<()> {
    let (on_dropped, scope, rewrite) =
        (args.given("on-dropped")?, args.given("scope")?, args.given("rewrite")?);
    let flags =
        KillFlags { on_dropped: on_dropped.as_deref(), scope: scope.as_deref(), rewrite: rewrite.as_deref() };
    let policy = KillPolicy::find(signal, flags, &target.annotations, &Config::default())?;
    let delivery = deliver::deliver(target, signal, &policy)?;
    if let Some(warning) = delivery.warning {
        session.log.warning(&warning);
    }
    Ok(())
}

/// To a process of the container known by its PID on the host, or by the name `exec` gave it.
fn send_to(container: &Container, target: &Target, process: &str, signal: Signal, group: bool) -> Result<()> {
    if process.starts_with('-') || process.bytes().all(|b| b.is_ascii_digit()) {
        let pid = process.parse().ok().filter(|pid| *pid > 0);
        let pid =
            pid.ok_or_else(|| Failure::new(format!("--exec {process:?} is not the number of a process")))?;
        return Ok(target.send_pid(pid, signal, group)?);
    }
    let identity = container.named_process(process)?;
    Ok(send_exec(process, &identity, signal, group)?)
}
