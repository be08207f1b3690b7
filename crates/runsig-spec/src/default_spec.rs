//! The config.json to start from, as `spec` writes it.
//!
//! Owns: the text, in runc's order and indentation. Must not: write files.

use crate::version::OCI_VERSION;

const CONFIG: &str = include_str!("default/config.json");
const ROOTLESS: &str = include_str!("default/rootless.json");
const CGROUP_NAMESPACE: &str = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";

/// A config.json with what most containers have. `rootless` is the user and group that a caller
/// without root maps to root inside. With `cgroup_namespace` (a host with cgroup v2 only) the
/// container gets one of those too.
#[must_use]
pub fn default_spec(rootless: Option<(u32, u32)>, cgroup_namespace: bool) -> String {
    let text = match rootless {
        None => CONFIG.to_owned(),
        Some((uid, gid)) => ROOTLESS.replace("@UID@", &uid.to_string()).replace("@GID@", &gid.to_string()),
    };
    text.replace("@VERSION@", OCI_VERSION)
        .replace("@CGROUP@", if cgroup_namespace { CGROUP_NAMESPACE } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoadOptions, from_json};
    use runsig_proto::plan::MountWhat;
    use std::path::Path;

    #[test]
    fn the_default_loads_without_a_warning() {
        let plan =
            from_json(default_spec(None, true).as_bytes(), Path::new("/b"), &LoadOptions::new("c")).unwrap();
        assert_eq!(plan.warnings, Vec::<String>::new());
        assert_eq!(plan.init.rootfs.as_ref().unwrap().mounts.len(), 7);
        assert_eq!(plan.new_namespaces.count_ones(), 6);
        assert_eq!(plan.rlimits, [(7, 1024, 1024)]);
        assert!(plan.init.loopback && plan.init.process.no_new_privs && plan.init.process.terminal);
    }

    #[test]
    fn the_rootless_default_loads_for_a_caller_without_root() {
        let text = default_spec(Some((1000, 1001)), false);
        let options = LoadOptions { rootless: true, ..LoadOptions::new("c") };
        let plan = from_json(text.as_bytes(), Path::new("/b"), &options).unwrap();
        assert_eq!((plan.uid_mappings[0].host, plan.gid_mappings[0].host), (1000, 1001));
        let rootfs = plan.init.rootfs.unwrap();
        assert!(rootfs.bind_devices);
        assert_eq!(plan.host_mounts.len(), 1, "/sys is bound from the host");
        assert!(matches!(
            rootfs.mounts[plan.host_mounts[0].index].what,
            MountWhat::Bind { recursive: true, .. }
        ));
        assert!(plan.init.process.keep_groups);
    }

    #[test]
    fn the_text_is_indented_with_tabs_and_complete() {
        for text in [default_spec(None, false), default_spec(None, true), default_spec(Some((1, 2)), true)] {
            assert!(!text.contains('@') && !text.ends_with('\n'), "{text}");
            assert!(text.lines().skip(1).all(|line| line.starts_with('\t') || line == "}"), "{text}");
            serde_json::from_str::<oci_spec::runtime::Spec>(&text).unwrap();
        }
    }
}
