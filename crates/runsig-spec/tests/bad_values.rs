//! One wrong value at a time: each is refused in one line that names it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;

use runsig_spec::{LoadOptions, from_json};
use serde_json::{Value, json};

const FULL: &str = include_str!("data/full.json");

/// The error for the full bundle with `value` at `pointer` (JSON pointer; null removes the field).
fn error(pointer: &str, value: Value, options: &LoadOptions<'_>) -> String {
    let mut config: Value = serde_json::from_str(FULL).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}")) {
        Value::Object(map) if value.is_null() => drop(map.remove(key)),
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer} is {other}"),
    }
    match from_json(config.to_string().as_bytes(), Path::new("/b"), options) {
        Ok(_) => panic!("{pointer}: nothing was refused"),
        Err(error) => error.to_string(),
    }
}

fn selinux() -> LoadOptions<'static> {
    LoadOptions { selinux: true, ..LoadOptions::new("c") }
}

#[test]
fn each_field_refuses_what_it_cannot_be() {
    for (pointer, value, words) in [
        ("/ociVersion", json!("2.0.0"), "invalid ociVersion \"2.0.0\""),
        ("/ociVersion", json!(1), "config.json: ociVersion: invalid type: integer `1`"),
        ("/root", json!(null), "root must be specified"),
        ("/root/path", json!(null), "invalid root.path \"\""),
        ("/root/path", json!("a\0b"), "invalid root.path \"a\\0b\""),
        ("/root/readonly", json!("yes"), "config.json: root.readonly: invalid type"),
        ("/process", json!(null), "process property must not be empty"),
        ("/process/args", json!([]), "args must not be empty"),
        ("/process/args", json!(["a", "b\0"]), "invalid process.args[1]"),
        ("/process/args", json!("sh"), "config.json: process.args: invalid type"),
        ("/process/cwd", json!(null), "Cwd property must not be empty"),
        ("/process/cwd", json!("home"), "Cwd must be an absolute path"),
        ("/process/cwd", json!("/\0"), "invalid process.cwd"),
        ("/process/env", json!(["PATH"]), "invalid environment variable: missing '='"),
        ("/process/user/uid", json!(-1), "config.json: process.user.uid: invalid value"),
        ("/process/user/uid", json!(70_000), "cannot setuid to unmapped uid 70000"),
        ("/process/user/gid", json!(70_000), "cannot setgid to unmapped gid 70000"),
        ("/process/user/umask", json!(4096), "invalid process.user.umask"),
        ("/process/rlimits/0/type", json!("RLIMIT_X"), "wrong rlimit value: \"RLIMIT_X\""),
        ("/process/rlimits/1/type", json!("RLIMIT_NOFILE"), "given more than once"),
        ("/process/rlimits/0/soft", json!(4096), "invalid process.rlimits[0].soft \"4096\""),
        ("/process/capabilities/ambient", json!("CAP_KILL"), "config.json: process.capabilities.ambient"),
        ("/process/oomScoreAdj", json!(5000), "invalid process.oomScoreAdj \"5000\""),
        ("/process/scheduler/policy", json!("FIFO"), "invalid process.scheduler.policy \"FIFO\""),
        ("/process/ioPriority/class", json!("RT"), "invalid ioPriority.Class: \"RT\""),
        ("/process/execCPUAffinity/initial", json!("0-"), "invalid process.execCPUAffinity.initial \"0-\""),
        ("/process/consoleSize/width", json!(70_000), "invalid process.consoleSize.width \"70000\""),
        ("/hostname", json!("x".repeat(65)), "invalid hostname"),
        ("/hostname", json!("a\0"), "invalid hostname"),
        ("/domainname", json!("x".repeat(65)), "invalid domainname"),
        ("/mounts/0", json!({"destination": ""}), "invalid mounts[0].destination"),
        ("/mounts/0/type", json!(null), "invalid mounts[0].type"),
        ("/mounts/3/options", json!(["bind", "size=5"]), "invalid mounts[3].options \"size=5\""),
        ("/mounts/4/gidMappings", json!(null), "invalid mount 4: id-mapped mounts must have both"),
        ("/hooks/poststop/0/path", json!("rel"), "invalid hooks.poststop[0].path \"rel\""),
        ("/hooks/createRuntime/0/timeout", json!(0), "invalid hooks.createRuntime[0].timeout \"0\""),
        ("/hooks/prestart", json!([{}]), "config.json: hooks.prestart[0]: missing field `path`"),
        ("/annotations", json!({"": "x"}), "invalid annotations \"\""),
        ("/annotations", json!({"a": 5}), "config.json: annotations.a: invalid type"),
        ("/linux/namespaces/0/type", json!("mnt"), "namespace \"mnt\" does not exist"),
        ("/linux/namespaces/0/type", json!("uts"), "malformed spec file: duplicated ns \"uts\""),
        ("/linux/namespaces/6/path", json!("ns/ipc"), "invalid linux.namespaces[6].path \"ns/ipc\""),
        ("/linux/namespaces/3", json!({"type": "pid"}), "duplicated ns \"pid\""),
        ("/linux/namespaces/5", json!({"type": "pid"}), "duplicated ns \"pid\""),
        ("/linux/uidMappings/0/size", json!(0), "invalid linux.uidMappings[0].size \"0\""),
        ("/linux/uidMappings", json!(null), "user namespaces enabled, but no uid mappings found"),
        ("/linux/gidMappings/0/hostID", json!(4_294_967_295u32), "invalid linux.gidMappings[0].size"),
        (
            "/linux/sysctl",
            json!({"kernel.panic": "1"}),
            "sysctl \"kernel.panic\" is not in a separate kernel",
        ),
        ("/linux/sysctl", json!({"kernel.hostname": "1"}), "sysctl \"kernel.hostname\" is not allowed"),
        ("/linux/resources/devices/0/access", json!("x"), "invalid linux.resources.devices[0].access \"x\""),
        ("/linux/resources/devices/0/type", json!("z"), "config.json: linux.resources.devices[0].type"),
        ("/linux/resources/memory/limit", json!("1G"), "config.json: linux.resources.memory.limit"),
        ("/linux/resources/pids/limit", json!(1.5), "config.json: linux.resources.pids.limit"),
        (
            "/linux/resources/hugepageLimits/0/pageSize",
            json!("2"),
            "invalid linux.resources.hugepageLimits[0]",
        ),
        ("/linux/resources/unified", json!({"../x": "1"}), "invalid linux.resources.unified \"../x\""),
        ("/linux/cgroupsPath", json!("/a\0"), "invalid linux.cgroupsPath"),
        ("/linux/cgroupsPath", json!("/x".repeat(1537)), "is longer than 3072 bytes"),
        ("/linux/resources/hugepageLimits/0/limit", json!(-1), "hugepageLimits[0].limit \"-1\""),
        ("/linux/devices/0/type", json!("x"), "invalid device type \"x\""),
        ("/linux/devices/0/path", json!("dev/x"), "invalid linux.devices[0].path \"dev/x\""),
        ("/linux/devices/0/major", json!(-5), "invalid linux.devices[0].major \"-5\""),
        ("/linux/netDevices", json!({"a b": {}}), "invalid network device name \"a b\""),
        ("/linux/seccomp/defaultAction", json!("DENY"), "string \"DENY\" is not a valid action for seccomp"),
        (
            "/linux/seccomp/syscalls/0/action",
            json!("SCMP_ACT_NOTIFY"),
            "cannot be used for the write syscall",
        ),
        ("/linux/seccomp/listenerPath", json!(null), "seccomp listenerPath is not set"),
        ("/linux/seccomp/architectures", json!(["Z80"]), "string \"Z80\" is not a valid arch"),
        (
            "/linux/seccomp/syscalls/2/args/0/index",
            json!(6),
            "invalid linux.seccomp.syscalls[2].args.index \"6\"",
        ),
        ("/linux/seccomp", json!("none"), "linux.seccomp: invalid type"),
        ("/linux/rootfsPropagation", json!("sharded"), "rootfsPropagation=sharded is not supported"),
        ("/linux/maskedPaths", json!(["/a", "b"]), "invalid linux.maskedPaths[1] \"b\""),
        ("/linux/readonlyPaths", json!(["/a\0"]), "invalid linux.readonlyPaths[0]"),
        ("/linux/intelRdt/closID", json!(".."), "invalid intelRdt.ClosID \"..\""),
        ("/linux/memoryPolicy/mode", json!("BIND"), "invalid memory policy mode \"BIND\""),
        (
            "/linux/memoryPolicy/nodes",
            json!("a"),
            "invalid memory policy nodes (linux.memoryPolicy.nodes) \"a\"",
        ),
        ("/linux/personality/domain", json!("BSD"), "invalid personality domain \"BSD\""),
        ("/linux/timeOffsets", json!({"realtime": {}}), "invalid linux.timeOffsets \"realtime\""),
        (
            "/linux/timeOffsets/monotonic/nanosecs",
            json!(1_000_000_000),
            "invalid linux.timeOffsets.monotonic.nanosecs",
        ),
    ] {
        let error = error(pointer, value, &selinux());
        assert!(error.contains(words), "{pointer}: {error}\nwanted {words}");
        assert!(!error.contains('\n') && error.len() < 400, "{pointer}: {error}");
    }
}

