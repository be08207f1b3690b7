//! A signal to everybody in a PID namespace, sent from inside it.
//!
//! Owns: the short-lived helper that does one `kill(-1, sig)`. That call is the only one that
//! reaches all processes at one moment: the kernel walks them under its task-list lock, and since
//! 4.19 a fork that is under way starts again so that its child cannot slip through.
//!
//! Must not: enter any namespace but PID (and user, where it must), load a program, or allocate.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;

use crate::arch::{check, clone3_call};
use crate::errno::{Errno, Result, retry};
use crate::fd::{BorrowedFd, OwnedFd};
use crate::process::{self, CLONE_NEWPID, CLONE_NEWUSER, ExitStatus, POLLIN, PollFd, WaitFor};
use crate::signal::{self, SigSet};

const STACK: usize = 8 * 1024;

#[repr(C, align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

/// How long the helper may take. It does one system call; only somebody inside who stops it, or a
/// machine that is out of breath, makes it slow.
const PATIENCE_MS: i64 = 50;
const ROUNDS: u32 = 200;
/// How often to begin again when somebody inside kills the helper.
const TRIES: u32 = 5;

/// What the caller and the process in between share.
struct Shared<'a> {
    member: BorrowedFd<'a>,
    signal: i32,
    user_too: bool,
    inner_stack: *mut Stack,
    pidfd: i32,
    failure: Option<Errno>,
}

/// Sends `signal` to every process in the PID namespace of the process behind `member`, and in the
/// namespaces below it, but not to the namespace's PID 1. Returns whether there was anybody.
///
/// The helper has every signal blocked and cannot be dumped or traced by others of its user while
/// it is visible inside. Where the caller may not enter the PID namespace as it is, it goes through
/// the user namespace that owns it. <https://man7.org/linux/man-pages/man2/kill.2.html>
///
/// # Errors
/// `ESRCH` when `member` is gone, `ENOMEM` when the namespace's PID 1 is ending or has ended,
/// `EPERM`, `EINVAL` for a bad signal, `ECANCELED` when somebody inside keeps killing the helper,
/// `ETIMEDOUT` when it does not come back.
pub fn broadcast(member: BorrowedFd<'_>, signal: i32) -> Result<bool> {
    let mask = signal::set_mask(SigSet::ALL)?;
    let hide = process::is_dumpable() == Ok(true) && process::set_dumpable(false).is_ok();
    let sent = broadcast_masked(member, signal);
    if hide {
        let _ = process::set_dumpable(true);
    }
    signal::set_mask(mask)?;
    sent
}

fn broadcast_masked(member: BorrowedFd<'_>, signal: i32) -> Result<bool> {
    let mut killed = false;
    for _ in 0..TRIES {
        let started = start(member, signal, false).or_else(|errno| match errno {
            Errno::EPERM => start(member, signal, true),
            other => Err(other),
        });
        let helper = match started {
            Ok(helper) => helper,
            // What the signal did made PID 1 end, and the kernel ended the helper with the rest.
            Err(Errno::ENOMEM | Errno::ESRCH) if killed => return Ok(true),
            Err(errno) => return Err(errno),
        };
        match finish(&helper)? {
            // Nobody but PID 1 and the helper.
            ExitStatus::Exited(code) if code == Errno::ESRCH.raw() => return Ok(false),
            ExitStatus::Exited(0) => return Ok(true),
            ExitStatus::Exited(code) => return Err(Errno::from_raw(code)),
            // Only KILL passes the mask: somebody inside, or the kernel, got it first. We cannot
            // know whether the call was made; a second signal is better than none.
            ExitStatus::Killed { .. } => killed = true,
        }
    }
    Err(Errno::ECANCELED)
}

