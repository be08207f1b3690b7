//! Limits that can be seen to be wrong before a cgroup exists.
//!
//! Owns: cheap rules about `linux.resources` and `linux.intelRdt`. Must not: know cgroup versions;
//! what one of them cannot do is for the cgroup crate to say.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxIntelRdt, LinuxResources};
use serde_json::Value;

use crate::error::{Result, SpecError};

/// What is left of PATH_MAX (4096) when mount point, own cgroup and file name have had theirs. A path that cannot be
/// opened cannot be removed either.
const LONGEST_PATH: usize = 3072;

/// Checks `linux.cgroupsPath`; an empty one is none.
pub(crate) fn cgroups_path(given: Option<String>) -> Result<Option<String>> {
    let path = given.unwrap_or_default();
    let refused = |why| Err(SpecError::value("linux.cgroupsPath", &path, why));
    if path.contains('\0') {
        return refused("contains a NUL byte");
    }
    if path.len() > LONGEST_PATH {
        return refused("is longer than 3072 bytes");
    }
    Ok(Some(path).filter(|path| !path.is_empty()))
}

/// Checks `linux.resources`.
pub(crate) fn check(given: &LinuxResources) -> Result<()> {
    for (i, device) in given.devices().iter().flatten().enumerate() {
        check_device(device, i)?;
    }
    for (i, limit) in given.hugepage_limits().iter().flatten().enumerate() {
        // The crate's type is signed, the specification's is not.
        if limit.limit() < 0 {
            let field = format!("linux.resources.hugepageLimits[{i}].limit");
            return Err(SpecError::value(field, limit.limit(), "must not be negative"));
        }
        let size = limit.page_size();
        if !page_size(size) {
            let field = format!("linux.resources.hugepageLimits[{i}].pageSize");
            return Err(SpecError::value(field, size, "is not a size such as 2MB"));
        }
    }
    for key in given.unified().iter().flat_map(|unified| unified.keys()) {
        if key.is_empty() || key.contains(['/', '\0']) {
            return Err(SpecError::value("linux.resources.unified", key, "is no cgroup file"));
        }
    }
    Ok(())
}

/// Forgets `pids` that has no `limit`: that is no limit, and what the parser makes of it is the strictest one.
/// `text` are the resources as they were given; it is called when the limit is 0, which few ask for.
pub fn forget_pids_without_limit(given: &mut LinuxResources, text: impl FnOnce() -> Option<Value>) {
    let zero = given.pids().as_ref().is_some_and(|pids| pids.limit() == 0);
    if zero && !text().is_some_and(|text| text.pointer("/pids/limit").is_some_and(Value::is_number)) {
        given.set_pids(None);
    }
}

fn check_device(device: &LinuxDeviceCgroup, i: usize) -> Result<()> {
    let field = |part: &str| format!("linux.resources.devices[{i}].{part}");
    let access = device.access().as_deref().unwrap_or_default();
    if access.is_empty() {
        return Err(SpecError::rule(format!("device access at {i} field cannot be empty")));
    }
    // Other letters are passed over, as runc does; bundles with `rwa` exist.
    if !access.contains(['r', 'w', 'm']) {
        return Err(SpecError::value(field("access"), access, "has none of r, w and m"));
    }
    let typ = device.typ().unwrap_or_default();
    if matches!(typ, LinuxDeviceType::U | LinuxDeviceType::P) {
        return Err(SpecError::rule(format!("invalid cgroup device type {:?}", typ.as_str())));
    }
    for (part, number) in [("major", device.major()), ("minor", device.minor())] {
        // -1 is runc's wildcard.
        if let Some(number) = number.filter(|number| !(-1..=i64::from(u32::MAX)).contains(number)) {
            return Err(SpecError::value(field(part), number, "is no device number"));
        }
    }
    Ok(())
}

/// `64KB`, `2MB`, `1GB`: a power of two and one of these units.
fn page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    number
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|number| number.parse::<u64>().ok())
        .is_some_and(u64::is_power_of_two)
}

/// Checks `linux.intelRdt`.
pub(crate) fn check_intel_rdt(given: &LinuxIntelRdt) -> Result<()> {
    // "/" alone is the root group. Anything else names one directory below it.
    let id = given.clos_id().as_deref().unwrap_or_default();
    if matches!(id, "." | "..") || id.contains('\0') || (id.len() > 1 && id.contains('/')) {
        return Err(SpecError::rule(format!("invalid intelRdt.ClosID {id:?}")));
    }
    let lines = [("l3CacheSchema", given.l3_cache_schema()), ("memBwSchema", given.mem_bw_schema())];
    for (name, line) in lines {
        if let Some(line) = line.as_ref().filter(|line| line.trim_end().contains('\0')) {
            return Err(SpecError::value(format!("linux.intelRdt.{name}"), line, "contains a NUL byte"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_limits_are_named() {
        for (json, words) in [
            (r#"{"devices":[{"allow":true}]}"#, "device access at 0 field cannot be empty"),
            (r#"{"devices":[{"access":"xa"}]}"#, "linux.resources.devices[0].access \"xa\""),
            (r#"{"devices":[{"access":"r","type":"p"}]}"#, "invalid cgroup device type \"p\""),
            (r#"{"devices":[{"access":"r","major":-2}]}"#, "linux.resources.devices[0].major"),
            (r#"{"devices":[{"access":"r","minor":4294967296}]}"#, "linux.resources.devices[0].minor"),
            (r#"{"hugepageLimits":[{"pageSize":"3MB","limit":1}]}"#, "hugepageLimits[0].pageSize \"3MB\""),
            (r#"{"hugepageLimits":[{"pageSize":"2M","limit":1}]}"#, "pageSize"),
            (r#"{"unified":{"../memory.max":"1"}}"#, "linux.resources.unified"),
            (r#"{"unified":{"":"1"}}"#, "linux.resources.unified"),
        ] {
            let error = check(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let good = r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"access":"r","type":"c","major":-1}],
            "hugepageLimits":[{"pageSize":"1GB","limit":1},{"pageSize":"64KB","limit":0}],"unified":{"memory.max":"1"}}"#;
        assert_eq!(check(&serde_json::from_str(good).unwrap()), Ok(()));
    }

    #[test]
    fn classes_are_one_directory() {
        for (id, fine) in
            [("", true), ("/", true), ("guaranteed", true), ("..", false), (".", false), ("a/b", false)]
        {
            let rdt: LinuxIntelRdt = serde_json::from_value(serde_json::json!({ "closID": id })).unwrap();
            assert_eq!(check_intel_rdt(&rdt).is_ok(), fine, "{id}");
        }
    }
}
