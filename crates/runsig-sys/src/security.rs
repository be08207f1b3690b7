//! seccomp and the session keyring.
//!
//! Owns: loading a compiled filter, joining keyrings. Must not: compile filters.

use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::{Errno, Result};
use crate::fd::OwnedFd;

/// One instruction of classic BPF, as seccomp takes it: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SockFilter {
    /// Operation.
    pub code: u16,
    /// Jump if true.
    pub jt: u8,
    /// Jump if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// seccomp flag: a listener descriptor comes back. <https://man7.org/linux/man-pages/man2/seccomp.2.html>
pub const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 1 << 3;

/// Loads a filter. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` the listener's descriptor comes back.
/// <https://man7.org/linux/man-pages/man2/seccomp.2.html>
///
/// # Errors
/// `EACCES` without no_new_privs and CAP_SYS_ADMIN; `EINVAL` for a bad program or flag.
pub fn seccomp_filter(program: &[SockFilter], flags: u32) -> Result<Option<OwnedFd>> {
    #[repr(C)]
    struct SockFprog {
        len: u16,
        filter: *const SockFilter,
    }
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let len = u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let prog = SockFprog { len, filter: program.as_ptr() };
    // SAFETY: `prog` names `len` instructions that outlive the call.
    let ret =
        unsafe { sys!(k::__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags as usize, &raw const prog as usize) }?;
    Ok((flags & SECCOMP_FILTER_FLAG_NEW_LISTENER != 0).then(|| OwnedFd::from_raw(ret as i32)))
}

/// Whether the kernel knows a seccomp return action. <https://man7.org/linux/man-pages/man2/seccomp.2.html>
#[must_use]
pub fn seccomp_action_available(action: u32) -> bool {
    const SECCOMP_GET_ACTION_AVAIL: usize = 2;
    // SAFETY: `action` is readable for the call.
    unsafe { sys!(k::__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action as usize) }.is_ok()
}

/// Whether the kernel knows seccomp filter flags. <https://man7.org/linux/man-pages/man2/seccomp.2.html>
///
/// Asked by loading a filter that is not there: flags are looked at first.
#[must_use]
pub fn seccomp_flags_available(flags: u32) -> bool {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    // SAFETY: the kernel refuses the null pointer with EFAULT; nothing is loaded.
    let refused = unsafe { sys!(k::__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags as usize, 0) };
    refused == Err(Errno::EFAULT)
}

/// A key's serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySerial(i32);

/// Joins a new session keyring with this name.
/// <https://man7.org/linux/man-pages/man3/keyctl_join_session_keyring.3.html>
///
/// # Errors
/// `ENOSYS` without keyrings, `EDQUOT` when the quota is used up.
pub fn join_session_keyring(name: &CStr) -> Result<KeySerial> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: `name` is a terminated string.
    unsafe { sys!(k::__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr() as usize) }
        .map(|v| KeySerial(v as i32))
}

/// Reads a key's description (`type;uid;gid;perm;name`) into `buf`, with the closing NUL.
/// <https://man7.org/linux/man-pages/man3/keyctl_describe.3.html>
///
/// # Errors
/// As keyctl(2).
pub fn describe_key(key: KeySerial, buf: &mut [u8]) -> Result<usize> {
    const KEYCTL_DESCRIBE: usize = 6;
    // SAFETY: `buf` is writable for its length.
    unsafe { sys!(k::__NR_keyctl, KEYCTL_DESCRIBE, key.0 as usize, buf.as_mut_ptr() as usize, buf.len()) }
}

/// Sets a key's permissions. <https://man7.org/linux/man-pages/man3/keyctl_setperm.3.html>
///
/// # Errors
/// As keyctl(2).
pub fn set_key_permissions(key: KeySerial, perm: u32) -> Result<()> {
    const KEYCTL_SETPERM: usize = 5;
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_keyctl, KEYCTL_SETPERM, key.0 as usize, perm as usize) }.map(drop)
}
