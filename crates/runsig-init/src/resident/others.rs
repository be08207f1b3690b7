//! Everybody in the container but us.
//!
//! Owns: reaching them, and knowing whether there are any. In a PID namespace of our own the kernel
//! does both. In one that others use too, it is our descendants who are meant, and /proc tells who
//! they are. Must not: choose signals.

use core::ffi::CStr;

use runsig_sys::process::{self, pidfd_open, pidfd_send_signal};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs};

use crate::procfs::ProcFs;

/// Everybody but ourselves and PID 1, for kill(2).
const EVERYBODY: i32 = -1;
/// As far up as a process is followed on the way to us.
const DEEPEST: u32 = 10_000;
/// Where the descriptor of procfs is kept.
const PROC: i32 = 0;

/// How the others are found.
#[derive(Debug)]
pub(super) enum Others {
    /// We are PID 1 of a namespace.
    Namespace,
    /// We are a subreaper in others' namespace. A container need not have a /proc; without one
    /// nobody but the main process is known.
    Descendants { proc: Option<i32> },
}

impl Others {
    pub(super) fn find(procfs: &mut ProcFs) -> Self {
        if process::getpid() == 1 {
            return Self::Namespace;
        }
        let proc = procfs.open(c".", fs::O_RDONLY | fs::O_DIRECTORY).ok();
        Self::Descendants { proc: proc.map(OwnedFd::into_raw) }
    }

    pub(super) fn are_ours_alone(&self) -> bool {
        matches!(self, Self::Namespace)
    }

    /// Closes every descriptor of ours, so that readers of the container's pipes see their end when
    /// its processes have ended; /proc stays, where it is needed, as number 0.
    ///
    /// # Errors
    /// As dup3(2) and close_range(2).
    pub(super) fn keep_only_their_descriptor(&self) -> Result<(), Errno> {
        match self {
            Self::Descendants { proc: Some(proc) } => {
                if *proc != PROC {
                    fs::dup_to(BorrowedFd::from_raw(*proc), PROC, true)?;
                }
                fs::close_from(1)
            }
            _ => fs::close_from(0),
        }
    }

    /// Whether anybody is there who does not descend from us.
    pub(super) fn include_strangers(&self) -> bool {
        self.are_ours_alone() && process::kill(EVERYBODY, 0).is_ok()
    }

    /// Sends a signal to all of them; 0 does nothing. False when they cannot be found.
    pub(super) fn send(&self, signal: i32) -> bool {
        match self {
            _ if signal == 0 => true,
            Self::Namespace => {
                // ESRCH: there is nobody.
                let _ = process::kill(EVERYBODY, signal);
                true
            }
            Self::Descendants { proc: None } => false,
            Self::Descendants { .. } => each_process(|pid| send_to_descendant(pid, signal)).is_ok(),
        }
    }
}

/// /proc lists processes by number, so one that is made meanwhile comes later in the list.
fn each_process(mut act: impl FnMut(i32)) -> Result<(), Errno> {
    let proc = BorrowedFd::from_raw(PROC);
    let mut buf = [0; 2048];
    fs::seek_to(proc, 0)?;
    loop {
        let len = fs::getdents(proc, &mut buf)?;
        if len == 0 {
            return Ok(());
        }
        for (name, _) in fs::dir_entries(buf.get(..len).unwrap_or_default()) {
            if let Some(pid) = number(name.to_bytes()) {
                act(pid);
            }
        }
    }
}

/// The process is held before it is asked about, so its number cannot become a stranger's.
fn send_to_descendant(pid: i32, signal: i32) {
    let Ok(held) = pidfd_open(pid) else { return };
    if descends_from_us(pid) {
        let _ = pidfd_send_signal(held.as_fd(), signal);
    }
}

fn descends_from_us(pid: i32) -> bool {
    let us = process::getpid();
    let mut at = pid;
    for _ in 0..DEEPEST {
        match parent(at) {
            Some(parent) if parent == us => return true,
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

/// The fourth field of /proc/PID/stat. The second is in parentheses and may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let mut buf = [0; 512];
    let mut path = [0; 24];
    let file = fs::openat(BorrowedFd::from_raw(PROC), stat_path(pid, &mut path)?, fs::O_RDONLY, 0).ok()?;
    let len = fs::read(file.as_fd(), &mut buf).ok()?;
    let text = buf.get(..len)?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    number(text.get(close + 1..)?.split(|byte| *byte == b' ').nth(2)?)
}

/// `PID/stat`, without taking memory.
fn stat_path(pid: i32, room: &mut [u8; 24]) -> Option<&CStr> {
    let mut digits = [0; 10];
    let mut rest = u32::try_from(pid).ok()?;
    let mut start = digits.len();
    loop {
        start -= 1;
        *digits.get_mut(start)? = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let (digits, tail) = (digits.get(start..)?, b"/stat\0");
    room.get_mut(..digits.len())?.copy_from_slice(digits);
    room.get_mut(digits.len()..digits.len() + tail.len())?.copy_from_slice(tail);
    CStr::from_bytes_until_nul(room).ok()
}

fn number(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_of_numbers() {
        for (pid, path) in [(1, c"1/stat"), (20, c"20/stat"), (i32::MAX, c"2147483647/stat")] {
            assert_eq!(stat_path(pid, &mut [0; 24]), Some(path));
        }
        assert_eq!(stat_path(-1, &mut [0; 24]), None);
    }

    #[test]
    fn only_numbers_are_processes() {
        assert_eq!((number(b"12"), number(b"self"), number(b"")), (Some(12), None, None));
    }
}
