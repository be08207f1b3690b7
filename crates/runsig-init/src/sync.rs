//! The conversation with the runtime over the sync socket.
//!
//! Owns: the socket, and where a failure goes: to the runtime while it listens, to standard error
//! after that. Must not: know what the steps do.

use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::{FromInit, InitPlan, Op, ToInit, frame};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs};

use crate::error::{During, Failure, Result};
use crate::words::Text;

/// The runtime's end of the conversation, for as long as it listens.
#[derive(Debug, Default)]
pub struct Sync {
    socket: Option<OwnedFd>,
}

impl Sync {
    /// The socket with this decimal number; `None` when there is none.
    #[must_use]
    pub fn from_argument(number: &CStr) -> Option<Self> {
        let number = number.to_str().ok()?.parse::<i32>().ok().filter(|n| *n >= 0)?;
        // Ours alone, whatever numbers the container is to get.
        fs::set_cloexec(BorrowedFd::from_raw(number), true).ok()?;
        Some(Self { socket: Some(OwnedFd::from_raw(number)) })
    }

    /// The first message.
    ///
    /// # Errors
    /// [`Op::Plan`] when it is no plan or none comes.
    pub fn plan(&self) -> Result<InitPlan> {
        match self.receive(Op::Plan)? {
            ToInit::Plan { plan } => Ok(plan),
            ToInit::Go { .. } => Err(Failure::new(Op::Plan, Errno::EPROTO)),
        }
    }

    /// Sends a message and waits for the `Go` that answers it; its state comes back.
    ///
    /// # Errors
    /// [`Op::Sync`], also when the runtime is gone.
    pub fn ask(&self, message: &FromInit) -> Result<Vec<u8>> {
        self.send(message)?;
        match self.receive(Op::Sync)? {
            ToInit::Go { state } => Ok(state),
            ToInit::Plan { .. } => Err(Failure::new(Op::Sync, Errno::EPROTO)),
        }
    }

    /// Asks for the tree of an idmapped bind, the plan's mount of this number.
    ///
    /// # Errors
    /// [`Op::Sync`], also when the runtime is gone.
    pub fn tree(&self, mount: u32) -> Result<OwnedFd> {
        self.send(&FromInit::Tree { mount })?;
        frame::receive_descriptor(self.socket()?, frame::TREE).during(Op::Sync)
    }

    /// The network namespace that the plan has announced.
    ///
    /// # Errors
    /// [`Op::Sync`], also when the runtime is gone.
    pub fn network(&self) -> Result<OwnedFd> {
        frame::receive_descriptor(self.socket()?, frame::NETWORK).during(Op::Sync)
    }

    /// Hangs up: the runtime takes it for success.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Tells whoever listens about the failure that ends us. A runtime that is gone gets nothing,
    /// and neither does the container's standard error: nobody waits for it.
    pub fn report(&self, failure: Failure) {
        if self.socket.is_some() {
            let _ = self.send(&failure.into_message());
        } else {
            let _ = fs::write_all(BorrowedFd::from_raw(2), line(&failure).as_bytes());
        }
    }

    fn socket(&self) -> Result<BorrowedFd<'_>> {
        self.socket.as_ref().map(OwnedFd::as_fd).ok_or(Failure::new(Op::Sync, Errno::EBADF))
    }

    fn receive(&self, op: Op) -> Result<ToInit> {
        let message = frame::receive(self.socket()?).during(op.clone())?;
        message.ok_or(Failure::new(op, Errno::ECONNRESET))
    }

    /// By plain write(2), because a system call filter may be in force already, and those that
    /// suit runc allow it. SIGPIPE then ends us when the runtime is gone, which is what we want.
    fn send(&self, message: &FromInit) -> Result<()> {
        fs::write_all(self.socket()?, &frame::to_bytes(message)).during(Op::Sync)
    }
}

/// `exec /bin/prog: permission denied`: what was being done, with what, and why it failed. A hook's detail
/// says all of that.
fn line(failure: &Failure) -> Text {
    if failure.op == Op::Hook {
        return Text::new().with(failure.detail.as_bytes()).with(b"\n");
    }
    let mut text = Text::new().with(failure.op.words().as_bytes());
    for more in [&failure.subject, &failure.detail] {
        if !more.is_empty() {
            text = text.with(b" ").with(more.as_bytes());
        }
    }
    match failure.errno {
        Some(errno) => text.with(b": ").errno(errno).with(b"\n"),
        None => text.with(b"\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_number_is_a_socket() {
        for bad in [c"", c"-1", c"x", c"99999999999", c"7 "] {
            assert!(Sync::from_argument(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_failed_exec_reads_as_runc_words_it() {
        let failure = Failure::at(Op::Exec, c"/bin/prog", Errno::EACCES);
        assert_eq!(line(&failure).as_bytes(), b"exec /bin/prog: permission denied\n");
    }

    #[test]
    fn a_failure_without_a_number_ends_with_its_detail() {
        let failure = Failure::because(Op::Hook, c"/hook", c"error running x hook #0: exit status 1");
        assert_eq!(line(&failure).as_bytes(), b"error running x hook #0: exit status 1\n");
    }

    #[test]
    fn the_end_of_the_stream_is_a_failure() {
        let (ours, theirs) = runsig_sys::net::socketpair().unwrap();
        drop(theirs);
        let sync = Sync { socket: Some(ours) };
        assert_eq!(sync.plan(), Err(Failure::new(Op::Plan, Errno::ECONNRESET)));
    }
}
