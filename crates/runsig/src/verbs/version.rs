//! `--version`.

use crate::failure::Result;
use crate::output;

/// The release of the runtime specification this build follows.
pub(super) const SPEC_VERSION: &str = "1.3.0";

/// The commit it was built from, where the build was told.
pub(super) const COMMIT: Option<&str> = option_env!("RUNSIG_COMMIT");

/// Name and versions, in the lines runc prints and engines take apart.
pub(crate) fn version() -> Result<u8> {
    let mut text = concat!("runsig version ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    if let Some(commit) = COMMIT {
        text.extend(["commit: ", commit, "\n"]);
    }
    text.extend(["spec: ", SPEC_VERSION, "\n", "libseccomp: ", &super::features::libseccomp_version(), "\n"]);
    output::print(&text)?;
    Ok(0)
}
