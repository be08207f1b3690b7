//! Which devices a container may use.
//!
//! Owns: the rules of the bundle and the ones every container gets, and setting them on v1
//! (`devices.allow`) and v2 (an eBPF program). Must not: make device nodes.

mod filter;
mod program;
mod rule;
mod v1;
mod v2;

use oci_spec::runtime::LinuxDeviceCgroup;

pub(crate) use filter::Filter;
pub(crate) use rule::{Access, Kind, Rule};
pub(crate) use v1::{from_lines, set as set_v1, to_lines};
pub(crate) use v2::set as set_v2;

use crate::error::Result;

/// The filter for a container: the bundle's rules in order, and after them those that every
/// container gets. A default device whose path the bundle fills with a device of its own
/// (`bundle_devices`) gets no default rule.
pub(crate) fn filter(rules: &[LinuxDeviceCgroup], bundle_devices: &[&str]) -> Result<Filter> {
    let mut filter = Filter::default();
    for (index, raw) in rules.iter().enumerate() {
        filter.apply(&Rule::parse(index, raw)?)?;
    }
    for (path, rule) in defaults() {
        if path.is_empty() || !bundle_devices.contains(&path) {
            filter.apply(&rule)?;
        }
    }
    Ok(filter)
}

/// runc's list: nodes may be made but not opened, save for the devices that every container has,
/// terminals (major 136, and 5:2 for their multiplexer), and /dev/net/tun (10:200).
fn defaults() -> impl Iterator<Item = (&'static str, Rule)> {
    let all = Access::READ | Access::WRITE | Access::MAKE;
    [
        ("", Kind::Char, None, None, Access::MAKE),
        ("", Kind::Block, None, None, Access::MAKE),
        ("/dev/null", Kind::Char, Some(1), Some(3), all),
        ("/dev/random", Kind::Char, Some(1), Some(8), all),
        ("/dev/full", Kind::Char, Some(1), Some(7), all),
        ("/dev/tty", Kind::Char, Some(5), Some(0), all),
        ("/dev/zero", Kind::Char, Some(1), Some(5), all),
        ("/dev/urandom", Kind::Char, Some(1), Some(9), all),
        ("", Kind::Char, Some(136), None, all),
        ("", Kind::Char, Some(5), Some(2), all),
        ("", Kind::Char, Some(10), Some(200), all),
    ]
    .into_iter()
    .map(|(path, kind, major, minor, access)| {
        (path, Rule { kind: Some(kind), major, minor, access, allow: true })
    })
}

/// Whether we are in a user namespace: there the kernel lets us change neither kind of filter.
pub(crate) fn in_user_namespace() -> bool {
    crate::host::read_proc("/proc/self/uid_map").is_ok_and(|map| {
        // The first namespace maps everything onto itself.
        map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_are_always_there() {
        let alone = filter(&[], &[]).unwrap();
        assert!(!alone.default_allow);
        assert_eq!(alone.exceptions.len(), 11);
        let denied = filter(&bundle(r#"[{"allow":false,"access":"rwm"}]"#), &[]).unwrap();
        assert_eq!(denied, alone);
        let own_null = filter(&[], &["/dev/null", "/dev/sda"]).unwrap();
        assert_eq!(own_null.exceptions.len(), 10);
        let all = filter(&bundle(r#"[{"allow":true,"access":"rwm","type":"a"}]"#), &[]).unwrap();
        assert!(all.allows_all());
    }

    #[test]
    fn bad_rules() {
        for (json, error) in [
            (r#"[{"allow":true}]"#, "device access at 0 field cannot be empty"),
            (r#"[{"allow":true,"access":""}]"#, "device access at 0 field cannot be empty"),
            (r#"[{"allow":true,"access":"xa"}]"#, "unknown device access \"xa\""),
            (r#"[{"allow":true,"access":"r","type":"p"}]"#, "invalid cgroup device type \"p\""),
            (r#"[{"allow":true,"access":"r","type":"c","major":-2}]"#, "invalid major -2"),
            (r#"[{"allow":true,"access":"r","type":"c","minor":4294967296}]"#, "invalid minor 4294967296"),
        ] {
            assert_eq!(filter(&bundle(json), &[]).unwrap_err().to_string(), error);
        }
    }
}
