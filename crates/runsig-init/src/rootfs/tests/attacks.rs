//! Rootfs trees made to get out: links, dots, /proc, false devices.

use super::*;
use runsig_proto::Op;
use runsig_sys::Errno;

/// Prepares and returns the failure there has to be.
fn refused(plan: &InitPlan) -> Failure {
    prepare(plan).err().unwrap_or_else(|| panic!("it was mounted: {:?}", shown()))
}

#[test]
fn links_and_dots_lead_nowhere_but_into_the_root() {
    scene(|scene| {
        let source = scene.source("data");
        let outside = scene.source("outside");
        scene.dir("inside");
        scene.link("absolute", "/inside");
        scene.link("up", "../../../../../../inside");
        scene.link("host", outside.to_str().unwrap());
        let destinations = ["/absolute/a", "/up/b", "/inside/../inside/./c", "/host/d", "/../../e"];
        let plan = scene.with(destinations.iter().map(|d| bind(&source, d, false)).collect());
        prepare(&plan).unwrap();
        let outside_inside = scene.root.join(outside.strip_prefix("/").unwrap());
        for place in ["inside/a", "inside/b", "inside/c", "e"] {
            assert_eq!(read(scene.root.join(place).join("hello")), "data", "{place}");
        }
        assert_eq!(read(outside_inside.join("d/hello")), "data", "the host's path, inside");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing was made outside");
    });
}

#[test]
fn a_dangling_links_target_is_made_inside() {
    scene(|scene| {
        let source = scene.source("data");
        scene.link("dangling", "/not/yet/../there");
        scene.link("file", "../etc/new.conf");
        let plan =
            scene.with(vec![bind(&source, "/dangling", false), bind(source.join("hello"), "/file", false)]);
        prepare(&plan).unwrap();
        assert_eq!(read(scene.root.join("not/there/hello")), "data");
        assert_eq!(read(scene.root.join("etc/new.conf")), "data");
        assert!(!Path::new("/not").exists());
    });
}

#[test]
fn a_loop_of_links_is_an_error() {
    scene(|scene| {
        let source = scene.source("data");
        scene.link("a", "b");
        scene.link("b", "a");
        let failure = refused(&scene.with(vec![bind(&source, "/a/x", false)]));
        assert_eq!((failure.op, failure.errno), (Op::MountPoint, Some(Errno::ELOOP)));
    });
}

#[test]
fn nothing_goes_onto_the_root_itself() {
    scene(|scene| {
        scene.link("root", "/");
        let source = scene.source("data");
        for destination in ["/", "/root", "/x/..", "/../.."] {
            let failure = refused(&scene.with(vec![bind(&source, destination, false)]));
            assert!(failure.detail.to_str().unwrap().contains("top of the rootfs"), "{failure:?}");
        }
    });
}

#[test]
fn only_procfs_goes_onto_proc_and_little_into_it() {
    scene(|scene| {
        let source = scene.source("data");
        scene.link("to-proc", "proc");
        scene.link("to-attr", "/proc/self/attr");
        let proc = || new_fs("proc", "/proc", "", 0);
        for mounts in [
            vec![bind(&source, "/proc", false)],
            vec![new_fs("tmpfs", "/proc", "", 0)],
            vec![bind(&source, "/to-proc", false)],
            vec![bind(&source, "/x/../proc", false)],
            vec![bind(&source, "/proc/early", false)],
            vec![proc(), bind(&source, "/proc/self/attr", false)],
            vec![proc(), bind(&source, "/to-attr", false)],
            vec![proc(), new_fs("tmpfs", "/proc/sys", "", 0)],
        ] {
            let failure = refused(&scene.with(mounts));
            assert_eq!((failure.op, failure.errno), (Op::MountPoint, None), "{:?}", failure.subject);
        }
        let file = source.join("hello");
        prepare(&scene.with(vec![proc(), bind(&file, "/proc/meminfo", false)])).unwrap();
        assert_eq!(read(scene.root.join("proc/meminfo")), "data");
    });
}

#[test]
fn a_real_procfs_may_be_bound_on_proc() {
    scene(|scene| {
        prepare(&scene.with(vec![bind("/proc", "/proc", true)])).unwrap();
        assert_eq!(at(scene.root.join("proc")).fstype, "proc");
    });
}

#[test]
fn proc_and_sysfs_are_not_mounted_through_a_link_or_on_a_file() {
    scene(|scene| {
        scene.dir("elsewhere");
        scene.link("proc", "/elsewhere");
        scene.link("sys", "nowhere");
        scene.file("file", "");
        for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("proc", "/file"), ("sysfs", "/file")] {
            let failure = refused(&scene.with(vec![new_fs(kind, place, "", 0)]));
            assert_eq!(
                failure.detail.to_str().unwrap(),
                format!("filesystem \"{kind}\" must be mounted on ordinary directory")
            );
        }
        assert_eq!(fs::read_dir(scene.root.join("elsewhere")).unwrap().count(), 0);
        assert!(!scene.root.join("nowhere").exists());
    });
}

#[test]
fn paths_are_not_masked_with_a_false_null_device() {
    scene(|scene| {
        scene.file("secret", "secret");
        scene.file("etc/shadow", "x");
        scene.dir("dev");
        scene.link("dev/null", "/etc/shadow");
        let mut plan = scene.plan();
        rootfs(&mut plan).masked = vec![c("/secret")];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        let failure = finalize(&plan, prepared).unwrap_err();
        assert_eq!(failure.detail.as_c_str(), c"container's /dev/null is invalid");
        assert_eq!(read("/secret"), "secret", "and nothing was bound on it");
    });
}

#[test]
fn masked_and_read_only_paths_stay_inside_the_root_too() {
    scene(|scene| {
        scene.file("etc/inner", "inner");
        scene.link("link", "../../../etc/inner");
        scene.dir("dev");
        let mut plan = scene.plan();
        rootfs(&mut plan).setup_dev = true;
        rootfs(&mut plan).devices = vec![device("/dev/null", 0o20666, 1, 3)];
        rootfs(&mut plan).readonly_paths = vec![c("/link")];
        let mut prepared = prepare(&plan).unwrap();
        switch(&plan, &mut prepared).unwrap();
        finalize(&plan, prepared).unwrap();
        assert_eq!(write_errno("/etc/inner"), Some(EROFS));
    });
}

/// Swaps two names until it is dropped.
struct Swapper {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapper {
    fn new(one: CString, other: CString) -> Self {
        const RENAME_EXCHANGE: u32 = 2;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = stop.clone();
        let cwd = runsig_sys::fd::CWD;
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                runsig_sys::fs::renameat(cwd, &one, cwd, &other, RENAME_EXCHANGE).unwrap();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The other side of CVE-2021-30465: a directory and a link out of the root, swapped all the time.
#[test]
fn a_race_for_the_place_never_leads_outside() {
    scene(|scene| {
        scene.dir("a");
        let outside = scene.top.join("outside");
        fs::create_dir(&outside).unwrap();
        scene.link("b", outside.to_str().unwrap());
        let root = runsig_sys::fs::openat(runsig_sys::fd::CWD, &c(&scene.root), 0, 0).unwrap();
        let swapper = Swapper::new(c(scene.root.join("a")), c(scene.root.join("b")));
        let mut made = 0;
        for n in 0..3000 {
            let path = c(format!("/a/x/made-{n}"));
            let place =
                path::find_or_make(root.as_fd(), &path, path::Make::Directory, path::LastLink::Follow);
            made += u32::from(place.is_ok());
        }
        drop(swapper);
        assert!(made > 0, "it did something");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "and nothing outside");
    });
}
