//! `start`: lets the program of a created container begin.

use crate::args::Args;
use crate::failure::Result;
use crate::session::Session;

pub(super) fn start(session: &Session<'_>, args: &Args) -> Result<()> {
    Ok(runsig_runtime::start::start(&session.store, args.only_id()?)?)
}
