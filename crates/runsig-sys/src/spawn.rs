//! Making a container's process: clone3, a few raw calls, execveat.
//!
//! Owns: everything that happens between clone and exec, described as data in [`Spawn`] so that
//! callers need no unsafe code and nothing but system calls runs there. That holds in a program
//! with threads too.
//!
//! Must not: know what the program does once it runs.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;

use crate::arch::{check, clone3_call, sys};
use crate::errno::{Errno, Result};
use crate::fd::{BorrowedFd, OwnedFd, RawFd};
use crate::fs;
use crate::process::{self, CStrArray};
use crate::signal::{self, SigSet};

/// What to make and what it does before its program starts.
#[derive(Debug, Clone, Copy)]
pub struct Spawn<'a> {
    /// `CLONE_NEW*` namespaces the process is born into.
    pub namespaces: u64,
    /// A cgroup v2 directory it is born into (CLONE_INTO_CGROUP, 5.7): no migration, so none of
    /// the 11 ms that a write to `cgroup.procs` waits for RCU.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// `tasks` files of cgroup v1 directories, open for writing: the process enters each of them
    /// by itself before anything else. The kernel lets a thread move itself without the lock
    /// whose taking waits 7-11 ms for RCU when somebody else's PID is written.
    pub tasks: &'a [RawFd],
    /// Namespaces to enter before the process is made: a namespace file with its flag, or a pidfd
    /// with several; a user namespace after the others. They are entered by a short-lived process in
    /// between, so the caller stays where it is, and the result is still the caller's child.
    pub join: &'a [(BorrowedFd<'a>, u64)],
    /// Read one byte from here first: for a new user namespace that has to get its maps. The end
    /// of the file instead of a byte ends the process.
    pub hold: Option<BorrowedFd<'a>>,
    /// Become user and group 0 of the (new) user namespace before exec, so that exec keeps the
    /// capabilities.
    pub become_root: bool,
    /// Descriptors the program inherits, at the same numbers.
    pub inherit: &'a [RawFd],
    /// The program.
    pub program: BorrowedFd<'a>,
    /// Its arguments.
    pub argv: &'a CStrArray<'a>,
    /// Its environment.
    pub envp: &'a CStrArray<'a>,
    /// Where a held process reports a failure as [`Failure::to_bytes`]; without `hold` failures
    /// come back from [`spawn`] itself.
    pub report: Option<BorrowedFd<'a>>,
}

/// The call that failed in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The clone itself.
    Clone = 1,
    /// Entering a namespace.
    Join = 2,
    /// Waiting for the user maps.
    Hold = 3,
    /// Becoming root of the user namespace.
    BecomeRoot = 4,
    /// Letting descriptors through exec.
    Inherit = 5,
    /// Starting the program.
    Exec = 6,
    /// Entering a cgroup v1 directory.
    Cgroup = 7,
}

/// A failure between clone and exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

impl Failure {
    /// Eight bytes for a pipe.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        out[0] = self.step as u8;
        out[4..].copy_from_slice(&self.errno.raw().to_ne_bytes());
        out
    }
    /// The failure in eight bytes from a pipe.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let step = match bytes[0] {
            1 => Step::Clone,
            2 => Step::Join,
            3 => Step::Hold,
            4 => Step::BecomeRoot,
            5 => Step::Inherit,
            7 => Step::Cgroup,
            _ => Step::Exec,
        };
        Self { step, errno: Errno::from_raw(i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])) }
    }
}

/// A process made by [`spawn`].
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's PID namespace.
    pub pid: i32,
    /// Its descriptor.
    pub pidfd: OwnedFd,
}

const STACK: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

/// What both sides of the clone share.
struct Shared<'a> {
    spawn: &'a Spawn<'a>,
    inner_stack: *mut Stack,
    pid: i32,
    pidfd: i32,
    failure: Option<Failure>,
}

