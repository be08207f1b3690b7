//! Namespaces: new, shared and joined.

use std::fs;

use runsig_tests::container::output_of;
use runsig_tests::spec::{add_mount, drop_namespace, set_namespace};
use runsig_tests::{Bundle, Case, Container, case, cases, json, procs};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "namespaces": each_is_new, without_entry_each_is_shared, each_is_joined_by_path, pid_one_inside,
        two_containers_share_pids, loopback_is_up, cgroup_namespace_hides_the_path, time_offsets,
        hostname_and_domainname, joined_path_of_another_type_fails, ipc_objects_are_private;
    V1 "namespaces": each_is_new, cgroup_namespace_hides_the_path;
    Host "namespaces": each_is_new;
];

const KINDS: [(&str, &str); 5] =
    [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt")];

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

fn each_is_new() {
    let container = Container::running(sleeper());
    for (_, link) in KINDS.iter().chain(&[("cgroup", "cgroup")]) {
        let (inside, outside) = (procs::namespace(container.pid(), link), procs::namespace(1, link));
        assert!(!inside.is_empty() && inside != outside, "{link}: {inside} {outside}");
    }
    let user = |pid| procs::namespace(pid, "user");
    assert_eq!(user(container.pid()), user(1));
}

fn without_entry_each_is_shared() {
    // Without a network namespace of its own sysfs cannot be mounted; without pids, proc is the host's.
    let bundle = sleeper().with(|config| {
        for kind in ["pid", "ipc", "network", "uts", "cgroup"] {
            drop_namespace(config, kind);
        }
        config.as_object_mut().expect("an object").remove("hostname");
    });
    let container = Container::running(bundle);
    for link in ["pid", "net", "ipc", "uts", "cgroup"] {
        assert_eq!(procs::namespace(container.pid(), link), procs::namespace(1, link), "{link}");
    }
}

fn each_is_joined_by_path() {
    let first = Container::running(sleeper());
    for (kind, link) in KINDS.iter().filter(|(kind, _)| *kind != "mount").chain(&[("cgroup", "cgroup")]) {
        let path = format!("/proc/{}/ns/{link}", first.pid());
        let bundle = sleeper().with(|config| {
            set_namespace(config, kind, Some(&path));
            config.as_object_mut().expect("an object").remove("hostname");
        });
        if *kind == "cgroup" && first.runtime.kind() == "crun" {
            continue;
        }
        let second = Container::running(bundle);
        let (a, b) = (procs::namespace(first.pid(), link), procs::namespace(second.pid(), link));
        assert_eq!(a, b, "{kind}");
    }
}

fn pid_one_inside() {
    assert_eq!(output_of("echo $$", |_| {}), "1");
}

fn two_containers_share_pids() {
    let first = Container::running(sleeper());
    let path = format!("/proc/{}/ns/pid", first.pid());
    let second = Bundle::script("cat /proc/1/cmdline | tr '\\0' ' '");
    let second = Container::new(second.with(|config| set_namespace(config, "pid", Some(&path))));
    assert_eq!(second.run().ok().text(), "sleep 1000");
}

fn loopback_is_up() {
    assert_eq!(output_of("ip -o addr show lo | grep -c 127.0.0.1/8", |_| {}), "1");
}

fn cgroup_namespace_hides_the_path() {
    let lines = output_of("cat /proc/self/cgroup", |_| {});
    assert!(lines.lines().all(|line| line.ends_with(":/")), "{lines}");
}

fn time_offsets() {
    let container = Container::new(Bundle::script("cut -d. -f1 /proc/uptime").with(|config| {
        set_namespace(config, "time", None);
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 7_000_000, "nanosecs": 0}});
    }));
    if container.runtime.kind() != "runsig" {
        case::skip("time namespaces came to runc in 1.2 and to crun in 1.8.2");
    }
    let seconds: u64 = container.run().ok().text().parse().expect("seconds");
    assert!((7_000_000..14_000_000).contains(&seconds), "{seconds}");
}

fn hostname_and_domainname() {
    let script = "hostname; cat /proc/sys/kernel/domainname";
    let container = Container::new(Bundle::script(script).with(|config| {
        config["hostname"] = "box".into();
        config["domainname"] = "example.org".into();
    }));
    let output = container.run().ok();
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("box"));
    if container.runtime.kind() != "runc" {
        assert_eq!(lines.next(), Some("example.org"), "domainname came to runc in 1.2");
    }
}

fn joined_path_of_another_type_fails() {
    let container = Container::new(sleeper().with(|config| {
        set_namespace(config, "ipc", Some("/proc/self/ns/uts"));
    }));
    let outcome = container.create();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

fn ipc_objects_are_private() {
    let script = "ls /dev/mqueue | wc -l; cat /proc/sysvipc/shm | wc -l";
    let output = output_of(script, |config| {
        add_mount(config, json!({"destination": "/q", "type": "mqueue", "source": "mqueue"}));
    });
    assert_eq!(output, "0\n1");
    assert!(fs::metadata("/proc/sysvipc/shm").is_ok());
}
