//! The socket of the kernel's network configuration.
//!
//! Owns: opening it. Messages are plain bytes that go through [`crate::fs::write`] and
//! [`crate::fs::read`]. Must not: know any message.

use linux_raw_sys::general as k;
use linux_raw_sys::net as n;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::OwnedFd;
use crate::fs;

/// A routing socket of the network namespace that the calling thread is in, close-on-exec. It stays
/// with that namespace wherever the thread goes. <https://man7.org/linux/man-pages/man7/rtnetlink.7.html>
///
/// # Errors
/// As socket(2).
pub fn route_socket() -> Result<OwnedFd> {
    const NETLINK_ROUTE: usize = 0;
    let kind = n::SOCK_RAW as usize | fs::O_CLOEXEC as usize;
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_socket, n::AF_NETLINK as usize, kind, NETLINK_ROUTE) }
        .map(|fd| OwnedFd::from_raw(fd as i32))
}
