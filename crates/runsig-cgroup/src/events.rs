//! `cgroup.events` of cgroup v2: is anybody in there, is it frozen.
//!
//! Owns: reading it, and waiting for it to change with poll(2). Must not: write anything.

use std::time::{Duration, Instant};

use runsig_sys::fs::O_RDONLY;
use runsig_sys::process::{POLLERR, POLLPRI, PollFd, poll};
use runsig_sys::{Errno, OwnedFd};

use crate::dir::{Dir, read_all};
use crate::error::{Error, Result};

const FILE: &str = "cgroup.events";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events {
    /// There is a live process in it or below it.
    pub(crate) populated: bool,
    /// All of its processes are frozen.
    pub(crate) frozen: bool,
}

impl Events {
    fn parse(text: &str) -> Self {
        let is_set = |key: &str| text.lines().any(|line| line.strip_prefix(key) == Some(" 1"));
        Self { populated: is_set("populated"), frozen: is_set("frozen") }
    }
    pub(crate) fn read(dir: &Dir) -> Result<Self> {
        dir.read(FILE).map(|text| Self::parse(&text))
    }
}

/// Watches the events of one cgroup.
pub(crate) struct Watch<'a> {
    dir: &'a Dir,
    fd: OwnedFd,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(dir: &'a Dir) -> Result<Self> {
        Ok(Self { dir, fd: dir.open_file(FILE, O_RDONLY)? })
    }

    /// Waits until the events are as wanted, at most `timeout`. Returns whether they are.
    pub(crate) fn wait(&self, timeout: Duration, wanted: impl Fn(Events) -> bool) -> Result<bool> {
        let end = Instant::now() + timeout;
        // The kernel holds back a second notification within 10 ms of the first (it limits them),
        // and freezing mostly takes microseconds: look again by ourselves, less and less often.
        let mut pause = Duration::from_micros(20);
        loop {
            let text = read_all(self.fd.as_fd())
                .map_err(|errno| Error::call("read", self.dir.path().join(FILE), errno))?;
            if wanted(Events::parse(&text)) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.sleep(pause.min(left))?;
            pause = (pause * 2).min(Duration::from_millis(64));
        }
    }

    /// Sleeps, from a millisecond on only until the next event.
    fn sleep(&self, pause: Duration) -> Result<()> {
        let Some(ms @ 1..) = i64::try_from(pause.as_millis()).ok() else {
            std::thread::sleep(pause);
            return Ok(());
        };
        let mut fds = [PollFd { fd: self.fd.raw(), events: POLLPRI | POLLERR, revents: 0 }];
        match poll(&mut fds, ms) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::call("poll", self.dir.path().join(FILE), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        assert_eq!(Events::parse("populated 1\nfrozen 0\n"), Events { populated: true, frozen: false });
        assert_eq!(Events::parse("populated 0\nfrozen 1\n"), Events { populated: false, frozen: true });
        assert_eq!(Events::parse("populated 11\nunfrozen 1\n"), Events::default());
        assert_eq!(Events::parse(""), Events::default());
    }
}
