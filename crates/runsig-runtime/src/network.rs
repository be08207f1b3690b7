//! The container's new network namespace, made while its init makes the mounts.
//!
//! Making one is a third of what the kernel does for a whole container, and needs nothing of the rest. So the
//! clone leaves it out, and with a second processor it costs no time (docs/decisions/0013).
//!
//! Owns: making it, and giving it to the init. Must not: be used where somebody other than us has to own it.

use runsig_proto::{Op, frame};
use runsig_spec::Plan;
use runsig_sys::process::{self, CLONE_NEWNET};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs, net};

use crate::error::{Error, InitError, Result};

/// Lets the namespace come after the clone, where it can: our own one, for [`make`] to come back to. With a user
/// namespace it has to belong to that; and devices that move into it must find it before the init has its plan.
/// And who is privileged in a user namespace only, as below rootless podman, would not get back to the host's.
pub(crate) fn let_follow(plan: &mut Plan) -> Option<OwnedFd> {
    let own = plan.new_namespaces & CLONE_NEWNET != 0;
    if !own || plan.init.namespaces.user || !plan.net_devices.is_empty() {
        return None;
    }
    let home = current().ok().filter(|home| process::setns(home.as_fd(), CLONE_NEWNET).is_ok())?;
    plan.init.namespaces.network_follows = true;
    // What `make` does.
    plan.init.loopback = false;
    Some(home)
}

/// Makes the namespace and gives it to an init that has its plan. This thread goes there and back `home`.
///
/// # Errors
/// As for a clone that had to make it.
pub(crate) fn make(home: &OwnedFd, init: BorrowedFd<'_>) -> Result<()> {
    process::unshare(CLONE_NEWNET).map_err(failed(Op::Unshare))?;
    let made = give(init);
    process::setns(home.as_fd(), CLONE_NEWNET).map_err(failed(Op::Unshare))?;
    made
}

/// The init goes on as soon as it can enter. Nothing of the container's runs, and no hook, until we have
/// answered it: the interface is up by then.
fn give(init: BorrowedFd<'_>) -> Result<()> {
    let network = current().map_err(failed(Op::Unshare))?;
    match frame::send_descriptor(init, frame::NETWORK, network.as_fd()) {
        // It has failed before it needed the network, and has said why.
        Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
        sent => sent.map_err(failed(Op::Sync))?,
    }
    net::loopback_up().map_err(failed(Op::Network))
}

fn current() -> runsig_sys::Result<OwnedFd> {
    fs::openat(fd::CWD, c"/proc/thread-self/ns/net", fs::O_RDONLY, 0)
}

fn failed(op: Op) -> impl Fn(Errno) -> Error {
    move |errno| {
        let (subject, detail) = (String::new(), String::new());
        Error::Init(InitError { op: op.clone(), subject, detail, errno: Some(errno) })
    }
}
