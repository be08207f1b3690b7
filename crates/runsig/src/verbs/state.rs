//! `state`: one container as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use runsig_runtime::{Container, State, Status};
use runsig_signal::zap::Zap;
use serde::Serialize;

use crate::args::Args;
use crate::failure::Result;
use crate::output;
use crate::session::Session;

/// A container as `state` and `list` show it; the fields and their order are runc's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    pub(super) oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: &'a Path,
    pub(super) rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "no_annotations")]
    pub(super) annotations: &'a BTreeMap<String, String>,
    pub(super) owner: String,
    /// Not runc's: an init that has exited and cannot end, and who keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exiting: Option<Zap>,
}

fn no_annotations(annotations: &&BTreeMap<String, String>) -> bool {
    annotations.is_empty()
}

impl<'a> Shown<'a> {
    /// The container as it is now.
    pub(super) fn of(container: &'a Container, owner: String) -> Result<Self> {
        let (status, exiting) = container.status_and_zap()?;
        Ok(Self { exiting, ..Self::with(&container.state, status, container.live_pid(status), owner) })
    }

    /// A container whose status is known; not looking for who keeps its init.
    pub(super) fn with(state: &'a State, status: Status, pid: i32, owner: String) -> Self {
        Self {
            oci_version: &state.oci_version,
            id: &state.id,
            pid,
            status,
            bundle: &state.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: &state.annotations,
            owner,
            exiting: None,
        }
    }
}

pub(super) fn state(session: &Session<'_>, args: &Args) -> Result<()> {
    let container = session.load(args.only_id()?)?;
    // runc leaves the owner empty here and ends the output without a newline.
    output::print(&output::pretty_json(&Shown::of(&container, String::new())?, "  ")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_runc_s() {
        let annotations = BTreeMap::from([("a".to_owned(), "<b>".to_owned())]);
        let mut shown = Shown {
            oci_version: "1.0.2",
            id: "c",
            pid: 7,
            status: Status::Running,
            bundle: Path::new("/b"),
            rootfs: Path::new("/b/rootfs"),
            created: "2026-01-02T03:04:05.6Z",
            annotations: &annotations,
            owner: String::new(),
            exiting: None,
        };
        let expected = r#"{
  "ociVersion": "1.0.2",
  "id": "c",
  "pid": 7,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-01-02T03:04:05.6Z",
  "annotations": {
    "a": "\u003cb\u003e"
  },
  "owner": ""
}"#;
        assert_eq!(output::pretty_json(&shown, "  ").unwrap_or_default(), expected);
        let none = BTreeMap::new();
        shown.annotations = &none;
        assert!(!output::pretty_json(&shown, "  ").unwrap_or_default().contains("annotations"));
    }
}
