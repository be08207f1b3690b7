//! Finding and starting `criu swrk`.
//!
//! CRIU is started by a copy of this program rather than by the call that starts hooks: before it
//! becomes CRIU the copy enters the container's cgroup, and for a restore it makes mounts in a mount
//! namespace of its own. Those end with CRIU. A bind mount of the rootfs that outlived a killed
//! restore in the host's namespace would be followed by whoever removes the container's directory.
//!
//! CRIU looks up descriptors in /proc of whoever made its socket. So the child makes the socket and
//! sends us the other end: the directories CRIU is given have to be of its own mount namespace.
//!
//! Owns: that child up to its exec. Must not: speak with CRIU.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use runsig_sys::process::{self, CStrArray};
use runsig_sys::signal::{self, Action, SigSet};
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, Errno, OwnedFd, RawFd, fd, fork, fs, net};

use super::error::CriuError;
use crate::error::{Error, Result};
use crate::store::c_path;

const SIGPIPE: i32 = 13;
/// Goes along with the socket: a message needs a byte.
const SOCKET: &[u8] = b"\0";

/// What CRIU starts with.
#[derive(Default)]
pub(super) struct Start<'a> {
    /// Files of cgroups that a process enters by writing `0`.
    pub(super) cgroups: &'a [OwnedFd],
    /// Descriptors it inherits at the same numbers, beside its socket.
    pub(super) inherit: &'a [RawFd],
    /// Directories that are opened once more by the child, at the numbers they have here.
    pub(super) directories: &'a [(RawFd, &'a Path)],
    /// It gets our standard streams, for the processes it restores; otherwise the null device.
    pub(super) our_streams: bool,
    /// What the child does just before.
    pub(super) before: Option<&'a dyn Fn() -> Result<()>>,
}

/// Looks for `criu` where `$PATH` says. As Go's exec.LookPath: a relative directory is not used.
pub(super) fn find() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories =
        path.as_bytes().split(|byte| *byte == b':').map(|part| Path::new(OsStr::from_bytes(part)));
    let mut programs = directories.filter(|directory| directory.is_absolute()).map(|d| d.join("criu"));
    programs.find(|program| is_executable(program)).ok_or(Error::Criu(CriuError::NotFound))
}

fn is_executable(path: &Path) -> bool {
    let Ok(name) = c_path(path) else { return false };
    path.is_file() && fs::eaccess(fd::CWD, &name, fs::X_OK).is_ok()
}

impl Start<'_> {
    /// Starts CRIU. Returns it, and our end of its socket.
    ///
    /// # Errors
    /// When there is none, or the child fails before it runs.
    pub(super) fn swrk(&self) -> Result<(Child, OwnedFd)> {
        let program = find()?;
        let failed = |errno: Errno| Error::Criu(CriuError::Start(errno.to_string()));
        let (ours, theirs) = net::socketpair().map_err(failed)?;
        let Some(pid) = fork::fork().map_err(failed)? else {
            let error = self.become_criu(&program, theirs.as_fd());
            let _ = fs::write_all(theirs.as_fd(), error.to_string().as_bytes());
            process::exit(127)
        };
        drop(theirs);
        // Not reaped by anybody but us: the number is the child's.
        let child = Child { pid, pidfd: process::pidfd_open(pid).map_err(failed)? };
        match hear(&ours) {
            Ok(socket) => Ok((child, socket)),
            Err(why) => {
                let _ = process::wait(process::WaitFor::Pidfd(child.pidfd.as_fd()), false);
                Err(Error::Criu(CriuError::Start(why)))
            }
        }
    }

    /// The child's way to CRIU. Returns only on failure.
    fn become_criu(&self, program: &Path, parent: BorrowedFd<'_>) -> Error {
        match self.prepare(parent) {
            Ok(socket) => execute(program, &socket),
            Err(error) => error,
        }
    }

    fn prepare(&self, parent: BorrowedFd<'_>) -> Result<OwnedFd> {
        let failed = |errno| Error::io("prepare", "criu")(errno);
        for file in self.cgroups {
            fs::write_all(file.as_fd(), b"0").map_err(Error::io("enter cgroup of", "criu"))?;
        }
        if let Some(before) = self.before {
            before()?;
        }
        for (number, path) in self.directories {
            let opened = fs::openat(fd::CWD, &c_path(path)?, fs::O_DIRECTORY, 0);
            let again = opened.and_then(|directory| fs::dup_to(directory.as_fd(), *number, true));
            again.map_err(Error::io("open", path))?;
        }
        let (theirs, ours) = net::packet_pair().map_err(failed)?;
        net::send_with_fds(parent, SOCKET, &[theirs.as_fd()]).map_err(failed)?;
        self.settle(&ours).map_err(failed)?;
        Ok(ours)
    }

    fn settle(&self, socket: &OwnedFd) -> runsig_sys::Result<()> {
        if !self.our_streams {
            let null = fs::openat(fd::CWD, c"/dev/null", fs::O_RDWR, 0)?;
            (0..3).try_for_each(|number| fs::dup_to(null.as_fd(), number, false))?;
        }
        fs::cloexec_from(3)?;
        let directories = self.directories.iter().map(|(number, _)| *number);
        for number in self.inherit.iter().copied().chain(directories).chain([socket.raw()]) {
            fs::set_cloexec(BorrowedFd::from_raw(number), false)?;
        }
        // In front of a container we block every signal, and CRIU waits for its children by them.
        signal::set_action(SIGPIPE, Action::Default)?;
        signal::set_mask(SigSet::EMPTY).map(drop)
    }
}

/// What the child says with its socket. Words after it, or instead of it, are of a failure; the end of
/// the stream means that CRIU runs.
fn hear(child: &OwnedFd) -> std::result::Result<OwnedFd, String> {
    let mut words = Vec::new();
    let mut socket = [None];
    let mut buffer = [0u8; 1024];
    while let Ok(n @ 1..) = net::recv_with_fds(child.as_fd(), &mut buffer, &mut socket) {
        words.extend_from_slice(buffer.get(..n).unwrap_or_default());
    }
    let why = words.strip_prefix(SOCKET).unwrap_or(&words);
    match socket {
        [Some(socket)] if why.is_empty() => Ok(socket),
        _ if why.is_empty() => Err("it ended before it ran".to_owned()),
        _ => Err(String::from_utf8_lossy(why).into_owned()),
    }
}

fn execute(program: &Path, socket: &OwnedFd) -> Error {
    let text = |text: &OsStr| CString::new(text.as_bytes()).unwrap_or_default();
    let path = text(program.as_os_str());
    let number = text(OsStr::new(&socket.raw().to_string()));
    let env: Vec<CString> =
        std::env::vars_os().map(|(name, value)| text(&[name, value].join(OsStr::new("=")))).collect();
    let argv: [&CStr; 3] = [c"criu", c"swrk", &number];
    let mut argv_room = [std::ptr::null(); 4];
    let mut envp_room = vec![std::ptr::null(); env.len() + 1];
    let arrays = CStrArray::new(argv.into_iter(), &mut argv_room)
        .and_then(|argv| Ok((argv, CStrArray::new(env.iter().map(CString::as_c_str), &mut envp_room)?)));
    let errno = match arrays {
        Ok((argv, envp)) => process::execve(&path, &argv, &envp),
        Err(errno) => errno,
    };
    Error::io("exec", program)(errno)
}
