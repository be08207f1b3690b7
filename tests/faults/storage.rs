//! The state directory is full, out of inodes, read-only, or has things in it that are not ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use runsig_tests::leftovers::Before;
use runsig_tests::{Case, Container, cases, procs, require_runsig};

use crate::world::{bring_up, fill, remount, running, says, sleeper, small_state, while_full};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "storage": create_on_a_full_disk, create_without_inodes, verbs_on_a_full_disk, exec_name_on_a_full_disk,
        start_on_a_full_disk, run_on_a_full_disk, pid_file_on_a_full_disk, create_in_a_read_only_root,
        verbs_in_a_read_only_root, foreign_files_in_the_root, an_id_that_a_foreign_file_has, the_root_is_a_file,
        the_root_is_removed_and_made_again;
    V1 "storage": create_on_a_full_disk, verbs_on_a_full_disk;
    Host "storage": create_on_a_full_disk, verbs_on_a_full_disk;
];

const FULL: &str = "no space left on device";
const READ_ONLY: &str = "read-only file system";

fn create_on_a_full_disk() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    let root = container.runtime.root.clone();
    while_full(&root, || {
        let before = Before::now(&container.runtime);
        says(container.create(), FULL);
        before.assert_clean(&container.runtime, &container.bundle);
    });
    container.create().ok();
    container.start().ok();
    assert_eq!(container.status(), "running");
}

/// Directories and fifos take inodes and no blocks: with each number of free ones `create` gets a step further.
fn create_without_inodes() {
    let mut created = false;
    for inodes in 2..8 {
        let container = Container::new(sleeper());
        small_state(&container.runtime, &format!("size=1m,nr_inodes={inodes}"));
        let before = Before::now(&container.runtime);
        let outcome = container.create();
        if outcome.code == 0 {
            container.delete_force().ok();
            created = true;
        } else {
            says(outcome, FULL);
        }
        before.assert_clean(&container.runtime, &container.bundle);
    }
    assert!(created, "eight inodes are enough for one container");
}

fn run_on_a_full_disk() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    let root = container.runtime.root.clone();
    while_full(&root, || {
        let before = Before::now(&container.runtime);
        says(container.verb("run", &["--detach"]), FULL);
        before.assert_clean(&container.runtime, &container.bundle);
    });
}

/// Whoever wants to end a container because the disk is full must be able to.
fn verbs_on_a_full_disk() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    let before = Before::now(&container.runtime);
    bring_up(&container);
    let filler = fill(&container.runtime.root);
    assert_eq!(container.status(), "running");
    container.runtime.call(&["list"]).ok();
    container.runtime.call(&["exec", container.id(), "true"]).ok();
    container.runtime.call(&["exec", "--detach", container.id(), "sleep", "1000"]).ok();
    container.verb("pause", &[]).ok();
    assert_eq!(container.status(), "paused");
    container.verb("resume", &[]).ok();
    container.verb("ps", &[]).ok();
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    fs::remove_file(filler).expect("make room again");
    before.assert_clean(&container.runtime, &container.bundle);
}

fn start_on_a_full_disk() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    container.create().ok();
    let root = container.runtime.root.clone();
    while_full(&root, || container.start().ok());
    assert_eq!(container.status(), "running");
    while_full(&root, || container.delete_force().ok());
}

/// The name of an exec has to be written down before the process runs: without room it does not run.
fn exec_name_on_a_full_disk() {
    require_runsig("exec --name is Runsig's own");
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    container.create().ok();
    container.start().ok();
    let root = container.runtime.root.clone();
    let exec = ["exec", "--detach", "--name", "worker", container.id(), "sleep", "777"];
    while_full(&root, || says(container.runtime.call(&exec), FULL));
    assert_eq!(procs::find_command("sleep 777"), None, "the process without a name is gone");
    container.runtime.call(&exec).ok();
    container.runtime.call(&["kill", "--exec", "worker", container.id(), "KILL"]).ok();
}

