//! What is different in a user namespace. unshare(2) refuses one to a process with threads, so
//! each of these tests runs itself again below unshare(1).

use super::*;
use runsig_sys::mount::*;
use std::process::Command;

const INSIDE: &str = "RUNSIG_TEST_IN_USERNS";

/// Runs `test`, whose full name is `name`, in a user namespace with a mount of noexec and nosuid at
/// `/mnt`, whose attributes are locked there.
fn in_user_namespace(name: &str, test: fn(Scene)) {
    if let Some(top) = std::env::var_os(INSIDE) {
        mount::mount(Some(c"tmpfs"), &c(&top), Some(c"tmpfs"), 0, None).unwrap();
        return test(Scene::new(Path::new(&top)));
    }
    if process::geteuid() != 0 {
        eprintln!("skipped: needs root to make a mount with locked attributes");
        return;
    }
    let top = std::env::temp_dir().join(format!("runsig-init-userns-{}-{}", std::process::id(), name.len()));
    fs::create_dir(&top).unwrap();
    let script = "mount -t tmpfs -o noexec,nosuid tmpfs /mnt && echo data >/mnt/hello && \
        exec unshare -U -m --map-root-user -- \"$@\"";
    let run = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(INSIDE, &top)
        .output();
    fs::remove_dir(&top).unwrap();
    let run = run.unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    if errors.contains("unshare failed: Operation not permitted") {
        eprintln!("skipped: this machine has no user namespaces");
        return;
    }
    assert!(run.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

#[test]
fn locked_attributes_stay_and_cannot_be_cleared() {
    in_user_namespace("rootfs::tests::userns::locked_attributes_stay_and_cannot_be_cleared", |scene| {
        let ro = Mount { set: ATTR_RDONLY, ..bind("/mnt", "/ro", false) };
        prepare(&scene.with(vec![ro])).unwrap();
        assert_eq!(at(scene.root.join("ro")).options, "ro,nosuid,noexec,relatime");
        for (set, clear) in [(0, ATTR_NOEXEC), (ATTR_NOATIME, 0), (ATTR_RDONLY, ATTR_NOSUID)] {
            let m = Mount { set, clear, ..bind("/mnt", "/cleared", false) };
            let failure = prepare(&scene.with(vec![m])).unwrap_err();
            assert_eq!(failure.errno, Some(Errno::EPERM), "{set:x} {clear:x}");
        }
    });
}

#[test]
fn devices_and_a_whole_small_container() {
    in_user_namespace("rootfs::tests::userns::devices_and_a_whole_small_container", |scene| {
        let mut plan = scene.with(vec![
            new_fs("tmpfs", "/dev", "mode=755", ATTR_NOSUID | ATTR_STRICTATIME),
            new_fs("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620", ATTR_NOSUID | ATTR_NOEXEC),
            bind("/proc", "/proc", true),
        ]);
        plan.namespaces.user = true;
        let r = rootfs(&mut plan);
        // Asked for nodes, it falls back to binding: nobody may make nodes here.
        (r.setup_dev, r.readonly) = (true, true);
        r.devices = vec![device("/dev/null", 0o20666, 1, 3), device("/dev/zero", 0o20666, 1, 5)];
        r.masked = vec![c("/etc/shadow"), c("/srv")];
        scene.file("etc/shadow", "x");
        scene.file("srv/x", "x");
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();
        assert!(mounted("/dev/null"));
        fs::write("/dev/null", "x").unwrap();
        assert_eq!(read("/etc/shadow"), "");
        assert_eq!(fs::read_dir("/srv").unwrap().count(), 0);
        assert_eq!(write_errno("/x"), Some(EROFS));
    });
}

#[test]
fn a_rootless_container_without_a_cgroup_sees_an_empty_directory() {
    in_user_namespace(
        "rootfs::tests::userns::a_rootless_container_without_a_cgroup_sees_an_empty_directory",
        |scene| {
            let what =
                MountWhat::Cgroup { v2: Some(c("/no/such")), v1: vec![], links: vec![], namespace: false };
            let mut plan = scene.with(vec![cgroup(what.clone(), ATTR_RDONLY)]);
            assert_eq!(prepare(&plan).unwrap_err().errno, Some(Errno::ENOENT));
            plan.namespaces.user = true;
            prepare(&plan).unwrap();
            assert_eq!(at(scene.root.join("sys/fs/cgroup")).fstype, "tmpfs");
            // The cgroup namespace is not ours, so a mount of our own is refused and a view is taken.
            let MountWhat::Cgroup { v1, links, .. } = what else { unreachable!() };
            let what = MountWhat::Cgroup { v2: Some(c("/mnt")), v1, links, namespace: true };
            prepare(&scene.with(vec![cgroup(what, ATTR_RDONLY)])).unwrap();
            assert_eq!(read(scene.root.join("sys/fs/cgroup/hello")), "data\n");
        },
    );
}
