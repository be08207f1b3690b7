//! Waiting in front of a container: its end, our signals, its terminal, in one poll loop.
//!
//! Owns: the loop of `run` and of `exec`. Signals are blocked before the clone and read from a
//! signalfd, the end is read from the pidfd: neither can be lost.
//! Must not: start or delete anything.

use runsig_sys::process::{self, ExitStatus, POLLIN, PollFd, WaitFor};
use runsig_sys::signal::{self, SigSet};
use runsig_sys::spawn::Child;
use runsig_sys::{Errno, OwnedFd, fs};

use crate::console::Console;
use crate::error::{Error, Result};
use crate::sd_notify::Relay;

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;
/// A signalfd_siginfo; its first word is the signal. <https://man7.org/linux/man-pages/man2/signalfd.2.html>
const SIGINFO: usize = 128;

/// Our signals, readable.
pub(crate) struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks every signal and opens a descriptor to read them from.
    pub(crate) fn block() -> Result<Self> {
        let failed = |errno| Error::Io { operation: "block", path: "signals".into(), errno };
        signal::set_mask(SigSet::ALL).map_err(failed)?;
        signal::signalfd(SigSet::ALL, true).map(|fd| Self { fd }).map_err(failed)
    }

    fn next(&self) -> Option<i32> {
        let mut info = [0u8; SIGINFO];
        match fs::read(self.fd.as_fd(), &mut info) {
            Ok(SIGINFO) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
            _ => None,
        }
    }
}

/// What is waited for.
pub(crate) struct Foreground<'a> {
    pub(crate) signals: Signals,
    pub(crate) console: Option<Console>,
    /// What tells the service manager that the program is ready; dropped when it has.
    pub(crate) relay: Option<Relay>,
    pub(crate) child: &'a Child,
}

impl Foreground<'_> {
    /// Waits for the child's end and returns its exit code, 128+n for a signal.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub(crate) fn wait(mut self) -> Result<i32> {
        if let Some(console) = &mut self.console {
            console.begin();
        }
        loop {
            let relay = self.relay.as_ref().map_or(-1, Relay::raw);
            let mut fds = vec![watch(self.child.pidfd.raw()), watch(self.signals.fd.raw()), watch(relay)];
            if let Some(console) = &self.console {
                fds.extend(console.watched());
            }
            match process::poll(&mut fds, -1) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            self.handle_signals();
            if let Some(console) = &mut self.console {
                console.relay(fds.get(3..).unwrap_or_default());
            }
            if fds.get(2).is_some_and(|fd| fd.revents != 0) {
                self.notify();
            }
            if let Some(status) = self.reap()? {
                if let Some(console) = &mut self.console {
                    console.drain();
                }
                return Ok(status.shell_code());
            }
        }
    }

    /// In front it is us whom systemd watches.
    fn notify(&mut self) {
        if self.relay.as_ref().is_some_and(|relay| relay.relay(process::getpid())) {
            self.relay = None;
        }
    }

    fn handle_signals(&mut self) {
        while let Some(number) = self.signals.next() {
            match number {
                // The poll has returned, so the loop reaps next.
                SIGCHLD | SIGURG => {}
                SIGWINCH => {
                    if let Some(console) = &self.console {
                        console.resize();
                    }
                }
                // ESRCH: it has ended, which the pidfd tells next.
                other => drop(process::pidfd_send_signal(self.child.pidfd.as_fd(), other)),
            }
        }
    }

    /// Reaps all that has ended: as a subreaper we are given orphans too, and they must not stay
    /// zombies. Returns how init ended, once it has.
    fn reap(&self) -> Result<Option<ExitStatus>> {
        loop {
            match process::wait(WaitFor::Any, true) {
                Ok(Some((pid, status))) if pid == self.child.pid => return Ok(Some(status)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

fn watch(fd: i32) -> PollFd {
    PollFd { fd, events: POLLIN, revents: 0 }
}

fn failed(errno: Errno) -> Error {
    Error::Io { operation: "wait for", path: "init".into(), errno }
}