/// serde would take an array for a structure.
#[test]
fn no_array_is_a_structure() {
    for pointer in [
        "/process",
        "/process/user",
        "/process/consoleSize",
        "/process/capabilities",
        "/process/rlimits/0",
        "/root",
        "/mounts/0",
        "/hooks",
        "/hooks/prestart/0",
        "/linux",
        "/linux/resources",
        "/linux/resources/pids",
        "/linux/namespaces/0",
        "/linux/devices/0",
        "/linux/seccomp",
        "/linux/seccomp/syscalls/0",
        "/linux/uidMappings/0",
        "/linux/timeOffsets/monotonic",
    ] {
        for value in [json!([]), json!([1, 2])] {
            let error = error(pointer, value, &selinux());
            assert!(error.contains("invalid type: sequence"), "{pointer}: {error}");
        }
    }
}

/// Without a namespace, what needs it is refused.
#[test]
fn fields_need_their_namespaces() {
    let without = |kind: &str| {
        let config: Value = serde_json::from_str(FULL).unwrap();
        let all = config["linux"]["namespaces"].as_array().unwrap().clone();
        Value::Array(all.into_iter().filter(|namespace| namespace["type"] != kind).collect())
    };
    for (kind, words) in [
        ("uts", "unable to set hostname without a private UTS namespace"),
        ("network", "without a NET namespace"),
        ("mount", "unable to restrict sys entries without a private MNT namespace"),
        ("user", "user namespace mappings specified, but user namespace isn't enabled"),
        ("time", "time namespace offsets specified, but time namespace isn't enabled"),
        ("ipc", "sysctl \"kernel.msgmax\" is not allowed in the hosts ipc namespace"),
    ] {
        let error = error("/linux/namespaces", without(kind), &selinux());
        assert!(error.contains(words), "{kind}: {error}");
    }
}

/// What the host or the caller cannot do is refused before anything is made.
#[test]
fn callers_and_hosts_have_limits() {
    let rootless = LoadOptions { rootless: true, ..selinux() };
    let same = json!("box");
    let plain = LoadOptions::new("c");
    let no_pivot = LoadOptions { no_pivot: true, ..selinux() };
    for (pointer, value, options, words) in [
        ("/hostname", same.clone(), &plain, "selinux is disabled or not supported"),
        ("/process/selinuxLabel", json!(null), &plain, "selinux is disabled or not supported"),
        ("/hostname", same.clone(), &rootless, "id-mapped mounts are not supported for rootless containers"),
        (
            "/mounts/4",
            json!({"destination": "/p", "type": "proc"}),
            &rootless,
            "network devices are not supported",
        ),
        ("/linux/rootfsPropagation", json!("rprivate"), &no_pivot, "is not safe without pivot_root"),
    ] {
        let error = error(pointer, value, options);
        assert!(error.contains(words), "{pointer}: {error}");
    }
}
