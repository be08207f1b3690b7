//! Users, groups and capabilities of the caller, and what others may do to it.

use linux_raw_sys::general as k;
use linux_raw_sys::prctl as p;

use super::prctl;
use crate::arch::sys;
use crate::errno::Result;

/// No exec may gain privileges any more. <https://man7.org/linux/man-pages/man2/PR_SET_NO_NEW_PRIVS.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn set_no_new_privs() -> Result<()> {
    prctl(p::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).map(drop)
}

/// Whether others of our user may trace us and read our memory.
/// <https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn set_dumpable(on: bool) -> Result<()> {
    prctl(p::PR_SET_DUMPABLE, usize::from(on), 0, 0, 0).map(drop)
}

/// Whether others of our user may trace us and read our memory.
/// <https://man7.org/linux/man-pages/man2/PR_GET_DUMPABLE.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn is_dumpable() -> Result<bool> {
    prctl(p::PR_GET_DUMPABLE, 0, 0, 0, 0).map(|v| v == 1)
}

/// Keeps permitted capabilities over the next change of user.
/// <https://man7.org/linux/man-pages/man2/PR_SET_KEEPCAPS.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn set_keep_caps(on: bool) -> Result<()> {
    prctl(p::PR_SET_KEEPCAPS, usize::from(on), 0, 0, 0).map(drop)
}

/// Takes a capability out of the bounding set.
/// <https://man7.org/linux/man-pages/man2/PR_CAPBSET_DROP.2const.html>
///
/// # Errors
/// `EINVAL` for a capability the kernel does not know.
pub fn drop_bounding(cap: u32) -> Result<()> {
    prctl(p::PR_CAPBSET_DROP, cap as usize, 0, 0, 0).map(drop)
}

/// Empties the ambient set. <https://man7.org/linux/man-pages/man2/PR_CAP_AMBIENT.2const.html>
///
/// # Errors
/// As prctl(2).
pub fn clear_ambient() -> Result<()> {
    prctl(p::PR_CAP_AMBIENT, p::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0, 0, 0).map(drop)
}

/// Adds a capability to the ambient set. <https://man7.org/linux/man-pages/man2/PR_CAP_AMBIENT.2const.html>
///
/// # Errors
/// `EPERM` when it is not both permitted and inheritable.
pub fn raise_ambient(cap: u32) -> Result<()> {
    prctl(p::PR_CAP_AMBIENT, p::PR_CAP_AMBIENT_RAISE as usize, cap as usize, 0, 0).map(drop)
}

/// The four sets of the caller's thread, as bit masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
}

/// Sets the thread's capabilities. <https://man7.org/linux/man-pages/man2/capset.2.html>
///
/// # Errors
/// `EPERM` when a set would grow beyond what is allowed.
pub fn capset(caps: &Capabilities) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0u32];
    let low = |v: u64| v as u32;
    let high = |v: u64| (v >> 32) as u32;
    let data = [
        low(caps.effective),
        low(caps.permitted),
        low(caps.inheritable),
        high(caps.effective),
        high(caps.permitted),
        high(caps.inheritable),
    ];
    // SAFETY: header and data have the layout of version 3: two structs of three words.
    unsafe { sys!(k::__NR_capset, header.as_ptr() as usize, data.as_ptr() as usize) }.map(drop)
}

/// The thread's capabilities. <https://man7.org/linux/man-pages/man2/capget.2.html>
///
/// # Errors
/// As capget(2).
pub fn capget() -> Result<Capabilities> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0u32];
    let mut d = [0u32; 6];
    // SAFETY: as in `capset`.
    unsafe { sys!(k::__NR_capget, header.as_ptr() as usize, d.as_mut_ptr() as usize) }?;
    let join = |lo: u32, hi: u32| u64::from(lo) | (u64::from(hi) << 32);
    Ok(Capabilities {
        effective: join(d[0], d[3]),
        permitted: join(d[1], d[4]),
        inheritable: join(d[2], d[5]),
    })
}

/// Real, effective and saved user. <https://man7.org/linux/man-pages/man2/setresuid.2.html>
///
/// # Errors
/// `EINVAL` when the ID is not mapped in our user namespace, `EPERM`.
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_setresuid, uid as usize, uid as usize, uid as usize) }.map(drop)
}

/// Real, effective and saved group. <https://man7.org/linux/man-pages/man2/setresgid.2.html>
///
/// # Errors
/// `EINVAL` when the ID is not mapped in our user namespace, `EPERM`.
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_setresgid, gid as usize, gid as usize, gid as usize) }.map(drop)
}

/// Supplementary groups. <https://man7.org/linux/man-pages/man2/setgroups.2.html>
///
/// # Errors
/// `EPERM` where /proc/PID/setgroups says deny; `EINVAL` for an unmapped group.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: `groups` is readable for its length.
    unsafe { sys!(k::__NR_setgroups, groups.len(), groups.as_ptr() as usize) }.map(drop)
}