/// Makes the process.
///
/// Without `hold` the caller is suspended until the program runs or the child has failed
/// (CLONE_VM and CLONE_VFORK: nothing is copied). With `hold` the child has a copy of the memory
/// and the caller goes on, writes the maps and the byte, and learns of failures from `report`.
///
/// <https://man7.org/linux/man-pages/man2/clone.2.html>
///
/// # Errors
/// The step and error number of what failed; the child is reaped.
pub fn spawn(spawn: &Spawn<'_>) -> core::result::Result<Child, Failure> {
    let (mut stack, mut inner) = (Stack(MaybeUninit::uninit()), Stack(MaybeUninit::uninit()));
    let mut shared = Shared { spawn, inner_stack: &raw mut inner, pid: 0, pidfd: -1, failure: None };
    let data = (&raw mut shared).cast::<c_void>();
    let made = if spawn.join.is_empty() {
        // SAFETY: `stack` and `shared` outlive the child's use of them: it is suspended-parent
        // (vfork) or has its own copy of this memory.
        unsafe { clone_process(spawn, &raw mut stack, 0, data) }.map(|(pid, pidfd)| {
            shared.pid = pid;
            shared.pidfd = pidfd;
        })
    } else {
        // SAFETY: vfork: we are suspended until the process in between has ended.
        unsafe { clone_joiner(spawn, &raw mut stack, data) }
    };
    // SAFETY: the child wrote through the pointer while we were suspended; read it afresh.
    let (failure, pid, pidfd) = unsafe {
        let seen = &raw const shared;
        (
            (&raw const (*seen).failure).read_volatile(),
            (&raw const (*seen).pid).read_volatile(),
            (&raw const (*seen).pidfd).read_volatile(),
        )
    };
    let child = (pidfd >= 0).then(|| Child { pid, pidfd: OwnedFd::from_raw(pidfd) });
    match (made, failure, child) {
        (Ok(()), None, Some(child)) => Ok(child),
        (made, failure, child) => {
            if let Some(child) = child {
                let _ = process::wait(process::WaitFor::Pidfd(child.pidfd.as_fd()), false);
            }
            let errno = made.err().unwrap_or(Errno::EIO);
            Err(failure.unwrap_or(Failure { step: Step::Clone, errno }))
        }
    }
}

/// The clone that makes the process itself; `extra` is CLONE_PARENT for the one in between.
///
/// # Safety
/// As for [`clone3_call`]: stack and data must outlive the child's use of them.
unsafe fn clone_process(
    spawn: &Spawn<'_>,
    stack: *mut Stack,
    extra: u64,
    data: *mut c_void,
) -> Result<(i32, i32)> {
    let mut pidfd: i32 = -1;
    let share = if spawn.hold.is_some() { 0 } else { u64::from(k::CLONE_VM | k::CLONE_VFORK) };
    // The process in between is in the cgroup already, and what it makes with it.
    let cgroup = spawn.cgroup.filter(|_| spawn.join.is_empty());
    let args = k::clone_args {
        flags: spawn.namespaces | share | extra | into_cgroup(cgroup) | u64::from(k::CLONE_PIDFD),
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        // CLONE_PARENT takes over the exit signal of the process in between and refuses another.
        exit_signal: if extra == 0 { u64::from(k::SIGCHLD) } else { 0 },
        stack: stack as u64,
        stack_size: STACK as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.raw() as u64),
    };
    // SAFETY: the caller's promise; `child` never returns.
    let pid = check(unsafe { clone3_call(&raw const args, size_of::<k::clone_args>(), child, data) })?;
    // SAFETY: the kernel wrote the descriptor through the address in `args`.
    Ok((pid as i32, unsafe { (&raw const pidfd).read_volatile() }))
}

fn into_cgroup(cgroup: Option<BorrowedFd<'_>>) -> u64 {
    if cgroup.is_some() { k::CLONE_INTO_CGROUP } else { 0 }
}

/// The clone of the short-lived process in between, and its reaping. It shares our descriptors,
/// so that the pidfd it gets is ours. It is born into the cgroup, before it enters namespaces: where
/// cgroup2 is mounted with `nsdelegate`, as systemd does, nobody gets into a cgroup from one that his
/// cgroup namespace does not show (ENOENT).
///
/// # Safety
/// As for [`clone3_call`].
unsafe fn clone_joiner(spawn: &Spawn<'_>, stack: *mut Stack, data: *mut c_void) -> Result<()> {
    let share = u64::from(k::CLONE_VM | k::CLONE_VFORK | k::CLONE_FILES);
    let args = k::clone_args {
        flags: share | into_cgroup(spawn.cgroup),
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(k::SIGCHLD),
        stack: stack as u64,
        stack_size: STACK as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: spawn.cgroup.map_or(0, |fd| fd.raw() as u64),
    };
    // SAFETY: the caller's promise; `joiner` never returns.
    let pid = check(unsafe { clone3_call(&raw const args, size_of::<k::clone_args>(), joiner, data) })?;
    process::wait(process::WaitFor::Pid(pid as i32), false).map(drop)
}

