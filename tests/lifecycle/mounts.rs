//! Mounts: every kind and every option, as /proc/self/mountinfo inside shows them.

use std::fs;
use std::process::Command;

use runsig_tests::container::output_of;
use runsig_tests::spec::add_mount;
use runsig_tests::{Bundle, Case, Container, Value, cases, harness, json, require_runsig};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "mounts": flags_of_a_tmpfs, opposite_flags, data_options, bind_of_a_directory, bind_of_a_file,
        bind_read_only, bind_of_a_restricted_mount, rbind_takes_submounts, propagation_words,
        slave_gets_the_hosts_mounts, recursive_read_only, recursive_other_flags, tmpcopyup,
        destination_is_made, relative_destination, mount_over_a_symlink, devpts_works, order_is_kept,
        mqueue_and_shm, cgroup2_is_mounted, atime_words, default_type_is_bind, read_only_sysfs,
        remount_of_a_mount;
    V1 "mounts": cgroup1_is_mounted, bind_read_only;
    Host "mounts": cgroup1_is_mounted, cgroup2_beside_version_1;
];

/// The options and super options of the mount at a path, in a container with one more mount.
fn mount_line(path: &str, mount: Value) -> Vec<String> {
    let script = format!("grep ' {path} ' /proc/self/mountinfo");
    let output = output_of(&script, |config| add_mount(config, mount));
    let line = output.lines().last().unwrap_or_default().to_string();
    line.split([' ', ',']).map(str::to_string).collect()
}

fn tmpfs(options: &[&str]) -> Value {
    json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options})
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|found| found == word)
}

fn flags_of_a_tmpfs() {
    let words = mount_line("/mnt", tmpfs(&["ro", "nosuid", "nodev", "noexec", "noatime", "sync"]));
    for flag in ["ro", "nosuid", "nodev", "noexec", "noatime", "sync"] {
        assert!(has(&words, flag), "{flag} in {words:?}");
    }
}

fn opposite_flags() {
    let options = ["ro", "nosuid", "noexec", "nodev", "sync", "rw", "suid", "exec", "dev", "async"];
    let words = mount_line("/mnt", tmpfs(&options));
    for flag in ["ro", "nosuid", "noexec", "nodev", "sync"] {
        assert!(!has(&words, flag), "{flag} in {words:?}");
    }
}

fn data_options() {
    let words = mount_line("/mnt", tmpfs(&["size=128k", "mode=0711", "nr_inodes=100"]));
    for option in ["size=128k", "mode=711", "nr_inodes=100"] {
        assert!(has(&words, option), "{option} in {words:?}");
    }
}

fn atime_words() {
    assert!(has(&mount_line("/mnt", tmpfs(&["relatime"])), "relatime"));
    assert!(has(&mount_line("/mnt", tmpfs(&["noatime"])), "noatime"));
    let words = mount_line("/mnt", tmpfs(&["strictatime"]));
    assert!(!has(&words, "relatime") && !has(&words, "noatime"), "{words:?}");
    assert!(has(&mount_line("/mnt", tmpfs(&["nodiratime"])), "nodiratime"));
}

fn source_dir(name: &str) -> String {
    let dir = harness::test_dir().join(name);
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("file"), "content\n").expect("write");
    dir.to_str().expect("utf-8").to_string()
}

fn bind(options: &[&str], source: &str) -> Value {
    json!({"destination": "/mnt", "type": "bind", "source": source, "options": options})
}

fn bind_of_a_directory() {
    let source = source_dir("source");
    let output =
        output_of("cat /mnt/file; echo new > /mnt/new", |config| add_mount(config, bind(&["bind"], &source)));
    assert_eq!(output, "content");
    assert_eq!(fs::read_to_string(format!("{source}/new")).expect("written"), "new\n");
}

fn bind_of_a_file() {
    let source = source_dir("source") + "/file";
    let mount =
        json!({"destination": "/etc/deep/file", "type": "bind", "source": source, "options": ["bind"]});
    assert_eq!(output_of("cat /etc/deep/file", |config| add_mount(config, mount)), "content");
}

fn bind_read_only() {
    let source = source_dir("source");
    let script = "echo x 2>/dev/null > /mnt/new || echo refused; cat /mnt/file";
    let output = output_of(script, |config| add_mount(config, bind(&["rbind", "ro"], &source)));
    assert_eq!(output, "refused\ncontent");
}

