//! A bundle that uses every field: where each of them ends up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use runsig_proto::plan::{MountWhat, SwitchRoot};
use runsig_spec::plan::{IdMapping, SeccompListener};
use runsig_spec::{LoadOptions, Plan, from_json, from_spec};
use runsig_sys::mount as m;
use runsig_sys::raw::general as k;
use serde_json::{Value, json};

const FULL: &str = include_str!("data/full.json");

fn options() -> LoadOptions<'static> {
    LoadOptions { selinux: true, ..LoadOptions::new("box") }
}

fn plan() -> Plan {
    from_json(FULL.as_bytes(), Path::new("/b"), &options()).unwrap()
}

#[test]
fn the_program() {
    let plan = plan();
    let process = &plan.init.process;
    assert_eq!(process.args.len(), 3);
    assert_eq!(process.env, [c"PATH=/bin".to_owned(), c"A=2".to_owned()]);
    assert_eq!((process.cwd.as_c_str(), process.uid, process.gid, process.umask), (c"/home", 1000, 1001, 63));
    assert_eq!((&process.groups, process.keep_groups), (&vec![5, 6], false));
    let caps = process.capabilities.as_ref().unwrap();
    assert_eq!((caps.bounding, caps.effective, caps.ambient), (0x21, 0x20, 0x20));
    assert!(process.no_new_privs && process.terminal);
    assert_eq!(process.console_size, Some((24, 80)));
    assert_eq!(process.apparmor.as_deref(), Some(c"runsig-default"));
    assert_eq!(process.selinux.as_deref(), Some(c"system_u:system_r:container_t:s0"));
    let scheduler = process.scheduler.as_ref().unwrap();
    assert_eq!((scheduler.policy, scheduler.nice, scheduler.flags), (3, 5, 1));
    assert_eq!((process.io_priority, process.personality), (Some((2, 3)), Some(8)));
    assert_eq!(process.memory_policy, Some((3 | 1 << 15, vec![3])));
    assert_eq!(plan.rlimits, [(7, 1024, 2048), (4, 0, u64::MAX)]);
    assert_eq!(plan.oom_score_adj, Some(-500));
    assert_eq!((plan.initial_affinity, plan.final_affinity), (Some(vec![3]), Some(vec![2])));
    let seccomp = process.seccomp.as_ref().unwrap();
    assert!(seccomp.notify && seccomp.flags == 2 && seccomp.program.len().is_multiple_of(8));
    let listener = SeccompListener { path: "/run/agent.sock".into(), metadata: "meta".into() };
    assert_eq!(plan.seccomp_listener, Some(listener));
}

#[test]
fn the_namespaces() {
    let plan = plan();
    let new = [
        k::CLONE_NEWNS,
        k::CLONE_NEWNET,
        k::CLONE_NEWUTS,
        k::CLONE_NEWUSER,
        k::CLONE_NEWCGROUP,
        k::CLONE_NEWTIME,
    ];
    assert_eq!(plan.new_namespaces, new.iter().map(|bit| u64::from(*bit)).sum::<u64>());
    let (pid, ipc) = (u64::from(k::CLONE_NEWPID), u64::from(k::CLONE_NEWIPC));
    let joined = [(pid, PathBuf::from("/proc/1/ns/pid")), (ipc, PathBuf::from("/proc/1/ns/ipc"))];
    assert_eq!(plan.joined_namespaces, joined);
    let init = &plan.init.namespaces;
    assert_eq!(
        init.join,
        [(ipc, -1, c"/proc/1/ns/ipc".to_owned())],
        "pid and user are entered before the init"
    );
    assert_eq!(init.unshare, u64::from(k::CLONE_NEWCGROUP | k::CLONE_NEWTIME));
    assert_eq!(init.time_offsets, b"monotonic 172800 1\nboottime 604800 0\n");
    assert!(init.user && init.mount && plan.init.loopback);
    assert_eq!(plan.uid_mappings, [IdMapping { container: 0, host: 100_000, size: 65_536 }]);
    assert_eq!(plan.gid_mappings, [IdMapping { container: 0, host: 200_000, size: 65_536 }]);
    assert_eq!(plan.init.hostname.as_deref(), Some(c"box"));
    assert_eq!(plan.init.domainname.as_deref(), Some(c"example.org"));
    assert_eq!(plan.init.sysctl.len(), 2);
    assert_eq!(plan.init.keyring.as_deref(), Some(c"_ses.box"));
    assert_eq!(plan.net_devices, [("eth1".to_owned(), "inner".to_owned())]);
}