/// Waits for the helper, waking it should somebody inside have stopped it, and reaps it.
fn finish(helper: &OwnedFd) -> Result<ExitStatus> {
    for _ in 0..ROUNDS {
        let mut fds = [PollFd { fd: helper.raw(), events: POLLIN, revents: 0 }];
        if retry(|| process::poll(&mut fds, PATIENCE_MS))? > 0 {
            return reap(helper);
        }
        let _ = process::pidfd_send_signal(helper.as_fd(), k::SIGCONT as i32);
    }
    let _ = process::pidfd_send_signal(helper.as_fd(), k::SIGKILL as i32);
    reap(helper)?;
    Err(Errno::ETIMEDOUT)
}

fn reap(helper: &OwnedFd) -> Result<ExitStatus> {
    match process::wait(WaitFor::Pidfd(helper.as_fd()), false)? {
        Some((_, status)) => Ok(status),
        None => Err(Errno::ECHILD),
    }
}

/// Makes the helper through a process in between that enters the namespace; the helper is our child.
fn start(member: BorrowedFd<'_>, signal: i32, user_too: bool) -> Result<OwnedFd> {
    let (mut stack, mut inner) = (Stack(MaybeUninit::uninit()), Stack(MaybeUninit::uninit()));
    let mut shared =
        Shared { member, signal, user_too, inner_stack: &raw mut inner, pidfd: -1, failure: None };
    // It shares our memory and descriptors (so the pidfd it makes is ours) and we stay suspended
    // until it ends. It is not inside the namespace itself, so nobody there can hold it up.
    let flags = k::CLONE_VM | k::CLONE_VFORK | k::CLONE_FILES;
    let args = arguments(u64::from(flags), u64::from(k::SIGCHLD), &raw mut stack, core::ptr::null_mut());
    let data = (&raw mut shared).cast::<c_void>();
    // SAFETY: `stack` and `shared` live until the process in between has ended (vfork), and
    // `between` never returns.
    let pid = check(unsafe { clone3_call(&raw const args, size_of::<k::clone_args>(), between, data) })?;
    process::wait(WaitFor::Pid(pid as i32), false)?;
    // SAFETY: the other process wrote through the pointer while we were suspended; read it afresh.
    let (failure, pidfd) = unsafe {
        let seen = &raw const shared;
        ((&raw const (*seen).failure).read_volatile(), (&raw const (*seen).pidfd).read_volatile())
    };
    match failure {
        None if pidfd >= 0 => Ok(OwnedFd::from_raw(pidfd)),
        None => Err(Errno::ESRCH),
        Some(errno) => Err(errno),
    }
}

fn arguments(flags: u64, exit_signal: u64, stack: *mut Stack, pidfd: *mut i32) -> k::clone_args {
    k::clone_args {
        flags,
        pidfd: pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: stack as u64,
        stack_size: STACK as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    }
}

/// The process in between: enter, make the helper, end.
extern "C" fn between(data: *mut c_void) -> ! {
    // SAFETY: `data` is the `Shared` of a suspended parent; nobody else touches it now.
    let shared = unsafe { &mut *data.cast::<Shared<'_>>() };
    let flags = if shared.user_too { CLONE_NEWUSER | CLONE_NEWPID } else { CLONE_NEWPID };
    let made = process::setns(shared.member, flags).and_then(|()| {
        // The helper has a copy of our memory, not a share of it: it can be stopped from inside,
        // and then nobody may be suspended for its sake. CLONE_PARENT makes it our parent's child
        // and refuses an exit signal of its own.
        let flags = u64::from(k::CLONE_PARENT | k::CLONE_PIDFD);
        let args = arguments(flags, 0, shared.inner_stack, &raw mut shared.pidfd);
        // SAFETY: the helper works on its own copy of the stack and of `shared`; `helper` never
        // returns.
        check(unsafe { clone3_call(&raw const args, size_of::<k::clone_args>(), helper, data) })
    });
    shared.failure = made.err();
    process::exit(0)
}

/// The helper: one call, its error number as exit code.
extern "C" fn helper(data: *mut c_void) -> ! {
    // SAFETY: `data` is our own copy of the `Shared`.
    let signal = unsafe { (*data.cast::<Shared<'_>>()).signal };
    process::exit(process::kill(-1, signal).map_or_else(Errno::raw, |()| 0))
}
