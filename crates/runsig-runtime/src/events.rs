//! `events`: what a container uses, again and again until it ends.
//!
//! Owns: the waiting, on init's end and on the clock. Must not: print, or know counters.

use std::time::{Duration, Instant};

use runsig_cgroup::{Cgroup, Stats};
use runsig_signal::identity;
use runsig_sys::Errno;
use runsig_sys::process::{self, POLLIN, PollFd};

use crate::error::{Error, Result};
use crate::status::Status;
use crate::store::{Container, Store};

/// How long an out-of-memory kill may stay unseen.
const OOM_LATENCY: Duration = Duration::from_millis(500);

/// Something to report.
#[derive(Debug)]
pub enum Event {
    /// The figures.
    Stats(Box<Stats>),
    /// The kernel has killed a process of the container for want of memory.
    Oom,
}

/// The figures now.
///
/// # Errors
/// When the container does not run or its cgroup cannot be read.
pub fn stats(store: &Store, id: &str) -> Result<Stats> {
    Ok(running(store, id)?.1.stats()?)
}

/// Reports the figures once in every `interval`, and every kill for want of memory, until the
/// container has ended. What `report` fails with ends it too.
///
/// # Errors
/// As [`stats`], and what `report` returns.
pub fn follow<E: From<Error>>(
    store: &Store,
    id: &str,
    interval: Duration,
    mut report: impl FnMut(Event) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let (container, cgroup) = running(store, id)?;
    let Some(init) = container.state.init else { return Ok(()) };
    let Some(init) = identity::open(&init).map_err(Error::from)? else { return Ok(()) };
    let mut killed = cgroup.oom_kills().unwrap_or(0);
    let mut next = Instant::now() + interval;
    loop {
        let wait = next.saturating_duration_since(Instant::now()).min(OOM_LATENCY);
        let ended = ends_within(init.as_fd().raw(), wait).map_err(|errno| Error::Io {
            operation: "wait for",
            path: "init".into(),
            errno,
        })?;
        let kills = cgroup.oom_kills().unwrap_or(killed);
        if kills > killed {
            killed = kills;
            report(Event::Oom)?;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            next += interval;
            // It may be gone by now, which the next wait tells.
            if let Ok(stats) = cgroup.stats() {
                report(Event::Stats(Box::new(stats)))?;
            }
        }
    }
}

fn running(store: &Store, id: &str) -> Result<(Container, Cgroup)> {
    let container = store.load(id)?;
    if container.status()? == Status::Stopped {
        return Err(Error::State(format!("container with id {id} is not running")));
    }
    let cgroup = Cgroup::new(container.state.cgroup.clone());
    Ok((container, cgroup))
}

fn ends_within(pidfd: i32, wait: Duration) -> runsig_sys::Result<bool> {
    let mut fds = [PollFd { fd: pidfd, events: POLLIN, revents: 0 }];
    // Rounded up: a wait that is too short would only come back at once.
    let milliseconds = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
    match process::poll(&mut fds, milliseconds) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}
