//! What these tests share: containers that sleep, and a state directory that can be filled or write-protected.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use runsig_tests::runtime::{LIMIT, finish};
use runsig_tests::{Bundle, Container, Outcome, Runtime};

/// A container's configuration whose program sleeps, and whose `/up` says that it runs.
pub(crate) fn sleeper() -> Bundle {
    Bundle::script("echo up > /up; sleep 1000; true")
}

/// Not only until `/up` is there: a bundle that is removed then takes `sleep` away before it is executed.
fn wait_until_it_sleeps(container: &Container) {
    let _ = container.wait_for_file("/up");
    let _ = container.wait_for_command("sleep 1000");
}

/// A running container, its program started.
pub(crate) fn running() -> Container {
    let container = Container::running(sleeper());
    wait_until_it_sleeps(&container);
    container
}

/// Creates and starts a [`sleeper`], and waits until its program runs.
pub(crate) fn bring_up(container: &Container) {
    container.create().ok();
    container.start().ok();
    wait_until_it_sleeps(container);
}

/// Creates and starts a [`sleeper`], and kills it: it is `stopped` afterwards, and still there.
pub(crate) fn bring_to_its_end(container: &Container) {
    container.create().ok();
    container.start().ok();
    container.kill("KILL").ok();
    container.expect_status("stopped");
}

/// Puts a small tmpfs over the state directory, before anything is in it.
pub(crate) fn small_state(runtime: &Runtime, options: &str) {
    let none: MsFlags = MsFlags::empty();
    mount(Some("tmpfs"), &runtime.root, Some("tmpfs"), none, Some(options))
        .expect("a tmpfs of the test's own");
}

/// Fills a file system to its last byte; the file that takes the room.
pub(crate) fn fill(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("~filler");
    let mut file = File::create(&path).expect("a file to fill the disk with");
    let block = [0u8; 4096];
    while file.write_all(&block).is_ok() {}
    path
}

/// Takes the room away, gives it back.
pub(crate) fn while_full<T>(dir: &Path, during: impl FnOnce() -> T) -> T {
    let filler = fill(dir);
    let result = during();
    fs::remove_file(filler).expect("make room again");
    result
}

/// Makes the state directory read-only, or writable again.
pub(crate) fn remount(dir: &Path, read_only: bool) {
    let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    let none: Option<&str> = None;
    mount(none, dir, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, none).expect("remount");
}

/// The same call with limits of prlimit(1).
pub(crate) fn limited(command: &Command, limits: &[String]) -> Outcome {
    let mut with_limits = Command::new("prlimit");
    with_limits.args(limits).arg(command.get_program()).args(command.get_args());
    finish(with_limits, LIMIT)
}

/// A failure is one line with the reason.
#[track_caller]
pub(crate) fn says(outcome: Outcome, reason: &str) {
    assert_ne!(outcome.code, 0, "should have failed: {outcome:#?}");
    let _ = outcome.one_line_with(reason);
}

/// Additions to what a call gave.
pub(crate) trait Told {
    fn one_line_with(self, reason: &str) -> Outcome;
}

impl Told for Outcome {
    #[track_caller]
    fn one_line_with(self, reason: &str) -> Outcome {
        assert!(self.stderr.contains(reason), "stderr should say {reason:?}: {self:#?}");
        self.one_line()
    }
}