/// The process in between: enter the namespaces, make the real process as our parent's child, end.
extern "C" fn joiner(data: *mut c_void) -> ! {
    // SAFETY: `data` is the `Shared` of a suspended parent; nobody else touches it now.
    let shared = unsafe { &mut *data.cast::<Shared<'_>>() };
    if let Err(errno) = join_all(shared.spawn.join) {
        shared.failure = Some(Failure { step: Step::Join, errno });
        process::exit(1);
    }
    // SAFETY: the parent stays suspended until we end, and we until the real process has execed.
    match unsafe { clone_process(shared.spawn, shared.inner_stack, u64::from(k::CLONE_PARENT), data) } {
        Ok((pid, pidfd)) => {
            shared.pid = pid;
            shared.pidfd = pidfd;
            process::exit(0)
        }
        Err(errno) => {
            shared.failure = Some(Failure { step: Step::Clone, errno });
            process::exit(1)
        }
    }
}

/// Enters namespaces. A user namespace comes last, because most can be entered only with the
/// privileges of who owns them, and those are ours before it; what it owns itself is tried again
/// after it.
fn join_all(join: &[(BorrowedFd<'_>, u64)]) -> Result<()> {
    let is_user = |flags: u64| flags == u64::from(k::CLONE_NEWUSER);
    let mut again = 0u64;
    for (index, (fd, flags)) in join.iter().enumerate().filter(|(_, (_, flags))| !is_user(*flags)) {
        match process::setns(*fd, *flags) {
            Err(Errno::EPERM) if index < 64 => again |= 1 << index,
            other => other?,
        }
    }
    for (fd, flags) in join.iter().filter(|(_, flags)| is_user(*flags)) {
        process::setns(*fd, *flags)?;
    }
    let refused = |index: usize| index < 64 && again & (1 << index) != 0;
    let mut left = join.iter().enumerate().filter(|(index, _)| refused(*index));
    left.try_for_each(|(_, (fd, flags))| process::setns(*fd, *flags))
}

/// The process itself, up to its program.
extern "C" fn child(data: *mut c_void) -> ! {
    let shared = data.cast::<Shared<'_>>();
    // SAFETY: `data` is the `Shared` of a suspended parent, or our own copy of it.
    let spawn = unsafe { (*shared).spawn };
    let failure = run_child(spawn);
    if let (Some(report), Some(_)) = (spawn.report, spawn.hold) {
        let _ = fs::write(report, &failure.to_bytes());
    }
    // SAFETY: as above; the parent reads it only after we have ended.
    unsafe { (*shared).failure = Some(failure) };
    process::exit(127)
}

fn run_child(spawn: &Spawn<'_>) -> Failure {
    let fail = |step| move |errno| Failure { step, errno };
    let steps = || -> core::result::Result<(), Failure> {
        for tasks in spawn.tasks {
            fs::write(BorrowedFd::from_raw(*tasks), b"0").map_err(fail(Step::Cgroup))?;
        }
        if let Some(hold) = spawn.hold {
            fs::read_exact(hold, &mut [0]).map_err(fail(Step::Hold))?;
        }
        if spawn.become_root {
            process::setresgid(0).and_then(|()| process::setresuid(0)).map_err(fail(Step::BecomeRoot))?;
        }
        for fd in spawn.inherit {
            fs::set_cloexec(BorrowedFd::from_raw(*fd), false).map_err(fail(Step::Inherit))?;
        }
        // The standard library ignores SIGPIPE, and ignored signals stay ignored over exec.
        signal::set_action(k::SIGPIPE as i32, signal::Action::Default).map_err(fail(Step::Exec))?;
        signal::set_mask(SigSet::EMPTY).map(drop).map_err(fail(Step::Exec))
    };
    match steps() {
        Err(failure) => failure,
        Ok(()) => fail(Step::Exec)(execveat(spawn.program, spawn.argv, spawn.envp)),
    }
}

/// Starts the program behind a descriptor. Returns only on failure.
/// <https://man7.org/linux/man-pages/man2/execveat.2.html>
pub(crate) fn execveat(program: BorrowedFd<'_>, argv: &CStrArray<'_>, envp: &CStrArray<'_>) -> Errno {
    // SAFETY: the path is a terminated string; the arrays are null-ended by construction.
    let ret = unsafe {
        sys!(
            k::__NR_execveat,
            program.arg(),
            c"".as_ptr() as usize,
            argv.as_ptr(),
            envp.as_ptr(),
            k::AT_EMPTY_PATH as usize
        )
    };
    match ret {
        Err(errno) => errno,
        Ok(_) => Errno::EIO,
    }
}
