//! config.json as it is written, before anything in it is believed.
//!
//! Owns: the shape of the file. The types of the `oci-spec` crate are used where they take what the
//! specification allows; ours replace those that are stricter than the specification or runc
//! (unknown capabilities, scheduler flags, a missing `process.user`), that would hide the value an
//! error has to name (enumerations), or that cost time (the seccomp section stays raw text, so
//! that a filter found in the cache is never parsed).
//! Must not: check values.

use std::collections::{BTreeMap, HashMap};

use oci_spec::runtime::{
    Box as ConsoleSize, Hooks, LinuxIdMapping, LinuxIntelRdt, LinuxNetDevice, LinuxResources, LinuxTimeOffset,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Document<'a> {
    pub(crate) oci_version: Option<String>,
    pub(crate) process: Option<Process>,
    pub(crate) root: Option<Root>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) mounts: Option<Vec<Mount>>,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    pub(crate) linux: Option<Linux<'a>>,
}

/// `root`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Root {
    pub(crate) path: Option<String>,
    pub(crate) readonly: Option<bool>,
}

/// `process`, and the whole of a process.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) terminal: Option<bool>,
    pub(crate) console_size: Option<ConsoleSize>,
    pub(crate) user: Option<User>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) cwd: Option<String>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) rlimits: Option<Vec<Rlimit>>,
    pub(crate) no_new_privileges: Option<bool>,
    pub(crate) apparmor_profile: Option<String>,
    pub(crate) oom_score_adj: Option<i64>,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) selinux_label: Option<String>,
    pub(crate) io_priority: Option<IoPriority>,
    #[serde(rename = "execCPUAffinity")]
    pub(crate) exec_cpu_affinity: Option<Affinity>,
}

/// `process.user`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) umask: Option<u32>,
    pub(crate) additional_gids: Option<Vec<u32>>,
}

/// `process.capabilities`, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    pub(crate) bounding: Option<Vec<String>>,
    pub(crate) effective: Option<Vec<String>>,
    pub(crate) inheritable: Option<Vec<String>>,
    pub(crate) permitted: Option<Vec<String>>,
    pub(crate) ambient: Option<Vec<String>>,
}

/// One of `process.rlimits`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rlimit {
    #[serde(rename = "type")]
    pub(crate) typ: Option<String>,
    pub(crate) hard: Option<u64>,
    pub(crate) soft: Option<u64>,
}

/// `process.scheduler`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scheduler {
    pub(crate) policy: Option<String>,
    pub(crate) nice: Option<i32>,
    pub(crate) priority: Option<i32>,
    pub(crate) flags: Option<Vec<String>>,
    pub(crate) runtime: Option<u64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) period: Option<u64>,
}

/// `process.ioPriority`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IoPriority {
    pub(crate) class: Option<String>,
    pub(crate) priority: Option<i64>,
}

/// `process.execCPUAffinity`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Affinity {
    pub(crate) initial: Option<String>,
    #[serde(rename = "final")]
    pub(crate) last: Option<String>,
}

/// One of `mounts`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) destination: Option<String>,
    #[serde(rename = "type")]
    pub(crate) typ: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) options: Option<Vec<String>>,
    pub(crate) uid_mappings: Option<Vec<LinuxIdMapping>>,
    pub(crate) gid_mappings: Option<Vec<LinuxIdMapping>>,
}

/// `linux`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Linux<'a> {
    pub(crate) uid_mappings: Option<Vec<LinuxIdMapping>>,
    pub(crate) gid_mappings: Option<Vec<LinuxIdMapping>>,
    pub(crate) sysctl: Option<BTreeMap<String, String>>,
    pub(crate) resources: Option<LinuxResources>,
    pub(crate) cgroups_path: Option<String>,
    pub(crate) namespaces: Option<Vec<Namespace>>,
    pub(crate) devices: Option<Vec<Device>>,
    pub(crate) net_devices: Option<BTreeMap<String, LinuxNetDevice>>,
    #[serde(borrow)]
    pub(crate) seccomp: Option<&'a RawValue>,
    pub(crate) rootfs_propagation: Option<String>,
    pub(crate) masked_paths: Option<Vec<String>>,
    pub(crate) readonly_paths: Option<Vec<String>>,
    pub(crate) mount_label: Option<String>,
    pub(crate) intel_rdt: Option<LinuxIntelRdt>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    pub(crate) personality: Option<Personality>,
    pub(crate) time_offsets: Option<HashMap<String, LinuxTimeOffset>>,
}

/// One of `linux.namespaces`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Namespace {
    #[serde(rename = "type")]
    pub(crate) typ: Option<String>,
    pub(crate) path: Option<String>,
}

/// One of `linux.devices`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Device {
    pub(crate) path: Option<String>,
    #[serde(rename = "type")]
    pub(crate) typ: Option<String>,
    pub(crate) major: Option<i64>,
    pub(crate) minor: Option<i64>,
    pub(crate) file_mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// `linux.memoryPolicy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemoryPolicy {
    pub(crate) mode: Option<String>,
    pub(crate) nodes: Option<String>,
    pub(crate) flags: Option<Vec<String>>,
}

/// `linux.personality`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Personality {
    pub(crate) domain: Option<String>,
    pub(crate) flags: Option<Vec<String>>,
}