fn default_type_is_bind() {
    let source = source_dir("source");
    let mount = json!({"destination": "/mnt", "source": source, "options": ["rbind", "rprivate"]});
    assert_eq!(output_of("cat /mnt/file", |config| add_mount(config, mount)), "content");
}

fn shell(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status();
    assert!(status.expect("sh").success(), "{script}");
}

fn bind_of_a_restricted_mount() {
    let source = source_dir("source");
    shell(&format!("mount -t tmpfs -o nosuid,nodev,noexec none {source}"));
    let words = mount_line("/mnt", bind(&["bind", "ro"], &source));
    shell(&format!("umount {source}"));
    // runc sets exactly the flags that the bundle names; crun keeps the source's.
    assert!(has(&words, "ro"), "{words:?}");
}

fn with_submount(test: impl FnOnce(&str)) {
    let source = source_dir("source");
    shell(&format!("mkdir -p {source}/sub; mount -t tmpfs none {source}/sub; echo deep > {source}/sub/deep"));
    test(&source);
    shell(&format!("umount {source}/sub"));
}

fn rbind_takes_submounts() {
    with_submount(|source| {
        let script = "cat /mnt/sub/deep 2>/dev/null || echo none";
        assert_eq!(output_of(script, |config| add_mount(config, bind(&["rbind"], source))), "deep");
        assert_eq!(output_of(script, |config| add_mount(config, bind(&["bind"], source))), "none");
    });
}

fn recursive_read_only() {
    require_runsig("recursive attributes came to runc in 1.2");
    with_submount(|source| {
        let script = "echo x 2>/dev/null > /mnt/sub/new && echo written || echo refused";
        assert_eq!(output_of(script, |config| add_mount(config, bind(&["rbind", "ro"], source))), "written");
        assert_eq!(output_of(script, |config| add_mount(config, bind(&["rbind", "rro"], source))), "refused");
    });
}

fn recursive_other_flags() {
    require_runsig("recursive attributes came to runc in 1.2");
    with_submount(|source| {
        let script = "grep ' /mnt/sub ' /proc/self/mountinfo | cut -d' ' -f6";
        let options = ["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"];
        let output = output_of(script, |config| add_mount(config, bind(&options, source)));
        for flag in ["nosuid", "nodev", "noexec", "noatime"] {
            assert!(output.split(',').any(|word| word == flag), "{flag} in {output}");
        }
    });
}

fn propagation_words() {
    let source = source_dir("source");
    shell(&format!("mount --bind {source} {source}; mount --make-shared {source}"));
    let fields = |word: &str| {
        let words = mount_line("/mnt", bind(&["rbind", word], &source)).join(" ");
        words.split(" - ").next().unwrap_or_default().to_string()
    };
    for word in ["private", "rprivate"] {
        let line = fields(word);
        assert!(!line.contains("shared:") && !line.contains("master:"), "{word}: {line}");
    }
    for word in ["slave", "rslave"] {
        assert!(fields(word).contains("master:"), "{word}: {}", fields(word));
    }
    for word in ["shared", "rshared"] {
        assert!(fields(word).contains("shared:"), "{word}: {}", fields(word));
    }
    assert!(fields("unbindable").contains("unbindable"));
    shell(&format!("umount {source}"));
}

fn slave_gets_the_hosts_mounts() {
    let source = source_dir("source");
    shell(&format!("mount --bind {source} {source}; mount --make-shared {source}; mkdir {source}/late"));
    let script = "while ! [ -e /mnt/late/here ]; do sleep 0.02; done; echo seen > /seen; sleep 1000";
    let bundle = Bundle::script(script).with(|config| {
        config["linux"]["rootfsPropagation"] = "rslave".into();
        add_mount(config, bind(&["rbind", "rslave"], &source));
    });
    let container = Container::running(bundle);
    shell(&format!("mount -t tmpfs none {source}/late; touch {source}/late/here"));
    let seen = container.wait_for_file("/seen");
    shell(&format!("umount {source}/late; umount -l {source}"));
    assert_eq!(seen, "seen\n");
}

