//! Attacks that worked on some runtime once, and must not on this one.

use std::fs;
use std::os::unix::fs::symlink;

use runsig_tests::leftovers::Before;
use runsig_tests::spec::{add_mount, set_capabilities};
use runsig_tests::{Bundle, Case, Container, cases, harness, json, procs, require_runsig};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "safety":
    cve_2019_5736_program_is_not_the_runtime, cve_2019_5736_proc_self_exe, cve_2019_16884_mount_over_proc,
    cve_2019_19921_proc_is_a_symlink, cve_2021_30465_destination_through_a_symlink,
    cve_2022_29162_inheritable_stays_empty, cve_2023_27561_proc_swapped_by_an_image,
    cve_2023_28642_proc_symlink_and_mask, cve_2024_45310_no_file_is_made_outside,
    cve_2025_31133_dev_null_is_a_symlink, cve_2025_52565_dev_console_is_a_symlink,
    cve_2025_52881_sysctl_through_a_fake_proc, dotdot_destination, device_path_through_a_symlink];

/// A file of the host that must stay as it is.
fn canary() -> String {
    let dir = harness::test_dir().join("host");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("canary"), "host\n").expect("write");
    dir.to_str().expect("utf-8").to_string()
}

fn assert_untouched(host: &str) {
    assert_eq!(fs::read_to_string(format!("{host}/canary")).expect("there"), "host\n");
    let names: Vec<_> = fs::read_dir(host).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["canary"], "nothing is made on the host");
}

/// Runs it whatever comes of it; a clean end is all that is asked.
fn survive(container: &Container) -> runsig_tests::Outcome {
    let before = Before::now(&container.runtime);
    let outcome = container.run();
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
    outcome
}

fn cve_2019_5736_program_is_not_the_runtime() {
    let container = Container::created(Bundle::new().args(&["sleep", "1000"]));
    let image = fs::read_link(format!("/proc/{}/exe", container.pid())).expect("/proc");
    assert_ne!(image, container.runtime.program, "the host's binary is no image of a container's process");
}

fn cve_2019_5736_proc_self_exe() {
    let container = Container::new(Bundle::new().args(&["/proc/self/exe", "--version"]));
    let size = fs::metadata(&container.runtime.program).expect("there").len();
    let outcome = survive(&container);
    assert_eq!(fs::metadata(&container.runtime.program).expect("there").len(), size);
    if container.runtime.kind() == "runsig" {
        assert_ne!(outcome.code, 0, "the init is no program to run: {outcome:#?}");
    }
}

