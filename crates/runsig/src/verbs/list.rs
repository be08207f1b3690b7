//! `list`: every container under the root.

use std::borrow::Cow;

use runsig_runtime::listing::{self, Seen, SeenClosely};

use super::state::Shown;
use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::Session;

pub(super) fn list(session: &Session<'_>, args: &Args) -> Result<()> {
    args.exactly(0)?;
    let json = args.wants_json("table");
    let ids = ids(session)?;
    let owners = Owners::new();
    // Only the JSON has room for all that is known, and for what keeps an init that has exited, which takes
    // a look into procfs.
    if matches!(json, Ok(true)) && !args.flag("quiet") {
        let seen = listing::look_closely_at(&session.store, &ids)?;
        let found: Vec<SeenClosely> =
            ids.iter().zip(seen).filter_map(|(id, seen)| warned(session, id, seen)).collect();
        let shown: Vec<Shown<'_>> = found.iter().map(|seen| owners.shown(seen)).collect();
        return output::print(&as_json(&shown)?);
    }
    let seen = if ids.is_empty() { Vec::new() } else { listing::look_at(&session.store, &ids)? };
    let found: Vec<(&str, Seen)> = ids
        .iter()
        .zip(seen)
        .filter_map(|(id, seen)| Some((id.as_str(), warned(session, id, seen)?)))
        .collect();
    if args.flag("quiet") {
        return output::print(&lines(found.iter().map(|(id, _)| *id)));
    }
    json?;
    output::print(&as_table(&found, &owners))
}

impl Owners {
    fn shown<'a>(&self, seen: &'a SeenClosely) -> Shown<'a> {
        let shown = Shown::with(&seen.state, seen.status, seen.pid, self.name(seen.state.owner));
        Shown { exiting: seen.exiting.clone(), ..shown }
    }
}

fn ids(session: &Session<'_>) -> Result<Vec<String>> {
    let root = session.store.root();
    let ids = session.store.ids()?;
    if ids.is_empty() && !session.root_is_default {
        // A root somebody asked for has to be there.
        std::fs::metadata(root).map_err(|error| Failure::io("open", root, &error))?;
    }
    Ok(ids)
}

/// One bad container must not hide the others.
fn warned<T>(session: &Session<'_>, id: &str, seen: runsig_runtime::Result<T>) -> Option<T> {
    seen.map_err(|error| session.log.warning(&format!("load container {id}: {error}"))).ok()
}

fn lines<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.flat_map(|id| [id, "\n"]).collect()
}

/// runc prints `null` for no containers.
fn as_json(shown: &[Shown<'_>]) -> Result<String> {
    let json = if shown.is_empty() { "null".to_owned() } else { output::compact_json(&shown)? };
    Ok(json + "\n")
}

fn as_table(found: &[(&str, Seen)], owners: &Owners) -> String {
    let rows: Vec<[Cow<'_, str>; 6]> = found
        .iter()
        .map(|(id, seen)| {
            [
                Cow::Borrowed(*id),
                seen.pid.to_string().into(),
                seen.status.word().into(),
                seen.bundle.to_string_lossy(),
                seen.created.as_str().into(),
                owners.name(seen.owner).into(),
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
        assert_eq!(lines([].into_iter()), "");
    }
}
