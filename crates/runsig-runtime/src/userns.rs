//! User namespaces from the outside: writing maps, and namespaces that exist only for their maps.
//!
//! Owns: /proc/PID/uid_map and its kin, newuidmap and newgidmap. Must not: choose the maps.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use runsig_spec::plan::IdMapping;
use runsig_sys::process::{self, CLONE_NEWUSER, CStrArray, WaitFor};
use runsig_sys::spawn::{Spawn, spawn};
use runsig_sys::{Errno, OwnedFd, fd, fs};

use crate::error::{Error, Result};
use crate::store::c_path;

fn map_text(mappings: &[IdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut text, m| {
        let _ = writeln!(text, "{} {} {}", m.container, m.host, m.size);
        text
    })
}

/// Writes the maps of the process `pid`, a child of ours that waits for them. Without privilege one
/// may map oneself, after giving up setgroups (user_namespaces(7)); anything more takes the
/// set-user-ID helpers and /etc/subuid.
///
/// # Errors
/// When the kernel, newuidmap or newgidmap refuses them.
pub(crate) fn write_maps(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    write_map(pid, "uid", uids)?;
    let own = process::getegid();
    let only_own = matches!(gids, [map] if map.size == 1 && map.host == own);
    if only_own && process::geteuid() != 0 {
        write_proc(pid, "setgroups", "deny")?;
    }
    write_map(pid, "gid", gids)
}

/// As runc, the helper is asked only when the kernel says no: a caller may have CAP_SETUID without
/// being root.
fn write_map(pid: i32, kind: &str, mappings: &[IdMapping]) -> Result<()> {
    match write_proc(pid, &format!("{kind}_map"), &map_text(mappings)) {
        Err(Error::Io { errno: Errno::EPERM, .. }) if process::geteuid() != 0 => {
            map_by_helper(kind, pid, mappings)
        }
        written => written,
    }
}

fn write_proc(pid: i32, file: &str, text: &str) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    let write = |path: &std::ffi::CStr| {
        let fd = fs::openat(fd::CWD, path, fs::O_WRONLY, 0)?;
        fs::write_all(fd.as_fd(), text.as_bytes())
    };
    write(&c_path(&path)?).map_err(Error::io("write", &path))
}

/// newuidmap(1) or newgidmap(1).
fn map_by_helper(kind: &str, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let refused = |why: &str| Error::Invalid(format!("failed to use new{kind} map on {pid}: {why}"));
    let numbers = mappings.iter().flat_map(|m| [m.container, m.host, m.size]).map(|n| n.to_string());
    let output = Command::new(format!("new{kind}map")).arg(pid.to_string()).args(numbers).output().map_err(
        |error| refused(&format!("mapping tool not present (new{kind}map: {})", Errno::from_io(&error))),
    )?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(&said.trim().replace('\n', "; ")))
}

/// A user namespace with these maps that no process is in, for an idmapped mount.
///
/// # Errors
/// As the clone and the writing of the maps.
pub(crate) fn for_maps(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let sys = |errno: Errno| Error::Io { operation: "create", path: "user namespace".into(), errno };
    let (hold, release) = fs::pipe(0).map_err(sys)?;
    let mut room = [std::ptr::null()];
    let nothing = CStrArray::new(std::iter::empty(), &mut room).map_err(sys)?;
    let child = spawn(&Spawn {
        namespaces: CLONE_NEWUSER,
        cgroup: None,
        tasks: &[],
        join: &[],
        hold: Some(hold.as_fd()),
        become_root: false,
        inherit: &[],
        program: hold.as_fd(),
        argv: &nothing,
        envp: &nothing,
        report: None,
    })
    .map_err(|failure| sys(failure.errno))?;
    let namespace = write_maps(child.pid, uids, gids).and_then(|()| {
        let path = PathBuf::from(format!("/proc/{}/ns/user", child.pid));
        fs::openat(fd::CWD, &c_path(&path)?, fs::O_RDONLY, 0).map_err(Error::io("open", &path))
    });
    // The child holds a copy of the pipe's write end too, so the end of the file never comes.
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), 9);
    let _ = process::wait(WaitFor::Pidfd(child.pidfd.as_fd()), false);
    drop(release);
    namespace
}