#[test]
fn the_file_system() {
    let plan = plan();
    let rootfs = plan.init.rootfs.as_ref().unwrap();
    assert_eq!((plan.rootfs.as_path(), rootfs.path.as_c_str()), (Path::new("/b/rootfs"), c"/b/rootfs"));
    assert_eq!(
        (rootfs.propagation, rootfs.final_propagation),
        (m::MS_SHARED | m::MS_REC, m::MS_SHARED | m::MS_REC)
    );
    assert_eq!(rootfs.switch, SwitchRoot::Pivot);
    assert!(rootfs.readonly && rootfs.bind_devices && rootfs.setup_dev);
    assert_eq!(rootfs.devices.len(), 7);
    assert!(rootfs.devices.iter().all(|device| (device.uid, device.gid) == (100_000, 200_000)));
    assert_eq!(rootfs.masked, [c"/proc/kcore".to_owned()]);
    assert_eq!(rootfs.readonly_paths, [c"/proc/sys".to_owned()]);
    assert!(rootfs.mount_label.is_some());
    assert_eq!(rootfs.mounts.len(), 6);

    let data = &rootfs.mounts[3];
    assert_eq!(
        (data.destination.as_c_str(), data.set, data.set_recursive),
        (c"/data", m::ATTR_RDONLY, m::ATTR_NOSUID)
    );
    assert!(
        matches!(&data.what, MountWhat::Bind { source, recursive: true, tree: -1 } if source.as_c_str() == c"/b/volume")
    );
    let mapped = &rootfs.mounts[4];
    assert_eq!((mapped.set, mapped.clear), (m::ATTR_NOATIME, m::ATTR_ATIME_MASK));
    assert!(rootfs.mounts[5].copy_up);

    let host = &plan.host_mounts;
    assert_eq!(
        host.iter().map(|mount| (mount.index, mount.idmap)).collect::<Vec<_>>(),
        [(3, false), (4, true)]
    );
    assert_eq!((host[1].uid_mappings[0].host, host[1].recursive_idmap), (5000, true));
}

#[test]
fn the_rest() {
    let plan = plan();
    assert_eq!(plan.bundle, Path::new("/b"));
    assert_eq!(plan.cgroups_path.as_deref(), Some("/runsig/box"));
    let resources = plan.resources.as_ref().unwrap();
    assert_eq!(resources.pids().unwrap().limit(), 32_771);
    assert_eq!(resources.unified().as_ref().unwrap()["io.max"], "259:0 rbps=2097152");
    assert_eq!(plan.intel_rdt.as_ref().unwrap().clos_id().as_deref(), Some("guaranteed"));
    assert_eq!(plan.annotations["org.opencontainers.image.stopSignal"], "SIGQUIT");
    let hooks = &plan.hooks;
    assert!(plan.init.runtime_hooks);
    assert_eq!(hooks.create_runtime[0].timeout, Some(5));
    assert_eq!([hooks.prestart.len(), hooks.poststart.len(), hooks.poststop.len()], [1, 1, 1]);
    assert_eq!((plan.init.create_container.len(), plan.init.start_container.len()), (1, 1));
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    for (warning, word) in
        plan.warnings.iter().zip(["CAP_FROM_THE_FUTURE", "IGNORED", "mount destination data"])
    {
        assert!(warning.contains(word), "{warning}");
    }
}

