//! The conversation with a `criu swrk`.
//!
//! One request, any number of notifications that CRIU waits for our answer to, one response; then
//! CRIU ends. Each message is one packet. <https://criu.org/RPC>
//!
//! Owns: sending, receiving, judging what comes back, and the end of the child whatever happens.
//! Must not: know what is dumped or restored.

use prost::Message;
use runsig_sys::process::{self, ExitStatus, POLLIN, PollFd, WaitFor};
use runsig_sys::spawn::Child;
use runsig_sys::{Errno, OwnedFd, fd, net};

use super::error::CriuError;
use super::program::Start;
use super::rpc::{Kind, Request, Response};
use crate::error::{Error, Result};

/// More than any packet CRIU sends; runc's bound is 40 KiB.
const PACKET: usize = 64 * 1024;
/// How long a CRIU may take to undo what it has begun, once we have given up on it.
const PATIENCE_MS: i64 = 10_000;

/// Hears what CRIU tells on its way.
pub(super) trait Listener {
    /// CRIU has come to `script`; `pid` is the restored init's, where it is known, and `fd` a
    /// descriptor that came along.
    ///
    /// # Errors
    /// Any: CRIU is told to give up.
    fn notified(&mut self, script: &str, pid: i32, fd: Option<OwnedFd>) -> Result<()>;
}

/// Nothing to do at any point.
pub(super) struct Deaf;

impl Listener for Deaf {
    fn notified(&mut self, _: &str, _: i32, _: Option<OwnedFd>) -> Result<()> {
        Ok(())
    }
}

/// A running CRIU. Dropping it ends it.
pub(super) struct Swrk {
    socket: Option<OwnedFd>,
    child: Child,
    reaped: bool,
}

fn broken(what: impl Into<String>) -> Error {
    Error::Criu(CriuError::Protocol(what.into()))
}

impl Swrk {
    /// Starts CRIU.
    ///
    /// # Errors
    /// As [`Start::swrk`].
    pub(super) fn start(start: &Start<'_>) -> Result<Self> {
        let (child, socket) = start.swrk()?;
        Ok(Self { socket: Some(socket), child, reaped: false })
    }

    /// CRIU's number.
    pub(super) fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Sends the request and hears CRIU out: to its last response and its end.
    ///
    /// # Errors
    /// When CRIU fails, says something else than it should, or the listener fails.
    pub(super) fn ask(mut self, request: Request, listener: &mut dyn Listener) -> Result<Response> {
        let asked = request.kind;
        let status_fd = request.options.as_ref().and_then(|options| options.status_fd);
        self.send(&request)?;
        let mut status_fd = status_fd;
        loop {
            let (response, descriptor) = self.receive()?;
            if let Some(number) = status_fd.take() {
                // CRIU has opened its own by now; whoever reads the other end must not wait for ours.
                let _ = fd::close(number);
            }
            let kind = Kind::try_from(response.kind).ok();
            if !response.success {
                return Err(Error::Criu(CriuError::failed(kind, response.errno, response.error)));
            }
            if kind == Some(Kind::Notify) {
                self.answer(&response, descriptor, listener)?;
            } else if response.kind == asked {
                return self.end(asked).map(|()| response);
            } else {
                let word = kind.map_or_else(|| response.kind.to_string(), |kind| kind.word().to_owned());
                return Err(broken(format!("unable to parse the response: unexpected type {word}")));
            }
        }
    }

    fn answer(
        &mut self,
        response: &Response,
        descriptor: Option<OwnedFd>,
        listener: &mut dyn Listener,
    ) -> Result<()> {
        let Some(notification) = &response.notify else {
            return Err(broken("invalid response: a notification of nothing"));
        };
        let script = notification.script.as_deref().unwrap_or_default();
        let heard = listener.notified(script, notification.pid.unwrap_or(0), descriptor);
        let answer =
            Request { kind: Kind::Notify as i32, notify_success: Some(heard.is_ok()), ..Request::default() };
        let sent = self.send(&answer);
        heard.and(sent)
    }

    fn send(&self, request: &Request) -> Result<()> {
        let Some(socket) = &self.socket else { return Err(broken("its socket is closed")) };
        let bytes = request.encode_to_vec();
        match net::send_with_fds(socket.as_fd(), &bytes, &[]) {
            Ok(n) if n == bytes.len() => Ok(()),
            Ok(_) => Err(broken("a message was cut")),
            Err(errno) => Err(Error::io("write to", "criu")(errno)),
        }
    }

    fn receive(&self) -> Result<(Response, Option<OwnedFd>)> {
        let Some(socket) = &self.socket else { return Err(broken("its socket is closed")) };
        let mut packet = vec![0u8; PACKET];
        let mut descriptor = [None];
        let n = net::recv_with_fds(socket.as_fd(), &mut packet, &mut descriptor)
            .map_err(Error::io("read from", "criu"))?;
        if n == 0 {
            return Err(broken("unexpected EOF"));
        }
        if n == PACKET {
            return Err(broken("a message is too long"));
        }
        let response = Response::decode(packet.get(..n).unwrap_or_default())
            .map_err(|error| broken(format!("unable to parse the response: {error}")))?;
        let [descriptor] = descriptor;
        Ok((response, descriptor))
    }

    /// CRIU has said its last word: it ends by itself.
    fn end(&mut self, asked: i32) -> Result<()> {
        self.socket = None;
        let ended = process::wait(WaitFor::Pidfd(self.child.pidfd.as_fd()), false);
        self.reaped = true;
        let how = match ended.map_err(Error::io("wait for", "criu"))? {
            Some((_, ExitStatus::Exited(0))) | None => return Ok(()),
            Some((_, ExitStatus::Exited(code))) => format!("exit status {code}"),
            Some((_, ExitStatus::Killed { signal, .. })) => format!("killed by signal {signal}"),
        };
        // After a pre-dump CRIU waits for the next request and takes the closed socket for a failure;
        // answers to questions are whole when they are there.
        match Kind::try_from(asked) {
            Ok(Kind::Dump | Kind::Restore) => Err(Error::Criu(CriuError::Ended(how))),
            _ => Ok(()),
        }
    }
}

impl Drop for Swrk {
    /// A closed socket makes CRIU undo what it has begun. One that does not get there is killed: the
    /// processes it leaves are in the container's cgroup, where the clean-up finds them.
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.socket = None;
        let mut fds = [PollFd { fd: self.child.pidfd.raw(), events: POLLIN, revents: 0 }];
        let deadline = process::monotonic_ns().saturating_add(PATIENCE_MS.unsigned_abs() * 1_000_000);
        loop {
            let left = deadline.saturating_sub(process::monotonic_ns()) / 1_000_000;
            match process::poll(&mut fds, left.cast_signed()) {
                Err(Errno::EINTR) if left > 0 => {}
                Ok(1) => break,
                _ => {
                    let _ = process::pidfd_send_signal(self.child.pidfd.as_fd(), 9);
                    break;
                }
            }
        }
        let _ = process::wait(WaitFor::Pidfd(self.child.pidfd.as_fd()), false);
    }
}
