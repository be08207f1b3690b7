//! The namespaces a test runs in: its own mounts, its own PIDs, and the cgroups it asked for.

use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::case::{View, skip};
use crate::needs;

/// Leaves the machine's mount and PID namespaces and runs `next` as PID 1 of the new one.
pub(crate) fn enter_namespaces(next: impl Fn() -> Command) -> ExitCode {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID) {
        println!("SKIP: no private namespaces here (root is needed): {error}");
        return ExitCode::from(77);
    }
    run_to_end(next())
}

/// Leaves the machine's mount namespace only, which the guest can bear.
pub(crate) fn enter_mounts(next: impl Fn() -> Command) -> ExitCode {
    if !needs::in_guest() {
        println!("SKIP: for the guest of hack/vm only");
        return ExitCode::from(77);
    }
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    run_to_end(next())
}

/// PID 1 of the sandbox: prepares the mounts, runs `next`, reaps whoever is left to it, and by
/// ending takes everything else along.
pub(crate) fn be_init(next: impl Fn() -> Command) -> ExitCode {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).expect("a /proc of our own");
    let view = std::env::var("RUNSIG_TEST_VIEW").unwrap_or_default();
    if let Err(why) = show_cgroups(&view) {
        println!("SKIP: {why}");
        return ExitCode::from(77);
    }
    reap_until_end(next())
}

fn run_to_end(mut command: Command) -> ExitCode {
    let status = command.status().expect("the test's own program");
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

#[expect(clippy::zombie_processes, reason = "waitpid below reaps it among all others")]
fn reap_until_end(mut command: Command) -> ExitCode {
    let child = command.spawn().expect("the test's own program");
    let body = Pid::from_raw(i32::try_from(child.id()).expect("a PID"));
    loop {
        match waitpid(Pid::from_raw(-1), None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == body => {
                return ExitCode::from(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == body => {
                println!("the test was killed by {signal}");
                return ExitCode::FAILURE;
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("wait: {error}"),
        }
    }
}

fn show_cgroups(view: &str) -> Result<(), String> {
    match view {
        "V2" => pure_v2(),
        "V1" => pure_v1(),
        _ => Ok(()),
    }
}

fn pure_v2() -> Result<(), String> {
    if crate::cgroup::is_pure_v2() {
        return Ok(());
    }
    let none: Option<&str> = None;
    umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH).map_err(|error| format!("cannot hide v1: {error}"))?;
    mount(Some("none"), "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none)
        .map_err(|error| format!("no cgroup v2 here: {error}"))
}

fn pure_v1() -> Result<(), String> {
    if !std::path::Path::new("/sys/fs/cgroup/freezer/tasks").exists() {
        return Err("no cgroup v1 here".to_string());
    }
    match umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(error) => Err(format!("cannot hide v2: {error}")),
    }
}

/// Skips unless the test sees the v1 controller.
pub fn require_v1_controller(name: &str) {
    if !std::path::Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists() {
        skip(format!("no v1 controller {name} here"));
    }
}

/// The view the running test was given.
#[must_use]
pub fn view() -> View {
    match std::env::var("RUNSIG_TEST_VIEW").as_deref() {
        Ok("V1") => View::V1,
        Ok("V2") => View::V2,
        Ok("Guest") => View::Guest,
        Ok("Systemd") => View::Systemd,
        Ok("SystemdHybrid") => View::SystemdHybrid,
        _ => View::Host,
    }
}
