//! Processes: identity, waiting, namespaces, prctl, exec; pidfds in `pidfd`, users and
//! capabilities in `privileges`.
//!
//! Owns: calls about the calling process and about others through pidfds.
//! Must not: make a container's process ([`crate::spawn`]).

mod pidfd;
mod privileges;

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;
use linux_raw_sys::prctl as p;

use crate::arch::sys;
use crate::errno::{Errno, Result, retry};
use crate::fd::BorrowedFd;

pub use pidfd::*;
pub use privileges::*;

/// Namespace flag: mount.
pub const CLONE_NEWNS: u64 = k::CLONE_NEWNS as u64;
/// Namespace flag: UTS.
pub const CLONE_NEWUTS: u64 = k::CLONE_NEWUTS as u64;
/// Namespace flag: IPC.
pub const CLONE_NEWIPC: u64 = k::CLONE_NEWIPC as u64;
/// Namespace flag: user.
pub const CLONE_NEWUSER: u64 = k::CLONE_NEWUSER as u64;
/// Namespace flag: PID.
pub const CLONE_NEWPID: u64 = k::CLONE_NEWPID as u64;
/// Namespace flag: network.
pub const CLONE_NEWNET: u64 = k::CLONE_NEWNET as u64;
/// Namespace flag: cgroup.
pub const CLONE_NEWCGROUP: u64 = k::CLONE_NEWCGROUP as u64;
/// Namespace flag: time.
pub const CLONE_NEWTIME: u64 = k::CLONE_NEWTIME as u64;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it; `core` when it left a dump.
    Killed {
        /// The signal.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl ExitStatus {
    /// Reads the `status` word of wait4(2).
    #[must_use]
    pub fn from_wait(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited((status >> 8) & 0xff),
            signal => Self::Killed { signal, core: status & 0x80 != 0 },
        }
    }
    /// The code a shell would report: 128+n for a signal.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed { signal, .. } => 128 + signal,
        }
    }
}

/// The caller's process ID. <https://man7.org/linux/man-pages/man2/getpid.2.html>
#[must_use]
pub fn getpid() -> i32 {
    // SAFETY: no pointers; cannot fail.
    unsafe { sys!(k::__NR_getpid) }.unwrap_or(0) as i32
}

/// The parent's process ID; 0 when the parent is outside our PID namespace.
/// <https://man7.org/linux/man-pages/man2/getppid.2.html>
#[must_use]
pub fn getppid() -> i32 {
    // SAFETY: no pointers; cannot fail.
    unsafe { sys!(k::__NR_getppid) }.unwrap_or(0) as i32
}

/// The effective user. <https://man7.org/linux/man-pages/man2/geteuid.2.html>
#[must_use]
pub fn geteuid() -> u32 {
    // SAFETY: no pointers; cannot fail.
    unsafe { sys!(k::__NR_geteuid) }.unwrap_or(0) as u32
}

/// The effective group. <https://man7.org/linux/man-pages/man2/getegid.2.html>
#[must_use]
pub fn getegid() -> u32 {
    // SAFETY: no pointers; cannot fail.
    unsafe { sys!(k::__NR_getegid) }.unwrap_or(0) as u32
}

/// Starts a session. <https://man7.org/linux/man-pages/man2/setsid.2.html>
///
/// # Errors
/// `EPERM` for a process group leader.
pub fn setsid() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_setsid) }.map(drop)
}

/// Ends the process. <https://man7.org/linux/man-pages/man2/exit_group.2.html>
///
/// A seccomp filter may refuse even that. Then the one thread tries to end alone, and at last a trap ends us, which
/// the kernel forces on PID 1, too: the loop would turn for ever.
pub fn exit(code: i32) -> ! {
    // SAFETY: no pointers; neither returns unless it is refused.
    unsafe {
        let _ = sys!(k::__NR_exit_group, code as usize);
        let _ = sys!(k::__NR_exit, code as usize);
    }
    crate::arch::trap()
}

/// Sends a signal by number: for ourselves, for `-1` inside a PID namespace, and for children we
/// have not reaped. <https://man7.org/linux/man-pages/man2/kill.2.html>
///
/// # Errors
/// As kill(2).
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_kill, pid as isize as usize, signal as usize) }.map(drop)
}

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub enum WaitFor<'a> {
    /// Any child.
    Any,
    /// The child with this number.
    Pid(i32),
    /// The child a pidfd refers to (5.4).
    Pidfd(BorrowedFd<'a>),
}

