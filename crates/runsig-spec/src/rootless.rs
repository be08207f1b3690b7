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
