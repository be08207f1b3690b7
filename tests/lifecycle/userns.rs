//! User namespaces and idmapped mounts.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use runsig_tests::container::output_of;
use runsig_tests::leftovers::Before;
use runsig_tests::spec::{add_mount, set_namespace, set_user_namespace};
use runsig_tests::{Bundle, Case, Container, cases, harness, json, procs, require_runsig};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "userns": root_inside_is_nobody_outside, maps_are_written, files_belong_to_the_map, lifecycle_leaves_nothing,
        devices_are_bound, joined_by_path, setgroups_is_denied_to_nobody, user_inside,
        idmapped_bind, idmapped_with_own_maps, idmapped_bind_of_an_earlier_mount, idmapped_recursive,
        terminal_inside, sysctl_inside;
    V1 "userns": root_inside_is_nobody_outside, lifecycle_leaves_nothing;
];

const BASE: u32 = 500_000;

fn bundle(script: &str) -> Bundle {
    // The mapped root has to reach the bundle.
    let dir = harness::test_dir();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    Bundle::script(script).owned_by(BASE).with(|config| set_user_namespace(config, BASE))
}

fn root_inside_is_nobody_outside() {
    let container = Container::running(bundle("id -u > /id; sleep 1000"));
    assert_eq!(container.wait_for_file("/id"), "0\n");
    let uid = procs::status_field(container.pid(), "Uid").expect("a process");
    assert!(uid.starts_with(&BASE.to_string()), "{uid}");
    assert_ne!(procs::namespace(container.pid(), "user"), procs::namespace(1, "user"));
}

fn maps_are_written() {
    let container = Container::new(bundle("cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '"));
    let outcome = container.run().ok();
    let lines: Vec<_> = outcome.stdout.lines().map(str::trim).collect();
    assert_eq!(lines, ["0 500000 65536", "0 500000 65536"]);
}

fn files_belong_to_the_map() {
    let container = Container::new(bundle("touch /new; stat -c %u /bin/busybox"));
    assert_eq!(container.run().ok().text(), "0");
    assert_eq!(fs::metadata(container.bundle.rootfs().join("new")).expect("made").uid(), BASE);
}

fn lifecycle_leaves_nothing() {
    let container = Container::new(bundle("sleep 1000"));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn devices_are_bound() {
    let container = Container::new(bundle("echo x > /dev/null && stat -c '%F %t:%T' /dev/null"));
    assert_eq!(container.run().ok().text(), "character special file 1:3");
}

fn joined_by_path() {
    let first = Container::running(bundle("sleep 1000"));
    let path = format!("/proc/{}/ns/user", first.pid());
    let second = bundle("id -u; readlink /proc/self/ns/user").with(|config| {
        set_namespace(config, "user", Some(&path));
        let linux = config["linux"].as_object_mut().expect("an object");
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    let container = Container::new(second);
    if container.runtime.kind() != "runsig" {
        runsig_tests::skip("the peers here want the maps of a joined user namespace in the bundle");
    }
    let expected = format!("0\n{}", procs::namespace(first.pid(), "user"));
    assert_eq!(container.run().ok().text(), expected);
}

fn setgroups_is_denied_to_nobody() {
    let container = Container::new(bundle("cat /proc/self/setgroups; id -G").with(|config| {
        config["process"]["user"]["additionalGids"] = json!([2000]);
    }));
    let outcome = container.run().ok();
    assert!(outcome.stdout.starts_with("allow\n") && outcome.stdout.contains("2000"), "{outcome:#?}");
}

fn user_inside() {
    let container = Container::new(bundle("id -u; id -g").with(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    }));
    assert_eq!(container.run().ok().text(), "1000\n1000");
}

fn terminal_inside() {
    let container = Container::new(bundle("tty; echo ok; sleep 1000").with(|config| {
        config["process"]["terminal"] = true.into();
    }));
    let socket = runsig_tests::console::DescriptorSocket::listen();
    container.verb("create", &["--console-socket", socket.path().to_str().expect("utf-8")]).ok();
    container.start().ok();
    let _ = socket.terminal().read_until("ok");
}

fn sysctl_inside() {
    let container = Container::new(bundle("cat /proc/sys/net/ipv4/ip_forward").with(|config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }));
    assert_eq!(container.run().ok().text(), "1");
}

fn owned_source(owner: u32) -> String {
    let source = harness::test_dir().join("source");
    fs::create_dir_all(source.join("sub")).expect("mkdir");
    for file in ["file", "sub/file"] {
        fs::write(source.join(file), "").expect("write");
        std::os::unix::fs::chown(source.join(file), Some(owner), Some(owner)).expect("chown");
    }
    source.to_str().expect("utf-8").to_string()
}

fn idmapped_bind() {
    require_runsig("idmapped mounts came to runc in 1.2; crun's option is its own");
    let source = owned_source(0);
    let container = Container::new(bundle("stat -c %u /mnt/file").with(|config| {
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"]}),
        );
    }));
    assert_eq!(container.run().ok().text(), "0");
}

fn idmapped_with_own_maps() {
    require_runsig("idmapped mounts came to runc in 1.2");
    let source = owned_source(0);
    let map = json!([{"containerID": 0, "hostID": 700_000, "size": 1000}]);
    let output = output_of("stat -c %u:%g /mnt/file", |config| {
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"],
            "uidMappings": map, "gidMappings": map}),
        );
    });
    assert_eq!(output, "700000:700000");
}

/// A bind, and an idmapped one of a directory that the first brings into the rootfs; its source is
/// given as the host sees it. Whoever may not walk to the first source gets there all the same.
fn idmapped_bind_of_a_bind(bundle: Bundle) -> String {
    let source = owned_source(1000);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).expect("chmod");
    let rootfs = bundle.rootfs().to_str().expect("utf-8").to_string();
    let container = Container::new(bundle.with(|config| {
        let maps = json!([{"containerID": 1000, "hostID": BASE, "size": 1}]);
        config["process"]["args"] = json!(["stat", "-c", "%u", "/again/file"]);
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"]}),
        );
        add_mount(
            config,
            json!({"destination": "/again", "type": "bind", "source": format!("{rootfs}/mnt/sub"),
            "options": ["rbind"], "uidMappings": maps, "gidMappings": maps}),
        );
    }));
    container.run().ok().text().to_owned()
}

fn idmapped_bind_of_an_earlier_mount() {
    require_runsig("idmapped mounts came to runc in 1.2");
    assert_eq!(idmapped_bind_of_a_bind(bundle("")), "0");
    assert_eq!(idmapped_bind_of_a_bind(Bundle::new()), BASE.to_string());
}

fn idmapped_recursive() {
    require_runsig("ridmap came to runc in 1.2");
    runsig_tests::needs::kernel(6, 3, "no idmapped mounts of a tmpfs");
    let source = owned_source(0);
    let script = format!("mount -t tmpfs -o mode=755 none {source}/sub && touch {source}/sub/file");
    assert!(std::process::Command::new("sh").args(["-ec", &script]).status().expect("sh").success());
    let map = json!([{"containerID": 0, "hostID": 700_000, "size": 1000}]);
    let output = output_of("stat -c %u /mnt/file /mnt/sub/file", |config| {
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "ridmap"],
            "uidMappings": map, "gidMappings": map}),
        );
    });
    let _ = std::process::Command::new("umount").arg(format!("{source}/sub")).status();
    assert_eq!(output, "700000\n700000");
}
