//! What the option words of mounts come to.

use super::*;
use crate::sync::Sync;
use runsig_proto::{FromInit, Op, frame};
use runsig_sys::Errno;
use runsig_sys::mount::*;
use std::os::unix::fs::MetadataExt;

/// A source that is a mount with these attributes, with one more mount `below` in it.
fn mounted_source(scene: &Scene, attrs: u64) -> PathBuf {
    let source = scene.top.join("mounted");
    let tmpfs = |path: &Path, attrs| {
        fs::create_dir(path).unwrap();
        mount::mount(Some(c"tmpfs"), &c(path), Some(c"tmpfs"), 0, None).unwrap();
        let fd = runsig_sys::fs::openat(runsig_sys::fd::CWD, &c(path), runsig_sys::fs::O_PATH, 0).unwrap();
        mount_setattr(fd.as_fd(), &AttrChange { set: attrs, ..Default::default() }).unwrap();
    };
    tmpfs(&source, 0);
    tmpfs(&source.join("below"), 0);
    let fd = runsig_sys::fs::openat(runsig_sys::fd::CWD, &c(&source), runsig_sys::fs::O_PATH, 0).unwrap();
    mount_setattr(fd.as_fd(), &AttrChange { set: attrs, ..Default::default() }).unwrap();
    source
}

#[test]
fn a_bind_without_words_keeps_its_sources_attributes_and_one_with_words_has_only_those() {
    scene(|scene| {
        let source = mounted_source(&scene, ATTR_NOSUID | ATTR_NOEXEC);
        let plan = scene.with(vec![
            bind(&source, "/same", false),
            Mount { set: ATTR_RDONLY, ..bind(&source, "/ro", false) },
            Mount { clear: ATTR_NOSUID, ..bind(&source, "/cleared", false) },
            Mount { set: ATTR_NODEV, ..bind(&source, "/tree", true) },
        ]);
        prepare(&plan).unwrap();
        let options = |path| at(scene.root.join(path)).options;
        assert_eq!(options("same"), "rw,nosuid,noexec,relatime");
        assert_eq!(options("ro"), "ro,relatime");
        assert_eq!(options("cleared"), "rw,relatime");
        assert_eq!(options("tree"), "rw,nodev,relatime");
        assert_eq!(options("tree/below"), "rw,relatime");
        assert!(!mounted(scene.root.join("same/below")), "bind is not rbind");
        assert!(has(&at(&source), "nosuid"), "the source stays as it was");
    });
}

#[test]
fn recursive_attributes_reach_the_mounts_below() {
    scene(|scene| {
        let source = mounted_source(&scene, 0);
        let plan = scene.with(vec![
            Mount { set_recursive: ATTR_RDONLY | ATTR_NOSUID, ..bind(&source, "/rro", true) },
            Mount { set: ATTR_RDONLY, clear_recursive: ATTR_RDONLY, ..bind(&source, "/rrw", true) },
            Mount {
                set_recursive: ATTR_NOATIME,
                clear_recursive: ATTR_ATIME_MASK,
                ..bind(&source, "/na", true)
            },
        ]);
        prepare(&plan).unwrap();
        let options = |path| at(scene.root.join(path)).options;
        for path in ["rro", "rro/below"] {
            assert_eq!(options(path), "ro,nosuid,relatime");
        }
        assert_eq!(options("rrw"), "rw,relatime", "recursive words come after the others");
        assert_eq!(options("na/below"), "rw,noatime");
    });
}

#[test]
fn access_time_words_choose_one_of_three() {
    scene(|scene| {
        let source = mounted_source(&scene, ATTR_NODIRATIME);
        let plan = scene.with(vec![
            Mount { set: ATTR_NOATIME, ..bind(&source, "/noatime", false) },
            Mount { set: ATTR_STRICTATIME, ..bind(&source, "/strict", false) },
            Mount { set: ATTR_NOSUID, ..bind(&source, "/other", false) },
            new_fs("tmpfs", "/tmpfs", "", ATTR_NOATIME | ATTR_NODIRATIME),
        ]);
        prepare(&plan).unwrap();
        let options = |path| at(scene.root.join(path)).options;
        assert_eq!(options("noatime"), "rw,noatime");
        assert_eq!(options("strict"), "rw");
        assert_eq!(options("other"), "rw,nosuid,nodiratime,relatime");
        assert_eq!(options("tmpfs"), "rw,noatime,nodiratime");
    });
}

