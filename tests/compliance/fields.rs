//! Fields of config.json with values of the right type that cannot be: one refused `create` for each.
//!
//! Where runc takes a value, the row says what it makes of it. crates/runsig-spec/tests has the same for the parser alone.

use std::fs;

use runsig_tests::{Case, Value, cases, json, needs, skip};

use crate::field_table::{Bad, bad, bad_text, check};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "fields":
    process, process_of_later_versions, root_and_mounts, mounts_of_later_versions, hooks_and_annotations,
    namespaces_and_maps, devices, linux, linux_of_later_versions, rdt_where_there_is_none, seccomp, seccomp_flags,
    small_resources, limits_of_controllers, text];

/// Longer than any name.
fn long() -> String {
    "x".repeat(70)
}

/// Longer than any path.
fn endless() -> String {
    format!("/{}", "x".repeat(5000))
}

fn process() {
    let limit = |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    let rlimit = |value| bad("process.rlimits.-", value, "");
    check(vec![
        bad("ociVersion", json!("2.0.0"), "invalid ociVersion").but_runc("reads no version"),
        bad("ociVersion", json!("one"), "invalid ociVersion").but_runc("reads no version"),
        bad("process", Value::Null, "process property must not be empty"),
        bad("process.cwd", json!(""), "Cwd property must not be empty"),
        bad("process.cwd", json!("tmp"), "Cwd must be an absolute path"),
        bad("process.cwd", json!("/\0"), "mkdir /\\x00: invalid argument").runsig("contains a NUL byte"),
        bad("process.args", json!([]), "args must not be empty"),
        bad("process.args", Value::Null, "args must not be empty"),
        bad("process.args", json!([""]), "exec: \"\": executable file not found in $PATH"),
        bad("process.args", json!(["a\0"]), "executable file not found in $PATH")
            .runsig("contains a NUL byte"),
        bad("process.args.-", json!("b\0"), "contains a NUL byte").but_runc("notices when it starts"),
        bad("process.env", json!(["PATH"]), "invalid environment variable: "),
        bad("process.env", json!(["=x"]), "empty"),
        bad("process.env", json!(["A\0=b"]), "x00").runsig("contains a NUL byte"),
        bad("process.consoleSize", json!({"height": 65_536, "width": 1}), "is more than 65535")
            .but_runc("keeps 16 bits of it"),
        bad("process.user.uid", json!(4_294_967_295_u32), "setup user: ").runsig("is no user or group"),
        bad("process.user.gid", json!(4_294_967_295_u32), "setup user: ").runsig("is no user or group"),
        bad("process.user.additionalGids", json!([4_294_967_295_u32]), "setup user: ")
            .runsig("is no user or group"),
        bad("process.user.umask", json!(4096), "is no file mode").but_runc("keeps the lower bits of it"),
        rlimit(limit("", 1, 1)).says("wrong rlimit value: "),
        rlimit(limit("RLIMIT_X", 1, 1)).says("wrong rlimit value: "),
        rlimit(limit("nofile", 1, 1)).says("wrong rlimit value: "),
        rlimit(limit("RLIMIT_NOFILE ", 1, 1)).says("wrong rlimit value: "),
        rlimit(limit("RLIMIT_CORE", 5, 1))
            .says("invalid argument")
            .runsig("the soft limit is above the hard limit 1"),
        rlimit(limit("RLIMIT_NOFILE", 1024, 1024))
            .says("given more than once")
            .but_runc("the last of them counts"),
        bad("process.oomScoreAdj", json!(1001), "EOF").runsig("is not between -1000 and 1000"),
        bad("process.oomScoreAdj", json!(-1001), "EOF").runsig("is not between -1000 and 1000"),
        bad(
            "process.selinuxLabel",
            json!("a_b"),
            "selinux label is specified in config, but selinux is disabled",
        ),
    ]);
}

