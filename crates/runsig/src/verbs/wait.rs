//! `wait`: until the container has ended.

use runsig_runtime::Status;
use runsig_signal::wait::{self, Waited};

use super::run::exit_code;
use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::Session;
use crate::target;

/// Prints and returns init's exit code.
pub(super) fn wait(session: &Session<'_>, args: &Args) -> Result<u8> {
    let id = args.only_id()?;
    let container = session.load(id)?;
    let target = target::of(&container);
    if target.creator.is_some() && container.status()? == Status::Creating {
        return Err(Failure::new(format!("container {id} is being created: it has no init yet")));
    }
    let Waited::Ended(status) = wait::wait(&target, None)? else {
        return Err(Failure::new("the wait was interrupted"));
    };
    let Some(status) = status else {
        return Err(Failure::new(format!("container {id} has ended; its exit code is unknown")));
    };
    output::print(&format!("{}\n", status.shell_code()))?;
    Ok(exit_code(status.shell_code()))
}
