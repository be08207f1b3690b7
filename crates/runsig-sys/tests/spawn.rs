//! The ways a process can be made, with a real program at the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::CStr;
use std::fs::File;

use runsig_sys::process::{self, CLONE_NEWPID, CLONE_NEWUTS, CStrArray, ExitStatus, WaitFor};
use runsig_sys::spawn::{Child, Failure, Spawn, Step, spawn};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs};

const SH: &str = "/bin/sh";

fn run(script: &CStr, change: impl FnOnce(&mut Spawn<'_>)) -> Result<Child, Failure> {
    shell(script, &[], change)
}

fn joined(script: &CStr, join: &[(BorrowedFd<'_>, u64)]) -> Result<Child, Failure> {
    shell(script, join, |_| ())
}

fn shell(
    script: &CStr,
    join: &[(BorrowedFd<'_>, u64)],
    change: impl FnOnce(&mut Spawn<'_>),
) -> Result<Child, Failure> {
    let program = OwnedFd::from(File::open(SH).unwrap());
    let (mut room, mut none) = ([std::ptr::null(); 4], [std::ptr::null(); 1]);
    let argv = CStrArray::new([c"sh", c"-c", script].into_iter(), &mut room).unwrap();
    let envp = CStrArray::new(std::iter::empty(), &mut none).unwrap();
    let mut request = Spawn {
        namespaces: 0,
        cgroup: None,
        tasks: &[],
        join,
        hold: None,
        become_root: false,
        inherit: &[],
        program: program.as_fd(),
        argv: &argv,
        envp: &envp,
        report: None,
    };
    change(&mut request);
    spawn(&request)
}

fn end(child: &Child) -> ExitStatus {
    let (pid, status) = process::wait(WaitFor::Pidfd(child.pidfd.as_fd()), false).unwrap().unwrap();
    assert_eq!(pid, child.pid);
    status
}

fn needs_root() -> bool {
    let root = process::geteuid() == 0;
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

#[test]
fn exit_codes_and_signals_come_back() {
    assert_eq!(end(&run(c"exit 7", |_| ()).unwrap()), ExitStatus::Exited(7));
    let killed = end(&run(c"kill -KILL $$", |_| ()).unwrap());
    assert_eq!(killed, ExitStatus::Killed { signal: 9, core: false });
    assert_eq!(killed.shell_code(), 137);
}

#[test]
fn the_first_in_a_pid_namespace_is_number_one() {
    if needs_root() {
        let child = run(c"test $$ = 1", |s| s.namespaces = CLONE_NEWPID).unwrap();
        assert_eq!(end(&child), ExitStatus::Exited(0));
    }
}

#[test]
fn descriptors_pass_only_when_named() {
    let (read, write) = fs::pipe(0).unwrap();
    let number: &'static i32 = Box::leak(Box::new(write.raw()));
    let script = std::ffi::CString::new(format!("echo x > /proc/self/fd/{number}")).unwrap();
    assert_eq!(
        end(&run(&script, |s| s.inherit = std::slice::from_ref(number)).unwrap()),
        ExitStatus::Exited(0)
    );
    let mut buffer = [0; 2];
    fs::read_exact(read.as_fd(), &mut buffer).unwrap();
    assert_eq!(&buffer, b"x\n");
    assert_ne!(end(&run(&script, |_| ()).unwrap()), ExitStatus::Exited(0));
}

#[test]
fn a_failure_names_its_step() {
    let directory = OwnedFd::from(File::open("/").unwrap());
    let failure = run(c"", |s| s.program = BorrowedFd::from_raw(directory.raw())).unwrap_err();
    assert_eq!(failure, Failure { step: Step::Exec, errno: Errno::EACCES });
    let not_a_namespace = [(BorrowedFd::from_raw(directory.raw()), CLONE_NEWUTS)];
    let request = |s: &mut Spawn<'_>| s.namespaces = 1 << 60;
    assert_eq!(run(c"", request).unwrap_err().step, Step::Clone);
    let failure = joined(c"", &not_a_namespace).unwrap_err();
    assert_eq!(failure.step, Step::Join);
}

#[test]
fn a_joined_pid_namespace_still_gives_a_child_of_ours() {
    if !needs_root() {
        return;
    }
    let first = run(c"sleep 100; exit 1", |s| s.namespaces = CLONE_NEWPID).unwrap();
    let ours = std::fs::read_link("/proc/self/ns/pid_for_children").unwrap();
    let child = joined(c"kill -0 1 && exit 5", &[(first.pidfd.as_fd(), CLONE_NEWPID)]).unwrap();
    assert_eq!(std::fs::read_link("/proc/self/ns/pid_for_children").unwrap(), ours, "we stay where we are");
    assert_eq!(end(&child), ExitStatus::Exited(5));
    process::pidfd_send_signal(first.pidfd.as_fd(), 9).unwrap();
    assert_eq!(end(&first), ExitStatus::Killed { signal: 9, core: false });
}

#[test]
fn a_held_process_waits_and_ends_with_its_holder() {
    let (hold, release) = fs::pipe(0).unwrap();
    let (report, report_write) = fs::pipe(0).unwrap();
    let (h, r) = (hold.raw(), report_write.raw());
    let held = |s: &mut Spawn<'_>| {
        s.hold = Some(BorrowedFd::from_raw(h));
        s.report = Some(BorrowedFd::from_raw(r));
    };
    let child = run(c"exit 3", held).unwrap();
    assert_eq!(process::wait(WaitFor::Pidfd(child.pidfd.as_fd()), true).unwrap(), None);
    fs::write_all(release.as_fd(), &[1]).unwrap();
    drop(report_write);
    assert_eq!(fs::read(report.as_fd(), &mut [0; 8]).unwrap(), 0, "exec closes the report pipe");
    assert_eq!(end(&child), ExitStatus::Exited(3));
}