fn process_of_later_versions() {
    let scheduler = |value: Value, words| bad("process.scheduler", value, words).since("1.2");
    let priority = |value: Value, words| bad("process.ioPriority", value, words).since("1.2");
    let affinity = |value: Value, words| bad("process.execCPUAffinity", value, words).since("1.3");
    check(vec![
        scheduler(json!({"policy": ""}), "scheduler policy is required"),
        scheduler(json!({"policy": "SCHED_X"}), "SCHED_X"),
        scheduler(json!({"policy": "SCHED_OTHER", "nice": -21}), "invalid scheduler.nice: -21"),
        scheduler(json!({"policy": "SCHED_OTHER", "nice": 20}), "invalid scheduler.nice: 20"),
        scheduler(
            json!({"policy": "SCHED_OTHER", "priority": 1}),
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ),
        scheduler(json!({"policy": "SCHED_FIFO", "priority": 100}), "scheduler: invalid argument")
            .runsig("is not between 1 and 99"),
        scheduler(json!({"policy": "SCHED_FIFO", "priority": -1}), "scheduler: invalid argument")
            .runsig("must not be negative"),
        scheduler(json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}), "SCHED_FLAG_X"),
        scheduler(
            json!({"policy": "SCHED_OTHER", "runtime": 1}),
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ),
        scheduler(
            json!({"policy": "SCHED_DEADLINE", "runtime": 10, "deadline": 5, "period": 20}),
            "error setting scheduler: invalid argument",
        )
        .runsig("runtime <= deadline <= period"),
        scheduler(json!({"policy": "SCHED_ISO"}), "scheduler: invalid argument"),
        priority(json!({}), "invalid ioPriority.Class: "),
        priority(json!({"class": "X", "priority": 1}), "invalid ioPriority.Class: "),
        priority(json!({"class": "IOPRIO_CLASS_RT", "priority": 8}), "invalid ioPriority.Priority: 8"),
        priority(json!({"class": "IOPRIO_CLASS_BE", "priority": -1}), "invalid ioPriority.Priority: -1"),
        affinity(json!({"initial": "0-"}), "bad CPUAffinity.Initial: ")
            .runsig("process.execCPUAffinity.initial"),
        affinity(json!({"initial": "3-1"}), "invalid range: 3-1"),
        affinity(json!({"final": "x"}), "bad CPUAffinity.Final: ").runsig("process.execCPUAffinity.final"),
        affinity(json!({"initial": "99999"}), "are not supported"),
        bad("domainname", json!(long()), "setdomainname: invalid argument")
            .runsig("is longer than 64 bytes")
            .since("1.2"),
        bad("domainname", json!("a\0"), "contains a NUL byte").but_runc("passes it on").since("1.2"),
    ]);
}

fn root_and_mounts() {
    let mount = |value: Value, words| bad("mounts.-", value, words);
    let tmpfs = |options: Value, words| {
        mount(json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": options}), words)
    };
    check(vec![
        bad("root", Value::Null, "root must be specified"),
        bad("root.path", json!(""), "executable file not found").runsig("invalid root.path \"\""),
        bad("root.path", json!("not-there"), "invalid rootfs: stat "),
        bad("root.path", json!(endless()), "invalid rootfs: stat "),
        bad("root.path", json!("a\0"), "invalid rootfs: stat ").runsig("contains a NUL byte"),
        bad("root.path", json!("rootfs/bin/busybox"), "not a directory"),
        bad("hostname", json!(long()), "sethostname: invalid argument").runsig("is longer than 64 bytes"),
        bad("hostname", json!("a\0"), "contains a NUL byte").but_runc("passes it on"),
        mount(json!({}), "no").runsig("invalid mounts[7].destination \"\""),
        mount(
            json!({"destination": "/x\0", "type": "tmpfs", "source": "x"}),
            "mount field contains null byte",
        )
        .runsig("contains a NUL byte"),
        mount(json!({"destination": endless(), "type": "tmpfs", "source": "x"}), "file name too long"),
        mount(json!({"destination": "/x"}), "no such device").runsig("invalid mounts[7].type \"\""),
        mount(json!({"destination": "/x", "type": "no-such-fs", "source": "x"}), "no such device"),
        mount(json!({"destination": "/x", "type": "bind"}), "no such").runsig("neither bind nor rbind"),
        mount(
            json!({"destination": "/x", "type": "bind", "source": "/runsig-test-none", "options": ["bind"]}),
            "no such file or directory",
        ),
        tmpfs(json!(["size=lots"]), "invalid argument"),
        tmpfs(json!(["mode=99999"]), "invalid argument"),
        tmpfs(json!(["no-such-option"]), "invalid argument"),
        tmpfs(json!(["o".repeat(5000)]), "invalid argument"),
    ]);
}

fn mounts_of_later_versions() {
    let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let of_none = json!([{"containerID": 0, "hostID": 0, "size": 0}]);
    let mount = |value: Value, words| bad("mounts.-", value, words).since("1.2");
    let bind = |options: Value, uids: &Value, gids: &Value, words| {
        let entry = json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": options,
            "uidMappings": uids, "gidMappings": gids});
        mount(entry, words)
    };
    let none = Value::Null;
    check(vec![
        mount(json!({"destination": "/", "type": "tmpfs", "source": "x"}), "is on the top of")
            .runsig("is the top of the rootfs"),
        bind(json!(["bind", "size=5"]), &none, &none, "cannot have any filesystem-specific options applied"),
        bind(json!(["bind"]), &map, &none, "must have both uid and gid mappings"),
        bind(json!(["bind", "idmap"]), &none, &none, "must have both uid and gid mappings"),
        bind(json!(["bind"]), &of_none, &of_none, "").runsig("must not be 0"),
        mount(
            json!({"destination": "/x", "type": "tmpfs", "source": "x", "uidMappings": map, "gidMappings": map}),
            "id-mapped mounts are only supported for bind-mounts",
        ),
    ]);
}

