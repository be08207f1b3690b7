//! Whole containers' worth: the default bundle, and the three ways to change the root.

use super::*;
use runsig_sys::mount::*;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

const SAFE: u64 = ATTR_NOSUID | ATTR_NOEXEC | ATTR_NODEV;

/// The mounts of the bundle that `runc spec` writes; the cgroup one is a view of `cgroups`.
fn default_mounts(cgroups: &Path) -> Vec<Mount> {
    let what = MountWhat::Cgroup { v2: Some(c(cgroups)), v1: vec![], links: vec![], namespace: false };
    vec![
        new_fs("proc", "/proc", "", 0),
        new_fs("tmpfs", "/dev", "mode=755,size=65536k", ATTR_NOSUID | ATTR_STRICTATIME),
        new_fs("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", ATTR_NOSUID | ATTR_NOEXEC),
        new_fs("tmpfs", "/dev/shm", "mode=1777,size=65536k", SAFE),
        new_fs("mqueue", "/dev/mqueue", "", SAFE),
        new_fs("sysfs", "/sys", "", SAFE | ATTR_RDONLY),
        cgroup(what, SAFE | ATTR_RDONLY),
    ]
}

fn default_plan(scene: &Scene) -> InitPlan {
    let mut plan = scene.with(default_mounts(&scene.source("cgroups")));
    let r = rootfs(&mut plan);
    r.setup_dev = true;
    r.readonly = true;
    r.devices = vec![
        device("/dev/null", 0o20666, 1, 3),
        device("/dev/zero", 0o20666, 1, 5),
        device("/dev/tty", 0o20666, 5, 0),
    ];
    r.masked =
        ["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/sys/devices/virtual", "/nowhere"]
            .iter()
            .map(c)
            .collect();
    r.readonly_paths =
        ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/nowhere"].iter().map(c).collect();
    plan
}

#[test]
fn the_default_bundle() {
    scene(|scene| {
        scene.file("etc/motd", "welcome");
        let plan = default_plan(&scene);
        let mut prepared = prepare(&plan).unwrap();
        assert!(mounted(scene.root.join("dev/pts")), "mounts are made before the root changes");
        switch(&plan, &mut prepared).unwrap();
        assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        assert_eq!(read("/etc/motd"), "welcome");
        fs::write("/etc/early", "writable until it is finished").unwrap();
        finalize(&plan, prepared).unwrap();

        assert_eq!(write_errno("/etc/late"), Some(EROFS));
        assert!(has(&at("/"), "ro"));
        assert_eq!(at("/proc").fstype, "proc");
        let dev = at("/dev");
        assert!(has(&dev, "rw") && has(&dev, "nosuid") && !has(&dev, "relatime"), "{dev:?}");
        assert!(dev.superblock.contains("size=65536k") && dev.superblock.contains("mode=755"), "{dev:?}");
        assert!(at("/dev/pts").superblock.contains("gid=5,mode=620,ptmxmode=666"));
        assert_eq!(fs::metadata("/dev/shm").unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(at("/dev/mqueue").fstype, "mqueue");
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(has(&at("/sys"), option) && has(&at("/sys/fs/cgroup"), option), "{option}");
        }
        assert_eq!(read("/sys/fs/cgroup/hello"), "cgroups");
    });
}

#[test]
fn the_default_bundle_has_devices_links_and_hidden_paths() {
    scene(|scene| {
        let plan = default_plan(&scene);
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();

        let null = fs::metadata("/dev/null").unwrap();
        assert!(null.file_type().is_char_device());
        assert_eq!((null.mode() & 0o7777, null.rdev()), (0o666, 0x103));
        assert_eq!(fs::read_link("/dev/ptmx").unwrap(), Path::new("pts/ptmx"));
        assert_eq!(fs::read_link("/dev/stdin").unwrap(), Path::new("/proc/self/fd/0"));
        assert_eq!(fs::read_link("/dev/fd").unwrap(), Path::new("/proc/self/fd"));
        assert_eq!(fs::read_link("/dev/core").is_ok(), Path::new("/proc/kcore").exists());

        assert_eq!(fs::metadata("/proc/keys").unwrap().rdev(), 0x103, "a masked file is the null device");
        for hidden in ["/sys/firmware", "/sys/devices/virtual"] {
            assert_eq!(fs::read_dir(hidden).unwrap().count(), 0, "a masked directory is empty");
            assert!(has(&at(hidden), "ro"));
            assert_eq!(write_errno(Path::new(hidden).join("x")), Some(EROFS));
        }
        assert!(has(&at("/proc/sys"), "ro"));
        assert_eq!(write_errno("/proc/sys/kernel/domainname"), Some(EROFS));
        assert!(!mounted("/nowhere"));
    });
}

