//! Network devices of the host that move into a container.
//!
//! Each test is in a network namespace of its own, which stands for the host's.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use runsig_tests::leftovers::Before;
use runsig_tests::spec::{set_namespace, set_user_namespace};
use runsig_tests::{Bundle, Case, Container, Value, cases, json, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "net_devices": arrives_as_it_was_and_up, keeps_its_name, stays_in_a_joined_namespace,
        into_a_user_namespace, template_gets_a_number, missing_device_is_named, taken_name_gives_it_back,
        failing_create_gives_all_back;
    V1 "net_devices": arrives_as_it_was_and_up;
];

/// Makes the "host" with a pair of devices.
fn host() {
    require_runsig("linux.netDevices came to runc in 1.4");
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    if !ip_fails(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"]).is_empty() {
        skip("this kernel has no veth devices");
    }
}

fn ip(args: &[&str]) -> String {
    let output = Command::new("ip").args(args).output().expect("package iproute2");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `ip` complains about; nothing when it succeeds.
fn ip_fails(args: &[&str]) -> String {
    let output = Command::new("ip").args(args).output().expect("package iproute2");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { String::new() } else { complaint + "failed" }
}

/// `ip -o addr show dev NAME` inside a container.
fn seen_by(container: &Container, name: &str) -> String {
    let pid = container.pid().to_string();
    let output = Command::new("nsenter")
        .args(["-t", &pid, "-n", "ip", "-d", "addr", "show", "dev", name])
        .output()
        .expect("package util-linux");
    assert!(output.status.success(), "no {name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn with_devices(devices: Value) -> Bundle {
    Bundle::new().args(&["sleep", "1000"]).with(|config| config["linux"]["netDevices"] = devices)
}

/// A container whose network namespace others join; it has a device `taken`.
fn owner_of_namespace() -> (Container, String) {
    let owner = Container::running(with_devices(json!({"v1": {"name": "taken"}})));
    let path = format!("/proc/{}/ns/net", owner.pid());
    (owner, path)
}

fn arrives_as_it_was_and_up() {
    host();
    for args in [
        "link set v0 address 02:00:00:00:00:07 mtu 1400 up",
        "addr add 10.9.8.7/24 brd 10.9.8.255 dev v0 noprefixroute metric 77",
        "addr add 10.9.8.8/24 dev v0",
        "addr add 10.9.9.1 peer 10.9.9.2/32 dev v0",
        "addr add 169.254.7.7/16 scope link dev v0",
        "addr add 10.9.8.9/24 valid_lft 600 preferred_lft 600 dev v0",
    ] {
        ip(&args.split(' ').collect::<Vec<_>>());
    }
    let ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
    if ipv6 {
        ip(&["addr", "add", "fd00::7/64", "dev", "v0", "nodad"]);
    }
    let container = Container::running(with_devices(json!({"v0": {"name": "ctr0"}})));
    let seen = seen_by(&container, "ctr0");
    for part in [
        ",UP",
        "mtu 1400",
        "link/ether 02:00:00:00:00:07",
        "inet 10.9.8.7/24 metric 77 brd 10.9.8.255 scope global noprefixroute ctr0",
        "inet 10.9.8.8/24 scope global secondary ctr0",
        "inet 10.9.9.1 peer 10.9.9.2/32",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!ipv6 || seen.contains("inet6 fd00::7/64 scope global nodad"), "{seen}");
    // Neither those of the link nor those that would end belong to the container.
    assert!(!seen.contains("169.254.7.7") && !seen.contains("10.9.8.9"), "{seen}");
    assert!(ip_fails(&["link", "show", "v0"]).contains("does not exist"));
    assert!(ip_fails(&["link", "show", "ctr0"]).contains("does not exist"));
}

fn keeps_its_name() {
    host();
    let container = Container::running(with_devices(json!({"v0": {}, "v1": {"name": ""}})));
    for name in ["v0", "v1"] {
        // It was down; a container's devices are up.
        assert!(seen_by(&container, name).contains(",UP"), "{name}");
    }
}

fn stays_in_a_joined_namespace() {
    host();
    ip(&["addr", "add", "10.9.8.7/24", "dev", "v0"]);
    let (owner, path) = owner_of_namespace();
    let guest = Container::running(
        with_devices(json!({"v0": {"name": "given"}}))
            .with(|config| set_namespace(config, "network", Some(&path))),
    );
    assert!(seen_by(&guest, "given").contains("10.9.8.7/24"));
    guest.delete_force().ok();
    assert!(seen_by(&owner, "given").contains("10.9.8.7/24"));
}

fn into_a_user_namespace() {
    host();
    ip(&["addr", "add", "10.9.8.7/24", "dev", "v0"]);
    let bundle = with_devices(json!({"v0": {"name": "ctr0"}})).owned_by(100_000);
    let container = Container::running(bundle.with(|config| set_user_namespace(config, 100_000)));
    assert!(seen_by(&container, "ctr0").contains("10.9.8.7/24"));
}

fn template_gets_a_number() {
    host();
    let container =
        Container::running(with_devices(json!({"v0": {"name": "eth%d"}, "v1": {"name": "eth%d"}})));
    seen_by(&container, "eth0");
    seen_by(&container, "eth1");
}

fn missing_device_is_named() {
    host();
    let container = Container::new(with_devices(json!({"nosuch0": {}})));
    let before = Before::now(&container.runtime);
    let texts = ["move netDevice nosuch0 to namespace", "link not found for interface nosuch0"];
    container.create().fails(1, &texts).one_line();
    before.assert_clean(&container.runtime, &container.bundle);
}

/// Whether `v0` is as it was given an address and put up.
fn assert_at_home() {
    let seen = ip(&["addr", "show", "dev", "v0"]);
    assert!(seen.contains("10.9.8.7/24") && seen.contains(",UP"), "{seen}");
}

fn taken_name_gives_it_back() {
    host();
    ip(&["addr", "add", "10.9.8.7/24", "dev", "v0"]);
    ip(&["link", "set", "v0", "up"]);
    let (owner, path) = owner_of_namespace();
    let guest = Container::new(
        with_devices(json!({"v0": {"name": "taken"}}))
            .with(|config| set_namespace(config, "network", Some(&path))),
    );
    let before = Before::now(&guest.runtime);
    guest.create().fails(1, &["fail to move network device v0", "file exists"]).one_line();
    before.assert_clean(&guest.runtime, &guest.bundle);
    assert_at_home();
    seen_by(&owner, "taken");
}

fn failing_create_gives_all_back() {
    host();
    ip(&["addr", "add", "10.9.8.7/24", "dev", "v0"]);
    ip(&["link", "set", "v0", "up"]);
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 7"]}]);
    let container = Container::new(
        with_devices(json!({"v0": {"name": "ctr0"}, "v1": {}}))
            .with(|config| config["hooks"]["createRuntime"] = hook),
    );
    container.create().fails(1, &["hook"]);
    assert_at_home();
    assert!(!ip(&["addr", "show", "dev", "v1"]).contains(",UP"));
}
