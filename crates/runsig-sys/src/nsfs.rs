//! Namespaces held by a descriptor.
//!
//! Owns: the ioctls of nsfs. Must not: find out whose namespace one is.

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::{BorrowedFd, OwnedFd};

/// The PID or user namespace that a PID or user namespace is nested in.
/// <https://man7.org/linux/man-pages/man2/NS_GET_PARENT.2const.html> (4.9)
///
/// # Errors
/// `EPERM` when that is outside of the caller's own, or there is none.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    // _IO(0xb7, 2)
    const NS_GET_PARENT: usize = 0xb702;
    // SAFETY: NS_GET_PARENT takes no argument.
    unsafe { sys!(k::__NR_ioctl, namespace.arg(), NS_GET_PARENT, 0) }.map(|fd| OwnedFd::from_raw(fd as i32))
}
