//! What the kernel tells about a process through its pidfd, even after it has ended.
//!
//! Owns: `PIDFD_GET_INFO`. Must not: read procfs or wait.

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::BorrowedFd;
use crate::process::ExitStatus;

/// `struct pidfd_info` with the fields up to 6.18. Kernels that know fewer fill fewer; kernels that
/// know more fill only what the size in the ioctl number has room for.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Raw {
    mask: u64,
    cgroup: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
    coredump_mask: u32,
    coredump_signal: u32,
}

const INFO_PID: u64 = 1;
const INFO_EXIT: u64 = 1 << 3;

/// The part of the answer that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidfdInfo {
    /// The process's number in the caller's PID namespace and its parent's (0: outside it), while
    /// it has not been reaped.
    pub ids: Option<(i32, i32)>,
    /// How it ended. Linux 6.15 keeps it for as long as a pidfd is open, once somebody has reaped
    /// the process; before that, and on older kernels, there is none.
    pub exit: Option<ExitStatus>,
}

/// Asks about the process behind a pidfd, whoever its parent is.
/// <https://man7.org/linux/man-pages/man2/PIDFD_GET_INFO.2const.html> (6.13; exit status 6.15)
///
/// # Errors
/// `ENOTTY` or `EINVAL` on an older kernel, `ESRCH` when it is gone and nothing was kept.
pub fn pidfd_info(pidfd: BorrowedFd<'_>) -> Result<PidfdInfo> {
    // _IOWR(0xFF, 11, struct pidfd_info)
    const REQUEST: usize = (3 << 30) | (size_of::<Raw>() << 16) | (0xff << 8) | 11;
    let mut raw = Raw { mask: INFO_PID | INFO_EXIT, ..Raw::default() };
    // SAFETY: the kernel reads and writes at most the size in the request, which is that of `raw`.
    unsafe { sys!(k::__NR_ioctl, pidfd.arg(), REQUEST, &raw mut raw as usize) }?;
    Ok(PidfdInfo {
        ids: (raw.mask & INFO_PID != 0).then_some((raw.tgid as i32, raw.ppid as i32)),
        exit: (raw.mask & INFO_EXIT != 0).then(|| ExitStatus::from_wait(raw.exit_code)),
    })
}
