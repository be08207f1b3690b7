//! `pause` and `resume`: the cgroup freezer.

use crate::args::Args;
use crate::failure::Result;
use crate::session::Session;

pub(super) fn pause(session: &Session<'_>, args: &Args) -> Result<()> {
    Ok(runsig_runtime::pause::pause(&session.store, args.only_id()?)?)
}

pub(super) fn resume(session: &Session<'_>, args: &Args) -> Result<()> {
    Ok(runsig_runtime::pause::resume(&session.store, args.only_id()?)?)
}
