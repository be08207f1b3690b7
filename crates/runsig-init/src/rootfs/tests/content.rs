//! What is inside: copied-up trees, devices, the console, read-only and masked paths.

use super::*;
use runsig_proto::Op;
use runsig_sys::Errno;
use runsig_sys::fd::CWD;
use runsig_sys::fs as sysfs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

#[test]
fn copy_up_keeps_everything_about_the_files() {
    scene(|scene| {
        let dir = scene.dir("etc");
        scene.file("etc/plain", "plain");
        scene.file("etc/sub/deep/file", &"x".repeat(3 << 20));
        scene.link("etc/link", "../nowhere");
        scene.link("etc/sub/loop", "..");
        sysfs::mknodat(CWD, &c(dir.join("fifo")), sysfs::S_IFIFO | 0o640, 0, 0).unwrap();
        sysfs::mknodat(CWD, &c(dir.join("null")), sysfs::S_IFCHR | 0o600, 1, 3).unwrap();
        sysfs::fchownat(CWD, &c(dir.join("plain")), 1000, 1001).unwrap();
        sysfs::fchownat(CWD, &c(dir.join("link")), 7, 8).unwrap();
        sysfs::fchownat(CWD, &c(&dir), 12, 13).unwrap();
        fs::set_permissions(dir.join("plain"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(dir.join("sub"), fs::Permissions::from_mode(0o2550)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
        let file = sysfs::openat(CWD, &c(dir.join("plain")), sysfs::O_RDONLY, 0).unwrap();
        sysfs::fsetxattr(file.as_fd(), c"trusted.runsig", b"value").unwrap();

        let m = Mount { copy_up: true, ..new_fs("tmpfs", "/etc", "", 0) };
        prepare(&scene.with(vec![m])).unwrap();

        assert_eq!(at(&dir).fstype, "tmpfs");
        let seen = |name: &str| {
            let m = fs::symlink_metadata(dir.join(name)).unwrap();
            (m.mode() & 0o7777, m.uid(), m.gid())
        };
        assert_eq!(seen("."), (0o711, 12, 13));
        assert_eq!(seen("plain"), (0o4751, 1000, 1001));
        assert_eq!((seen("sub"), seen("fifo")), ((0o2550, 0, 0), (0o640, 0, 0)));
        assert_eq!((seen("link").1, seen("link").2), (7, 8));
        assert_eq!(fs::read_link(dir.join("link")).unwrap(), Path::new("../nowhere"));
        assert_eq!(fs::read_link(dir.join("sub/loop")).unwrap(), Path::new(".."));
        assert_eq!(fs::metadata(dir.join("sub/deep/file")).unwrap().len(), 3 << 20);
        assert!(fs::symlink_metadata(dir.join("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(fs::metadata(dir.join("null")).unwrap().rdev(), 0x103);
        let file = sysfs::openat(CWD, &c(dir.join("plain")), sysfs::O_RDONLY, 0).unwrap();
        let mut value = [0; 16];
        let len = sysfs::fgetxattr(file.as_fd(), c"trusted.runsig", &mut value).unwrap();
        assert_eq!(&value[..len], b"value");
    });
}

#[test]
fn copy_up_into_nothing_and_with_an_owner_given() {
    scene(|scene| {
        scene.file("data/x", "x");
        sysfs::fchownat(CWD, &c(scene.root.join("data")), 12, 13).unwrap();
        let plan = scene.with(vec![
            Mount { copy_up: true, ..new_fs("tmpfs", "/new", "", 0) },
            Mount { copy_up: true, ..new_fs("tmpfs", "/data", "uid=5,gid=6,mode=750", 0) },
        ]);
        prepare(&plan).unwrap();
        let data = fs::metadata(scene.root.join("data")).unwrap();
        assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (5, 6, 0o750));
        assert_eq!(read(scene.root.join("data/x")), "x");
        assert!(mounted(scene.root.join("new")));
    });
}

#[test]
fn copy_up_goes_deeper_than_descriptors_would() {
    scene(|scene| {
        let deep = (0..600).map(|_| "d").collect::<Vec<_>>().join("/");
        fs::create_dir_all(scene.root.join("deep").join(&deep)).unwrap();
        let m = Mount { copy_up: true, ..new_fs("tmpfs", "/deep", "", 0) };
        prepare(&scene.with(vec![m])).unwrap();
        assert!(scene.root.join("deep").join(&deep).is_dir());
    });
}

fn with_devices(scene: &Scene, devices: Vec<Device>) -> InitPlan {
    let mut plan = scene.plan();
    rootfs(&mut plan).setup_dev = true;
    rootfs(&mut plan).devices = devices;
    plan
}

#[test]
fn devices_have_their_numbers_modes_and_owners_whatever_the_umask() {
    scene(|scene| {
        let old = sysfs::umask(0o077);
        let plan = with_devices(
            &scene,
            vec![
                Device { uid: 3, gid: 4, ..device("/dev/net/tun", 0o20622, 10, 200) },
                device("/dev/disk", 0o60640, 8, 300),
                device("/dev/pipe", 0o10644, 0, 0),
                device("/dev/ptmx", 0o20666, 5, 2),
                device("/elsewhere/full", 0o20666, 1, 7),
            ],
        );
        prepare(&plan).unwrap();
        assert_eq!(sysfs::umask(old), 0o077, "the mask is as it was");
        let seen = |path: &str| fs::symlink_metadata(scene.root.join(path)).unwrap();
        let tun = seen("dev/net/tun");
        assert_eq!((tun.mode(), tun.rdev(), tun.uid(), tun.gid()), (0o20622, 10 << 8 | 200, 3, 4));
        assert_eq!(seen("dev/net").mode() & 0o7777, 0o755);
        assert_eq!(
            (seen("dev/disk").mode(), seen("dev/disk").rdev()),
            (0o60640, (8 << 8) | (300 & 0xff) | (256 << 12))
        );
        assert!(seen("dev/pipe").file_type().is_fifo());
        assert!(seen("dev/ptmx").is_symlink(), "a link into devpts, never a node");
        assert_eq!(seen("elsewhere/full").rdev(), 0x107);
    });
}

#[test]
fn nodes_of_the_image_stay_and_links_are_resolved_inside() {
    scene(|scene| {
        scene.dir("dev");
        scene.dir("real");
        scene.link("dev/sub", "/real");
        scene.file("dev/stdin", "of the image");
        scene.file("dev/ptmx", "of the image");
        sysfs::mknodat(CWD, &c(scene.root.join("dev/null")), sysfs::S_IFCHR | 0o600, 1, 3).unwrap();
        let plan = with_devices(
            &scene,
            vec![device("/dev/null", 0o20666, 1, 3), device("/dev/sub/zero", 0o20666, 1, 5)],
        );
        prepare(&plan).unwrap();
        assert_eq!(fs::metadata(scene.root.join("dev/null")).unwrap().mode(), 0o20600);
        assert_eq!(fs::metadata(scene.root.join("real/zero")).unwrap().rdev(), 0x105);
        assert_eq!(read(scene.root.join("dev/stdin")), "of the image");
        assert_eq!(fs::read_link(scene.root.join("dev/ptmx")).unwrap(), Path::new("pts/ptmx"));
    });
}

#[test]
fn devices_are_bound_where_nodes_may_not_be_made() {
    scene(|scene| {
        scene.dir("dev");
        scene.link("dev/zero", "/etc/passwd");
        let mut plan = with_devices(&scene, vec![device("/dev/null", 0o20666, 1, 3)]);
        rootfs(&mut plan).bind_devices = true;
        prepare(&plan).unwrap();
        assert!(mounted(scene.root.join("dev/null")));
        assert_eq!(fs::metadata(scene.root.join("dev/null")).unwrap().rdev(), 0x103);

        for (wrong, errno) in [
            (device("/dev/null", 0o20666, 1, 5), Errno::ENXIO),
            (device("/dev/zero", 0o20666, 1, 5), Errno::ELOOP),
            (device("/dev/no-such", 0o20666, 1, 5), Errno::ENOENT),
        ] {
            rootfs(&mut plan).devices = vec![wrong];
            let failure = prepare(&plan).unwrap_err();
            assert_eq!((failure.op, failure.errno), (Op::Device, Some(errno)));
        }
    });
}

#[test]
fn the_console_is_a_checked_terminal_on_a_checked_place() {
    scene(|scene| {
        let mut plan = scene.with(vec![
            new_fs("tmpfs", "/dev", "mode=755", 0),
            new_fs("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620", 0),
        ]);
        rootfs(&mut plan).setup_dev = true;
        rootfs(&mut plan).devices = vec![device("/dev/null", 0o20666, 1, 3)];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        let (master, _) = runsig_sys::term::open_master(CWD, c"/dev/ptmx").unwrap();
        let slave = runsig_sys::term::open_slave(master.as_fd()).unwrap();

        let null = sysfs::openat(CWD, c"/dev/null", sysfs::O_RDWR, 0).unwrap();
        for no_terminal in [&null, &master] {
            let failure = console_mount(&prepared, no_terminal.as_fd()).unwrap_err();
            assert_eq!((failure.op, failure.errno), (Op::Console, Some(Errno::ENOTTY)));
        }
        console_mount(&prepared, slave.as_fd()).unwrap();
        assert_eq!(fs::metadata("/dev/console").unwrap().rdev(), fs::metadata("/dev/pts/0").unwrap().rdev());
        sysfs::write_all(slave.as_fd(), b"hello").unwrap();
        let mut text = [0; 5];
        sysfs::read_exact(master.as_fd(), &mut text).unwrap();
        assert_eq!(&text, b"hello");
        finalize(&plan, prepared).unwrap();
    });
}

#[test]
fn a_link_at_the_consoles_place_is_refused() {
    scene(|scene| {
        scene.file("etc/target", "target");
        scene.dir("dev");
        scene.link("dev/console", "/etc/target");
        let mut plan = scene.with(vec![new_fs("devpts", "/dev/pts", "newinstance,ptmxmode=0666", 0)]);
        rootfs(&mut plan).setup_dev = true;
        rootfs(&mut plan).devices = vec![device("/dev/null", 0o20666, 1, 3)];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        let (master, _) = runsig_sys::term::open_master(CWD, c"/dev/ptmx").unwrap();
        let slave = runsig_sys::term::open_slave(master.as_fd()).unwrap();
        let failure = console_mount(&prepared, slave.as_fd()).unwrap_err();
        assert_eq!(failure.errno, Some(Errno::ELOOP));
        assert_eq!(read("/etc/target"), "target");
    });
}

#[test]
fn read_only_paths_keep_their_attributes_and_the_mounts_below() {
    scene(|scene| {
        let mut plan = scene.with(vec![
            new_fs("proc", "/proc", "", 0),
            new_fs("tmpfs", "/data", "", runsig_sys::mount::ATTR_NOSUID | runsig_sys::mount::ATTR_NODEV),
            new_fs("tmpfs", "/data/below", "", 0),
        ]);
        scene.file("file", "x");
        rootfs(&mut plan).readonly_paths = vec![c("/data"), c("/file"), c("/missing")];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();
        assert_eq!(at("/data").options, "ro,nosuid,nodev,relatime");
        assert_eq!((write_errno("/file"), write_errno("/data/x")), (Some(EROFS), Some(EROFS)));
        assert_eq!(write_errno("/data/below/x"), None, "as in runc, the mounts below stay as they are");
        assert_eq!(write_errno("/other"), None);
    });
}

#[test]
fn masking_a_path_twice_or_one_that_is_missing_is_fine() {
    scene(|scene| {
        scene.file("secret", "secret");
        scene.file("dir/secret", "secret");
        let mut plan = with_devices(&scene, vec![device("/dev/null", 0o20666, 1, 3)]);
        rootfs(&mut plan).mounts = vec![new_fs("proc", "/proc", "", 0)];
        rootfs(&mut plan).masked =
            ["/secret", "/dir", "/secret", "/missing/x", "/dir"].iter().map(c).collect();
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();
        assert_eq!(read("/secret"), "");
        assert_eq!(fs::read_dir("/dir").unwrap().count(), 0);
        let covers = shown().iter().filter(|m| m.point == "/secret" || m.point == "/dir").count();
        assert_eq!(covers, 2);
    });
}
