//! Every field of runtime-spec 1.3 with values of another type: one refused `create` for each.
//!
//! Owns: the list of fields with the types that specs-go/config.go of the specification gives them.

use runsig_tests::{Case, Value, cases, json};

use crate::field_table::{Bad, bad, check};

/// The tests of this file.
pub const CASES: &[Case] = &{
    const ALL: &[Case] = cases![V2 "field_types": of_config, of_linux, of_resources, of_later_versions];
    let mut cases = [ALL[0], ALL[1], ALL[2], ALL[3]];
    let mut index = 0;
    while index < ALL.len() {
        // Some 150 calls each.
        cases[index] = ALL[index].within(180);
        index += 1;
    }
    cases
};

/// What a field holds, in Go's types.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Object,
    List,
    Int,
    Uint,
    U16,
    U32,
    I32,
    I64,
    U64,
}

use Kind::{Bool, I32, I64, Int, List, Object, Text, U16, U32, U64, Uint};

impl Kind {
    /// Values of other types, and numbers outside of it.
    fn others(self) -> Vec<Value> {
        match self {
            Text => vec![json!(7), json!([])],
            Bool => vec![json!("yes"), json!(1)],
            Object => vec![json!([]), json!("x")],
            List => vec![json!({}), json!("x")],
            Int => vec![json!("1"), json!(1.5)],
            Uint => vec![json!(-1), json!("1"), json!(1.5)],
            U16 => vec![json!(-1), json!(65_536)],
            U32 => vec![json!(-1), json!(4_294_967_296_u64), json!("1")],
            I32 => vec![json!(2_147_483_648_u64), json!("1")],
            I64 => vec![json!(9_223_372_036_854_775_808_u64), json!(1.5)],
            U64 => vec![json!(-1), json!(1.8e19)],
        }
    }
}

/// `process` and all else that is not `linux`.
const CONFIG: &[(&str, Kind)] = &[
    ("ociVersion", Text),
    ("process", Object),
    ("process.terminal", Bool),
    ("process.consoleSize", Object),
    ("process.consoleSize.height", Uint),
    ("process.consoleSize.width", Uint),
    ("process.cwd", Text),
    ("process.env", List),
    ("process.env.-", Text),
    ("process.args", List),
    ("process.args.-", Text),
    ("process.rlimits", List),
    ("process.rlimits.-", Object),
    ("process.rlimits.-.type", Text),
    ("process.rlimits.-.hard", U64),
    ("process.rlimits.-.soft", U64),
    ("process.apparmorProfile", Text),
    ("process.capabilities", Object),
    ("process.capabilities.bounding", List),
    ("process.capabilities.effective", List),
    ("process.capabilities.inheritable", List),
    ("process.capabilities.permitted", List),
    ("process.capabilities.ambient", List),
    ("process.capabilities.bounding.-", Text),
    ("process.noNewPrivileges", Bool),
    ("process.oomScoreAdj", Int),
    ("process.selinuxLabel", Text),
    ("process.user", Object),
    ("process.user.uid", U32),
    ("process.user.gid", U32),
    ("process.user.umask", U32),
    ("process.user.additionalGids", List),
    ("process.user.additionalGids.-", U32),
    ("root", Object),
    ("root.path", Text),
    ("root.readonly", Bool),
    ("hostname", Text),
    ("mounts", List),
    ("mounts.-", Object),
    ("mounts.-.destination", Text),
    ("mounts.-.type", Text),
    ("mounts.-.source", Text),
    ("mounts.-.options", List),
    ("mounts.-.options.-", Text),
    ("mounts.-.uidMappings", List),
    ("mounts.-.uidMappings.-", Object),
    ("mounts.-.uidMappings.-.containerID", U32),
    ("mounts.-.uidMappings.-.hostID", U32),
    ("mounts.-.uidMappings.-.size", U32),
    ("mounts.-.gidMappings", List),
    ("mounts.-.gidMappings.-", Object),
    ("hooks", Object),
    ("hooks.prestart", List),
    ("hooks.createRuntime", List),
    ("hooks.createContainer", List),
    ("hooks.startContainer", List),
    ("hooks.poststart", List),
    ("hooks.poststop", List),
    ("hooks.poststop.-", Object),
    ("hooks.poststop.-.path", Text),
    ("hooks.poststop.-.args", List),
    ("hooks.poststop.-.env", List),
    ("hooks.poststop.-.timeout", Int),
    ("annotations", Object),
    ("annotations.x", Text),
    ("linux", Object),
];

