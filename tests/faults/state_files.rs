//! state.json is damaged, far too big, of another kind, or somebody else's.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use runsig_tests::leftovers::Before;
use runsig_tests::{Case, Container, cases, procs, wait};

use crate::world::{Told as _, bring_to_its_end, running, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "state_files": damaged_in_every_way, one_damaged_container_does_not_hide_the_others,
        delete_force_does_not_lose_a_running_one, delete_force_of_one_whose_processes_are_gone,
        a_half_written_replacement_is_passed_over, of_another_owner, another_user_may_not_read_it;
    V1 "state_files": delete_force_does_not_lose_a_running_one;
    Host "state_files": delete_force_does_not_lose_a_running_one;
];

fn state_file(container: &Container) -> PathBuf {
    container.runtime.root.join(container.id()).join("state.json")
}

/// Every verb says which file is wrong, and none of them hangs, aborts or believes it.
fn every_verb_names(container: &Container, what: &str) {
    let id = container.id();
    let verbs: &[&[&str]] = &[
        &["state", id],
        &["start", id],
        &["kill", id, "0"],
        &["exec", id, "true"],
        &["ps", id],
        &["pause", id],
        &["resume", id],
        &["update", "--pids-limit", "10", id],
        &["delete", id],
    ];
    for verb in verbs {
        let outcome = container.runtime.call(verb);
        assert!(matches!(outcome.code, 1 | 255), "{what}: {outcome:#?}");
        let outcome = outcome.one_line();
        if container.runtime.kind() == "runsig" {
            assert!(outcome.stderr.contains("state.json"), "{what}: {outcome:#?}");
        }
    }
    assert!(procs::alive(init_of(container)), "{what}: the container runs on");
}

fn init_of(container: &Container) -> i32 {
    wait::some("the container's init", || {
        procs::find_command("sh -c echo up > /up; sleep 1000; true").filter(|_| !container.id().is_empty())
    })
}

fn damaged_in_every_way() {
    let container = running();
    let file = state_file(&container);
    let good = fs::read(&file).expect("state.json");
    let text = String::from_utf8(good.clone()).expect("utf-8");
    let middle = good.len() / 2;
    let damages: &[(&str, Vec<u8>)] = &[
        ("empty", Vec::new()),
        ("cut short", good.get(..middle).expect("half").to_vec()),
        ("one byte short", good.get(..good.len() - 1).expect("most").to_vec()),
        ("zeros", vec![0; 4096]),
        ("no text", b"\xff\xfe\xfd".to_vec()),
        ("null", b"null".to_vec()),
        ("a list", b"[]".to_vec()),
        ("no fields", b"{}".to_vec()),
        ("wrong types", text.replacen("\"id\":\"", "\"id\":1,\"x\":\"", 1).into_bytes()),
        ("deep nesting", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
        ("more behind it", [good.as_slice(), b"{}"].concat()),
    ];
    for (what, content) in damages {
        fs::write(&file, content).expect("write");
        every_verb_names(&container, what);
    }
    fs::remove_file(&file).expect("rm");
    mkfifo(&file, Mode::S_IRWXU).expect("mkfifo");
    every_verb_names(&container, "a fifo");
    fs::remove_file(&file).expect("rm");
    symlink("/etc/passwd", &file).expect("symlink");
    every_verb_names(&container, "a link");
    fs::remove_file(&file).expect("rm");
    fs::create_dir(&file).expect("mkdir");
    every_verb_names(&container, "a directory");
    fs::remove_dir(&file).expect("rmdir");
    let sparse = OpenOptions::new().write(true).create_new(true).open(&file).expect("create");
    sparse.set_len(1 << 34).expect("a sparse file of 16 GiB");
    every_verb_names(&container, "16 GiB");
    fs::write(&file, &good).expect("write");
    assert_eq!(container.status(), "running", "with its state back it is as it was");
}

fn one_damaged_container_does_not_hide_the_others() {
    let (good, bad) = (running(), Container::created(sleeper()));
    let file = state_file(&bad);
    let content = fs::read(&file).expect("state.json");
    fs::write(&file, "{").expect("write");
    let listed = good.runtime.call(&["list", "--quiet"]).ok();
    assert_eq!(listed.text(), good.id());
    assert!(listed.stderr.contains(bad.id()), "the damaged one is named: {listed:#?}");
    fs::write(&file, content).expect("write");
}

/// What cannot be read any more may still run: then nothing is removed, and who runs is named.
fn delete_force_does_not_lose_a_running_one() {
    let container = running();
    let pid = container.pid();
    let file = state_file(&container);
    let good = fs::read(&file).expect("state.json");
    fs::write(&file, "").expect("write");
    let outcome = container.delete_force().fails(1, &["state.json"]).one_line();
    assert!(outcome.stderr.contains(&pid.to_string()), "names the process {pid}: {outcome:#?}");
    assert!(procs::alive(pid), "it runs on");
    fs::write(&file, good).expect("write");
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
}

fn delete_force_of_one_whose_processes_are_gone() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    bring_to_its_end(&container);
    fs::write(state_file(&container), "{").expect("write");
    let _ = container.delete().fails(1, &["state.json"]).one_line();
    container.delete_force().ok();
    let left = before.leftovers(&container.runtime, &container.bundle);
    // Where its cgroup was nobody can say any more: an empty one may stay.
    assert!(left.iter().all(|thing| thing.starts_with("cgroup ")), "{left:#?}");
    runsig_tests::cgroup::sweep(&runsig_tests::harness::tag());
}

/// Somebody was killed between writing the new state and putting it in place.
fn a_half_written_replacement_is_passed_over() {
    let container = running();
    fs::write(state_file(&container).with_file_name(".state.json.new"), "{\"half").expect("write");
    assert_eq!(container.status(), "running");
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    assert!(!container.runtime.root.join(container.id()).exists());
}

/// root manages the containers that a user has under a root of his own, as with runc.
fn of_another_owner() {
    let container = running();
    let dir = container.runtime.root.join(container.id());
    for path in [&dir, &dir.join("state.json")] {
        chown(path, Some(1000), Some(1000)).expect("chown");
    }
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
}

fn another_user_may_not_read_it() {
    let container = running();
    // The way to it is open, as an engine's root may be.
    for dir in container.runtime.root.ancestors().take(3) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let program = std::env::temp_dir().join(format!("runsig-{}", runsig_tests::harness::tag()));
    fs::copy(&container.runtime.program, &program).expect("a copy that others may run");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--clear-groups"]).arg(&program);
    command.arg("--root").arg(&container.runtime.root).args(["state", container.id()]);
    let outcome = runsig_tests::runtime::finish(command, runsig_tests::runtime::LIMIT);
    fs::remove_file(&program).expect("rm");
    let _ = outcome.fails(1, &[]).one_line_with("permission denied");
}
