//! Fields of config.json with values that cannot be: one refused `create` for each.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, Value, cases, json, skip, version};

/// The tests of this file. crates/runsig-spec/tests has every field; here are those that runc refuses too.
pub const CASES: &[Case] = cases![V2 "fields": process, root_and_mounts, linux, of_later_versions];

/// A field, a value it cannot have, what the error says of it, and since which version of runc.
struct Bad(&'static str, Value, &'static str, Option<&'static str>);

fn bad(field: &'static str, value: Value, words: &'static str) -> Bad {
    Bad(field, value, words, None)
}

fn newer(version: &'static str, field: &'static str, value: Value, words: &'static str) -> Bad {
    Bad(field, value, words, Some(version))
}

/// Goes from row to row with one bundle; tells all that went otherwise at once.
#[track_caller]
fn check(rows: &[Bad]) {
    let good = Bundle::new();
    let mut container = Container::new(good);
    let config = container.bundle.config.clone();
    let mut problems = Vec::new();
    for Bad(field, value, words, _) in rows {
        container.bundle.config = config.clone();
        let pointer = slot(&mut container.bundle.config, field);
        *container.bundle.config.pointer_mut(&pointer).expect("just made") = value.clone();
        let before = Before::now(&container.runtime);
        let outcome = container.create();
        let left = before.leftovers(&container.runtime, &container.bundle);
        // In a text log quotes are escaped.
        let text = outcome.stderr.replace("\\\"", "\"");
        if outcome.code != 1 || !text.contains(words) || !left.is_empty() {
            let said: String = outcome.stderr.chars().take(300).collect();
            problems.push(format!(
                "{field} = {value}: exit code {}, left {left:?}, wanted {words:?}, said {said}",
                outcome.code
            ));
        }
        let _ = container.delete_force();
    }
    assert!(problems.is_empty(), "{} of {} differ:\n{}", problems.len(), rows.len(), problems.join("\n"));
}

/// Makes room for a field, so that it can be set; `-` is one more entry of a list.
fn slot(config: &mut Value, field: &str) -> String {
    let mut pointer = String::new();
    let mut at = config;
    for part in field.split('.') {
        if part == "-" {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().expect("a list");
            list.push(Value::Null);
            pointer += &format!("/{}", list.len() - 1);
            at = list.last_mut().expect("just pushed");
        } else {
            pointer += &format!("/{part}");
            at = &mut at[part];
        }
    }
    pointer
}

fn process() {
    check(&[
        bad("process", Value::Null, "process property must not be empty"),
        bad("process.cwd", json!(""), "Cwd property must not be empty"),
        bad("process.cwd", json!("tmp"), "Cwd must be an absolute path"),
        bad("process.args", json!([]), "args must not be empty"),
        bad("process.args", Value::Null, "args must not be empty"),
        bad("process.args", json!("true"), "process.args"),
        bad("process.args", json!([1]), "process.args"),
        bad("process.env", json!({"A": "b"}), "process.env"),
        bad("process.terminal", json!("yes"), "process.terminal"),
        bad("process.user.uid", json!(-1), "process.user.uid"),
        bad("process.user.uid", json!("root"), "process.user.uid"),
        bad("process.user.gid", json!(1.5), "process.user.gid"),
        bad("process.user.additionalGids", json!([-1]), "process.user.additionalGids"),
        bad("process.rlimits.-", json!({"type": "RLIMIT_X", "soft": 1, "hard": 1}), "RLIMIT_X"),
        bad("process.capabilities", json!({"bounding": "x"}), "process.capabilities"),
        bad("process.oomScoreAdj", json!("much"), "process.oomScoreAdj"),
        bad("process.selinuxLabel", json!("a_b"), "selinux"),
    ]);
}

fn root_and_mounts() {
    check(&[
        bad("root", Value::Null, "root must be specified"),
        bad("root.path", json!("not-there"), "invalid rootfs: stat "),
        bad("root.path", json!(7), "root.path"),
        bad("root.readonly", json!("no"), "root.readonly"),
        bad("hostname", json!(7), "hostname"),
        bad("mounts", json!({}), "mounts"),
        bad("mounts.-", json!("x"), "mounts"),
        bad("mounts.-", json!({"destination": "/x", "type": "no-such-fs", "source": "x"}), "no such device"),
        bad(
            "mounts.-",
            json!({"destination": "/x", "type": "bind", "source": "/runsig-test-none", "options": ["bind"]}),
            "no such file or directory",
        ),
        bad(
            "mounts.-",
            json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["size=lots"]}),
            "invalid argument",
        ),
    ]);
}

