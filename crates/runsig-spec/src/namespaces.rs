//! Namespaces, new or joined, and what comes with them: identity maps, time offsets.
//!
//! Owns: `linux.namespaces`, `linux.uidMappings`, `linux.gidMappings`, `linux.timeOffsets`.
//! Must not: open the paths.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxIdMapping, LinuxTimeOffset};
use runsig_sys::raw::general as k;

use crate::document::Namespace;
use crate::error::{Result, SpecError};
use crate::plan::IdMapping;

/// CLONE_NEWUSER.
pub(crate) const USER: u64 = k::CLONE_NEWUSER as u64;
/// CLONE_NEWNS.
pub(crate) const MOUNT: u64 = k::CLONE_NEWNS as u64;
/// CLONE_NEWPID.
pub(crate) const PID: u64 = k::CLONE_NEWPID as u64;
/// CLONE_NEWNET.
pub(crate) const NETWORK: u64 = k::CLONE_NEWNET as u64;
/// CLONE_NEWIPC.
pub(crate) const IPC: u64 = k::CLONE_NEWIPC as u64;
/// CLONE_NEWUTS.
pub(crate) const UTS: u64 = k::CLONE_NEWUTS as u64;
/// CLONE_NEWCGROUP.
pub(crate) const CGROUP: u64 = k::CLONE_NEWCGROUP as u64;
/// CLONE_NEWTIME.
pub(crate) const TIME: u64 = k::CLONE_NEWTIME as u64;

/// The specification's names, in the order namespaces are entered: the user namespace first, for
/// the privileges it gives; the mount namespace last, because it hides the paths of the others.
pub(crate) const TYPES: [(&str, u64); 8] = [
    ("user", USER),
    ("pid", PID),
    ("ipc", IPC),
    ("uts", UTS),
    ("network", NETWORK),
    ("cgroup", CGROUP),
    ("time", TIME),
    ("mount", MOUNT),
];

/// The namespaces of a container.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*` bits of those to make.
    pub(crate) new: u64,
    /// Those to enter, in order.
    pub(crate) joined: Vec<(u64, PathBuf)>,
}

impl Namespaces {
    /// Whether the container has one of its own or a joined one of this type, rather than the runtime's.
    pub(crate) fn has(&self, kind: u64) -> bool {
        self.new & kind != 0 || self.path(kind).is_some()
    }

    /// Where the joined namespace of this type is.
    pub(crate) fn path(&self, kind: u64) -> Option<&PathBuf> {
        self.joined.iter().find(|(joined, _)| *joined == kind).map(|(_, path)| path)
    }
}

/// Resolves names and orders the joined ones.
pub(crate) fn resolve(given: Vec<Namespace>) -> Result<Namespaces> {
    let mut all = Namespaces::default();
    for (i, namespace) in given.into_iter().enumerate() {
        let name = namespace.typ.unwrap_or_default();
        let Some((_, kind)) = TYPES.iter().find(|(known, _)| *known == name) else {
            return Err(SpecError::rule(format!(
                "namespace {name:?} does not exist (linux.namespaces[{i}].type)"
            )));
        };
        if all.has(*kind) {
            return Err(SpecError::rule(format!("malformed spec file: duplicated ns {name:?}")));
        }
        match namespace.path.filter(|path| !path.is_empty()) {
            None => all.new |= kind,
            Some(path) if path.contains('\0') => {
                return Err(SpecError::value(
                    format!("linux.namespaces[{i}].path"),
                    path,
                    "contains a NUL byte",
                ));
            }
            Some(path) if !path.starts_with('/') => {
                return Err(SpecError::value(
                    format!("linux.namespaces[{i}].path"),
                    path,
                    "is not an absolute path",
                ));
            }
            Some(path) => all.joined.push((*kind, path.into())),
        }
    }
    all.joined.sort_by_key(|(kind, _)| TYPES.iter().position(|(_, known)| known == kind));
    Ok(all)
}

/// Whether the kind has to wait for the init: the cgroup namespace's root is the cgroup a process
/// is in when it makes it, and the time namespace's offsets are written before anybody is in it.
pub(crate) const LATE: u64 = CGROUP | TIME;