#[test]
fn nothing_of_the_host_is_left_after_pivot_root() {
    scene(|scene| {
        let plan = scene.with(vec![new_fs("proc", "/proc", "", 0)]);
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        let points: Vec<String> = shown().into_iter().map(|m| m.point).collect();
        assert_eq!(points, ["/", "/proc"]);
    });
}

#[test]
fn moving_the_root_takes_the_hosts_proc_and_sys_away() {
    scene(|scene| {
        scene.file("etc/motd", "welcome");
        let mut plan = scene.with(vec![new_fs("proc", "/proc", "", 0)]);
        rootfs(&mut plan).switch = SwitchRoot::Move;
        let mut prepared = prepare(&plan).unwrap();
        let host = runsig_sys::fs::openat(runsig_sys::fd::CWD, c"/", runsig_sys::fs::O_PATH, 0).unwrap();
        switch(&plan, &mut prepared).unwrap();
        assert_eq!(read("/etc/motd"), "welcome");
        assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        let proc = runsig_sys::fs::openat(host.as_fd(), c"proc/self/status", runsig_sys::fs::O_PATH, 0);
        assert_eq!(proc, Err(Errno::ENOENT), "the host's procfs is not in the namespace any more");
        assert_eq!(at("/proc").fstype, "proc", "the container's own is");
    });
}

#[test]
fn without_a_mount_namespace_it_is_a_chroot_and_the_host_stays_as_it_is() {
    scene(|scene| {
        scene.file("etc/motd", "welcome");
        let before = shown().len();
        let mut plan = scene.plan();
        plan.namespaces.mount = false;
        rootfs(&mut plan).switch = SwitchRoot::Chroot;
        let mut prepared = prepare(&plan).unwrap();
        assert_eq!(shown().len(), before);
        switch(&plan, &mut prepared).unwrap();
        assert_eq!(read("/etc/motd"), "welcome");
        finalize(&plan, prepared).unwrap();
    });
}

#[test]
fn a_shared_host_is_not_reached_by_what_the_container_mounts() {
    scene(|scene| {
        // A second view of the same peer group stands for the host.
        let host = scene.top.join("host");
        fs::create_dir(&host).unwrap();
        mount::mount(None, &c(&scene.top), None, MS_SHARED, None).unwrap();
        mount::mount(Some(&c(&scene.top)), &c(&host), None, MS_BIND, None).unwrap();
        let mut plan = scene.with(vec![new_fs("tmpfs", "/mnt", "", 0), new_fs("proc", "/proc", "", 0)]);
        rootfs(&mut plan).propagation = MS_SHARED | MS_REC;
        rootfs(&mut plan).final_propagation = MS_SHARED | MS_REC;
        let mut prepared = prepare(&plan).unwrap();
        assert!(!mounted(host.join("rootfs")) && !mounted(host.join("rootfs/mnt")));
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();
        assert!(at("/").tags.contains("shared:"), "{:?}", at("/"));
        assert!(at("/mnt").tags.contains("shared:"));
    });
}

#[test]
fn a_read_only_tmpfs_takes_devices_first() {
    scene(|scene| {
        let mut plan = scene.with(vec![
            new_fs("proc", "/proc", "", 0),
            new_fs("tmpfs", "/dev", "mode=755", ATTR_RDONLY | ATTR_NOSUID),
            new_fs("tmpfs", "/ro", "", ATTR_RDONLY),
        ]);
        rootfs(&mut plan).setup_dev = true;
        rootfs(&mut plan).devices = vec![device("/dev/null", 0o20666, 1, 3)];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        fs::write("/ro/by-a-hook", "x").unwrap();
        finalize(&plan, prepared).unwrap();
        assert_eq!((write_errno("/dev/x"), write_errno("/ro/x")), (Some(EROFS), Some(EROFS)));
        assert!(has(&at("/dev"), "nosuid"), "the other attributes stay");
        assert!(fs::metadata("/dev/null").unwrap().permissions().mode() & 0o666 == 0o666);
    });
}