fn linux() {
    check(&[
        bad("linux", json!("x"), "linux"),
        bad("linux.namespaces.-", json!({"type": "flavour"}), "flavour"),
        bad("linux.namespaces.-", json!({"type": "pid"}), "duplicated ns"),
        bad("linux.namespaces", json!([{"type": "uts"}, {"type": "pid"}]), "private MNT namespace"),
        bad(
            "linux.namespaces",
            json!([{"type": "mount"}, {"type": "pid"}]),
            "without a private UTS namespace",
        ),
        bad("linux.rootfsPropagation", json!("sideways"), "rootfsPropagation=sideways is not supported"),
        bad(
            "linux.devices.-",
            json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3}),
            "invalid device type \"x\"",
        ),
        bad("linux.resources.devices.-", json!({"allow": true}), "cannot be empty"),
        bad("linux.resources.devices.-", json!({"allow": true, "type": "x", "access": "r"}), "device"),
        bad("linux.resources.memory", json!([]), "linux.resources.memory"),
        bad(
            "linux.sysctl",
            json!({"vm.swappiness": "1"}),
            "sysctl \"vm.swappiness\" is not in a separate kernel namespace",
        ),
        bad(
            "linux.sysctl",
            json!({"kernel.hostname": "x"}),
            "is not allowed as it conflicts with the OCI \"hostname\" field",
        ),
        bad("linux.seccomp", json!({"defaultAction": "SCMP_ACT_FOO"}), "SCMP_ACT_FOO"),
        bad(
            "linux.seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}),
            "is not a valid arch for seccomp",
        ),
        bad(
            "linux.seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "X"}]}),
            "X",
        ),
        bad("linux.maskedPaths", json!("/proc"), "linux.maskedPaths"),
        bad("linux.cgroupsPath", json!(7), "linux.cgroupsPath"),
        bad("hooks", json!({"prestart": "x"}), "hooks"),
        bad("annotations", json!({"a": 1}), "annotations"),
    ]);
}

fn of_later_versions() {
    if fs::exists("/sys/fs/resctrl/schemata").unwrap_or_default() {
        skip("Intel RDT is on here");
    }
    let rows = [
        newer("1.2", "domainname", json!(7), "domainname"),
        newer(
            "1.2",
            "linux.uidMappings",
            json!([{"containerID": 0, "hostID": 0, "size": 1}]),
            "user namespace",
        ),
        newer("1.2", "linux.timeOffsets", json!({"boottime": {"secs": 1}}), "time namespace"),
        newer("1.2", "linux.personality", json!({"domain": "PDP11"}), "PDP11"),
        newer("1.2", "process.scheduler", json!({"policy": "SCHED_X"}), "SCHED_X"),
        newer("1.2", "process.scheduler", json!({"policy": "SCHED_OTHER", "nice": 99}), "99"),
        newer("1.2", "process.ioPriority", json!({"class": "X", "priority": 1}), "ioPriority"),
        newer("1.2", "process.ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 9}), "ioPriority"),
        newer(
            "1.2",
            "linux.intelRdt",
            json!({}),
            "intelRdt is specified in config, but Intel RDT is not enabled",
        ),
        newer("1.4", "linux.memoryPolicy", json!({"mode": "MPOL_X"}), "MPOL_X"),
        newer("1.4", "linux.netDevices", json!({"a/b": {}}), "a/b"),
    ];
    let (known, unknown): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.3.is_none_or(version::at_least));
    check(&known);
    if !unknown.is_empty() {
        let names: Vec<_> =
            unknown.iter().map(|row| format!("{} ({})", row.0, row.3.unwrap_or_default())).collect();
        skip(format!("{} refusals of a later runc: {}", names.len(), names.join(", ")));
    }
}