fn cve_2019_16884_mount_over_proc() {
    for destination in ["/proc", "/proc/self/attr", "/proc/sys"] {
        let container = Container::new(Bundle::script("cat /proc/self/status").with(|config| {
            add_mount(config, json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
        }));
        let outcome = survive(&container);
        if destination != "/proc" && container.runtime.kind() != "runsig" {
            continue; // Debian's runc lets it pass.
        }
        assert_ne!(outcome.code, 0, "{destination}: {outcome:#?}");
    }
}

fn cve_2019_19921_proc_is_a_symlink() {
    let host = canary();
    let bundle = Bundle::script("echo ran");
    fs::remove_dir(bundle.rootfs().join("proc")).expect("rmdir");
    symlink(&host, bundle.rootfs().join("proc")).expect("symlink");
    let container = Container::new(bundle);
    let outcome = survive(&container);
    assert_untouched(&host);
    if container.runtime.kind() == "runsig" {
        assert_ne!(outcome.code, 0, "proc must be a real directory: {outcome:#?}");
    }
}

fn cve_2023_27561_proc_swapped_by_an_image() {
    let bundle = Bundle::script("echo ran").directory("/fake/self/fd");
    fs::remove_dir(bundle.rootfs().join("proc")).expect("rmdir");
    symlink("/fake", bundle.rootfs().join("proc")).expect("symlink");
    let container = Container::new(bundle);
    let outcome = survive(&container);
    if container.runtime.kind() == "runsig" {
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn cve_2023_28642_proc_symlink_and_mask() {
    let bundle = Bundle::script("cat /proc/kcore | head -c1 | wc -c");
    let container = Container::new(bundle);
    assert_eq!(survive(&container).text(), "0");
}

fn cve_2021_30465_destination_through_a_symlink() {
    let host = canary();
    let bundle = Bundle::script("echo ran");
    symlink(&host, bundle.rootfs().join("escape")).expect("symlink");
    symlink("../../../../../../../../../..".to_string() + &host, bundle.rootfs().join("climb"))
        .expect("symlink");
    let bundle = bundle.with(|config| {
        for link in ["escape", "climb"] {
            let destination = format!("/{link}/made");
            add_mount(config, json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
        }
    });
    let _ = survive(&Container::new(bundle));
    assert_untouched(&host);
}

fn dotdot_destination() {
    let host = canary();
    let destination = format!("/../../../../../../../../../../{host}/made");
    let bundle = Bundle::script("echo ran").with(|config| {
        add_mount(config, json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
    });
    let _ = survive(&Container::new(bundle));
    assert_untouched(&host);
}

fn device_path_through_a_symlink() {
    let host = canary();
    let bundle = Bundle::script("echo ran");
    symlink(&host, bundle.rootfs().join("escape")).expect("symlink");
    let bundle = bundle.with(|config| {
        config["linux"]["devices"] = json!([{"path": "/escape/device", "type": "c", "major": 1, "minor": 3}]);
    });
    let _ = survive(&Container::new(bundle));
    assert_untouched(&host);
}

fn cve_2022_29162_inheritable_stays_empty() {
    let container = Container::new(Bundle::script("grep ^CapInh /proc/self/status | cut -f2"));
    assert_eq!(survive(&container).ok().text(), "0000000000000000");
}

fn cve_2024_45310_no_file_is_made_outside() {
    let host = canary();
    let bundle = Bundle::script("echo ran");
    symlink(format!("{host}/new"), bundle.rootfs().join("dangling")).expect("symlink");
    let bundle = bundle.with(|config| {
        add_mount(
            config,
            json!({"destination": "/dangling", "type": "bind", "source": "/etc/passwd", "options": ["bind"]}),
        );
        add_mount(config, json!({"destination": "/dangling/dir", "type": "tmpfs", "source": "tmpfs"}));
    });
    let _ = survive(&Container::new(bundle));
    assert_untouched(&host);
}

fn cve_2025_31133_dev_null_is_a_symlink() {
    require_runsig("Debian's runc predates the fix");
    // Without a /dev of its own the image's /dev/null is the source of file masks.
    let bundle = Bundle::script("cat /proc/kcore | head -c1 | wc -c; cat /hidden");
    symlink("/etc/passwd", bundle.rootfs().join("dev/null")).expect("symlink");
    let bundle = bundle.file("/hidden", "secret\n", 0o644).with(|config| {
        config["mounts"].as_array_mut().expect("a list").retain(|mount| mount["destination"] == "/proc");
        config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/hidden"]);
    });
    let outcome = survive(&Container::new(bundle));
    assert!(!outcome.stdout.contains("secret") && !outcome.stdout.contains("root:"), "{outcome:#?}");
}

fn cve_2025_52565_dev_console_is_a_symlink() {
    require_runsig("Debian's runc predates the fix");
    let bundle = Bundle::script("echo x > /proc/sysrq-trigger && echo written; sleep 1000");
    symlink("/proc/sys/kernel/domainname", bundle.rootfs().join("dev/console")).expect("symlink");
    let bundle = bundle.with(|config| {
        config["process"]["terminal"] = true.into();
        config["mounts"].as_array_mut().expect("a list").retain(|mount| mount["destination"] != "/dev");
    });
    let container = Container::new(bundle);
    let socket = runsig_tests::console::DescriptorSocket::listen();
    let outcome = container.verb("create", &["--console-socket", socket.path().to_str().expect("utf-8")]);
    if outcome.code == 0 {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).expect("/proc");
        assert!(!table.contains(" /proc/sys/kernel/domainname "), "{table}");
    }
}

fn cve_2025_52881_sysctl_through_a_fake_proc() {
    let host = canary();
    let bundle = Bundle::script("echo ran").with(|config| {
        config["linux"]["sysctl"] = json!({"kernel.msgmax": "65530"});
        add_mount(
            config,
            json!({"destination": "/proc/sys/kernel", "type": "bind", "source": host, "options": ["bind"]}),
        );
        set_capabilities(config, &["CAP_KILL"]);
    });
    let outcome = survive(&Container::new(bundle));
    assert_untouched(&host);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(procs::alive(1));
}