fn tmpcopyup() {
    let bundle = Bundle::script("cat /etc/sub/file; stat -c %a /etc/sub/file; echo more > /etc/new; ls /etc");
    let bundle = bundle.file("/etc/sub/file", "original\n", 0o640).with(|config| {
        let options = ["tmpcopyup", "mode=755"];
        add_mount(
            config,
            json!({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
    });
    let container = Container::new(bundle);
    if container.runtime.kind() == "crun" {
        runsig_tests::skip("crun 1.8 copies /etc's passwd only");
    }
    let outcome = container.run().ok();
    assert!(
        outcome.stdout.starts_with("original\n640\n") && outcome.stdout.contains("passwd"),
        "{outcome:#?}"
    );
    assert!(!container.bundle.rootfs().join("etc/new").exists(), "the image is untouched");
}

fn destination_is_made() {
    let mount = json!({"destination": "/a/b/c", "type": "tmpfs", "source": "tmpfs"});
    assert_eq!(output_of("grep -c ' /a/b/c ' /proc/self/mountinfo", |config| add_mount(config, mount)), "1");
}

fn relative_destination() {
    // runc: taken as absolute, with a warning.
    let mount = json!({"destination": "mnt/rel", "type": "tmpfs", "source": "tmpfs"});
    assert_eq!(
        output_of("grep -c ' /mnt/rel ' /proc/self/mountinfo", |config| add_mount(config, mount)),
        "1"
    );
}

fn mount_over_a_symlink() {
    let bundle = Bundle::script("grep -c ' /real/x ' /proc/self/mountinfo").directory("/real");
    std::os::unix::fs::symlink("/real", bundle.rootfs().join("link")).expect("symlink");
    let container = Container::new(bundle.with(|config| {
        add_mount(config, json!({"destination": "/link/x", "type": "tmpfs", "source": "tmpfs"}));
    }));
    assert_eq!(container.run().ok().text(), "1");
    assert!(!std::path::Path::new("/real").exists(), "resolved inside the container, not on the host");
}

fn devpts_works() {
    let output = output_of("grep ' /dev/pts ' /proc/self/mountinfo; ls -l /dev/ptmx", |_| {});
    assert!(output.contains("devpts") && output.contains("ptmxmode=666"), "{output}");
    assert!(output.contains("pts/ptmx"), "{output}");
}

fn order_is_kept() {
    let output = output_of("cat /mnt/file; ls /mnt", |config| {
        let source = source_dir("source");
        add_mount(config, tmpfs(&[]));
        add_mount(
            config,
            json!({"destination": "/mnt/file", "type": "bind", "source": format!("{source}/file"),
            "options": ["bind"]}),
        );
    });
    assert_eq!(output, "content\nfile");
}

fn mqueue_and_shm() {
    let output = output_of("awk '$5 ~ /mqueue|shm/ {print $5, $8}' /proc/self/mountinfo", |_| {});
    assert_eq!(output, "/dev/shm tmpfs\n/dev/mqueue mqueue");
}

fn cgroup2_is_mounted() {
    let output = output_of(
        "awk '$5 == \"/sys/fs/cgroup\" {print $6, $8}' /proc/self/mountinfo; ls /sys/fs/cgroup",
        |_| {},
    );
    assert!(output.starts_with("ro,nosuid,nodev,noexec,relatime cgroup2\n"), "{output}");
    assert!(output.contains("cgroup.procs"), "{output}");
}

fn cgroup1_is_mounted() {
    runsig_tests::sandbox::require_v1_controller("freezer");
    let output = output_of(
        "ls /sys/fs/cgroup; ls /sys/fs/cgroup/freezer; cat /sys/fs/cgroup/freezer/cgroup.procs",
        |_| {},
    );
    assert!(output.contains("memory") && output.contains("tasks"), "{output}");
    assert!(output.lines().any(|line| line == "1"), "only the container's own processes: {output}");
}

/// A container that asks for version 2 by its name gets it, also where version 1 has the controllers.
fn cgroup2_beside_version_1() {
    runsig_tests::sandbox::require_v1_controller("freezer");
    let mount =
        json!({"destination": "/mnt", "type": "cgroup2", "source": "cgroup2", "options": ["ro", "nosuid"]});
    let output = output_of("awk '$5 ~ \"^/mnt\" {print $5, $6, $8}' /proc/self/mountinfo", |config| {
        add_mount(config, mount);
    });
    assert_eq!(output, "/mnt ro,nosuid,relatime cgroup2");
}

fn read_only_sysfs() {
    let output = output_of("awk '$5 == \"/sys\" {print $6}' /proc/self/mountinfo", |_| {});
    assert!(output.split(',').any(|word| word == "ro"), "{output}");
}

fn remount_of_a_mount() {
    let source = source_dir("source");
    let output = output_of("grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6", |config| {
        add_mount(config, bind(&["bind"], &source));
        add_mount(config, bind(&["bind", "remount", "ro", "nosuid"], &source));
    });
    assert!(output.contains("ro") && output.contains("nosuid"), "{output}");
}
