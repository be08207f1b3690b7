//! A second process with a copy of our memory that goes on where we are.
//!
//! Owns: that call, with a guard: other threads would not be in the copy, and the locks they hold
//! would stay held for ever. Must not: start programs ([`crate::run`], [`crate::spawn`]).

use linux_raw_sys::general as k;

use crate::arch::sys;
use crate::errno::Result;

/// Makes a copy of the calling process. `None` in the copy, its number in the caller.
/// <https://man7.org/linux/man-pages/man2/fork.2.html>
///
/// # Errors
/// `EINVAL` in a program with several threads; `EAGAIN` when a limit on processes is reached;
/// `ENOMEM`, also when the PID namespace has no init any more.
pub fn fork() -> Result<Option<i32>> {
    // Changes nothing and fails with EINVAL when the memory is shared with anybody (unshare(2)).
    // SAFETY: no pointers.
    unsafe { sys!(k::__NR_unshare, k::CLONE_VM as usize) }?;
    // The old call: on both architectures its last arguments are null pointers here, whatever their order.
    // SAFETY: without CLONE_VM the child has its own copy of the stack it returns on; there are no
    // other threads (see above), so nothing in the copy waits for one.
    let pid = unsafe { sys!(k::__NR_clone, k::SIGCHLD as usize, 0, 0, 0, 0) }?;
    Ok((pid != 0).then_some(pid as i32))
}
