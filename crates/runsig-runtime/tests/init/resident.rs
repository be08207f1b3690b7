//! The init that stays: its end is that of its child, and failures take the same way as without it.

use runsig_proto::plan::{Forward, InitPlan, Kind, Resident};
use runsig_proto::{FromInit, Op};
use runsig_sys::Errno;
use runsig_sys::process::{CLONE_NEWPID, ExitStatus, pidfd_send_signal};

use crate::harness::{Init, c, is_root, plan};
use crate::temporary;

fn resident(args: &[&str]) -> InitPlan {
    let settings = Resident {
        forward: Forward::Child,
        rewrite: vec![(10, 15)],
        stop_signal: 15,
        linger_ms: 2000,
        exit_remap: vec![(8, 0)],
    };
    InitPlan { kind: Kind::Create, resident: Some(settings), ..plan(args) }
}

fn start(args: &[&str]) -> Init {
    Init::start(resident(args), CLONE_NEWPID, &[])
}

fn end_of(script: &str) -> ExitStatus {
    let init = start(&["sh", "-c", script]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!(init.next(), None, "the end of the stream means that the program runs");
    init.end()
}

#[test]
fn its_end_is_that_of_the_program() {
    if !is_root() {
        return;
    }
    assert_eq!(end_of("exit 7"), ExitStatus::Exited(7));
    assert_eq!(end_of("exit 8"), ExitStatus::Exited(0), "replaced");
    assert_eq!(end_of("kill -9 $$"), ExitStatus::Exited(137));
    assert_eq!(end_of("[ $$ = 2 ]"), ExitStatus::Exited(0), "PID 1 is not the program");
}

#[test]
fn a_program_that_is_not_there_fails_before_ready() {
    if !is_root() {
        return;
    }
    let init = start(&["no-such"]);
    let Some(FromInit::Failed { op, subject, errno, .. }) = init.next() else { panic!("no failure") };
    assert_eq!((op, subject, errno), (Op::FindExecutable, c("no-such"), Errno::ENOENT.raw()));
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(255)));
}

#[test]
fn a_file_that_is_no_program_fails_after_go() {
    if !is_root() {
        return;
    }
    let file = temporary("resident-not-a-program", "\u{1}\u{2}");
    let init = start(&[&file.0]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!(init.next(), None, "the container has started, and its standard error has the words");
    assert_eq!(init.end(), ExitStatus::Exited(255));
}

#[test]
fn a_runtime_that_is_gone_takes_both_along() {
    if !is_root() {
        return;
    }
    let mut init = start(&["sleep", "1000"]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.sync = None;
    assert!(matches!(init.end(), ExitStatus::Exited(_)));
}

#[test]
fn signals_are_handed_on_from_the_first_moment() {
    if !is_root() {
        return;
    }
    let init = start(&["sleep", "1000"]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    // The child still waits for the runtime's word, with the handlers of a waiting init.
    pidfd_send_signal(init.child.pidfd.as_fd(), 10).unwrap();
    assert_eq!(init.end(), ExitStatus::Exited(143), "USR1 is handed on as TERM");
}
