//! What a bundle asks for, resolved and validated: the type everything after it works from.
//!
//! Owns: [`Plan`]. Must not: read files or look at the host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxIntelRdt, LinuxResources};
use runsig_proto::InitPlan;
use runsig_proto::plan::Hook;

/// A container, ready to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The bundle, absolute and without symbolic links.
    pub bundle: PathBuf,
    /// The init's part. Every descriptor in it is -1 until the runtime fills it in.
    pub init: InitPlan,
    /// The rootfs on the host, absolute and clean.
    pub rootfs: PathBuf,
    /// Namespaces made with the first process: `CLONE_NEW*` bits, cgroup and time among them.
    pub new_namespaces: u64,
    /// Namespaces joined by path: (`CLONE_NEW*`, path), user first, mount last.
    pub joined_namespaces: Vec<(u64, PathBuf)>,
    /// Maps of a new user namespace.
    pub uid_mappings: Vec<IdMapping>,
    /// Maps of a new user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// `linux.cgroupsPath` as the bundle has it.
    pub cgroups_path: Option<String>,
    /// The host's user who gets the container's cgroup, so that the container can make cgroups below:
    /// it has a cgroup namespace and mounts its cgroup writable, at /sys/fs/cgroup.
    pub cgroup_owner: Option<u32>,
    /// `linux.resources`.
    pub resources: Option<LinuxResources>,
    /// Paths of `linux.devices`: the device filter leaves out default devices that these replace.
    pub bundle_devices: Vec<String>,
    /// (`RLIMIT_*`, soft, hard), set from the host side.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// `process.oomScoreAdj`, set from the host side.
    pub oom_score_adj: Option<i32>,
    /// `process.execCPUAffinity.initial`, a mask in 64-bit words (only meaningful for exec).
    pub initial_affinity: Option<Vec<u64>>,
    /// `process.execCPUAffinity.final`, likewise.
    pub final_affinity: Option<Vec<u64>>,
    /// Mounts that the runtime has to make detached trees for.
    pub host_mounts: Vec<HostMount>,
    /// Hooks of the runtime's side.
    pub hooks: HostHooks,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Where the seccomp listener goes.
    pub seccomp_listener: Option<SeccompListener>,
    /// `linux.intelRdt`.
    pub intel_rdt: Option<LinuxIntelRdt>,
    /// `linux.netDevices`: (name on the host, name inside).
    pub net_devices: Vec<(String, String)>,
    /// What the bundle says that is ignored or should rather not be there; one line each, to log.
    pub warnings: Vec<String>,
}

/// One line of a uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// First ID inside.
    pub container: u32,
    /// First ID outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// A mount whose source tree the runtime makes before the clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// Index into `init.rootfs.mounts`.
    pub index: usize,
    /// Identity map; empty: none of its own (the source is only opened early, or the container's own maps are used when `idmap` is set).
    pub uid_mappings: Vec<IdMapping>,
    /// See `uid_mappings`.
    pub gid_mappings: Vec<IdMapping>,
    /// Map identities at all.
    pub idmap: bool,
    /// Map the mounts below too (`ridmap`).
    pub recursive_idmap: bool,
}

/// Hooks that run in the runtime's namespaces.
#[derive(Debug, Clone, Default)]
pub struct HostHooks {
    /// Deprecated, run before `create_runtime`.
    pub prestart: Vec<Hook>,
    /// After the namespaces exist, before the root changes.
    pub create_runtime: Vec<Hook>,
    /// After the program has started.
    pub poststart: Vec<Hook>,
    /// After the container is deleted.
    pub poststop: Vec<Hook>,
}

/// The agent that gets a seccomp listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompListener {
    /// Its unix socket.
    pub path: PathBuf,
    /// `listenerMetadata`, passed on.
    pub metadata: String,
}