fn hooks_and_annotations() {
    let hook = |field, value: Value, words| bad(field, value, words);
    check(vec![
        hook("hooks.prestart.-", json!({}), "exec: no command").runsig("missing field `path`"),
        hook("hooks.prestart.-", json!({"path": ""}), "exec: no command").runsig("is not an absolute path"),
        hook("hooks.prestart.-", json!({"path": "rel"}), "fork/exec rel: no such file or directory")
            .runsig("hooks.prestart[0].path \"rel\": is not an absolute path"),
        hook(
            "hooks.prestart.-",
            json!({"path": "/runsig-test-none"}),
            "fork/exec /runsig-test-none: no such file or directory",
        ),
        hook(
            "hooks.createRuntime.-",
            json!({"path": "/runsig-test-none"}),
            "fork/exec /runsig-test-none: no such file or directory",
        ),
        hook(
            "hooks.createContainer.-",
            json!({"path": "/runsig-test-none"}),
            "fork/exec /runsig-test-none: no such file or directory",
        ),
        hook("hooks.createRuntime.-", json!({"path": "/bin"}), "fork/exec /bin: permission denied"),
        hook(
            "hooks.createRuntime.-",
            json!({"path": "/etc/passwd"}),
            "fork/exec /etc/passwd: permission denied",
        ),
        hook("hooks.createRuntime.-", json!({"path": "/bin/true\0"}), "invalid argument")
            .runsig("contains a NUL byte"),
        hook("hooks.createRuntime.-", json!({"path": "/bin/true", "args": ["a\0"]}), "invalid argument")
            .runsig("contains a NUL byte"),
        hook(
            "hooks.prestart.-",
            json!({"path": "/bin/true", "timeout": 0}),
            "hook ran past specified timeout",
        )
        .runsig("hooks.prestart[0].timeout \"0\""),
        hook(
            "hooks.prestart.-",
            json!({"path": "/bin/true", "timeout": -1}),
            "hook ran past specified timeout",
        )
        .runsig("hooks.prestart[0].timeout \"-1\""),
        hook("hooks.poststop.-", json!({"path": "rel"}), "is not an absolute path")
            .but_runc("fails when it runs the hook"),
        bad("annotations", json!({"": "x"}), "a key must not be empty")
            .but_runc("reads no annotation but its own"),
    ]);
}

