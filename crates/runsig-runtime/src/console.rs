//! The terminal of a container in front: raw mode, size, and the copying of bytes.
//!
//! Owns: the host's terminal while it is lent to the container, and giving it back as it was.
//! Must not: make the container's terminal; the init does, and sends us its master.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use nix::sys::termios::{self, SetArg, Termios};
use runsig_sys::process::{POLLERR, POLLHUP, POLLIN, PollFd};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, net, term};

use crate::error::{Error, Result};

const POLLOUT: i16 = 4;
const STDIN: BorrowedFd<'static> = BorrowedFd::from_raw(0);
const STDOUT: BorrowedFd<'static> = BorrowedFd::from_raw(1);
/// Bytes on their way to the container are held up to this much before we stop reading.
const MOST_PENDING: usize = 64 * 1024;

/// Our side of the container's terminal.
pub struct Console {
    socket: OwnedFd,
    master: Option<OwnedFd>,
    saved: Option<Termios>,
    to_container: VecDeque<u8>,
    input_open: bool,
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Io { operation, path: "console".into(), errno }
}

impl Console {
    /// A console that waits for its master, and the socket to send it to.
    ///
    /// # Errors
    /// As socketpair(2).
    pub fn open() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = net::socketpair().map_err(failed("socketpair for"))?;
        let console =
            Self { socket: ours, master: None, saved: None, to_container: VecDeque::new(), input_open: true };
        Ok((console, theirs))
    }

    /// A console and the socket for its master where there is to be a terminal.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn for_terminal(terminal: bool) -> Result<(Option<Self>, Option<OwnedFd>)> {
        Ok(if terminal {
            Self::open().map(|(console, socket)| (Some(console), Some(socket)))?
        } else {
            (None, None)
        })
    }

    /// Takes the master: before the program starts, so that its first line is treated like all others.
    ///
    /// # Errors
    /// When no master was sent.
    pub fn receive(&mut self) -> Result<()> {
        let mut fds = [None];
        let mut name = [0u8; 256];
        net::recv_with_fds(self.socket.as_fd(), &mut name, &mut fds).map_err(failed("receive"))?;
        let [master] = fds;
        let master = master.ok_or_else(|| failed("receive")(Errno::EBADF))?;
        fs::set_status_flags(master.as_fd(), fs::O_NONBLOCK).map_err(failed("set up"))?;
        keep_newlines(&master);
        self.master = Some(master);
        self.resize();
        Ok(())
    }

    /// Puts our own terminal, where we have one, into raw mode.
    pub fn begin(&mut self) {
        if let Ok(now) = termios::tcgetattr(std::io::stdin().as_fd()) {
            let mut raw = now.clone();
            termios::cfmakeraw(&mut raw);
            if termios::tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &raw).is_ok() {
                self.saved = Some(now);
            }
        }
    }

    /// Gives the container's terminal the size of ours. Where ours is none, nothing happens.
    pub fn resize(&self) {
        if let (Some(master), Ok((rows, columns))) = (&self.master, term::size(STDIN)) {
            let _ = term::set_size(master.as_fd(), rows, columns);
        }
    }

    /// What to poll: the master, then our standard input.
    #[must_use]
    pub fn watched(&self) -> [PollFd; 2] {
        let master = self.master.as_ref().map_or(-1, OwnedFd::raw);
        let writing = if self.to_container.is_empty() { 0 } else { POLLOUT };
        let reading = self.input_open && self.to_container.len() < MOST_PENDING;
        [
            PollFd { fd: master, events: POLLIN | writing, revents: 0 },
            PollFd { fd: if reading { 0 } else { -1 }, events: POLLIN, revents: 0 },
        ]
    }

    /// Moves bytes both ways, as far as the poll said they can be.
    pub fn relay(&mut self, polled: &[PollFd]) {
        let ready = |index: usize| polled.get(index).map_or(0, |fd| fd.revents);
        if ready(1) & (POLLIN | POLLHUP | POLLERR) != 0 {
            self.read_input();
        }
        self.write_pending();
        if ready(0) & POLLIN != 0 {
            self.copy_output_once();
        } else if ready(0) & (POLLHUP | POLLERR) != 0 {
            // No slave is open (any more). The end of init is told by its pidfd.
            self.master = None;
        }
    }

    fn read_input(&mut self) {
        let mut buffer = [0u8; 4096];
        match fs::read(STDIN, &mut buffer) {
            Ok(0) | Err(_) => self.input_open = false,
            Ok(n) => self.to_container.extend(buffer.get(..n).unwrap_or_default()),
        }
    }

    fn write_pending(&mut self) {
        let Some(master) = &self.master else { return self.to_container.clear() };
        while !self.to_container.is_empty() {
            match fs::write(master.as_fd(), self.to_container.as_slices().0) {
                Ok(n) => drop(self.to_container.drain(..n)),
                Err(_) => return,
            }
        }
    }

    /// Copies one buffer of output; false when there was none.
    fn copy_output_once(&mut self) -> bool {
        let mut buffer = [0u8; 8192];
        let Some(master) = &self.master else { return false };
        match fs::read(master.as_fd(), &mut buffer) {
            Ok(n) if n > 0 => {
                // A reader that has gone away is no reason to stop the container.
                let _ = fs::write_all(STDOUT, buffer.get(..n).unwrap_or_default());
                true
            }
            _ => false,
        }
    }

    /// Copies what the container has written before it ended.
    pub fn drain(&mut self) {
        while self.copy_output_once() {}
    }
}

/// Lets a newline stay one, as runc does in front (and only there: whoever takes a terminal through
/// a console socket sets it up to taste). Our own terminal adds the carriage return; a file or a
/// pipe wants none.
fn keep_newlines(master: &OwnedFd) {
    if let Ok(mut settings) = termios::tcgetattr(master) {
        settings.output_flags.remove(termios::OutputFlags::ONLCR);
        let _ = termios::tcsetattr(master, SetArg::TCSANOW, &settings);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = termios::tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, saved);
        }
    }
}