/// `linux` but for its `resources`.
const LINUX: &[(&str, Kind)] = &[
    ("linux.uidMappings", List),
    ("linux.uidMappings.-", Object),
    ("linux.uidMappings.-.containerID", U32),
    ("linux.uidMappings.-.hostID", U32),
    ("linux.uidMappings.-.size", U32),
    ("linux.gidMappings", List),
    ("linux.gidMappings.-", Object),
    ("linux.gidMappings.-.size", U32),
    ("linux.sysctl", Object),
    ("linux.sysctl.x", Text),
    ("linux.resources", Object),
    ("linux.cgroupsPath", Text),
    ("linux.namespaces", List),
    ("linux.namespaces.-", Object),
    ("linux.namespaces.-.type", Text),
    ("linux.namespaces.-.path", Text),
    ("linux.devices", List),
    ("linux.devices.-", Object),
    ("linux.devices.-.path", Text),
    ("linux.devices.-.type", Text),
    ("linux.devices.-.major", I64),
    ("linux.devices.-.minor", I64),
    ("linux.devices.-.fileMode", U32),
    ("linux.devices.-.uid", U32),
    ("linux.devices.-.gid", U32),
    ("linux.seccomp", Object),
    ("linux.seccomp.defaultAction", Text),
    ("linux.seccomp.defaultErrnoRet", Uint),
    ("linux.seccomp.architectures", List),
    ("linux.seccomp.flags", List),
    ("linux.seccomp.listenerPath", Text),
    ("linux.seccomp.listenerMetadata", Text),
    ("linux.seccomp.syscalls", List),
    ("linux.seccomp.syscalls.-", Object),
    ("linux.seccomp.syscalls.-.names", List),
    ("linux.seccomp.syscalls.-.action", Text),
    ("linux.seccomp.syscalls.-.errnoRet", Uint),
    ("linux.seccomp.syscalls.-.args", List),
    ("linux.seccomp.syscalls.-.args.-", Object),
    ("linux.seccomp.syscalls.-.args.-.index", Uint),
    ("linux.seccomp.syscalls.-.args.-.value", U64),
    ("linux.seccomp.syscalls.-.args.-.valueTwo", U64),
    ("linux.seccomp.syscalls.-.args.-.op", Text),
    ("linux.rootfsPropagation", Text),
    ("linux.maskedPaths", List),
    ("linux.maskedPaths.-", Text),
    ("linux.readonlyPaths", List),
    ("linux.readonlyPaths.-", Text),
    ("linux.mountLabel", Text),
    ("linux.intelRdt", Object),
    ("linux.intelRdt.closID", Text),
    ("linux.intelRdt.l3CacheSchema", Text),
    ("linux.intelRdt.memBwSchema", Text),
    ("linux.personality", Object),
    ("linux.personality.domain", Text),
    ("linux.personality.flags", List),
];

/// `linux.resources`.
const RESOURCES: &[(&str, Kind)] = &[
    ("linux.resources.devices", List),
    ("linux.resources.devices.-", Object),
    ("linux.resources.devices.-.allow", Bool),
    ("linux.resources.devices.-.type", Text),
    ("linux.resources.devices.-.major", I64),
    ("linux.resources.devices.-.minor", I64),
    ("linux.resources.devices.-.access", Text),
    ("linux.resources.memory", Object),
    ("linux.resources.memory.limit", I64),
    ("linux.resources.memory.reservation", I64),
    ("linux.resources.memory.swap", I64),
    ("linux.resources.memory.kernel", I64),
    ("linux.resources.memory.kernelTCP", I64),
    ("linux.resources.memory.swappiness", U64),
    ("linux.resources.memory.disableOOMKiller", Bool),
    ("linux.resources.memory.useHierarchy", Bool),
    ("linux.resources.cpu", Object),
    ("linux.resources.cpu.shares", U64),
    ("linux.resources.cpu.quota", I64),
    ("linux.resources.cpu.period", U64),
    ("linux.resources.cpu.realtimeRuntime", I64),
    ("linux.resources.cpu.realtimePeriod", U64),
    ("linux.resources.cpu.cpus", Text),
    ("linux.resources.cpu.mems", Text),
    ("linux.resources.pids", Object),
    ("linux.resources.pids.limit", I64),
    ("linux.resources.blockIO", Object),
    ("linux.resources.blockIO.weight", U16),
    ("linux.resources.blockIO.leafWeight", U16),
    ("linux.resources.blockIO.weightDevice", List),
    ("linux.resources.blockIO.weightDevice.-", Object),
    ("linux.resources.blockIO.weightDevice.-.major", I64),
    ("linux.resources.blockIO.weightDevice.-.minor", I64),
    ("linux.resources.blockIO.weightDevice.-.weight", U16),
    ("linux.resources.blockIO.weightDevice.-.leafWeight", U16),
    ("linux.resources.blockIO.throttleReadBpsDevice", List),
    ("linux.resources.blockIO.throttleWriteBpsDevice", List),
    ("linux.resources.blockIO.throttleReadIOPSDevice", List),
    ("linux.resources.blockIO.throttleWriteIOPSDevice", List),
    ("linux.resources.blockIO.throttleReadBpsDevice.-", Object),
    ("linux.resources.blockIO.throttleReadBpsDevice.-.major", I64),
    ("linux.resources.blockIO.throttleReadBpsDevice.-.minor", I64),
    ("linux.resources.blockIO.throttleReadBpsDevice.-.rate", U64),
    ("linux.resources.hugepageLimits", List),
    ("linux.resources.hugepageLimits.-", Object),
    ("linux.resources.hugepageLimits.-.pageSize", Text),
    ("linux.resources.hugepageLimits.-.limit", U64),
    ("linux.resources.network", Object),
    ("linux.resources.network.classID", U32),
    ("linux.resources.network.priorities", List),
    ("linux.resources.network.priorities.-", Object),
    ("linux.resources.network.priorities.-.name", Text),
    ("linux.resources.network.priorities.-.priority", U32),
    ("linux.resources.rdma", Object),
    ("linux.resources.rdma.x", Object),
    ("linux.resources.rdma.x.hcaHandles", U32),
    ("linux.resources.rdma.x.hcaObjects", U32),
    ("linux.resources.unified", Object),
    ("linux.resources.unified.x", Text),
];

