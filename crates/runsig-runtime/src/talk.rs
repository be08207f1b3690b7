//! The conversation with an init that is setting up, as `runsig_proto::frame` defines it.
//!
//! Owns: answering its messages until it is ready, and turning its failures into errors.
//! Must not: decide what happens before or after.

use runsig_proto::{FromInit, ToInit, frame};
use runsig_sys::{BorrowedFd, Errno};

use crate::error::{Error, InitError, Result};

/// What the runtime does when the init asks.
pub(crate) trait Listener {
    /// The namespaces exist: run prestart and createRuntime hooks. The result is the state JSON
    /// for hooks that the init runs.
    fn hooks(&mut self) -> Result<Vec<u8>>;
    /// The init has loaded a filter with a listener, at this number of its descriptors.
    fn seccomp_listener(&mut self, fd: i32) -> Result<()>;
    /// Send the init the tree of an idmapped bind, this one of the plan's mounts.
    fn tree(&mut self, sync: BorrowedFd<'_>, mount: u32) -> Result<()>;
}

/// Answers the init until it says that it is ready.
///
/// # Errors
/// What the init reports, what the listener fails with, or that the init died.
pub(crate) fn until_ready(sync: BorrowedFd<'_>, listener: &mut dyn Listener) -> Result<()> {
    loop {
        match receive(sync)? {
            Some(FromInit::Ready) => return Ok(()),
            Some(FromInit::Hooks) => {
                let state = listener.hooks()?;
                go(sync, state)?;
            }
            Some(FromInit::SeccompListener { fd }) => {
                listener.seccomp_listener(fd)?;
                go(sync, Vec::new())?;
            }
            Some(FromInit::Tree { mount }) => listener.tree(sync, mount)?,
            Some(failed @ FromInit::Failed { .. }) => return Err(failure(failed)),
            None => return Err(died()),
        }
    }
}

/// Lets the init go on.
///
/// # Errors
/// When it is gone.
pub(crate) fn go(sync: BorrowedFd<'_>, state: Vec<u8>) -> Result<()> {
    frame::send(sync, &ToInit::Go { state }).map_err(|errno| match errno {
        Errno::EPIPE | Errno::ECONNRESET => died(),
        errno => Error::Io { operation: "talk to", path: "runsig-init".into(), errno },
    })
}

/// Waits until the program runs: the end of the stream after the last `Go`.
///
/// # Errors
/// What the init reports instead.
pub(crate) fn until_exec(sync: BorrowedFd<'_>, listener: &mut dyn Listener) -> Result<()> {
    loop {
        match receive(sync)? {
            None => return Ok(()),
            Some(FromInit::SeccompListener { fd }) => {
                listener.seccomp_listener(fd)?;
                go(sync, Vec::new())?;
            }
            Some(failed @ FromInit::Failed { .. }) => return Err(failure(failed)),
            Some(FromInit::Ready | FromInit::Hooks | FromInit::Tree { .. }) => {}
        }
    }
}

fn receive(sync: BorrowedFd<'_>) -> Result<Option<FromInit>> {
    frame::receive(sync).map_err(|errno| Error::Io {
        operation: "listen to",
        path: "runsig-init".into(),
        errno,
    })
}

fn failure(message: FromInit) -> Error {
    let FromInit::Failed { op, subject, detail, errno } = message else { return died() };
    Error::Init(InitError {
        op,
        subject: subject.to_string_lossy().into_owned(),
        detail: detail.to_string_lossy().into_owned(),
        errno: (errno != 0).then(|| Errno::from_raw(errno)),
    })
}

fn died() -> Error {
    Error::Init(InitError {
        op: runsig_proto::Op::Sync,
        subject: String::new(),
        detail: "init ended before it was ready".to_owned(),
        errno: None,
    })
}
