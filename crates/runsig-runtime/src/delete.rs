//! `delete`, and undoing a `create` that failed or was killed.
//!
//! Owns: ending what is left of a container and removing all that was made for it, in an order
//! that can be taken up again: processes, cgroup, directory, poststop hooks.
//! Must not: say that something is gone while it is not.

use std::path::PathBuf;
use std::time::Duration;

use runsig_cgroup::Cgroup;
use runsig_proto::plan::Hook;
use runsig_signal::Signal;
use runsig_signal::identity::{self, Life, ProcessFd};
use runsig_signal::target::PidNamespace;
use runsig_signal::zap;
use runsig_sys::Errno;
use runsig_sys::process::{self, POLLIN, PollFd};

use crate::damaged;
use crate::error::{Error, Result};
use crate::facts;
use crate::hooks;
use crate::state::{Phase, State};
use crate::status::Status;
use crate::store::{Container, Store};

/// How long `delete` waits for processes that were killed. runc's bound.
const BOUND_MS: u64 = 10_000;

/// Deletes a container: a stopped one, a created one (its init is ended), or with `force` any.
///
/// # Errors
/// When it runs and `force` is not given, or when something of it cannot be ended or removed:
/// then the state stays, and another `delete` goes on from there. When its state cannot be read and
/// `force` is not given, or processes of it seem to be there.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    let container = match store.load(id) {
        Ok(container) => container,
        Err(Error::NotExist) => {
            // A killed claim, or a killed delete: nothing else was made or is left.
            store.sweep(id)?;
            return if force { Ok(()) } else { Err(Error::NotExist) };
        }
        Err(Error::BadState { path, reason }) if force => return remove_unreadable(store, id, path, reason),
        Err(error) => return Err(error),
    };
    if !force {
        match container.status()? {
            Status::Stopped | Status::Created => {}
            status => {
                return Err(Error::State(format!(
                    "cannot delete container {id} that is not stopped: {status}"
                )));
            }
        }
    }
    destroy(store, container)
}

/// Removes a container whose state cannot be read, unless something of it seems to run: nobody could find
/// that again.
fn remove_unreadable(store: &Store, id: &str, path: PathBuf, reason: String) -> Result<()> {
    let left = damaged::processes(id);
    if left.is_empty() {
        return store.remove(id);
    }
    let named: Vec<_> = left.iter().map(|(pid, name)| format!("{pid} ({name})")).collect();
    let reason =
        format!("{reason}; processes in a cgroup of that name: {}; end them first", named.join(", "));
    Err(Error::BadState { path, reason })
}

/// Ends every process of the container and removes what was made for it.
///
/// # Errors
/// As [`delete`].
pub(crate) fn destroy(store: &Store, container: Container) -> Result<()> {
    let nothing_started = container.state.phase == Phase::Creating && !facts::are_saved(&container);
    let Container { state, dir, .. } = container;
    // That may be the last descriptor there is for what follows.
    drop(dir);
    let mut cgroup = Cgroup::new(state.cgroup.clone());
    if nothing_started {
        // The cgroup is ours and empty, or somebody else's (ours is never frozen yet): then it stays.
        if !cgroup.populated()? && !cgroup.is_frozen().unwrap_or(false) {
            let _ = cgroup.remove_within(Duration::ZERO);
        }
    } else {
        end_processes(&state, &cgroup)?;
        cgroup.remove()?;
        if let Some(groups) = &state.resctrl {
            groups.remove()?;
        }
    }
    store.remove(&state.id)?;
    let poststop: Vec<Hook> = state.poststop.iter().map(Hook::from).collect();
    hooks::run("poststop", &poststop, &state.oci(Status::Stopped, 0))
}

/// Whether the container under this ID was left half made by a creator that is gone; if so it is
/// removed.
///
/// # Errors
/// When it cannot be.
pub(crate) fn clear_abandoned(store: &Store, id: &str) -> Result<bool> {
    let container = match store.load(id) {
        Ok(container) => container,
        Err(Error::NotExist) => return Ok(false),
        Err(error) => return Err(error),
    };
    if container.state.phase != Phase::Creating || container.status()? != Status::Stopped {
        return Ok(false);
    }
    destroy(store, container)?;
    Ok(true)
}

fn end_processes(state: &State, cgroup: &Cgroup) -> Result<()> {
    let init = match state.init {
        Some(init) => identity::open(&init)?,
        None => None,
    };
    if let Some(init) = &init {
        // One that ended in the meantime is what we want.
        init.send(Signal::KILL)?;
    }
    // Own PID namespace: the kernel ends the rest with init. Otherwise, and for a container that
    // was never finished, the cgroup says who is left.
    if state.pid_namespace != PidNamespace::Own || state.phase == Phase::Creating {
        cgroup.kill_all()?;
    } else if cgroup.is_frozen()? {
        // v1: a frozen task does not even die.
        cgroup.thaw()?;
    }
    match init {
        Some(init) => wait_for_end(&init, state.pid_namespace_inode),
        None => Ok(()),
    }
}

/// Waits on the pidfd; it becomes readable when the process is a zombie or gone.
fn wait_for_end(init: &ProcessFd, namespace: Option<u64>) -> Result<()> {
    let deadline = process::monotonic_ns() + BOUND_MS * 1_000_000;
    loop {
        let left_ms = deadline.saturating_sub(process::monotonic_ns()) / 1_000_000;
        let mut fds = [PollFd { fd: init.as_fd().raw(), events: POLLIN, revents: 0 }];
        match process::poll(&mut fds, left_ms.cast_signed()) {
            Ok(1) => return Ok(()),
            Ok(_) if left_ms == 0 => return Err(still_there(init, namespace)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::io("wait for init", init.pid().to_string())(errno)),
        }
    }
}

fn still_there(init: &ProcessFd, namespace: Option<u64>) -> Error {
    let cause = match init.life() {
        Life::Exiting => format!(": {}", zap::examine(init.pid(), namespace)),
        _ => String::new(),
    };
    Error::State(format!("container init still running{cause}"))
}
