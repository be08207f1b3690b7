//! `list`: every container under the root.

use runsig_runtime::listing::{self, Seen};

use super::state::Shown;
use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::Session;

pub(super) fn list(session: &Session<'_>, args: &Args) -> Result<()> {
    args.exactly(0)?;
    let json = args.wants_json("table");
    // Only the JSON has room for what keeps an init that has exited, which takes a look into procfs.
    let found = found(session, matches!(json, Ok(true)))?;
    let owners = Owners::new();
    let shown: Vec<Shown<'_>> = found.iter().map(|seen| owners.shown(seen)).collect();
    if args.flag("quiet") {
        return output::print(&ids(&shown));
    }
    if json? {
        return output::print(&as_json(&shown)?);
    }
    output::print(&as_table(&shown))
}

impl Owners {
    fn shown<'a>(&self, seen: &'a Seen) -> Shown<'a> {
        let shown = Shown::with(&seen.state, seen.status, seen.pid, self.name(seen.state.owner));
        Shown { exiting: seen.exiting.clone(), ..shown }
    }
}

fn found(session: &Session<'_>, closely: bool) -> Result<Vec<Seen>> {
    let root = session.store.root();
    let ids = session.store.ids()?;
    if ids.is_empty() && !session.root_is_default {
        // A root somebody asked for has to be there.
        std::fs::metadata(root).map_err(|error| Failure::io("open", root, &error))?;
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let seen = listing::look_at(&session.store, &ids, closely)?;
    Ok(ids.iter().zip(seen).filter_map(|(id, seen)| warned(session, id, seen)).collect())
}

/// One bad container must not hide the others.
fn warned(session: &Session<'_>, id: &str, seen: runsig_runtime::Result<Seen>) -> Option<Seen> {
    seen.map_err(|error| session.log.warning(&format!("load container {id}: {error}"))).ok()
}

fn ids(shown: &[Shown<'_>]) -> String {
    shown.iter().flat_map(|container| [container.id, "\n"]).collect()
}

/// runc prints `null` for no containers.
fn as_json(shown: &[Shown<'_>]) -> Result<String> {
    let json = if shown.is_empty() { "null".to_owned() } else { output::compact_json(&shown)? };
    Ok(json + "\n")
}

fn as_table(shown: &[Shown<'_>]) -> String {
    let rows: Vec<_> = shown
        .iter()
        .map(|container| {
            [
                container.id.to_owned(),
                container.pid.to_string(),
                container.status.to_string(),
                container.bundle.display().to_string(),
                container.created.to_owned(),
                container.owner.clone(),
            ]
        })
        .collect();
    output::table(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], &rows)
}

/// The users of the host, read at most once.
struct Owners {
    passwd: std::cell::OnceCell<String>,
}

impl Owners {
    fn new() -> Self {
        Self { passwd: std::cell::OnceCell::new() }
    }

    /// The user's name, `#` and the number where passwd(5) has none.
    fn name(&self, uid: u32) -> String {
        let passwd = self.passwd.get_or_init(|| std::fs::read_to_string("/etc/passwd").unwrap_or_default());
        name_in(passwd, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
    }
}

fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad line\nu:x:1000:7::/:\n";
        assert_eq!(
            (name_in(passwd, 0), name_in(passwd, 1000), name_in(passwd, 7)),
            (Some("root"), Some("u"), None)
        );
    }

    #[test]
    fn no_containers_are_null_in_json() {
        assert_eq!(as_json(&[]).unwrap_or_default(), "null\n");
        assert_eq!(ids(&[]), "");
    }
}
