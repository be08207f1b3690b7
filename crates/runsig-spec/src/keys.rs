//! Keys in any case, and keys given twice.
//!
//! runc's parser is Go's: it takes `pagesize` for `pageSize`, and of a key that an object has twice the last value. So
//! whatever is not understood at once is read again here, with the known keys in their own case and each once. A file
//! whose keys are all as the specification has them pays nothing for that.
//!
//! Owns: the list of keys, and where keys are names that somebody chose. Must not: know the shape of any file.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
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

/// The first JSON value of a text, with the known keys, all the way down, in their own case. A key that an object has
/// twice counts once: two objects become one, as for Go's parser, and of two other values the last one stays. A key with `null` is as if it
/// were not there: Go writes that for what is not set, and passes over it.
///
/// # Errors
/// A text that does not begin with a JSON value.
pub fn read(text: &[u8]) -> serde_json::Result<Value> {
    Keys::Known.deserialize(&mut serde_json::Deserializer::from_slice(text))
}

/// What the keys of an object are.
#[derive(Clone, Copy)]
enum Keys {
    /// The specification's.
    Known,
    /// Names that somebody chose.
    Names,
}

impl Keys {
    fn own_case<'k>(self, key: Cow<'k, str>) -> Cow<'k, str> {
        match self {
            Self::Known => known(&key).map_or(key, Cow::Borrowed),
            Self::Names => key,
        }
    }

    /// What those of the object at `key` are.
    fn below(self, key: &str) -> Self {
        match self {
            Self::Known if OF_NAMES.contains(&key) => Self::Names,
            _ => Self::Known,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self::Known)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = pairs.next_key::<Cow<'_, str>>()? {
            let key = self.own_case(key);
            let value = pairs.next_value_seed(self.below(&key))?;
            if value.is_null() && matches!(self, Self::Known) {
                continue;
            }
            put(&mut map, key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }
}

/// Sets a key of an object, down to those of the objects in it.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Object(kept)), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| put(kept, key, value));
        }
        (_, value) => {
            map.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_get_their_own_case_and_count_once() {
        let text = br#"{
            "OCIVersion": "1.0.2",
            "LINUX": {"Resources": {"hugepagelimits": [{"PAGESIZE": "2MB", "limit": 5}]}, "flavour": {"Path": 1}},
            "Process": {"CWD": "/x", "User": {"uid": 7}, "args": ["a", "b"]},
            "process": {"cwd": "/", "user": {"gid": 8}, "args": ["c"]},
            "annotations": {"Path": "x", "type": "y"}, "annotations": {"type": "z"},
            "sysctl": {"Kernel": "z"},
            "hostname": "a", "hostname": "b", "HostName": "c", "hostname": null,
            "numbers": [null, true, -1, 1.5, 18446744073709551615]
        } and what follows"#;
        assert_eq!(
            read(text).unwrap(),
            json!({
                "ociVersion": "1.0.2",
                "linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 5}]}, "flavour": {"path": 1}},
                "process": {"cwd": "/", "user": {"uid": 7, "gid": 8}, "args": ["c"]},
                "annotations": {"Path": "x", "type": "z"},
                "sysctl": {"Kernel": "z"},
                "hostname": "c",
                "numbers": [null, true, -1, 1.5, 18_446_744_073_709_551_615_u64],
            })
        );
    }

    #[test]
    fn what_is_no_json_is_refused_whatever_its_depth() {
        let deep = "{\"a\":".repeat(100_000);
        for text in ["", "{", "{\"a\" 1}", "nul", &deep] {
            assert!(read(text.as_bytes()).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn only_known_keys_are_misspelt() {
        assert!(is_misspelt("pagesize") && is_misspelt("PIDS"));
        assert!(!is_misspelt("pageSize") && !is_misspelt("flavour") && !is_misspelt("page_size"));
    }
}