/// One field of identity maps, checked: no empty line, no overflow, no overlap.
pub(crate) fn id_mappings(given: &[LinuxIdMapping], field: &str) -> Result<Vec<IdMapping>> {
    let mut maps: Vec<IdMapping> = Vec::with_capacity(given.len());
    for (i, line) in given.iter().enumerate() {
        let map = IdMapping { container: line.container_id(), host: line.host_id(), size: line.size() };
        let refused = |value: u32, part: &str, why: &str| {
            Err(SpecError::value(format!("{field}[{i}].{part}"), value, why))
        };
        if map.size == 0 {
            return refused(0, "size", "must not be 0");
        }
        if map.container.checked_add(map.size - 1).is_none() || map.host.checked_add(map.size - 1).is_none() {
            return refused(map.size, "size", "goes beyond the largest ID");
        }
        if maps.iter().any(|other| overlap(other.container, other.size, map.container, map.size)) {
            return refused(map.container, "containerID", "overlaps another mapping");
        }
        if maps.iter().any(|other| overlap(other.host, other.size, map.host, map.size)) {
            return refused(map.host, "hostID", "overlaps another mapping");
        }
        maps.push(map);
    }
    Ok(maps)
}

fn overlap(a: u32, a_size: u32, b: u32, b_size: u32) -> bool {
    u64::from(a) < u64::from(b) + u64::from(b_size) && u64::from(b) < u64::from(a) + u64::from(a_size)
}

/// The host's ID for one of the container's.
pub(crate) fn to_host(maps: &[IdMapping], id: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = id.checked_sub(map.container).filter(|offset| *offset < map.size)?;
        map.host.checked_add(offset)
    })
}

/// Refuses maps without a user namespace, and a new user namespace without maps.
pub(crate) fn check_maps(namespaces: &Namespaces, uid: bool, gid: bool) -> Result<()> {
    if !namespaces.has(USER) {
        return if uid || gid {
            Err(SpecError::rule(
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            ))
        } else {
            Ok(())
        };
    }
    if namespaces.new & USER == 0 {
        return Ok(());
    }
    match (uid, gid) {
        (false, false) => Err(SpecError::rule(
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
        )),
        (false, true) => Err(SpecError::rule("user namespaces enabled, but no uid mappings found")),
        (true, false) => Err(SpecError::rule("user namespaces enabled, but no gid mappings found")),
        (true, true) => Ok(()),
    }
}

/// Refuses maps of a new user namespace without a root: the init begins as it.
pub(crate) fn check_root(maps: &[IdMapping], kind: &str) -> Result<()> {
    to_host(maps, 0)
        .map(drop)
        .ok_or_else(|| SpecError::rule(format!("user namespaces enabled, but no mapping found for {kind} 0")))
}

