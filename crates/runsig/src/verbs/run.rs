//! `run`: create, start, and in the foreground wait.

use runsig_runtime::RunOptions;

use super::create::options;
use crate::args::Args;
use crate::failure::{self, Failure, Result};
use crate::session::Session;

/// Returns the exit code of the container's program.
pub(super) fn run(session: &Session<'_>, args: &Args) -> Result<u8> {
    args.exactly(1)?;
    let run = || {
        let options = RunOptions {
            create: options(args)?,
            detach: args.flag("detach"),
            keep: args.flag("keep"),
            no_subreaper: args.flag("no-subreaper"),
        };
        runsig_runtime::run::run(&session.globals, &options).map_err(Failure::from)
    };
    run().map(exit_code).map_err(|failure| failure.context(&format!("{} run failed", failure::called_as())))
}

/// A program's exit code as ours: only the low eight bits exist.
pub(super) fn exit_code(code: i32) -> u8 {
    (code & 0xff) as u8
}