#[test]
fn propagation_is_set_in_order() {
    scene(|scene| {
        let source = mounted_source(&scene, 0);
        let propagation = |list: Vec<u64>, to| Mount { propagation: list, ..bind(&source, to, true) };
        let plan = scene.with(vec![
            propagation(vec![MS_SHARED | MS_REC], "/rshared"),
            propagation(vec![MS_SHARED], "/shared"),
            propagation(vec![MS_SHARED, MS_PRIVATE], "/private"),
            propagation(vec![MS_UNBINDABLE], "/unbindable"),
        ]);
        prepare(&plan).unwrap();
        let tags = |path| at(scene.root.join(path)).tags;
        assert!(tags("rshared").starts_with("shared:") && tags("rshared/below").starts_with("shared:"));
        assert!(tags("shared").starts_with("shared:"));
        assert_eq!((tags("shared/below"), tags("private")), (String::new(), String::new()));
        assert_eq!(tags("unbindable"), "unbindable");
    });
}

#[test]
fn a_file_gets_a_file_to_be_mounted_on_and_a_directory_a_directory() {
    scene(|scene| {
        let source = scene.source("data");
        let plan = scene.with(vec![
            bind(source.join("hello"), "/etc/deep/file", false),
            bind(&source, "/srv/deep/dir", false),
        ]);
        prepare(&plan).unwrap();
        assert_eq!(read(scene.root.join("etc/deep/file")), "data");
        assert_eq!(read(scene.root.join("srv/deep/dir/hello")), "data");
        let made = fs::metadata(scene.root.join("srv/deep")).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, 0));
    });
}

