//! What is kept about a container, and what is shown of it.
//!
//! Owns: the form of state.json and of the OCI state. Must not: keep a status: that is derived
//! from the world each time ([`crate::status`]).

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;

use runsig_proto::plan::Hook;
use runsig_signal::identity::Identity;
use runsig_signal::target::{PidNamespace, ResidentInit};
use runsig_spec::plan::SeccompListener;
use serde::{Deserialize, Serialize};

use crate::resctrl::Groups;
use crate::status::Status;

/// state.json: everything the verbs after `create` need, so that none of them reads config.json.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `ociVersion` of the bundle.
    pub oci_version: String,
    /// The container's name.
    pub id: String,
    /// How far its making has come.
    pub phase: Phase,
    /// The runtime process that makes it.
    pub creator: Identity,
    /// Its first process, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Identity>,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The rootfs on the host.
    pub rootfs: PathBuf,
    /// When it was made, RFC 3339 in UTC.
    pub created: String,
    /// Whose container it is.
    pub owner: u32,
    /// `annotations` of the bundle.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Its cgroups.
    pub cgroup: runsig_cgroup::Paths,
    /// Its groups in the resctrl file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<Groups>,
    /// The namespaces that are not the host's, as `CLONE_NEW*` bits.
    pub namespaces: u64,
    /// Whose PID namespace it lives in; in its own the kernel ends everybody with init.
    pub pid_namespace: PidNamespace,
    /// The inode of that namespace, while init lives or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace_inode: Option<u64>,
    /// Its init is a resident one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<ResidentInit>,
    /// Who gets the seccomp listener of an exec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_listener: Option<ListenerRecord>,
    /// Hooks that `start` runs.
    #[serde(default)]
    pub poststart: Vec<HookRecord>,
    /// Hooks that `delete` runs.
    #[serde(default)]
    pub poststop: Vec<HookRecord>,
}

/// How far the making of a container has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The state is on disk; whatever else exists may be half made.
    Creating,
    /// Init is set up and waits on the exec fifo, or has gone past it.
    Created,
}

/// A hook as kept on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookRecord {
    path: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    timeout: Option<u32>,
}

/// A seccomp agent as kept on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListenerRecord {
    path: PathBuf,
    metadata: String,
}

impl From<&SeccompListener> for ListenerRecord {
    fn from(listener: &SeccompListener) -> Self {
        Self { path: listener.path.clone(), metadata: listener.metadata.clone() }
    }
}

impl From<&ListenerRecord> for SeccompListener {
    fn from(record: &ListenerRecord) -> Self {
        Self { path: record.path.clone(), metadata: record.metadata.clone() }
    }
}

fn text(c: &CString) -> String {
    c.to_string_lossy().into_owned()
}

// The strings below came from JSON and were checked for NULs; an edited state file that has one
// gets an empty string, which fails when used.
fn cstring(s: &str) -> CString {
    CString::new(s).unwrap_or_default()
}

impl From<&Hook> for HookRecord {
    fn from(hook: &Hook) -> Self {
        Self {
            path: text(&hook.path),
            args: hook.args.iter().map(text).collect(),
            env: hook.env.iter().map(text).collect(),
            timeout: hook.timeout,
        }
    }
}

impl From<&HookRecord> for Hook {
    fn from(record: &HookRecord) -> Self {
        Self {
            path: cstring(&record.path),
            args: record.args.iter().map(|s| cstring(s)).collect(),
            env: record.env.iter().map(|s| cstring(s)).collect(),
            timeout: record.timeout,
        }
    }
}

/// The state as runtime-spec runtime.md defines it: on a hook's standard input, and in the
/// message to a seccomp agent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState {
    /// `ociVersion`.
    pub oci_version: String,
    /// `id`.
    pub id: String,
    /// `status`.
    pub status: Status,
    /// `pid`: left out when there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub pid: i32,
    /// `bundle`.
    pub bundle: PathBuf,
    /// `annotations`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

impl State {
    /// The OCI state with this status and PID.
    #[must_use]
    pub fn oci(&self, status: Status, pid: i32) -> OciState {
        OciState {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            status,
            pid,
            bundle: self.bundle.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

impl OciState {
    /// As JSON on one line.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
