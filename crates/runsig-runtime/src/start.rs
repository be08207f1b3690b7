//! `start`: letting a created container's program run.
//!
//! Owns: the exec fifo's other end, poststart hooks. Must not: wait longer than it has to.

use runsig_proto::plan::Hook;
use runsig_signal::Signal;
use runsig_signal::identity;
use runsig_sys::process::{self, POLLERR, POLLHUP, PollFd};
use runsig_sys::{Errno, OwnedFd, fs};

use crate::error::{Error, Result};
use crate::hooks;
use crate::sd_notify::Relay;
use crate::state::Phase;
use crate::status::Status;
use crate::store::{Container, FIFO, Store};

/// Starts a created container.
///
/// # Errors
/// When it is not created; when a poststart hook fails, after ending the container.
pub fn start(store: &Store, id: &str) -> Result<()> {
    let container = store.load(id)?;
    let fifo = match open_fifo(&container)? {
        Some(fifo) if container.state.phase == Phase::Created => fifo,
        _ => return Err(not_created(&container)?),
    };
    // Its program would begin whenever somebody thaws it.
    if container.is_frozen()? {
        return Err(not_created(&container)?);
    }
    let relay = Relay::listen(&container)?;
    // In this order: killed in between, a fifo is left that no one reads, and that means running.
    fs::write_all(fifo.as_fd(), &[0])
        .and_then(|()| fs::unlinkat(container.dir.as_fd(), FIFO, false))
        .map_err(Error::io("write exec fifo in", &container.path))?;
    if !container.state.poststart.is_empty() {
        wait_for_exec(&fifo)?;
        let hooks: Vec<Hook> = container.state.poststart.iter().map(Hook::from).collect();
        run_poststart(&container, &hooks)?;
    }
    relay.map_or(Ok(()), |relay| wait_until_ready(&container, &relay))
}

/// A service that is started has to be ready when we end.
fn wait_until_ready(container: &Container, relay: &Relay) -> Result<()> {
    let Some(init) = container.state.init else { return Ok(()) };
    if let Some(process) = identity::open(&init)? {
        relay.wait(process.as_fd(), process.pid());
    }
    Ok(())
}

/// The fifo's write end; `None` when nobody reads it.
fn open_fifo(container: &Container) -> Result<Option<OwnedFd>> {
    match fs::openat(container.dir.as_fd(), FIFO, fs::O_WRONLY | fs::O_NONBLOCK, 0) {
        Ok(fifo) => Ok(Some(fifo)),
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(None),
        Err(errno) => Err(Error::io("open exec fifo in", &container.path)(errno)),
    }
}

fn not_created(container: &Container) -> Result<Error> {
    Ok(Error::State(match container.status()? {
        Status::Stopped => "cannot start a container that has stopped".to_owned(),
        Status::Running => "cannot start an already running container".to_owned(),
        status => format!("cannot start a container in the {status} state"),
    }))
}

/// exec closes init's end of the fifo, and so does its death.
fn wait_for_exec(fifo: &OwnedFd) -> Result<()> {
    loop {
        let mut fds = [PollFd { fd: fifo.raw(), events: 0, revents: 0 }];
        match process::poll(&mut fds, -1) {
            Ok(_) if fds[0].revents & (POLLERR | POLLHUP) != 0 => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::io("poll", "exec fifo")(errno)),
        }
    }
}

/// Runs poststart hooks; one that fails ends the container, as in runc.
pub(crate) fn run_poststart(container: &Container, hooks: &[Hook]) -> Result<()> {
    let Some(init) = container.state.init else { return Ok(()) };
    let result = hooks::run("poststart", hooks, &container.state.oci(Status::Running, init.pid));
    if result.is_err()
        && let Ok(Some(process)) = identity::open(&init)
    {
        let _ = process.send(Signal::KILL);
    }
    result
}