#[test]
fn a_missing_source_a_bad_word_and_an_unknown_type_are_errors_that_name_the_mount() {
    scene(|scene| {
        for (m, errno) in [
            (bind("/no/such/source", "/a", false), Errno::ENOENT),
            (new_fs("tmpfs", "/a", "nonsense=1", 0), Errno::EINVAL),
            (new_fs("tmpfs", "/a", "size=banana", 0), Errno::EINVAL),
            (new_fs("nosuchfs", "/a", "", 0), Errno::ENODEV),
        ] {
            let failure = prepare(&scene.with(vec![m.clone()])).unwrap_err();
            assert_eq!((failure.op, failure.errno), (Op::Mount, Some(errno)), "{m:?}");
            assert_eq!((&failure.subject, &failure.detail), (&m.destination, &m.source));
        }
    });
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers_unless_one_is_given() {
    scene(|scene| {
        use std::os::unix::fs::PermissionsExt;
        for dir in ["kept", "given"] {
            fs::set_permissions(scene.dir(dir), fs::Permissions::from_mode(0o1711)).unwrap();
        }
        let plan = scene.with(vec![
            new_fs("tmpfs", "/kept", "", 0),
            new_fs("tmpfs", "/given", "mode=0700", 0),
            new_fs("tmpfs", "/new", "", 0),
        ]);
        prepare(&plan).unwrap();
        let mode = |dir| fs::metadata(scene.root.join(dir)).unwrap().mode() & 0o7777;
        assert_eq!((mode("kept"), mode("given"), mode("new")), (0o1711, 0o700, 0o1777));
    });
}

#[test]
fn superblock_words_are_taken_too() {
    scene(|scene| {
        let plan = scene.with(vec![new_fs("tmpfs", "/t", "sync,dirsync,lazytime,silent,size=64k", 0)]);
        prepare(&plan).unwrap();
        let shown = at(scene.root.join("t"));
        assert!(shown.superblock.contains("sync,dirsync,lazytime"), "{shown:?}");
    });
}

#[test]
fn an_overlay_with_more_layers_than_fsconfig_takes() {
    scene(|scene| {
        let layers: Vec<String> = (0..12)
            .map(|n| {
                let layer = scene.top.join(format!("layer-with-a-long-name-{n}"));
                fs::create_dir(&layer).unwrap();
                fs::write(layer.join(format!("file{n}")), "x").unwrap();
                layer.to_str().unwrap().to_string()
            })
            .collect();
        let layers = layers.join(":");
        assert!(layers.len() > 255);
        let mut m = new_fs("overlay", "/merged", "", ATTR_RDONLY | ATTR_NODEV);
        m.propagation = vec![MS_SHARED];
        let MountWhat::FileSystem { options, .. } = &mut m.what else { unreachable!() };
        options.push((c("lowerdir"), Some(c(layers))));
        let before = std::env::current_dir().unwrap();
        prepare(&scene.with(vec![m])).unwrap();
        assert_eq!(fs::read_dir(scene.root.join("merged")).unwrap().count(), 12);
        let shown = at(scene.root.join("merged"));
        assert!(has(&shown, "ro") && has(&shown, "nodev") && shown.tags.contains("shared:"), "{shown:?}");
        assert_eq!(std::env::current_dir().unwrap(), before);
    });
}

#[test]
fn trees_that_the_runtime_made_are_for_what_we_cannot_reach() {
    scene(|scene| {
        let (ours, theirs) = (scene.source("ours"), scene.source("theirs"));
        let made = |source: &Path, destination| {
            let tree = open_tree(runsig_sys::fd::CWD, &c(&theirs), false).unwrap().into_raw();
            let what = MountWhat::Bind { source: c(source), recursive: false, tree };
            Mount { what, set: ATTR_RDONLY, ..bind("", destination, false) }
        };
        let plan = scene.with(vec![made(Path::new("/out/of/reach"), "/far"), made(&ours, "/near")]);
        prepare(&plan).unwrap();
        assert_eq!(read(scene.root.join("far/hello")), "theirs");
        assert_eq!(write_errno(scene.root.join("far/x")), Some(EROFS));
        assert_eq!(read(scene.root.join("near/hello")), "ours");
    });
}

#[test]
fn an_idmapped_tree_is_asked_for_in_its_turn() {
    scene(|scene| {
        let (ours, theirs) = (scene.source("ours"), scene.source("theirs"));
        let idmapped = Mount { set: ATTR_IDMAP, ..bind(&ours, "/mapped", false) };
        let plan = scene.with(vec![bind(&ours, "/first", false), idmapped]);
        let (runtime, init) = runsig_sys::net::socketpair().unwrap();
        let init = Sync::from_argument(&CString::new(init.into_raw().to_string()).unwrap()).unwrap();
        // Answered before it is asked.
        let tree = open_tree(runsig_sys::fd::CWD, &c(&theirs), false).unwrap();
        frame::send_descriptor(runtime.as_fd(), frame::TREE, tree.as_fd()).unwrap();
        super::super::prepare(&plan, &init).unwrap();
        let asked = frame::receive(runtime.as_fd()).unwrap();
        assert!(matches!(asked, Some(FromInit::Tree { mount: 1 })), "{asked:?}");
        assert_eq!(read(scene.root.join("mapped/hello")), "theirs");
    });
}

#[test]
fn a_version_1_view_has_a_directory_for_each_hierarchy_and_links() {
    scene(|scene| {
        let (cpu, pids) = (scene.source("cpu,cpuacct"), scene.source("pids"));
        let what = MountWhat::Cgroup {
            v2: None,
            v1: vec![(c("cpu,cpuacct"), c(&cpu)), (c("pids"), c(&pids))],
            links: vec![(c("cpu"), c("cpu,cpuacct")), (c("cpuacct"), c("cpu,cpuacct"))],
            namespace: false,
        };
        prepare(&scene.with(vec![cgroup(what, ATTR_RDONLY | ATTR_NOSUID)])).unwrap();
        let view = scene.root.join("sys/fs/cgroup");
        assert_eq!(read(view.join("cpuacct/hello")), "cpu,cpuacct");
        assert_eq!(read(view.join("pids/hello")), "pids");
        assert_eq!(write_errno(view.join("x")), Some(EROFS));
        assert_eq!(write_errno(view.join("pids/x")), Some(EROFS));
        assert_eq!(fs::metadata(&view).unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn fresh_version_1_hierarchies_are_those_of_the_host() {
    scene(|scene| {
        let Ok(text) = fs::read_to_string("/proc/self/cgroup") else { return };
        if !text.lines().any(|line| line.split(':').nth(1) == Some("freezer")) {
            eprintln!("skipped: no version 1 freezer hierarchy on this machine");
            return;
        }
        let what = MountWhat::Cgroup {
            v2: None,
            v1: vec![(c("freezer"), c("/unused"))],
            links: vec![],
            namespace: true,
        };
        prepare(&scene.with(vec![cgroup(what, ATTR_RDONLY)])).unwrap();
        let shown = at(scene.root.join("sys/fs/cgroup/freezer"));
        assert!(shown.superblock.contains("freezer") && has(&shown, "ro"), "{shown:?}");
        assert!(shown.superblock.starts_with("rw"), "the superblock is the host's: {shown:?}");
    });
}

#[test]
fn a_fresh_version_2_mount() {
    scene(|scene| {
        let what = MountWhat::Cgroup { v2: Some(c("/unused")), v1: vec![], links: vec![], namespace: true };
        prepare(&scene.with(vec![cgroup(what, ATTR_NOSUID)])).unwrap();
        let shown = at(scene.root.join("sys/fs/cgroup"));
        assert_eq!(shown.fstype, "cgroup2");
        assert!(has(&shown, "nosuid"));
    });
}
