//! What a caller without root can ask for.
//!
//! Owns: the rules runc has for such callers. Must not: find out who the caller is.

use runsig_proto::plan::{Mount, MountWhat};

use crate::error::{Result, SpecError};
use crate::namespaces::{self, Namespaces, to_host};
use crate::plan::IdMapping;

/// A user namespace is what makes a container possible without root.
pub(crate) fn check_namespaces(rootless: bool, namespaces: &Namespaces) -> Result<()> {
    if rootless && !namespaces.has(namespaces::USER) {
        return Err(SpecError::rule("rootless container requires user namespaces"));
    }
    Ok(())
}

/// Only root may choose supplementary groups (setgroups(2)); those of the caller stay.
pub(crate) fn check_groups(rootless: bool, groups: &[u32]) -> Result<()> {
    if rootless && !groups.is_empty() {
        return Err(SpecError::rule("cannot set any additional groups in a rootless container"));
    }
    Ok(())
}

/// Owners in mount options have to exist in the user namespace. Nothing is checked without maps: a
/// joined namespace has its own.
pub(crate) fn check_mounts(mounts: &[Mount], uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    for mount in mounts {
        let MountWhat::FileSystem { options, .. } = &mount.what else { continue };
        for (key, value) in options {
            let maps = match key.as_bytes() {
                b"uid" => uids,
                b"gid" => gids,
                _ => continue,
            };
            let value = value.as_ref().map(|v| v.to_string_lossy()).unwrap_or_default();
            let mapped = value.parse().is_ok_and(|id| to_host(maps, id).is_some());
            if !maps.is_empty() && value.parse::<i64>().is_ok() && !mapped {
                let option = format!("{}={value}", key.to_string_lossy());
                return Err(SpecError::rule(format!(
                    "cannot specify {option} mount option for rootless container: not mapped in the user namespace (mount {})",
                    mount.destination.to_string_lossy()
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    const MAPS: [IdMapping; 1] = [IdMapping { container: 0, host: 1000, size: 5 }];

    fn mount(key: &str, value: &str) -> Mount {
        let word = |word: &str| CString::new(word).unwrap();
        Mount {
            destination: word("/d"),
            what: MountWhat::FileSystem {
                fstype: word("tmpfs"),
                source: word(""),
                options: vec![(word(key), Some(word(value)))],
                tree: -1,
            },
            set: 0,
            clear: 0,
            set_recursive: 0,
            clear_recursive: 0,
            propagation: vec![],
            source: word(""),
            copy_up: false,
        }
    }

    #[test]
    fn owners_have_to_be_mapped() {
        for (key, value, fine) in [
            ("uid", "4", true),
            ("uid", "5", false),
            ("gid", "-1", false),
            ("gid", "99999999999", false),
            ("uid", "root", true),
            ("mode", "777", true),
        ] {
            let result = check_mounts(&[mount(key, value)], &MAPS, &MAPS);
            assert_eq!(result.is_ok(), fine, "{key}={value}");
            assert_eq!(check_mounts(&[mount(key, value)], &[], &[]), Ok(()), "a joined user namespace");
            if let Err(error) = result {
                let words = format!("cannot specify {key}={value} mount option for rootless container");
                assert!(error.to_string().starts_with(&words), "{error}");
            }
        }
    }

    #[test]
    fn nothing_goes_without_a_user_namespace() {
        let none = Namespaces::default();
        assert!(check_namespaces(true, &none).is_err());
        assert!(check_namespaces(false, &none).is_ok());
        assert!(check_namespaces(true, &Namespaces { new: namespaces::USER, ..none }).is_ok());
    }
}