#[test]
fn a_writable_cgroup_belongs_to_the_containers_user() {
    let owner = |text: &str| from_json(text.as_bytes(), Path::new("/b"), &options()).unwrap().cgroup_owner;
    assert_eq!(owner(FULL), None, "mounted read-only");
    let writable = FULL.replace(r#"["ro", "rprivate"]"#, "[]");
    assert_eq!(owner(&writable), Some(101_000), "as the host sees the container's user 1000");
    assert_eq!(owner(&writable.replace(r#"{"type": "cgroup"}, "#, "")), None, "no namespace of its own");
}

#[test]
fn what_the_caller_says_counts() {
    let quiet = FULL.replace("rshared", "slave");
    let options = LoadOptions { no_pivot: true, no_new_keyring: true, ..options() };
    let plan = from_json(quiet.as_bytes(), Path::new("/b"), &options).unwrap();
    let rootfs = plan.init.rootfs.unwrap();
    assert_eq!((rootfs.switch, plan.init.keyring), (SwitchRoot::Move, None));
    assert_eq!((rootfs.propagation, rootfs.final_propagation), (m::MS_SLAVE, 0));
}

#[test]
fn a_specification_made_in_memory_gives_the_same_kind_of_plan() {
    let plan = from_spec(&Spec::default(), Path::new("/b"), &LoadOptions::new("c")).unwrap();
    assert_eq!(plan.init.process.args, [c"sh".to_owned()]);
    assert_eq!(plan.init.rootfs.unwrap().mounts.len(), 7);
    assert_eq!(plan.new_namespaces.count_ones(), 6);
}

/// Every key of the document, as JSON pointers; not those of objects whose keys are names.
fn fields(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(_)
            if ["annotations", "sysctl", "rdma", "unified", "netDevices", "timeOffsets"]
                .iter()
                .any(|names| at.ends_with(&format!("/{names}"))) => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let below = format!("{at}/{key}");
            fields(value, &below, all);
            all.push(below);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| fields(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

/// Engines in Go write `null` for what they have not set.
#[test]
fn a_null_is_as_if_the_key_were_not_there() {
    let full: Value = serde_json::from_str(FULL).unwrap();
    let mut all = Vec::new();
    fields(&full, "", &mut all);
    assert!(all.len() > 200, "{}", all.len());
    let outcome = |config: &Value| {
        let plan = from_json(config.to_string().as_bytes(), Path::new("/b"), &options());
        plan.map(|plan| format!("{plan:?}")).map_err(|error| error.to_string())
    };
    for field in all {
        let (parent, key) = field.rsplit_once('/').unwrap();
        let (mut null, mut without) = (full.clone(), full.clone());
        null.pointer_mut(parent).unwrap()[key] = Value::Null;
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
        match (outcome(&null), outcome(&without)) {
            (Ok(null), Ok(without)) => assert!(null == without, "{field}"),
            (Err(null), Err(_)) => assert!(!null.contains("invalid type: null"), "{field}: {null}"),
            (null, without) => panic!("{field}: {:?}, {:?}", null.err(), without.err()),
        }
    }
}

#[test]
fn pids_without_a_limit_are_none() {
    let mut config: Value = serde_json::from_str(FULL).unwrap();
    let mut limit = |pids: Value| {
        config["linux"]["resources"]["pids"] = pids;
        let plan = from_json(config.to_string().as_bytes(), Path::new("/b"), &options()).unwrap();
        plan.resources.and_then(|resources| resources.pids().map(|pids| pids.limit()))
    };
    assert_eq!(limit(json!({})), None);
    assert_eq!(limit(json!({"limit": null})), None);
    assert_eq!(limit(json!({"limit": 0})), Some(0));
    assert_eq!(limit(json!({"limit": 7})), Some(7));
}
