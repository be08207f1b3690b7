//! `create`: makes a container whose program waits for `start`.

use runsig_runtime::CreateOptions;

use crate::args::{Args, absolute};
use crate::failure::{Failure, Result};
use crate::session::Session;

pub(super) fn create(session: &Session<'_>, args: &Args) -> Result<()> {
    args.exactly(1)?;
    let make = || runsig_runtime::create::create(&session.globals, &options(args)?).map_err(Failure::from);
    make().map_err(|failure: Failure| failure.context("runsig create failed"))?;
    Ok(())
}

/// The options `create` and `run` share. Paths are made absolute here: the bundle becomes the
/// working directory later.
pub(super) fn options(args: &Args) -> Result<CreateOptions> {
    Ok(CreateOptions {
        id: args.first_id()?.to_owned(),
        bundle: absolute(&args.path("bundle").unwrap_or_default())?,
        config: args.absolute_path("config")?,
        pid_file: args.absolute_path("pid-file")?,
        console_socket: args.absolute_path("console-socket")?,
        pidfd_socket: args.absolute_path("pidfd-socket")?,
        no_pivot: args.flag("no-pivot"),
        no_new_keyring: args.flag("no-new-keyring"),
        preserve_fds: args.descriptors()?,
        init: args.flag("init"),
    })
}
