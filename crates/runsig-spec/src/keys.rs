//! Keys in any case.
//!
//! runc's parser is Go's: it takes `pagesize` for `pageSize`, with the exact key first. So whatever is not understood
//! at once is looked at again with the known keys in their own case. A file whose keys are all as the
//! specification has them pays nothing for that.
//!
//! Owns: the list of keys, and where keys are names that somebody chose. Must not: know the shape of any file.

use serde_json::{Map, Value};

/// The keys of config.json, process.json and of resources that have capitals, as the specification has them.
const CAPITALS: &[&str] = &[
    "additionalGids",
    "apparmorProfile",
    "blockIO",
    "cgroupsPath",
    "checkBeforeUpdate",
    "classID",
    "closID",
    "consoleSize",
    "containerID",
    "createContainer",
    "createRuntime",
    "defaultAction",
    "defaultErrnoRet",
    "disableOOMKiller",
    "enableMonitoring",
    "errnoRet",
    "execCPUAffinity",
    "fileMode",
    "gidMappings",
    "hcaHandles",
    "hcaObjects",
    "hostID",
    "hugepageLimits",
    "intelRdt",
    "ioPriority",
    "kernelTCP",
    "l3CacheSchema",
    "leafWeight",
    "listenerMetadata",
    "listenerPath",
    "maskedPaths",
    "memBwSchema",
    "memoryPolicy",
    "mountLabel",
    "netDevices",
    "noNewPrivileges",
    "ociVersion",
    "oomScoreAdj",
    "pageSize",
    "readonlyPaths",
    "realtimePeriod",
    "realtimeRuntime",
    "rootfsPropagation",
    "selinuxLabel",
    "startContainer",
    "throttleReadBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteBpsDevice",
    "throttleWriteIOPSDevice",
    "timeOffsets",
    "uidMappings",
    "useHierarchy",
    "valueTwo",
    "weightDevice",
];

/// The same without capitals.
const PLAIN: &[&str] = &[
    "access",
    "action",
    "allow",
    "ambient",
    "annotations",
    "architectures",
    "args",
    "boottime",
    "bounding",
    "burst",
    "capabilities",
    "class",
    "cpu",
    "cpus",
    "cwd",
    "deadline",
    "destination",
    "devices",
    "domain",
    "domainname",
    "effective",
    "env",
    "final",
    "flags",
    "gid",
    "hard",
    "height",
    "hooks",
    "hostname",
    "idle",
    "index",
    "inheritable",
    "initial",
    "kernel",
    "limit",
    "linux",
    "major",
    "memory",
    "mems",
    "minor",
    "mode",
    "monotonic",
    "mounts",
    "name",
    "names",
    "namespaces",
    "nanosecs",
    "network",
    "nice",
    "nodes",
    "op",
    "options",
    "path",
    "period",
    "permitted",
    "personality",
    "pids",
    "policy",
    "poststart",
    "poststop",
    "prestart",
    "priorities",
    "priority",
    "process",
    "quota",
    "rate",
    "rdma",
    "readonly",
    "reservation",
    "resources",
    "rlimits",
    "root",
    "runtime",
    "scheduler",
    "schemata",
    "seccomp",
    "secs",
    "shares",
    "size",
    "soft",
    "source",
    "swap",
    "swappiness",
    "syscalls",
    "sysctl",
    "terminal",
    "timeout",
    "type",
    "uid",
    "umask",
    "unified",
    "user",
    "value",
    "weight",
    "width",
];

/// The values of these have keys that are names: of annotations, parameters, devices, clocks, files.
const OF_NAMES: &[&str] = &["annotations", "netDevices", "rdma", "sysctl", "timeOffsets", "unified"];

/// The key as the specification has it.
fn known(key: &str) -> Option<&'static str> {
    CAPITALS.iter().chain(PLAIN).find(|known| known.eq_ignore_ascii_case(key)).copied()
}

/// Whether a key is a known one in another case.
pub(crate) fn is_misspelt(key: &str) -> bool {
    known(key).is_some_and(|known| known != key)
}

/// Gives the known keys of a value, all the way down, their own case. Where a key is there in its own case too, the two
/// objects become one, as for Go's parser; of two values that are no objects, that one stays.
pub fn in_their_own_case(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(in_their_own_case),
        Value::Object(map) => {
            rename(map);
            for (key, value) in map.iter_mut() {
                match value {
                    Value::Object(names) if OF_NAMES.contains(&key.as_str()) => {
                        names.values_mut().for_each(in_their_own_case);
                    }
                    value => in_their_own_case(value),
                }
            }
        }
        _ => {}
    }
}

fn rename(map: &mut Map<String, Value>) {
    let misspelt: Vec<String> = map.keys().filter(|key| is_misspelt(key)).cloned().collect();
    for key in misspelt {
        let (Some(known), Some(value)) = (known(&key), map.remove(&key)) else { continue };
        add(map, known.to_owned(), value);
    }
}

/// Adds to an object what it does not have, down to the objects in it.
fn add(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Object(kept)), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| add(kept, key, value));
        }
        (Some(_), _) => {}
        (None, value) => {
            map.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_get_their_own_case() {
        let mut value = json!({
            "OCIVersion": "1.0.2",
            "LINUX": {"Resources": {"hugepagelimits": [{"PAGESIZE": "2MB", "limit": 5}]}, "flavour": {"Path": 1}},
            "Process": {"CWD": "/x", "User": {"uid": 7}},
            "process": {"cwd": "/", "user": {"gid": 8}},
            "annotations": {"Path": "x", "type": "y"},
            "sysctl": {"Kernel": "z"},
        });
        in_their_own_case(&mut value);
        assert_eq!(
            value,
            json!({
                "ociVersion": "1.0.2",
                "linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 5}]}, "flavour": {"path": 1}},
                "process": {"cwd": "/", "user": {"uid": 7, "gid": 8}},
                "annotations": {"Path": "x", "type": "y"},
                "sysctl": {"Kernel": "z"},
            })
        );
    }

    #[test]
    fn only_known_keys_are_misspelt() {
        assert!(is_misspelt("pagesize") && is_misspelt("PIDS"));
        assert!(!is_misspelt("pageSize") && !is_misspelt("flavour") && !is_misspelt("page_size"));
    }
}
