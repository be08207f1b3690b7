//! `features`: what this build can do, in the form of the runtime specification's features.md.
//!
//! The lists come from the tables that the parser of config.json works with, so that they cannot
//! disagree.

use std::collections::BTreeMap;

use runsig_spec::known;
use serde::Serialize;

use super::version;
use crate::args::Args;
use crate::failure::Result;
use crate::output;

/// Annotations that change what a container can do, so that whoever takes bundles from strangers
/// has to filter them: where CRIU reads its settings, what systemd is told of the unit, and what the stop
/// engine does with signals.
const UNSAFE_ANNOTATIONS: [&str; 4] = ["bundle", "org.systemd.property.", "org.criu.config", "dev.runsig."];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: [&'static str; 6],
    mount_options: Vec<String>,
    linux: Linux,
    annotations: BTreeMap<&'static str, String>,
    potentially_unsafe_config_annotations: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<String>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<&'static str>,
    supported_flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

pub(super) fn features(args: &Args) -> Result<()> {
    args.exactly(0)?;
    output::print(&(output::pretty_json(&of_this_build(), "    ")? + "\n"))
}

/// The version of libseccomp that is linked in.
pub(super) fn libseccomp_version() -> String {
    known::libseccomp_version()
}

fn of_this_build() -> Features {
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: version::SPEC_VERSION,
        hooks: known::HOOKS,
        mount_options: known::mount_options(),
        linux: linux(),
        annotations: annotations(),
        potentially_unsafe_config_annotations: &UNSAFE_ANNOTATIONS,
    }
}

fn linux() -> Linux {
    Linux {
        namespaces: known::namespaces(),
        capabilities: known::capabilities(),
        cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
        seccomp: Seccomp {
            enabled: true,
            actions: known::seccomp_actions(),
            operators: known::seccomp_operators(),
            archs: known::seccomp_archs(),
            known_flags: known::seccomp_flags(),
            supported_flags: known::supported_seccomp_flags(),
        },
        apparmor: Enabled { enabled: true },
        selinux: Enabled { enabled: true },
        intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
        memory_policy: MemoryPolicy { modes: known::memory_modes(), flags: known::memory_flags() },
        mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        net_devices: Enabled { enabled: true },
    }
}

fn annotations() -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("dev.runsig.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("io.github.seccomp.libseccomp.version", libseccomp_version()),
        ("org.opencontainers.runc.checkpoint.enabled", "true".to_owned()),
    ]);
    if let Some(commit) = version::COMMIT {
        annotations.insert("dev.runsig.commit", commit.to_owned());
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json() -> serde_json::Value {
        serde_json::to_value(of_this_build()).unwrap_or_default()
    }

    #[test]
    fn the_fields_are_those_of_the_specification() {
        let json = json();
        for pointer in [
            "/ociVersionMin",
            "/ociVersionMax",
            "/hooks/0",
            "/mountOptions/0",
            "/linux/namespaces/0",
            "/linux/capabilities/0",
            "/linux/cgroup/systemdUser",
            "/linux/seccomp/actions/0",
            "/linux/seccomp/knownFlags/0",
            "/linux/intelRdt/enabled",
            "/linux/intelRdt/monitoring",
            "/linux/memoryPolicy/modes/0",
            "/linux/mountExtensions/idmap/enabled",
            "/linux/netDevices/enabled",
            "/potentiallyUnsafeConfigAnnotations/0",
        ] {
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn lists_are_sorted_and_without_repeats() {
        let json = json();
        for pointer in
            ["/mountOptions", "/linux/namespaces", "/linux/seccomp/actions", "/linux/seccomp/archs"]
        {
            let list: Vec<_> =
                json.pointer(pointer).and_then(|list| list.as_array()).into_iter().flatten().collect();
            let texts: Vec<_> = list.iter().filter_map(|value| value.as_str()).collect();
            assert!(texts.len() > 3, "{pointer}");
            assert!(texts.is_sorted_by(|a, b| a < b), "{pointer}: {texts:?}");
        }
    }
}