/// Waits for a child's end and reaps it; with `nohang`, `None` when there is none yet.
/// <https://man7.org/linux/man-pages/man2/waitid.2.html>
///
/// # Errors
/// `ECHILD` when there is no such child.
pub fn wait(what: WaitFor<'_>, nohang: bool) -> Result<Option<(i32, ExitStatus)>> {
    let (idtype, id) = match what {
        WaitFor::Any => (k::P_ALL, 0),
        WaitFor::Pid(pid) => (k::P_PID, pid as usize),
        WaitFor::Pidfd(fd) => (k::P_PIDFD, fd.arg()),
    };
    // siginfo_t is 128 bytes; for SIGCHLD: si_signo, si_errno, si_code, (pad), si_pid, si_uid, si_status.
    let mut info = [0i32; 32];
    let options = k::WEXITED | if nohang { k::WNOHANG } else { 0 };
    retry(|| {
        // SAFETY: `info` has the size of a siginfo_t; a null rusage is allowed.
        unsafe { sys!(k::__NR_waitid, idtype as usize, id, info.as_mut_ptr() as usize, options as usize, 0) }
    })?;
    let (code, pid, status) = (info[2], info[4], info[6]);
    if pid == 0 {
        return Ok(None);
    }
    const CLD_EXITED: i32 = 1;
    const CLD_DUMPED: i32 = 3;
    Ok(Some((
        pid,
        if code == CLD_EXITED {
            ExitStatus::Exited(status)
        } else {
            ExitStatus::Killed { signal: status, core: code == CLD_DUMPED }
        },
    )))
}

/// Waits for the end of the child a pidfd refers to and reaps it, at most for so many seconds; `None` when it
/// has not ended by then.
/// <https://man7.org/linux/man-pages/man2/pidfd_open.2.html>
///
/// # Errors
/// Those of [`poll`] and [`wait`].
pub fn wait_at_most(pidfd: BorrowedFd<'_>, seconds: Option<u32>) -> Result<Option<ExitStatus>> {
    let deadline =
        seconds.map_or(u64::MAX, |seconds| monotonic_ns().saturating_add(u64::from(seconds) * 1_000_000_000));
    loop {
        let left = deadline.saturating_sub(monotonic_ns());
        let mut fds = [PollFd { fd: pidfd.raw(), events: POLLIN, revents: 0 }];
        match poll(&mut fds, left.div_ceil(1_000_000).cast_signed()) {
            Ok(1) => return wait(WaitFor::Pidfd(pidfd), false).map(|ended| ended.map(|(_, status)| status)),
            Ok(_) if left == 0 => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Joins the namespace(s) `fd` refers to: a namespace file with one flag (or 0), or a pidfd with
/// any set of `CLONE_NEW*` (5.8). <https://man7.org/linux/man-pages/man2/setns.2.html>
///
/// # Errors
/// As setns(2).
pub fn setns(fd: BorrowedFd<'_>, flags: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_setns, fd.arg(), flags as usize) }.map(drop)
}

/// Moves the caller into new namespaces. <https://man7.org/linux/man-pages/man2/unshare.2.html>
///
/// # Errors
/// As unshare(2).
pub fn unshare(flags: u64) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_unshare, flags as usize) }.map(drop)
}

fn prctl(option: u32, a: usize, b: usize, c: usize, d: usize) -> Result<usize> {
    // SAFETY: the callers below pass numbers, or pointers that are valid for what the option does.
    unsafe { sys!(k::__NR_prctl, option as usize, a, b, c, d) }
}

/// The signal we get when our parent thread ends; 0 for none.
/// <https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html>
///
/// # Errors
/// `EINVAL` for a bad signal.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(p::PR_SET_PDEATHSIG, signal as usize, 0, 0, 0).map(drop)
}

/// Orphans among our descendants become our children.
/// <https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn set_child_subreaper(on: bool) -> Result<()> {
    prctl(p::PR_SET_CHILD_SUBREAPER, usize::from(on), 0, 0, 0).map(drop)
}

/// The process's name (15 bytes). <https://man7.org/linux/man-pages/man2/PR_SET_NAME.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn set_name(name: &CStr) -> Result<()> {
    prctl(p::PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0).map(drop)
}

/// The UTS name. <https://man7.org/linux/man-pages/man2/sethostname.2.html>
///
/// # Errors
/// `EINVAL` when longer than 64 bytes.
pub fn sethostname(name: &[u8]) -> Result<()> {
    // SAFETY: `name` is readable for its length.
    unsafe { sys!(k::__NR_sethostname, name.as_ptr() as usize, name.len()) }.map(drop)
}

