//! The verbs, one file each.
//!
//! Owns: which function a verb's name means. Must not: parse, log failures or choose exit codes
//! other than a container's own.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod signals;
mod spec;
mod start;
mod state;
mod stop;
mod update;
mod version;
mod wait;

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::session::Session;

pub(crate) use version::version;

/// Carries out a verb; returns the program's exit code.
pub(crate) fn run(name: &str, session: &Session<'_>, args: &Args) -> Result<u8> {
    match name {
        "create" => create::create(session, args).map(|()| 0),
        "start" => start::start(session, args).map(|()| 0),
        "run" => run::run(session, args),
        "state" => state::state(session, args).map(|()| 0),
        "kill" => kill::kill(session, args).map(|()| 0),
        "stop" => stop::stop(session, args),
        "signals" => signals::signals(session, args).map(|()| 0),
        "wait" => wait::wait(session, args),
        "delete" => delete::delete(session, args).map(|()| 0),
        "list" => list::list(session, args).map(|()| 0),
        "exec" => exec::exec(session, args),
        "ps" => ps::ps(session, args).map(|()| 0),
        "pause" => pause::pause(session, args).map(|()| 0),
        "resume" => pause::resume(session, args).map(|()| 0),
        "events" => events::events(session, args).map(|()| 0),
        "update" => update::update(session, args).map(|()| 0),
        "spec" => spec::spec(args).map(|()| 0),
        "features" => features::features(args).map(|()| 0),
        "checkpoint" => checkpoint::checkpoint(session, args).map(|()| 0),
        "restore" => checkpoint::restore(session, args),
        // The definitions of verbs are the other half of this list.
        _ => Err(Failure::new(format!("{name} is not implemented"))),
    }
}