/// What an older runc does not know, with the version that does.
const LATER: &[(&str, Kind, &str)] = &[
    ("process.scheduler", Object, "1.2"),
    ("process.scheduler.policy", Text, "1.2"),
    ("process.scheduler.nice", I32, "1.2"),
    ("process.scheduler.priority", I32, "1.2"),
    ("process.scheduler.flags", List, "1.2"),
    ("process.scheduler.runtime", U64, "1.2"),
    ("process.scheduler.deadline", U64, "1.2"),
    ("process.scheduler.period", U64, "1.2"),
    ("process.ioPriority", Object, "1.2"),
    ("process.ioPriority.class", Text, "1.2"),
    ("process.ioPriority.priority", Int, "1.2"),
    ("process.execCPUAffinity", Object, "1.3"),
    ("process.execCPUAffinity.initial", Text, "1.3"),
    ("process.execCPUAffinity.final", Text, "1.3"),
    ("domainname", Text, "1.2"),
    ("linux.netDevices", Object, "1.4"),
    ("linux.netDevices.x", Object, "1.4"),
    ("linux.netDevices.x.name", Text, "1.4"),
    ("linux.intelRdt.schemata", List, "1.4"),
    ("linux.intelRdt.enableMonitoring", Bool, "1.4"),
    ("linux.memoryPolicy", Object, "1.4"),
    ("linux.memoryPolicy.mode", Text, "1.4"),
    ("linux.memoryPolicy.nodes", Text, "1.4"),
    ("linux.memoryPolicy.flags", List, "1.4"),
    ("linux.timeOffsets", Object, "1.2"),
    ("linux.timeOffsets.boottime", Object, "1.2"),
    ("linux.timeOffsets.boottime.secs", I64, "1.2"),
    ("linux.timeOffsets.boottime.nanosecs", U32, "1.2"),
    ("linux.resources.memory.checkBeforeUpdate", Bool, "1.1"),
    ("linux.resources.cpu.burst", U64, "1.2"),
    ("linux.resources.cpu.idle", I64, "1.1"),
];

/// The rows of a field: its last name is in every refusal. (Keys of a map are not in those of runc 1.1.)
fn rows(field: &'static str, kind: Kind) -> impl Iterator<Item = Bad> {
    let name = field.rsplit('.').find(|part| !["-", "x", "boottime"].contains(part)).unwrap_or(field);
    kind.others().into_iter().map(move |value| bad(field, value, name))
}

fn of_config() {
    check(CONFIG.iter().flat_map(|(field, kind)| rows(field, *kind)).collect());
}

fn of_linux() {
    check(LINUX.iter().flat_map(|(field, kind)| rows(field, *kind)).collect());
}

fn of_resources() {
    check(RESOURCES.iter().flat_map(|(field, kind)| rows(field, *kind)).collect());
}

fn of_later_versions() {
    let rows = LATER.iter().flat_map(|(field, kind, since)| rows(field, *kind).map(|row| row.since(since)));
    check(rows.collect());
}
