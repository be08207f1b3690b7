//! Waiting for the end of a container.
//!
//! Owns: `wait`. Waiting is by pidfd: nothing here sleeps and looks again.
//! Must not: signal.

use runsig_sys::errno::Errno;
use runsig_sys::process::{self, ExitStatus, POLLIN, PollFd};
use runsig_sys::{BorrowedFd, OwnedFd};

use crate::error::{Error, Result};
use crate::identity;
use crate::target::Target;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Init has ended; how, where the kernel tells (6.15, or while it is a zombie).
    Ended(Option<ExitStatus>),
    /// The interrupt descriptor became readable first.
    Interrupted,
}

/// Waits until the container's init has ended. One that has ended already, and was reaped by
/// somebody else, has left no status behind.
///
/// # Errors
/// When the process cannot be opened or waited for.
pub fn wait(target: &Target, interrupt: Option<BorrowedFd<'_>>) -> Result<Waited> {
    let Some(identity) = target.init else { return Ok(Waited::Ended(None)) };
    let Some(init) = identity::open(&identity)? else { return Ok(Waited::Ended(None)) };
    if !ready(&[init.as_fd().raw(), interrupt.map_or(-1, BorrowedFd::raw)])? {
        return Ok(Waited::Interrupted);
    }
    Ok(Waited::Ended(init.exit_status()))
}

/// Waits for either; true when it is the first.
fn ready(fds: &[i32; 2]) -> Result<bool> {
    let mut polled = fds.map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    loop {
        match process::poll(&mut polled, -1) {
            Ok(_) if polled[0].revents != 0 => return Ok(true),
            Ok(_) if polled[1].revents != 0 => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("wait for init")(errno)),
        }
    }
}

/// Something to interrupt a wait or a stop with: writing to the second end ends it.
///
/// # Errors
/// When there are no more descriptors.
pub fn interrupter() -> Result<(OwnedFd, OwnedFd)> {
    runsig_sys::fs::pipe(0).map_err(Error::sys("make a pipe"))
}
