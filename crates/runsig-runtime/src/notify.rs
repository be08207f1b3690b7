//! Telling those who asked: a PID file, a pidfd socket, a seccomp agent.
//!
//! Owns: writing, connecting and sending. Must not: know how the descriptor came to be.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use runsig_spec::plan::SeccompListener;
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, Errno, OwnedFd, net};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::state::OciState;

/// Connects to a unix socket.
///
/// # Errors
/// As connect(2).
pub(crate) fn connect(path: &Path) -> Result<OwnedFd> {
    net::connect_unix(path.as_os_str().as_bytes())
        .map_err(|errno| Error::Invalid(format!("dial unix {}: connect: {errno}", path.display())))
}

/// The container process state of runtime-spec config-linux.md.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a OciState,
}

/// Sends a seccomp listener and the state to the agent.
///
/// # Errors
/// When the agent cannot be reached or does not take it.
pub(crate) fn send_seccomp_listener(
    to: &SeccompListener,
    fd: BorrowedFd<'_>,
    pid: i32,
    state: &OciState,
) -> Result<()> {
    let message = ProcessState {
        oci_version: &state.oci_version,
        fds: ["seccompFd"],
        pid,
        metadata: &to.metadata,
        state,
    };
    let json = serde_json::to_vec(&message).unwrap_or_default();
    let agent = "failed to connect with seccomp agent specified in the seccomp profile";
    let socket = connect(&to.path).map_err(|error| Error::Invalid(format!("{agent}: {error}")))?;
    send(&socket, &json, fd).map_err(Error::io("cannot send seccomp fd to", &to.path))
}

/// What runc sends with a pidfd: how the process comes into its container.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// As its init.
    Standard,
    /// By exec.
    Setns,
}

/// Sends a pidfd with the word for it, as runc does.
fn send_pidfd(path: &Path, kind: Kind, pidfd: BorrowedFd<'_>) -> Result<()> {
    let word: &[u8] = match kind {
        Kind::Standard => b"standard",
        Kind::Setns => b"setns",
    };
    send(&connect(path)?, word, pidfd).map_err(Error::io("cannot send pidfd to", path))
}

fn send(socket: &OwnedFd, bytes: &[u8], fd: BorrowedFd<'_>) -> runsig_sys::Result<()> {
    let sent = net::send_with_fds(socket.as_fd(), bytes, &[fd])?;
    runsig_sys::fs::write_all(socket.as_fd(), bytes.get(sent..).unwrap_or_default())
}

/// PID file and pidfd socket.
pub(crate) fn publish(
    pid_file: Option<&Path>,
    pidfd_socket: Option<&Path>,
    kind: Kind,
    child: &Child,
) -> Result<()> {
    if let Some(path) = pid_file {
        write_pid_file(path, child.pid)?;
    }
    if let Some(path) = pidfd_socket {
        send_pidfd(path, kind, child.pidfd.as_fd())?;
    }
    Ok(())
}

/// Writes the PID where an engine waits for it: a whole file or none.
pub(crate) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::io("create", path)(Errno::EISDIR))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let temporary = path.with_file_name(hidden);
    std::fs::write(&temporary, pid.to_string()).map_err(Error::std_io("open", &temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::std_io("rename", path))
}
