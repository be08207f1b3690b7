//! Scheduling, limits and memory placement of the caller or of one process.
//!
//! Owns: sched_*, ioprio_set, prlimit, set_mempolicy. Must not: touch cgroups.

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;

/// Lets other threads run. <https://man7.org/linux/man-pages/man2/sched_yield.2.html>
#[cfg(feature = "heap")]
pub(crate) fn give_way() {
    // SAFETY: no arguments. It cannot fail on Linux.
    let _ = unsafe { sys!(k::__NR_sched_yield) };
}

/// `struct sched_attr`. <https://man7.org/linux/man-pages/man2/sched_setattr.2.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SchedAttr {
    /// Size of this struct, set by [`sched_setattr`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value for the fair policies.
    pub nice: i32,
    /// Priority for the real-time policies.
    pub priority: u32,
    /// Nanoseconds, for the deadline policy.
    pub runtime: u64,
    /// Nanoseconds, for the deadline policy.
    pub deadline: u64,
    /// Nanoseconds, for the deadline policy.
    pub period: u64,
}

/// Sets the caller's scheduling. <https://man7.org/linux/man-pages/man2/sched_setattr.2.html>
///
/// # Errors
/// As sched_setattr(2).
pub fn sched_setattr(attr: &SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attr };
    // SAFETY: `attr` is a whole sched_attr of the size it names.
    unsafe { sys!(k::__NR_sched_setattr, 0, &raw const attr as usize, 0) }.map(drop)
}

/// Sets the CPUs a process may run on (0: the caller), as a bit mask in 64-bit words.
/// <https://man7.org/linux/man-pages/man2/sched_setaffinity.2.html>
///
/// # Errors
/// As sched_setaffinity(2).
pub fn sched_setaffinity(pid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: `mask` is readable for the bytes given.
    unsafe { sys!(k::__NR_sched_setaffinity, pid as usize, size_of_val(mask), mask.as_ptr() as usize) }
        .map(drop)
}

/// Sets the caller's I/O class (1 real-time, 2 best effort, 3 idle) and level (0-7).
/// <https://man7.org/linux/man-pages/man2/ioprio_set.2.html>
///
/// # Errors
/// As ioprio_set(2).
pub fn ioprio_set(class: u32, level: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_ioprio_set, IOPRIO_WHO_PROCESS, 0, ((class << 13) | level) as usize) }.map(drop)
}

/// Sets a resource limit (`RLIMIT_*` number) of a process (0: the caller).
/// <https://man7.org/linux/man-pages/man2/prlimit.2.html>
///
/// # Errors
/// `EPERM` when raising a hard limit without the capability, `EINVAL`.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = k::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a whole rlimit64; a null old limit is allowed.
    unsafe { sys!(k::__NR_prlimit64, pid as usize, resource as usize, &raw const limit as usize, 0) }
        .map(drop)
}

/// The caller's resource limit: (soft, hard).
/// <https://man7.org/linux/man-pages/man2/prlimit.2.html>
///
/// # Errors
/// `EINVAL` for an unknown resource.
pub fn getrlimit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = k::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a null new limit changes nothing; `limit` has room for the old one.
    unsafe { sys!(k::__NR_prlimit64, 0, resource as usize, 0, &raw mut limit as usize) }?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the caller's NUMA policy; `mode` includes its flags, `nodes` is a bit mask in 64-bit words.
/// <https://man7.org/linux/man-pages/man2/set_mempolicy.2.html>
///
/// # Errors
/// As set_mempolicy(2).
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // maxnode counts one bit more than the kernel reads (set_mempolicy(2), BUGS).
    let max = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let ptr = if nodes.is_empty() { 0 } else { nodes.as_ptr() as usize };
    // SAFETY: the mask is null with length 0, or readable for its bits.
    unsafe { sys!(k::__NR_set_mempolicy, mode as usize, ptr, max) }.map(drop)
}
