//! Running a program by its path, as fork and exec would, without copying memory.
//!
//! Owns: the plain child: standard streams, a clean signal state, no other descriptor of ours.
//! Must not: make namespaces or choose cgroups ([`crate::spawn`]), wait for the child.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;

use crate::arch::{check, clone_call};
use crate::errno::{Errno, Result};
use crate::fd::{BorrowedFd, OwnedFd};
use crate::fs;
use crate::process::{self, CStrArray};
use crate::signal::{self, Action, SigSet};
use crate::spawn::Child;

/// The program and what it starts with.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program.
    pub path: &'a CStr,
    /// Its arguments.
    pub argv: &'a CStrArray<'a>,
    /// Its environment.
    pub envp: &'a CStrArray<'a>,
    /// Its standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
}

const STACK: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

struct Shared<'a> {
    run: &'a Run<'a>,
    failure: Option<Errno>,
}

/// Starts the program. The caller is suspended until it runs or has failed (CLONE_VM and
/// CLONE_VFORK). <https://man7.org/linux/man-pages/man2/clone.2.html> (CLONE_PIDFD: 5.2)
///
/// # Errors
/// Those of clone(2), and of execve(2) in the child, which is then reaped.
pub fn run(run: &Run<'_>) -> Result<Child> {
    let mut stack = Stack(MaybeUninit::uninit());
    let mut shared = Shared { run, failure: None };
    let mut pidfd: i32 = -1;
    let flags = k::CLONE_VM | k::CLONE_VFORK | k::CLONE_PIDFD | k::SIGCHLD;
    let top = (&raw mut stack).cast::<u8>().wrapping_add(STACK);
    let data = (&raw mut shared).cast::<c_void>();
    // SAFETY: `stack`, `pidfd` and `shared` outlive the child's use of them, because we are
    // suspended until it has executed a program or ended; `child` never returns.
    let pid = check(unsafe { clone_call(flags as usize, top, &raw mut pidfd, child, data) })? as i32;
    // SAFETY: the child and the kernel wrote through pointers while we were suspended.
    let (failure, pidfd) =
        unsafe { ((&raw const shared.failure).read_volatile(), (&raw const pidfd).read_volatile()) };
    let pidfd = OwnedFd::from_raw(pidfd);
    match failure {
        None => Ok(Child { pid, pidfd }),
        Some(errno) => {
            let _ = process::wait(process::WaitFor::Pidfd(pidfd.as_fd()), false);
            Err(errno)
        }
    }
}

extern "C" fn child(data: *mut c_void) -> ! {
    let shared = data.cast::<Shared<'_>>();
    // SAFETY: `data` is the `Shared` of our suspended parent.
    let run = unsafe { (*shared).run };
    let errno = match prepare(run) {
        Ok(()) => process::execve(run.path, run.argv, run.envp),
        Err(errno) => errno,
    };
    // SAFETY: as above; the parent reads it only after we have ended.
    unsafe { (*shared).failure = Some(errno) };
    process::exit(127)
}

/// The table of descriptors and the signal dispositions are our own copies: only memory is shared.
fn prepare(run: &Run<'_>) -> Result<()> {
    fs::cloexec_from(3)?;
    for (fd, number) in run.stdio.iter().zip(0..) {
        fs::dup_to(*fd, number, false)?;
    }
    signal::set_action(k::SIGPIPE as i32, Action::Default)?;
    signal::set_mask(SigSet::EMPTY).map(drop)
}
