//! The root: switching to it, read-only, hidden and read-only paths, devices.

use runsig_tests::container::output_of;
use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, cases, json};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "rootfs": default_devices, default_links, extra_devices, device_with_owner, fifo_as_device,
        read_only_root, writable_root, masked_paths, read_only_paths, masked_path_that_is_not_there,
        host_root_is_gone, no_pivot, root_by_absolute_path,  mounts_stay_inside,
        dev_null_is_a_device;
    V1 "rootfs": default_devices, no_pivot;
];

fn default_devices() {
    let names = "null zero full random urandom tty";
    let script = format!("for d in {names}; do stat -c '%n %F %t:%T %a' /dev/$d; done");
    let expected = "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 666\n\
         /dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n\
         /dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666";
    assert_eq!(output_of(&script, |_| {}), expected);
}

fn default_links() {
    let script = "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done";
    let expected = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx";
    assert_eq!(output_of(script, |_| {}), expected);
}

fn dev_null_is_a_device() {
    assert_eq!(output_of("echo gone > /dev/null; cat /dev/null; head -c3 /dev/zero | wc -c", |_| {}), "3");
}

fn extra_devices() {
    let output = output_of("stat -c '%F %t:%T %a' /dev/mine /dev/deep/block", |config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640},
            {"path": "/dev/deep/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600}
        ]);
    });
    assert_eq!(output, "character special file 1:3 640\nblock special file 7:c8 600");
}

fn device_with_owner() {
    let output = output_of("stat -c '%u:%g %a' /dev/mine", |config| {
        config["linux"]["devices"] = json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o606, "uid": 1000, "gid": 2000}]);
    });
    assert_eq!(output, "1000:2000 606");
}

fn fifo_as_device() {
    let output = output_of("stat -c %F /dev/pipe", |config| {
        config["linux"]["devices"] = json!([{"path": "/dev/pipe", "type": "p", "fileMode": 0o644}]);
    });
    assert_eq!(output, "fifo");
}

fn read_only_root() {
    let script = "touch /new 2>/dev/null && echo written || echo refused; touch /dev/shm/x && echo shm";
    assert_eq!(output_of(script, |config| config["root"]["readonly"] = true.into()), "refused\nshm");
}

fn writable_root() {
    assert_eq!(output_of("touch /new && echo written", |_| {}), "written");
}

fn masked_paths() {
    let output = output_of("cat /secret/file 2>&1; ls /secret | wc -l; wc -c < /hidden", |config| {
        config["linux"]["maskedPaths"] = json!(["/secret", "/hidden"]);
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"destination": "/secret", "type": "tmpfs", "source": "tmpfs"}));
        config["mounts"].as_array_mut().expect("a list").push(
            json!({"destination": "/hidden", "type": "bind", "source": "/etc/passwd", "options": ["bind"]}),
        );
    });
    assert!(output.ends_with("0\n0"), "{output}");
}

fn masked_path_that_is_not_there() {
    let output = output_of("echo fine", |config| {
        config["linux"]["maskedPaths"] = json!(["/not/there"]);
        config["linux"]["readonlyPaths"] = json!(["/nor/there"]);
    });
    assert_eq!(output, "fine");
}

fn read_only_paths() {
    let script = "echo x 2>/dev/null > /proc/sys/kernel/domainname || echo refused; touch /tmp/new 2>/dev/null || echo refused";
    let output = output_of(script, |config| {
        config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/tmp"]);
        runsig_tests::spec::set_capabilities(config, &["CAP_SYS_ADMIN"]);
    });
    assert_eq!(output, "refused\nrefused");
}

fn host_root_is_gone() {
    let container = Container::new(Bundle::script("awk '{print $5}' /proc/self/mountinfo; ls /"));
    let output = container.run().ok();
    let host = container.bundle.dir.to_str().expect("utf-8");
    assert!(!output.stdout.contains(host), "{output:#?}");
    let roots = output.stdout.lines().filter(|line| *line == "/").count();
    assert_eq!(roots, 1, "{output:#?}");
}

fn no_pivot() {
    let container = Container::new(Bundle::script("ls /bin/busybox && ls / | head -3"));
    let before = Before::now(&container.runtime);
    let outcome = container.verb("run", &["--no-pivot"]).ok();
    assert!(outcome.stdout.starts_with("/bin/busybox\nbin\ndev\netc"), "{outcome:#?}");
    before.assert_clean(&container.runtime, &container.bundle);
}

fn root_by_absolute_path() {
    let mut bundle = Bundle::script("echo here");
    bundle.config["root"]["path"] = bundle.rootfs().to_str().expect("utf-8").into();
    assert_eq!(Container::new(bundle).run().ok().text(), "here");
}

fn mounts_stay_inside() {
    let container = Container::new(Bundle::new().args(&["sleep", "1000"]));
    let before = Before::now(&container.runtime);
    container.create().ok();
    container.start().ok();
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    assert!(!table.contains(container.bundle.dir.to_str().expect("utf-8")), "{table}");
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}
