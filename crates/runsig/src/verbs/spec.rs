//! `spec`: writes a config.json to start from.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use runsig_cgroup::{Host, Mode};
use runsig_sys::process;

use crate::args::Args;
use crate::failure::{Failure, Result};

const CONFIG: &str = "config.json";

pub(super) fn spec(args: &Args) -> Result<()> {
    args.exactly(0)?;
    let path = args.path("bundle").unwrap_or_default().join(CONFIG);
    let rootless = args.flag("rootless").then(|| (process::geteuid(), process::getegid()));
    let unified = Host::detect().is_ok_and(|host| host.mode() == Mode::Unified);
    let json = runsig_spec::default_spec(rootless, unified);
    // Opening it exclusively also covers what appears between a look and the writing.
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path).map_err(
        |error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::new(format!("File {CONFIG} exists. Remove it first"))
            }
            // runc makes the bundle its working directory.
            _ => Failure::io("chdir", path.parent().unwrap_or(&path), &error),
        },
    )?;
    file.write_all(json.as_bytes()).map_err(|error| Failure::io("write", &path, &error))
}
