//! Capability sets by name.
//!
//! Owns: names to bits. Must not: know which capabilities the kernel has; the init asks it.

use std::str::FromStr;

use runsig_proto::plan::Capabilities;

use crate::document;

/// The bit of a capability's name (`CAP_KILL`), if there is one.
pub(crate) fn bit(name: &str) -> Option<u64> {
    caps::Capability::from_str(name).ok().map(|cap| cap.bitmask())
}

/// The five sets. Names nobody knows are collected in `unknown` and otherwise ignored, as in runc:
/// a bundle may be newer than the runtime.
pub(crate) fn resolve(sets: &document::Capabilities, unknown: &mut Vec<String>) -> Capabilities {
    let mut mask = |names: &Option<Vec<String>>| {
        names.iter().flatten().fold(0, |mask, name| match bit(name) {
            Some(bit) => mask | bit,
            None => {
                unknown.push(name.clone());
                mask
            }
        })
    };
    Capabilities {
        bounding: mask(&sets.bounding),
        effective: mask(&sets.effective),
        permitted: mask(&sets.permitted),
        inheritable: mask(&sets.inheritable),
        ambient: mask(&sets.ambient),
    }
}

/// The warning about unknown names, if there are any.
pub(crate) fn warning(mut unknown: Vec<String>) -> Option<String> {
    unknown.sort();
    unknown.dedup();
    (!unknown.is_empty()).then(|| format!("ignoring unknown or unavailable capabilities: {unknown:?}"))
}

/// What is said about ambient capabilities that the kernel will not raise: they have to be permitted
/// and inheritable.
pub(crate) fn about_ambient(sets: &document::Capabilities, caps: &Capabilities) -> Vec<String> {
    let raised = caps.permitted & caps.inheritable;
    let names = sets.ambient.iter().flatten().filter(|name| bit(name).is_some_and(|bit| raised & bit == 0));
    names.map(|name| format!("can't raise ambient capability {name}: operation not permitted")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits() {
        for (name, number) in [("CAP_CHOWN", 0), ("CAP_KILL", 5), ("CAP_CHECKPOINT_RESTORE", 40)] {
            assert_eq!(bit(name), Some(1 << number), "{name}");
        }
        for name in ["KILL", "cap_kill", "CAP_", "", "CAP_KILL "] {
            assert_eq!(bit(name), None, "{name}");
        }
    }

    #[test]
    fn ambient_needs_permitted_and_inheritable() {
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let sets = document::Capabilities {
            permitted: names(&["CAP_KILL", "CAP_CHOWN"]),
            inheritable: names(&["CAP_KILL"]),
            ambient: names(&["CAP_KILL", "CAP_CHOWN", "CAP_NEW"]),
            ..Default::default()
        };
        let caps = resolve(&sets, &mut Vec::new());
        let said = about_ambient(&sets, &caps);
        assert_eq!(said, ["can't raise ambient capability CAP_CHOWN: operation not permitted"]);
    }

    #[test]
    fn unknown_names_are_warned_about_once_and_ignored() {
        let sets = document::Capabilities {
            bounding: Some(vec!["CAP_KILL".into(), "CAP_NEW".into()]),
            effective: Some(vec!["CAP_NEW".into(), "CAP_ALSO".into()]),
            ambient: Some(vec!["CAP_CHOWN".into()]),
            ..Default::default()
        };
        let mut unknown = Vec::new();
        let caps = resolve(&sets, &mut unknown);
        assert_eq!((caps.bounding, caps.effective, caps.ambient), (1 << 5, 0, 1));
        assert_eq!(
            warning(unknown).unwrap(),
            r#"ignoring unknown or unavailable capabilities: ["CAP_ALSO", "CAP_NEW"]"#
        );
        assert_eq!(warning(Vec::new()), None);
    }
}