/// What /proc/self/timens_offsets gets, one line a clock.
/// <https://man7.org/linux/man-pages/man7/time_namespaces.7.html>
pub(crate) fn time_offsets(
    namespaces: &Namespaces,
    offsets: Option<HashMap<String, LinuxTimeOffset>>,
) -> Result<Vec<u8>> {
    let Some(offsets) = offsets else { return Ok(Vec::new()) };
    if !namespaces.has(TIME) {
        return Err(SpecError::rule(
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        ));
    }
    if namespaces.new & TIME == 0 {
        return Err(SpecError::rule(
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        ));
    }
    if let Some(unknown) = offsets.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime")) {
        return Err(SpecError::value("linux.timeOffsets", unknown, "is neither monotonic nor boottime"));
    }
    let mut lines = String::new();
    for clock in ["monotonic", "boottime"] {
        let Some(offset) = offsets.get(clock) else { continue };
        let (secs, nanosecs) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        if nanosecs >= 1_000_000_000 {
            let field = format!("linux.timeOffsets.{clock}.nanosecs");
            return Err(SpecError::value(field, nanosecs, "is a second or more"));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{clock} {secs} {nanosecs}");
    }
    Ok(lines.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(typ: &str, path: Option<&str>) -> Namespace {
        Namespace { typ: Some(typ.to_owned()), path: path.map(str::to_owned) }
    }

    fn map(container: u32, host: u32, size: u32) -> LinuxIdMapping {
        serde_json::from_value(serde_json::json!({"containerID": container, "hostID": host, "size": size}))
            .unwrap()
    }

    #[test]
    fn new_and_joined_are_told_apart_and_ordered() {
        let given = vec![
            namespace("mount", Some("/m")),
            namespace("network", Some("/n")),
            namespace("pid", None),
            namespace("user", Some("/u")),
            namespace("time", Some("")),
        ];
        let all = resolve(given).unwrap();
        assert_eq!(all.new, PID | TIME);
        assert_eq!(all.joined, [(USER, "/u".into()), (NETWORK, "/n".into()), (MOUNT, "/m".into())]);
        assert!(all.has(MOUNT) && all.has(PID) && !all.has(IPC));
    }

    #[test]
    fn unknown_doubled_and_odd_namespaces_are_refused() {
        for (given, words) in [
            (vec![namespace("mnt", None)], "namespace \"mnt\" does not exist"),
            (vec![Namespace::default()], "linux.namespaces[0].type"),
            (vec![namespace("pid", None), namespace("pid", Some("/p"))], "duplicated ns \"pid\""),
            (vec![namespace("pid", Some("p"))], "invalid linux.namespaces[0].path \"p\""),
            (vec![namespace("pid", Some("/p\0"))], "NUL"),
        ] {
            let error = resolve(given).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn maps_are_checked() {
        let maps = id_mappings(&[map(0, 1000, 1), map(1, 100_000, 65_535)], "linux.uidMappings").unwrap();
        assert_eq!(to_host(&maps, 0), Some(1000));
        assert_eq!(to_host(&maps, 65_535), Some(165_534));
        assert_eq!(to_host(&maps, 65_536), None);
        assert!(id_mappings(&[map(0, 0, u32::MAX)], "f").is_ok());
        for (maps, words) in [
            (vec![map(0, 0, 0)], "f[0].size \"0\""),
            (vec![map(2, 0, u32::MAX)], "f[0].size"),
            (vec![map(0, 2, u32::MAX)], "f[0].size"),
            (vec![map(0, 0, 10), map(9, 100, 1)], "f[1].containerID"),
            (vec![map(0, 0, 10), map(10, 5, 10)], "f[1].hostID"),
        ] {
            let error = id_mappings(&maps, "f").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn maps_need_a_new_user_namespace_and_the_other_way_round() {
        let none = Namespaces::default();
        let new = Namespaces { new: USER, ..Default::default() };
        let joined = Namespaces { joined: vec![(USER, "/u".into())], ..Default::default() };
        for (namespaces, uid, gid, fine) in [
            (&none, false, false, true),
            (&none, true, false, false),
            (&new, false, false, false),
            (&new, true, false, false),
            (&new, false, true, false),
            (&new, true, true, true),
            (&joined, false, false, true),
            (&joined, true, true, true),
        ] {
            assert_eq!(check_maps(namespaces, uid, gid).is_ok(), fine, "{namespaces:?} {uid} {gid}");
        }
    }

    #[test]
    fn time_offsets_become_lines() {
        let offsets = |json: &str| Some(serde_json::from_str(json).unwrap());
        let new = Namespaces { new: TIME, ..Default::default() };
        let both = r#"{"boottime":{"secs":-5},"monotonic":{"secs":1,"nanosecs":2}}"#;
        assert_eq!(time_offsets(&new, offsets(both)).unwrap(), b"monotonic 1 2\nboottime -5 0\n");
        assert_eq!(time_offsets(&new, None).unwrap(), b"");
        let joined = Namespaces { joined: vec![(TIME, "/t".into())], ..Default::default() };
        assert!(time_offsets(&Namespaces::default(), offsets(both)).is_err());
        assert!(time_offsets(&joined, offsets(both)).is_err());
        for bad in [r#"{"realtime":{}}"#, r#"{"monotonic":{"nanosecs":1000000000}}"#] {
            assert!(time_offsets(&new, offsets(bad)).is_err(), "{bad}");
        }
    }
}