fn namespaces_and_maps() {
    let joined =
        |kind: &str, path: &str| json!([{"type": "mount"}, {"type": "uts"}, {"type": kind, "path": path}]);
    let spaces: Vec<_> =
        ["pid", "network", "ipc", "uts", "mount", "user"].map(|kind| json!({"type": kind})).into();
    let map = |inside: u32, outside: u32, size: u32| json!([{"containerID": inside, "hostID": outside, "size": size}]);
    let good = map(0, 100_000, 65_536);
    let twice =
        Value::Array([&good, &good].iter().flat_map(|map| map.as_array().expect("a list").clone()).collect());
    let mapped = |uids: &Value, gids: &Value, words| {
        bad("linux", json!({"namespaces": spaces, "uidMappings": uids, "gidMappings": gids}), words)
    };
    let none = Value::Null;
    check(vec![
        bad("linux", Value::Null, "unable to set hostname without a private UTS namespace"),
        bad("linux.namespaces.-", json!({}), "does not exist"),
        bad("linux.namespaces.-", json!({"type": "flavour"}), "flavour"),
        bad("linux.namespaces.-", json!({"type": "PID"}), "PID"),
        bad("linux.namespaces.-", json!({"type": "pid"}), "duplicated ns"),
        bad("linux.namespaces", json!([{"type": "uts"}, {"type": "pid"}]), "private MNT namespace"),
        bad("linux.namespaces", json!([{"type": "mount"}]), "without a private UTS namespace"),
        bad(
            "linux.namespaces",
            joined("pid", "/runsig-test-none"),
            "lstat /runsig-test-none: no such file or directory",
        ),
        bad("linux.namespaces", joined("network", &endless()), "file name too long"),
        bad("linux.namespaces", joined("network", "/\0"), "lstat ").runsig("contains a NUL byte"),
        bad("linux.namespaces", joined("network", "ns"), "lstat ns: ").runsig("is not an absolute path"),
        bad("linux.namespaces", joined("network", "/dev/null"), "EOF").runsig("invalid argument"),
        bad("linux.namespaces", joined("network", "/proc/self/ns/uts"), "EOF")
            .runsig("can't join namespace /proc/self/ns/uts: invalid argument"),
        bad("linux.namespaces", joined("pid", "/proc/self/ns/uts"), "EOF")
            .runsig("can't join namespace (/proc/self/ns/uts): invalid argument"),
        mapped(&none, &none, "ser namespaces enabled, but no"),
        mapped(&good, &none, "ser namespaces enabled, but no gid mappings found"),
        mapped(&none, &good, "ser namespaces enabled, but no uid mappings found"),
        mapped(&map(0, 0, 0), &good, "mapping").runsig("uidMappings[0].size \"0\""),
        mapped(&map(0, u32::MAX, 2), &good, "EOF").runsig("goes beyond the largest ID"),
        mapped(&twice, &good, "EOF").runsig("overlaps another mapping"),
        mapped(&map(5, 100_000, 10), &good, "ser namespaces enabled, but no")
            .runsig("ser namespaces enabled, but no mapping found for uid 0"),
        mapped(&good, &map(5, 100_000, 10), "ser namespaces enabled, but no")
            .runsig("ser namespaces enabled, but no mapping found for gid 0"),
    ]);
}

fn devices() {
    let device = |value: Value, words| bad("linux.devices.-", value, words);
    let numbered = |kind: &str, major: i64, minor: i64, words| {
        device(json!({"path": "/dev/x", "type": kind, "major": major, "minor": minor}), words)
    };
    let rule = |value: Value, words| bad("linux.resources.devices.-", value, words);
    check(vec![
        device(json!({}), "invalid device type \"\"").runsig("linux.devices[0].path"),
        device(json!({"path": "/dev/x"}), "invalid device type \"\""),
        numbered("x", 1, 3, "invalid device type \"x\""),
        numbered("cc", 1, 3, "invalid device type \"cc\""),
        numbered("c", -1, 3, "cannot mkdev() device with wildcards").runsig("linux.devices[0].major \"-1\""),
        numbered("c", 4_294_967_296, 1, "is not between 0 and 4095").but_runc("keeps the lower bits of it"),
        numbered("c", 1, -3, "incorrect major:minor").runsig("linux.devices[0].minor \"-3\"").since("1.3"),
        numbered("c", 4096, 0, "incorrect major:minor")
            .runsig("linux.devices[0].major \"4096\"")
            .since("1.3"),
        device(json!({"path": "dev/x", "type": "c", "major": 1, "minor": 3}), "is not an absolute path")
            .but_runc("takes it for a path from the root"),
        device(
            json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": u32::MAX}),
            "is no file mode",
        )
        .but_runc("keeps the lower bits of it"),
        device(json!({"path": "/dev/\0", "type": "c", "major": 1, "minor": 3}), "invalid argument")
            .runsig("contains a NUL byte"),
        device(json!({"path": endless(), "type": "c", "major": 1, "minor": 3}), "file name too long"),
        rule(json!({}), "cannot be empty"),
        rule(json!({"allow": true}), "cannot be empty"),
        rule(json!({"allow": true, "access": "x"}), "has none of r, w and m")
            .but_runc("makes a rule of nothing of it"),
        rule(json!({"allow": true, "type": "x", "access": "r"}), "device"),
    ]);
}