/// The PID file is where the caller wants it, so it may be on another full disk than the state.
fn pid_file_on_a_full_disk() {
    let container = Container::new(sleeper());
    let full = container.bundle.dir.join("full");
    fs::create_dir(&full).expect("mkdir");
    let other = runsig_tests::Runtime { root: full.clone(), ..container.runtime.clone() };
    small_state(&other, "size=16k");
    fill(&full);
    let before = Before::now(&container.runtime);
    let file = full.join("pid");
    says(container.verb("create", &["--pid-file", file.to_str().expect("utf-8")]), FULL);
    before.assert_clean(&container.runtime, &container.bundle);
}

fn create_in_a_read_only_root() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    remount(&container.runtime.root, true);
    let before = Before::now(&container.runtime);
    says(container.create(), READ_ONLY);
    before.assert_clean(&container.runtime, &container.bundle);
    container.runtime.call(&["list"]).ok();
    remount(&container.runtime.root, false);
    container.create().ok();
}

/// Looking and signalling needs no writing. What cannot be taken off the disk is not said to be gone.
fn verbs_in_a_read_only_root() {
    let container = Container::new(sleeper());
    small_state(&container.runtime, "size=64k");
    let before = Before::now(&container.runtime);
    bring_up(&container);
    remount(&container.runtime.root, true);
    assert_eq!(container.status(), "running");
    container.runtime.call(&["exec", container.id(), "true"]).ok();
    container.kill("KILL").ok();
    container.expect_status("stopped");
    says(container.delete(), READ_ONLY);
    says(container.delete_force(), READ_ONLY);
    assert_eq!(container.status(), "stopped");
    remount(&container.runtime.root, false);
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

/// Files, links, sockets, fifos and directories that are not ours hinder nobody and stay as they are.
fn foreign_files_in_the_root() {
    let container = running();
    let root = &container.runtime.root;
    fs::write(root.join("file"), "text").expect("write");
    fs::write(root.join("broken name\n"), "text").expect("write");
    fs::create_dir(root.join("empty")).expect("mkdir");
    fs::create_dir(root.join("~odd name")).expect("mkdir");
    symlink("/nowhere", root.join("link")).expect("symlink");
    symlink(container.id(), root.join("alias")).expect("symlink");
    mkfifo(&root.join("fifo"), Mode::S_IRWXU).expect("mkfifo");
    let _socket = UnixListener::bind(root.join("socket")).expect("a socket");
    let listed = container.runtime.call(&["list", "--quiet"]).ok();
    assert_eq!(listed.text(), container.id(), "only the container is listed");
    for foreign in ["file", "empty", "link", "alias", "fifo", "socket"] {
        let outcome = container.runtime.call(&["state", foreign]);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        let _ = outcome.one_line();
    }
    container.delete_force().ok();
    for kept in ["file", "broken name\n", "empty", "~odd name", "link", "alias", "fifo", "socket"] {
        assert!(root.join(kept).symlink_metadata().is_ok(), "{kept:?} is still there");
    }
}

fn an_id_that_a_foreign_file_has() {
    let container = Container::new(sleeper());
    let path = container.runtime.root.join(container.id());
    fs::write(&path, "not a container").expect("write");
    let outcome = container.create();
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    let _ = outcome.one_line();
    assert_eq!(fs::read_to_string(&path).expect("read"), "not a container");
    fs::remove_file(&path).expect("rm");
    container.create().ok();
}

fn the_root_is_a_file() {
    let mut container = Container::new(sleeper());
    let file = container.runtime.root.join("file");
    fs::write(&file, "text").expect("write");
    container.runtime.root = file.clone();
    for outcome in [container.create(), container.verb("state", &[]), container.runtime.call(&["list"])] {
        says(outcome, "not a directory");
    }
    assert_eq!(fs::read_to_string(&file).expect("read"), "text");
}

/// tmpfiles, or somebody with rm: the containers' processes run on, and new ones can be made.
fn the_root_is_removed_and_made_again() {
    let container = running();
    let pid = container.pid();
    let aside = container.bundle.dir.join("aside");
    fs::rename(&container.runtime.root, &aside).expect("take the root away");
    says(container.verb("state", &[]), "container does not exist");
    says(container.delete(), "container does not exist");
    let other = Container::running(sleeper());
    assert_eq!(other.status(), "running");
    assert!(procs::alive(pid), "nobody touched it");
    other.delete_force().ok();
    fs::remove_dir(&container.runtime.root).expect("the new root is empty");
    fs::rename(&aside, &container.runtime.root).expect("bring it back");
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
}
