//! Read-only roots, tmpfs, volumes and propagation.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::engine::{Container, Opt};
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    V2: read_only, read_only_with_tmpfs, tmpfs_options, volume, volume_of_a_file, propagation_to_the_container,
        propagation_to_the_host, volume_is_private;
];

fn read_only(s: &Session<'_>) {
    let script =
        "touch /x; echo $?; touch /tmp/x; echo $?; touch /dev/shm/x; echo $?; echo hello >/dev/null; echo $?";
    let outcome = s.run(&Container::script("c", script).with(Opt::ReadOnly));
    assert!(outcome.stdout.starts_with("1\n"), "{outcome:#?}");
}

fn read_only_with_tmpfs(s: &Session<'_>) {
    let script = "touch /x; echo $?; touch /scratch/x; echo $?; grep ' /scratch ' /proc/self/mountinfo | sed 's/.* - //'";
    let tmpfs = Opt::Tmpfs("/scratch", "rw,size=1m,mode=1770");
    s.run(&Container::script("c", script).with(Opt::ReadOnly).with(tmpfs));
}

fn tmpfs_options(s: &Session<'_>) {
    let script = "stat -c '%a %u:%g' /scratch; awk '$5 == \"/scratch\" {print $6}' /proc/self/mountinfo; \
        cp /bin/busybox /scratch/echo 2>/dev/null; /scratch/echo runs; echo $?; ls /scratch";
    for (name, options) in [("noexec", "noexec,nosuid,size=4m"), ("exec", "exec,mode=700"), ("ro", "ro")] {
        s.run(&Container::script(name, script).with(Opt::Tmpfs("/scratch", options)));
    }
    // Over a directory that has something in it.
    s.run(&Container::script("etc", "ls /etc; stat -c %a /etc").with(Opt::Tmpfs("/etc", "size=1m")));
}

fn volume(s: &Session<'_>) {
    let dir = s.owner.dir.join("data");
    std::fs::create_dir(&dir).expect("mkdir");
    std::fs::write(dir.join("file"), "hello").expect("write");
    let from = dir.to_string_lossy().into_owned();
    let script = "cat /data/file; echo; touch /data/mine; echo $?; awk '$5 == \"/data\" {print $6}' /proc/self/mountinfo";
    s.run(&Container::script("rw", script).with(Opt::Bind(&from, "/data", "rw")));
    assert!(dir.join("mine").exists());
    s.run(&Container::script("ro", script).with(Opt::Bind(&from, "/data", "ro")));
    // A destination that the image does not have, several levels deep.
    s.run_to(0, &Container::script("deep", "cat /a/b/c/file").with(Opt::Bind(&from, "/a/b/c", "ro")));
}

fn volume_of_a_file(s: &Session<'_>) {
    let file = s.owner.dir.join("one");
    std::fs::write(&file, "content").expect("write");
    let from = file.to_string_lossy().into_owned();
    let outcome =
        s.run_to(0, &Container::script("c", "cat /new/file").with(Opt::Bind(&from, "/new/file", "ro")));
    assert_eq!(outcome.text(), "content");
    s.run(&Container::script("over", "cat /etc/passwd").with(Opt::Bind(&from, "/etc/passwd", "ro")));
}

const NONE: Option<&str> = None;

/// A mount of its own that propagates.
fn shared_tree(s: &Session<'_>) -> String {
    let dir = s.owner.dir.join("tree");
    std::fs::create_dir(&dir).expect("mkdir");
    mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), NONE).expect("mount");
    mount(NONE, &dir, NONE, MsFlags::MS_SHARED, NONE).expect("shared");
    std::fs::create_dir(dir.join("inner")).expect("mkdir");
    dir.to_string_lossy().into_owned()
}

fn mount_inside(tree: &str) {
    let inner = Path::new(tree).join("inner");
    mount(Some("tmpfs"), &inner, Some("tmpfs"), MsFlags::empty(), NONE).expect("mount");
    std::fs::write(inner.join("file"), "later").expect("write");
}

fn take_down(tree: &str) {
    let _ = umount2(&*Path::new(tree).join("inner"), MntFlags::MNT_DETACH);
    let _ = umount2(tree, MntFlags::MNT_DETACH);
}

const WAITS: &str = "echo ready; while :; do sleep 1000; done";
/// How /data propagates, without the numbers of the groups.
const FIELDS: &str = "awk '$5 == \"/data\" {n = 7; while ($n != \"-\") {sub(/:.*/, \"\", $n); print $n; n++}}' /proc/self/mountinfo";

fn propagation_to_the_container(s: &Session<'_>) {
    let tree = shared_tree(s);
    s.start(&Container::script("c", WAITS).with(Opt::Bind(&tree, "/data", "rslave")));
    s.note("propagation", &s.ask("c", FIELDS));
    mount_inside(&tree);
    let seen = s.ask("c", "cat /data/inner/file");
    take_down(&tree);
    assert_eq!(seen, "later");
}

fn propagation_to_the_host(s: &Session<'_>) {
    let tree = shared_tree(s);
    let script = "mount -t tmpfs tmpfs /data/inner && touch /data/inner/from-inside; echo ready; sleep 1000";
    let container = Container::script("c", script).with(Opt::Bind(&tree, "/data", "rshared"));
    s.start(&container.with(Opt::CapAdd("SYS_ADMIN")).with(Opt::SeccompUnconfined));
    s.note("propagation", &s.ask("c", FIELDS));
    let seen = Path::new(&tree).join("inner/from-inside").exists();
    s.remove("c", true);
    take_down(&tree);
    assert!(seen, "the container's mount");
}

fn volume_is_private(s: &Session<'_>) {
    let tree = shared_tree(s);
    s.start(&Container::script("c", WAITS).with(Opt::Bind(&tree, "/data", "rprivate")));
    s.note("propagation", &s.ask("c", FIELDS));
    mount_inside(&tree);
    let seen = s.ask("c", "ls /data/inner");
    take_down(&tree);
    assert_eq!(seen, "");
}