fn linux() {
    let sysctl = |name: &str, value: &str, words| bad("linux.sysctl", json!({name: value}), words);
    let alone = "is not in a separate kernel namespace";
    check(vec![
        bad("linux.cgroupsPath", json!("/a\0"), "invalid argument").runsig("contains a NUL byte"),
        bad("linux.cgroupsPath", json!("/x".repeat(2500)), "file name too long").runsig("is longer than "),
        bad("linux.rootfsPropagation", json!("sideways"), "rootfsPropagation=sideways is not supported"),
        bad("linux.rootfsPropagation", json!("PRIVATE"), "rootfsPropagation=PRIVATE is not supported"),
        bad("linux.maskedPaths", json!(["/a\0"]), "can't mask path ").runsig("contains a NUL byte"),
        bad("linux.maskedPaths", json!([endless()]), "file name too long"),
        bad("linux.maskedPaths", json!(["rel"]), "is not an absolute path").but_runc("passes over it"),
        bad("linux.readonlyPaths", json!(["/a\0"]), "read-only").runsig("contains a NUL byte"),
        bad("linux.readonlyPaths", json!([endless()]), "read-only").runsig("file name too long"),
        bad("linux.readonlyPaths", json!(["rel"]), "is not an absolute path").but_runc("passes over it"),
        bad("linux.mountLabel", json!("a_b"), "invalid argument")
            .runsig("selinux is disabled or not supported"),
        sysctl("", "1", alone),
        sysctl("vm.swappiness", "1", alone),
        sysctl("kernel.hostname", "x", "is not allowed as it conflicts with the OCI \"hostname\" field"),
        sysctl("user.max_user_namespaces", "5", "user.max_user_namespaces"),
        sysctl("net.no.such", "1", "no such file or directory"),
        sysctl("net.ipv4.ip_forward", "much", "invalid argument"),
        sysctl("net/../../x", "1", "no such file or directory").runsig("is no parameter's name"),
        sysctl("net.\0", "1", "invalid argument").runsig("contains a NUL byte"),
        sysctl("kernel.msgmax", "-x", "invalid argument"),
    ]);
}

