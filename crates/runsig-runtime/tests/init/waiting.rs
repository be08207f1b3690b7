//! A created container: the init waits for `start` as PID 1, small and mortal.

use std::io::Read;
use std::os::fd::OwnedFd as StdFd;
use std::process::{Command, Stdio};

use runsig_proto::{FromInit, ToInit, frame};
use runsig_sys::process::{self, CLONE_NEWPID, ExitStatus};
use runsig_sys::{OwnedFd, fs, net};

use crate::harness::{Init, is_root, plan, script};
use crate::temporary;

/// The most memory a waiting init may keep, in KiB.
const MAX_RSS: u64 = 600;

/// An init as PID 1 that waits at its fifo, and the other end.
fn waiting(text: &str) -> (Init, OwnedFd) {
    let (reader, writer) = fs::pipe(0).unwrap();
    let mut plan = script(text);
    plan.fds.exec_fifo = reader.raw();
    let init = Init::start(plan, CLONE_NEWPID, &[reader.raw()]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!(init.next(), None, "it hangs up before it waits");
    assert!(init.stays());
    (init, writer)
}

#[test]
fn a_byte_starts_the_program() {
    if is_root() {
        let (init, fifo) = waiting("exit 5");
        fs::write_all(fifo.as_fd(), b"0").unwrap();
        assert_eq!(init.end(), ExitStatus::Exited(5));
    }
}

#[test]
fn signals_that_end_a_process_end_it_though_it_is_pid_1() {
    if !is_root() {
        return;
    }
    for signal in [1, 2, 3, 10, 13, 14, 15, 34, 64] {
        let (init, _fifo) = waiting("exit 0");
        process::pidfd_send_signal(init.child.pidfd.as_fd(), signal).unwrap();
        assert_eq!(init.end(), ExitStatus::Exited(128 + signal));
    }
}

#[test]
fn other_signals_do_not_disturb_it_or_its_program() {
    if !is_root() {
        return;
    }
    let (init, fifo) = waiting("cat /proc/self/status | grep -Ec '^Sig(Cgt|Ign):.0+$' | grep -qx 2");
    for signal in [17, 18, 23, 28] {
        process::pidfd_send_signal(init.child.pidfd.as_fd(), signal).unwrap();
    }
    assert!(init.stays());
    fs::write_all(fifo.as_fd(), b"0").unwrap();
    assert_eq!(init.end(), ExitStatus::Exited(0), "dispositions are the default ones again");
}

#[test]
fn it_keeps_little_memory() {
    if !is_root() {
        return;
    }
    let (init, _fifo) = waiting("exit 0");
    let status = std::fs::read_to_string(format!("/proc/{}/status", init.child.pid)).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("a waiting init keeps {rss} KiB");
    assert!(rss <= MAX_RSS, "{rss} KiB");
}

/// The runtime has gone home by then: standard error is all that is left.
#[test]
fn an_exec_that_fails_after_start_is_told_on_standard_error() {
    let file = temporary("garbage", "\u{1}\u{2}");
    let (reader, writer) = fs::pipe(0).unwrap();
    let (ours, theirs) = net::socketpair().unwrap();
    let mut plan = plan(&[&file.0]);
    plan.fds.exec_fifo = 1;
    // The standard library hands descriptors on as standard streams only: 0 is the socket here, 1 the fifo.
    let mut child = Command::new(env!("RUNSIG_INIT_PATH"))
        .arg("0")
        .stdin(Stdio::from(StdFd::from(theirs)))
        .stdout(Stdio::from(StdFd::from(reader)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    frame::send(ours.as_fd(), &ToInit::Plan { plan }).unwrap();
    assert_eq!(frame::receive(ours.as_fd()), Ok(Some(FromInit::Ready)));
    frame::send(ours.as_fd(), &ToInit::Go { state: vec![] }).unwrap();
    fs::write_all(writer.as_fd(), b"0").unwrap();
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!(words, format!("exec {}: exec format error\n", file.0));
    assert_eq!(child.wait().unwrap().code(), Some(255));
}
