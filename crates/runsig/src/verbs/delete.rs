//! `delete`: removes a container; with `--force` one that still runs.

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::pattern::Pattern;
use crate::session::Session;

pub(super) fn delete(session: &Session<'_>, args: &Args) -> Result<()> {
    let (id, force) = (args.only_id()?, args.flag("force"));
    let delete = |id: &str| Ok(runsig_runtime::delete::delete(&session.store, id, force)?);
    if !args.flag("regex") {
        return delete(id);
    }
    each_match(session, id, delete)
}

/// Does something to every container whose ID matches; goes on after a failure and names it.
pub(super) fn each_match(
    session: &Session<'_>,
    pattern: &str,
    act: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let pattern = Pattern::new(pattern).map_err(Failure::new)?;
    let ids = session.store.ids()?;
    let failures: Vec<String> = ids
        .iter()
        .filter(|id| pattern.matches(id))
        .filter_map(|id| act(id).err().map(|failure| format!("{id}: {failure}")))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("; "))) }
}