fn linux_of_later_versions() {
    let device = |value: Value, words| bad("linux.netDevices", value, words).since("1.4");
    let policy = |value: Value, words| bad("linux.memoryPolicy", value, words).since("1.4");
    let personality = |value: Value, words| bad("linux.personality", value, words).since("1.2");
    let spaces = ["pid", "network", "ipc", "uts", "mount", "time"].map(|kind| json!({"type": kind}));
    let offset = |value: Value, words| {
        bad("linux", json!({"namespaces": spaces, "timeOffsets": value}), words).since("1.2")
    };
    check(vec![
        device(json!({"a/b": {}}), "invalid network device name \"a/b\""),
        device(json!({"": {}}), "invalid network device name \"\""),
        device(json!({"a": {"name": "x/y"}}), "invalid network device name \"x/y\""),
        device(json!({"a": {"name": "n".repeat(20)}}), "invalid network device name \"nnnn"),
        device(json!({"runsig-none": {}}), "move netDevice runsig-none to namespace"),
        policy(json!({}), "invalid memory policy mode \"\""),
        policy(json!({"mode": "MPOL_X"}), "MPOL_X"),
        policy(json!({"mode": "MPOL_BIND"}), "requires at least one node but got 0"),
        policy(json!({"mode": "MPOL_BIND", "nodes": "a"}), "invalid memory policy nodes"),
        policy(json!({"mode": "MPOL_BIND", "nodes": "5-1"}), "invalid range: 5-1"),
        policy(json!({"mode": "MPOL_BIND", "nodes": "9999"}), "set_mempolicy: ").runsig("nodes) \"9999\""),
        policy(json!({"mode": "MPOL_DEFAULT", "nodes": "0"}), "requires 0 nodes but got 1"),
        policy(
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}),
            "invalid memory policy flag \"X\"",
        ),
        personality(json!({}), "invalid personality domain "),
        personality(json!({"domain": "PDP11"}), "PDP11"),
        personality(json!({"domain": "linux"}), "linux"),
        bad("linux.timeOffsets", json!({"boottime": {"secs": 1}}), "time namespace isn't enabled")
            .since("1.2"),
        offset(json!({"realtime": {"secs": 1}}), "").runsig("linux.timeOffsets \"realtime\""),
        offset(json!({"boottime": {"nanosecs": 1_000_000_000}}), "")
            .runsig("linux.timeOffsets.boottime.nanosecs"),
        offset(json!({"boottime": {"secs": i64::MAX}}), "").runsig("numerical result out of range"),
        offset(json!({"boottime": {"secs": i64::MIN}}), "").runsig("numerical result out of range"),
        bad(
            "linux.uidMappings",
            json!([{"containerID": 0, "hostID": 0, "size": 1}]),
            "user namespace isn't enabled",
        )
        .but_runc("passes over them"),
    ]);
}

fn rdt_where_there_is_none() {
    if fs::exists("/sys/fs/resctrl/schemata").unwrap_or_default() {
        skip("Intel RDT is on here");
    }
    let off = "intelRdt is specified in config, but Intel RDT is not enabled";
    check(vec![
        bad("linux.intelRdt", json!({"l3CacheSchema": "x"}), " is specified in config, but Intel RDT"),
        bad("linux.intelRdt", json!({"memBwSchema": "x"}), " is specified in config, but Intel RDT"),
        bad("linux.intelRdt", json!({"closID": ".."}), "ntelRdt"),
        bad("linux.intelRdt", json!({"closID": "a/b"}), "ntelRdt"),
        bad("linux.intelRdt", json!({}), off).since("1.2"),
        bad("linux.intelRdt", json!({"schemata": ["x"]}), off).since("1.4"),
        bad("linux.intelRdt", json!({"enableMonitoring": true}), off).since("1.4"),
    ]);
}

fn filter(key: &str, value: Value, words: &'static str) -> Bad {
    let mut filter = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    filter[key] = value;
    bad("linux.seccomp", filter, words)
}