/// The NIS domain name. <https://man7.org/linux/man-pages/man2/setdomainname.2.html>
///
/// # Errors
/// `EINVAL` when longer than 64 bytes.
pub fn setdomainname(name: &[u8]) -> Result<()> {
    // SAFETY: `name` is readable for its length.
    unsafe { sys!(k::__NR_setdomainname, name.as_ptr() as usize, name.len()) }.map(drop)
}

/// Execution domain. <https://man7.org/linux/man-pages/man2/personality.2.html>
///
/// # Errors
/// As personality(2).
pub fn personality(domain: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_personality, domain as usize) }.map(drop)
}

/// Replaces the program. Returns only on failure.
/// <https://man7.org/linux/man-pages/man2/execve.2.html>
///
/// `argv` and `envp` are arrays of pointers to terminated strings, ended by a null: build them
/// with [`CStrArray`].
pub fn execve(path: &CStr, argv: &CStrArray<'_>, envp: &CStrArray<'_>) -> Errno {
    // SAFETY: `path` is a terminated string; the arrays are null-ended by construction.
    match unsafe { sys!(k::__NR_execve, path.as_ptr() as usize, argv.as_ptr(), envp.as_ptr()) } {
        Err(errno) => errno,
        Ok(_) => Errno::EIO,
    }
}

/// Pointers to terminated strings with a null at the end, as exec wants them, in memory the
/// caller lends (at least one longer than the strings).
#[derive(Debug)]
pub struct CStrArray<'a> {
    ptrs: &'a [*const c_char],
}

impl<'a> CStrArray<'a> {
    /// Fills `room` with pointers to `strings` and the closing null.
    ///
    /// # Errors
    /// `E2BIG` when `room` is too small.
    pub fn new(strings: impl Iterator<Item = &'a CStr>, room: &'a mut [*const c_char]) -> Result<Self> {
        let mut used = 0;
        for s in strings {
            *room.get_mut(used).ok_or(Errno::E2BIG)? = s.as_ptr();
            used += 1;
        }
        *room.get_mut(used).ok_or(Errno::E2BIG)? = core::ptr::null();
        Ok(Self { ptrs: room })
    }
    pub(crate) fn as_ptr(&self) -> usize {
        self.ptrs.as_ptr() as usize
    }
}

/// One entry of poll(2).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PollFd {
    /// The descriptor; a negative one is passed over.
    pub fd: i32,
    /// What to wait for.
    pub events: i16,
    /// What happened.
    pub revents: i16,
}

/// poll: there is something to read; for a pidfd, the process has ended.
pub const POLLIN: i16 = 1;

/// poll: there is an exceptional condition (cgroup event files).
pub const POLLPRI: i16 = 2;

/// poll: an error; for a fifo's writer, no reader is left.
pub const POLLERR: i16 = 8;

/// poll: the other side closed.
pub const POLLHUP: i16 = 16;

/// Waits until one descriptor is ready, at most `timeout_ms` milliseconds (negative: for ever).
/// Returns how many are ready. A signal ends the wait with `EINTR`.
/// <https://man7.org/linux/man-pages/man2/poll.2.html>
///
/// # Errors
/// As ppoll(2).
pub fn poll(fds: &mut [PollFd], timeout_ms: i64) -> Result<usize> {
    let ts = k::__kernel_timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
    let ts_ptr = if timeout_ms < 0 { 0 } else { &raw const ts as usize };
    // SAFETY: `fds` has the layout of struct pollfd; the timespec pointer is null or valid; a null
    // mask leaves signals as they are.
    unsafe { sys!(k::__NR_ppoll, fds.as_mut_ptr() as usize, fds.len(), ts_ptr, 0, 0) }
}

/// Nanoseconds of the monotonic clock. <https://man7.org/linux/man-pages/man2/clock_gettime.2.html>
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut ts = MaybeUninit::<k::__kernel_timespec>::zeroed();
    // SAFETY: `ts` has room for a timespec.
    let _ = unsafe { sys!(k::__NR_clock_gettime, k::CLOCK_MONOTONIC as usize, ts.as_mut_ptr() as usize) };
    // SAFETY: zeroed before; every bit pattern is a timespec.
    let ts = unsafe { ts.assume_init() };
    (ts.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(ts.tv_nsec as u64)
}
