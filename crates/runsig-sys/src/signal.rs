//! Signal masks and dispositions of the caller.
//!
//! Owns: rt_sigaction with the three things we ever install, rt_sigprocmask.
//! Must not: run code of ours in a handler other than ending the process.

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fs;

/// The highest signal number.
pub const NSIG: i32 = 64;

/// A set of signals 1-64: bit n-1 is signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    /// Every signal.
    pub const ALL: Self = Self(u64::MAX);
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// With this signal added; numbers outside 1-64 change nothing.
    #[must_use]
    pub fn with(self, signal: i32) -> Self {
        if (1..=NSIG).contains(&signal) { Self(self.0 | (1 << (signal - 1))) } else { self }
    }
    /// Without this signal.
    #[must_use]
    pub fn without(self, signal: i32) -> Self {
        Self(self.0 & !Self::EMPTY.with(signal).0)
    }
    /// Whether it holds this signal.
    #[must_use]
    pub fn has(self, signal: i32) -> bool {
        (1..=NSIG).contains(&signal) && self.0 & (1 << (signal - 1)) != 0
    }
}

/// What a signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The kernel's default.
    Default,
    /// Nothing.
    Ignore,
    /// Ends the process with exit code 128+n at once. PID 1 of a namespace needs it, because the
    /// kernel drops signals for which it has no handler (SIGNAL_UNKILLABLE).
    Exit,
}

extern "C" fn exit_by_signal(signal: i32) {
    crate::process::exit(128 + signal)
}

/// Sets what a signal does. <https://man7.org/linux/man-pages/man2/rt_sigaction.2.html>
///
/// # Errors
/// `EINVAL` for KILL, STOP and numbers outside 1-64.
pub fn set_action(signal: i32, action: Action) -> Result<()> {
    const SA_RESTORER: u64 = 0x0400_0000;
    // struct kernel_sigaction of x86-64 and arm64: handler, flags, restorer, mask. The handler
    // never returns, so the restorer only has to be there (x86-64 refuses delivery without one).
    let handler = match action {
        Action::Default => 0,
        Action::Ignore => 1,
        Action::Exit => exit_by_signal as *const () as u64,
    };
    let act: [u64; 4] = [handler, SA_RESTORER, exit_by_signal as *const () as u64, 0];
    // SAFETY: `act` has the kernel's layout; the old action is not asked for; the mask is 8 bytes.
    unsafe { sys!(k::__NR_rt_sigaction, signal as usize, act.as_ptr() as usize, 0, 8) }.map(drop)
}

/// Replaces the thread's signal mask and returns the old one.
/// <https://man7.org/linux/man-pages/man2/rt_sigprocmask.2.html>
///
/// # Errors
/// As rt_sigprocmask(2).
pub fn set_mask(mask: SigSet) -> Result<SigSet> {
    let mut old = SigSet::EMPTY;
    // SAFETY: both are 8-byte masks.
    unsafe {
        sys!(
            k::__NR_rt_sigprocmask,
            k::SIG_SETMASK as usize,
            &raw const mask as usize,
            &raw mut old as usize,
            8
        )
    }?;
    Ok(old)
}

/// A descriptor to read pending signals from; the set must be blocked. Close-on-exec.
/// <https://man7.org/linux/man-pages/man2/signalfd.2.html>
///
/// # Errors
/// As signalfd4(2).
pub fn signalfd(mask: SigSet, nonblocking: bool) -> Result<crate::OwnedFd> {
    let flags = fs::O_CLOEXEC | if nonblocking { fs::O_NONBLOCK } else { 0 };
    // SAFETY: the mask is 8 bytes.
    unsafe { sys!(k::__NR_signalfd4, usize::MAX, &raw const mask as usize, 8, flags as usize) }
        .map(|fd| crate::OwnedFd::from_raw(fd as i32))
}

/// Takes one pending signal of the (blocked) set, waiting at most `timeout_ms` milliseconds
/// (negative: for ever). Returns its number.
/// <https://man7.org/linux/man-pages/man2/rt_sigtimedwait.2.html>
///
/// # Errors
/// `EAGAIN` when none came in time, `EINTR`.
pub fn sigtimedwait(mask: SigSet, timeout_ms: i64) -> Result<i32> {
    let ts = k::__kernel_timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
    let ts_ptr = if timeout_ms < 0 { 0 } else { &raw const ts as usize };
    // SAFETY: the mask is 8 bytes, the siginfo is not asked for, the timespec null or valid.
    unsafe { sys!(k::__NR_rt_sigtimedwait, &raw const mask as usize, 0, ts_ptr, 8) }.map(|n| n as i32)
}

/// What Go calls a signal, and with it runc: engines show and match these words.
#[must_use]
pub fn words(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        24 => "CPU time limit exceeded",
        25 => "file size limit exceeded",
        31 => "bad system call",
        _ => return None,
    })
}