fn seccomp() {
    let call = |key: &str, value: Value, words| {
        let mut call = json!({"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"});
        call[key] = value;
        filter("syscalls", json!([call]), words)
    };
    let notify = |name: &str, listener: &str, words| {
        let mut notify = call("names", json!([name]), words);
        notify.set("syscalls.0.action", json!("SCMP_ACT_NOTIFY"));
        notify.set("listenerPath", json!(listener));
        notify
    };
    let action = "is not a valid action for seccomp";
    let operator = "is not a valid operator for seccomp";
    check(vec![
        filter("defaultAction", json!("SCMP_ACT_FOO"), action),
        filter("defaultAction", json!("ALLOW"), action),
        filter("defaultAction", json!("SCMP_ACT_NOTIFY"), "SCMP_ACT_NOTIFY cannot be used as default action"),
        filter("architectures", json!(["SCMP_ARCH_VAX"]), "is not a valid arch for seccomp"),
        filter("syscalls", json!([{}]), action),
        call("names", json!([""]), "empty string is not a valid syscall"),
        call("action", json!("X"), action),
        call("errnoRet", json!(70_000), "error adding seccomp filter rule")
            .runsig("errnoRet is more than 65535"),
        call("args", json!([{}]), operator),
        call("args", json!([{"index": 0, "value": 1, "op": "EQ"}]), operator),
        call("args", json!([{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]), "condition")
            .runsig("a system call has six arguments"),
        notify("getcwd", "/runsig-test-none", "no such file or directory"),
        notify("write", "/runsig-test-none", "SCMP_ACT_NOTIFY cannot be used for the write syscall"),
    ]);
}

fn seccomp_flags() {
    check(vec![
        filter("flags", json!(["SECCOMP_FILTER_FLAG_FOO"]), "is not known").since("1.2"),
        filter("flags", json!(["SECCOMP_FILTER_FLAG_NEW_LISTENER"]), "is not known").since("1.2"),
    ]);
}

fn small_resources() {
    let pages = |value: Value, words| bad("linux.resources.hugepageLimits.-", value, words);
    let unified = |key: &str, words| bad("linux.resources.unified", json!({key: "1"}), words);
    let size = "is not a size such as 2MB";
    check(vec![
        pages(json!({}), "hugetlb..max").runsig(size),
        pages(json!({"pageSize": "3MB", "limit": 1}), "hugetlb.3MB.max").runsig(size),
        pages(json!({"pageSize": "2M", "limit": 1}), "hugetlb.2M.max").runsig(size),
        pages(json!({"pageSize": "../x", "limit": 1}), "../x"),
        pages(json!({"pageSize": "2MB", "limit": -1}), "limit"),
        unified("no.such", "no.such"),
        unified("a/b", "must be a file name").runsig("is no cgroup file"),
        unified("../x", "must be a file name").runsig("is no cgroup file"),
        unified("", "unified resource \"\"").runsig("is no cgroup file"),
        unified("cgroup.freeze\0", "x00").runsig("is no cgroup file"),
        bad("linux.resources.unified", json!({"cgroup.max.depth": "x"}), "invalid argument"),
    ]);
}

/// Each controller says itself what it refuses.
fn limits_of_controllers() {
    needs::controllers(&["memory", "cpu", "cpuset", "io", "pids"]);
    let memory = |value: Value, words| bad("linux.resources.memory", value, words);
    let cpu = |value: Value, words| bad("linux.resources.cpu", value, words);
    let io = |value: Value, words| bad("linux.resources.blockIO", value, words);
    let nowhere = json!([{"major": 4095, "minor": 1, "rate": 1}]);
    check(vec![
        memory(json!({"limit": 1_000_000, "swap": 1}), "memory+swap"),
        memory(json!({"swap": 1}), "memory"),
        cpu(json!({"period": 1}), "invalid argument"),
        cpu(json!({"quota": 1}), "invalid argument"),
        cpu(json!({"cpus": "x"}), "invalid argument"),
        cpu(json!({"cpus": "3-1"}), "invalid argument"),
        cpu(json!({"cpus": "4000"}), ""),
        cpu(json!({"mems": "x"}), "invalid argument"),
        io(json!({"throttleReadBpsDevice": nowhere}), "no such device"),
        io(json!({"throttleWriteIOPSDevice": nowhere}), "no such device"),
        bad("linux.resources.pids", json!({"limit": 99_999_999_999_u64}), "invalid argument"),
    ]);
}

fn text() {
    let with = |rest: &str| {
        let base = r#""ociVersion": "1.0.2", "process": {"cwd": "/", "args": ["true"], "user": {}, "env": ["PATH=/bin"]},
            "root": {"path": "rootfs"}, "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}]}"#;
        format!("{{{base}{rest}")
    };
    check(vec![
        bad_text("", "EOF"),
        bad_text("[]", "array").runsig("sequence"),
        bad_text("\"x\"", "string"),
        bad_text("{}", "must").runsig("root must be specified"),
        bad_text("{'a': 1}", "invalid character").runsig("key must be a string"),
        bad_text(with(""), "unexpected EOF").runsig("EOF while parsing"),
        bad_text(with(",}"), "invalid character").runsig("trailing comma"),
        bad_text(format!("\u{feff}{}", with("}")), "invalid character").runsig("expected value"),
        bad_text(with(", \"hostname\": \"a\tb\"}"), "invalid character").runsig("control character"),
        bad_text(with(", \"hostname\": \"\\ud800\"}"), "hostname")
            .but_runc("puts a replacement in its place"),
        bad_text(format!("{{\"a\": {}", "[".repeat(100_000)), "max depth").runsig("config.json: a[0]"),
    ]);
}
