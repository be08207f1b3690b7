//! What state a container is in, from the world as it is.
//!
//! Owns: the derivation. Must not: store or change anything.

use std::ffi::CStr;
use std::fmt;
use std::path::PathBuf;

use runsig_cgroup::Cgroup;
use runsig_signal::identity::{self, Identity, Life};
use runsig_signal::zap::{self, Zap};
use runsig_sys::{BorrowedFd, Errno, fs};
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::state::Phase;
use crate::store::{Container, FIFO};

/// The status of runtime-spec runtime.md, with runc's `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The runtime is still making it.
    Creating,
    /// Init waits on the exec fifo.
    Created,
    /// The program runs.
    Running,
    /// The cgroup is frozen.
    Paused,
    /// Init is gone or a zombie.
    Stopped,
}

impl Status {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Container {
    /// The status now.
    ///
    /// # Errors
    /// When the world cannot be looked at (a missing thing is no error: it means stopped).
    pub fn status(&self) -> Result<Status> {
        match (self.state.phase, self.state.init) {
            (Phase::Created, Some(init)) if identity::has_ended(&init)? => Ok(Status::Stopped),
            (Phase::Created, Some(_)) => self.status_of_the_living(),
            _ => Ok(self.look()?.0),
        }
    }

    /// The status now; and when init has exited but cannot end, who keeps it.
    ///
    /// # Errors
    /// As [`Container::status`].
    pub fn status_and_zap(&self) -> Result<(Status, Option<Zap>)> {
        let (status, life) = self.look()?;
        let caught = self.state.init.filter(|_| life == Life::Exiting);
        Ok((status, caught.map(|init| zap::examine(init.pid, self.state.pid_namespace_inode))))
    }

    fn look(&self) -> Result<(Status, Life)> {
        if self.state.phase == Phase::Creating {
            let alive = life(self.state.creator)? == Life::Running;
            return Ok((if alive { Status::Creating } else { Status::Stopped }, Life::Gone));
        }
        let Some(init) = self.state.init else { return Ok((Status::Stopped, Life::Gone)) };
        let life = life(init)?;
        if !life.exists() {
            return Ok((Status::Stopped, life));
        }
        Ok((self.status_of_the_living()?, life))
    }

    fn status_of_the_living(&self) -> Result<Status> {
        if self.is_frozen()? {
            return Ok(Status::Paused);
        }
        let created = waits_for_start(self.dir.as_fd(), FIFO, || self.path.clone())?;
        Ok(if created { Status::Created } else { Status::Running })
    }

    /// Whether the cgroup is frozen: what makes a living container paused.
    pub(crate) fn is_frozen(&self) -> Result<bool> {
        Ok(Cgroup::new(self.state.cgroup.clone()).is_frozen()?)
    }

    /// Init's PID, 0 when it has ended.
    #[must_use]
    pub fn live_pid(&self, status: Status) -> i32 {
        live_pid(self.state.init, status)
    }
}

/// Init's PID, 0 when it has ended.
pub(crate) fn live_pid(init: Option<Identity>, status: Status) -> i32 {
    match (status, init) {
        (Status::Stopped, _) | (_, None) => 0,
        (_, Some(init)) => init.pid,
    }
}

/// Whether init still reads the exec fifo `name`, which is in (or below) `dir`: a writer can only be
/// opened without blocking while there is a reader (fifo(7)), and exec closes init's end.
pub(crate) fn waits_for_start(
    dir: BorrowedFd<'_>,
    name: &CStr,
    path: impl FnOnce() -> PathBuf,
) -> Result<bool> {
    match fs::openat(dir, name, fs::O_WRONLY | fs::O_NONBLOCK | fs::O_NOFOLLOW, 0) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(false),
        Err(errno) => Err(Error::io("open exec fifo in", path())(errno)),
    }
}

fn life(identity: Identity) -> Result<Life> {
    Ok(identity::open(&identity)?.map_or(Life::Gone, |process| process.life_when_opened()))
}
