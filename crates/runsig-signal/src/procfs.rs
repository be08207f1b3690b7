//! Reading /proc about other processes.
//!
//! Owns: the few files we need and their parsing. A process may be gone at any moment and may be
//! called anything, so everything here answers `None` for "not there" and trusts no byte.
//! Must not: judge what the values mean.

use std::ffi::CString;
use std::sync::OnceLock;

use runsig_sys::{Errno, fs, nsfs};

/// `PF_EXITING` of /proc/PID/stat's flags: the thread has begun to exit.
const PF_EXITING: u64 = 0x4;

/// The fields of /proc/PID/stat that we use. <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The short name, 15 bytes of anything.
    pub comm: String,
    /// R, S, D, T, t, Z, X, I.
    pub state: char,
    /// The parent.
    pub ppid: i32,
    /// The process group.
    pub pgrp: i32,
    flags: u64,
    /// Threads left.
    pub threads: i64,
    /// Ticks since boot when it was made.
    pub start_time: u64,
    /// The wait status word of a zombie; 0 where we may not see it.
    pub exit_code: i32,
}

impl Stat {
    /// Reads it for a process or, with `/task/TID` in `which`, for a thread.
    pub(crate) fn read(which: &str) -> Option<Self> {
        Self::try_read(which).ok().flatten()
    }
    /// Reads it for a process.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Self::read(&pid.to_string())
    }
    /// As [`Stat::read`], telling a process that is gone from a file that cannot be opened.
    pub(crate) fn try_read(which: &str) -> Result<Option<Self>, Errno> {
        let mut buf = [0; 4096];
        match read_once(&format!("/proc/{which}/stat"), &mut buf) {
            Ok(len) => Ok(buf.get(..len).and_then(Self::parse)),
            Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
    /// The second field is in parentheses and may itself hold parentheses, blanks and newlines: it
    /// goes to the last `)`.
    fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|b| *b == b'(')?;
        let close = text.iter().rposition(|b| *b == b')')?;
        let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The manual counts from 1 and `rest` begins with field 3.
        let field = |n: usize| fields.get(n - 3).copied();
        Some(Self {
            comm,
            state: field(3)?.chars().next()?,
            ppid: field(4)?.parse().ok()?,
            pgrp: field(5)?.parse().ok()?,
            flags: field(9)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            start_time: field(22)?.parse().ok()?,
            exit_code: field(52).and_then(|n| n.parse().ok()).unwrap_or(0),
        })
    }
    /// Whether this thread has begun to exit (or has ended).
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        self.flags & PF_EXITING != 0 || self.is_dead()
    }
    /// Whether this thread is a zombie or dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The fields of /proc/PID/status that we use. <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// R, S, D, T, t, Z, X.
    pub state: char,
    /// Its numbers, from our PID namespace down to its own.
    pub ns_pid: Vec<i32>,
    /// Who traces it; 0 for nobody.
    pub tracer: i32,
    /// Threads.
    pub threads: i64,
    /// Pending for this thread.
    pub pending: u64,
    /// Pending for the process.
    pub shared_pending: u64,
    /// Blocked by this thread (in a call with a mask of its own: by that mask).
    pub blocked: u64,
    /// Ignored by the process.
    pub ignored: u64,
    /// Caught by the process.
    pub caught: u64,
}

impl Status {
    /// Reads it for a process or, with `/task/TID` in `which`, for a thread.
    pub(crate) fn read(which: &str) -> Option<Self> {
        read_all(&format!("/proc/{which}/status")).ok().map(|text| Self::parse(&text))
    }
    /// Reads it for a process.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Self::read(&pid.to_string())
    }
    /// The kernel escapes newlines in the name, so a line is a line. In bytes, since most of the file does
    /// not matter, and a name may be no text.
    fn parse(text: &[u8]) -> Self {
        let mut status = Self { state: '?', ..Self::default() };
        for line in text.split(|b| *b == b'\n') {
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let (key, value) = line.split_at(colon);
            let value = || std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default().trim();
            let mask = || u64::from_str_radix(value(), 16).unwrap_or(0);
            match key {
                b"State" => status.state = value().chars().next().unwrap_or('?'),
                b"NSpid" => status.ns_pid = value().split_ascii_whitespace().flat_map(str::parse).collect(),
                b"TracerPid" => status.tracer = value().parse().unwrap_or(0),
                b"Threads" => status.threads = value().parse().unwrap_or(1),
                b"SigPnd" => status.pending = mask(),
                b"ShdPnd" => status.shared_pending = mask(),
                b"SigBlk" => status.blocked = mask(),
                b"SigIgn" => status.ignored = mask(),
                b"SigCgt" => status.caught = mask(),
                _ => {}
            }
        }
        status
    }
    /// Its number in its own PID namespace.
    #[must_use]
    pub fn inside(&self) -> Option<i32> {
        self.ns_pid.last().copied()
    }
    /// Whether it is PID 1 of a PID namespace below ours, so that the kernel drops signals it has no
    /// handler for (SIGNAL_UNKILLABLE).
    #[must_use]
    pub fn is_namespace_init(&self) -> bool {
        self.ns_pid.len() > 1 && self.inside() == Some(1)
    }
}

/// The threads of a process.
#[must_use]
pub fn threads(pid: i32) -> Vec<i32> {
    numbers_in(&format!("/proc/{pid}/task"))
}

/// Every process we can see.
#[must_use]
pub fn processes() -> Vec<i32> {
    numbers_in("/proc")
}

fn numbers_in(dir: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process, of all its threads, zombies included.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let lists: Option<Vec<Vec<u8>>> = threads(pid)
        .iter()
        .map(|tid| match read_all(&format!("/proc/{pid}/task/{tid}/children")) {
            // A thread that has just ended has no file and no children; without
            // CONFIG_PROC_CHILDREN no thread has the file.
            Err(Errno::ENOENT | Errno::ESRCH) if tid != &pid => Some(Vec::new()),
            other => other.ok(),
        })
        .collect();
    match lists {
        Some(lists) => lists.iter().flat_map(|text| parse_numbers(text)).collect(),
        None => processes().into_iter().filter(|p| Stat::of(*p).is_some_and(|s| s.ppid == pid)).collect(),
    }
}

fn parse_numbers(text: &[u8]) -> Vec<i32> {
    String::from_utf8_lossy(text).split_ascii_whitespace().flat_map(str::parse).collect()
}

/// The command line with blanks between the words and nothing in it that a terminal would obey;
/// the short name in brackets where there is none (zombies).
#[must_use]
pub fn command(pid: i32) -> String {
    /// Enough to recognise a command; a report does not carry a megabyte of arguments.
    const LONGEST: usize = 512;
    let mut buf = [0; LONGEST];
    let len = read_once(&format!("/proc/{pid}/cmdline"), &mut buf).unwrap_or(0);
    let text = String::from_utf8_lossy(buf.get(..len).unwrap_or_default()).into_owned();
    let words = text.trim_end_matches(['\0', '\u{fffd}']).replace('\0', " ");
    if words.is_empty() {
        let comm = Stat::of(pid).map_or_else(|| "?".to_owned(), |stat| stat.comm);
        return format!("[{}]", printable(&comm));
    }
    printable(&words)
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The inode of a process's PID namespace, which names the namespace for as long as it exists.
#[must_use]
pub fn pid_namespace(pid: i32) -> Option<u64> {
    let path = CString::new(format!("/proc/{pid}/ns/pid")).ok()?;
    fs::stat(runsig_sys::fd::CWD, &path, true).ok().map(|stat| stat.ino)
}

/// Whether a process is in a PID namespace, known by its inode, or in one nested in it. `None` when it is
/// gone or may not be asked.
#[must_use]
pub(crate) fn is_in_pid_namespace(pid: i32, inode: u64) -> Option<bool> {
    /// What the kernel allows: <https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>
    const DEEPEST: usize = 32;
    if pid_namespace(pid)? == inode {
        return Some(true);
    }
    let path = CString::new(format!("/proc/{pid}/ns/pid")).ok()?;
    let mut namespace = fs::openat(runsig_sys::fd::CWD, &path, fs::O_RDONLY, 0).ok()?;
    for _ in 0..DEEPEST {
        namespace = match nsfs::parent(namespace.as_fd()) {
            Ok(parent) => parent,
            // That was the outermost that we can see.
            Err(Errno::EPERM) => return Some(false),
            Err(_) => return None,
        };
        if fs::fstat(namespace.as_fd()).ok()?.ino == inode {
            return Some(true);
        }
    }
    None
}

/// The first half of the number that the kernel gave itself when it booted. Read once.
pub(crate) fn this_boot() -> Option<u64> {
    static BOOT: OnceLock<Option<u64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let mut buf = [0; 64];
        let len = read_once("/proc/sys/kernel/random/boot_id", &mut buf).ok()?;
        let digits: String = std::str::from_utf8(buf.get(..len)?).ok()?.split('-').collect();
        u64::from_str_radix(digits.get(..16)?, 16).ok()
    })
}

/// One read, for files the kernel makes in one piece.
pub(crate) fn read_once(path: &str, buf: &mut [u8]) -> Result<usize, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let file = fs::openat(runsig_sys::fd::CWD, &path, fs::O_RDONLY, 0)?;
    fs::read(file.as_fd(), buf)
}

/// The whole file.
pub(crate) fn read_all(path: &str) -> Result<Vec<u8>, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let file = fs::openat(runsig_sys::fd::CWD, &path, fs::O_RDONLY, 0)?;
    let (mut text, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match fs::read(file.as_fd(), &mut buf)? {
            0 => return Ok(text),
            n => text.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_does_not_confuse_stat() {
        let tail = "S 7 8 8 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 3 0 4242 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 \
                    24 25 26 27 28 29 30 31 32 33 34 35 36 37 256\n";
        for name in ["sh", "a) R 1 (", ") Z 1 1 1", "a b\nc", ""] {
            let stat = Stat::parse(format!("12 ({name}) {tail}").as_bytes()).unwrap();
            assert_eq!((stat.comm.as_str(), stat.state, stat.ppid, stat.threads), (name, 'S', 7, 3));
            assert_eq!((stat.start_time, stat.exit_code), (4242, 256));
            assert!(stat.is_exiting());
        }
        let mut bytes = b"12 (\xff\xfe) ".to_vec();
        bytes.extend_from_slice(tail.as_bytes());
        assert_eq!(Stat::parse(&bytes).map(|s| s.start_time), Some(4242));
    }

    #[test]
    fn garbage_is_no_stat() {
        for text in ["", "12", "12 (", "12 )(", "12 (a) S", "12 (a) S x y z"] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn status_masks_and_numbers() {
        let text = "Name:\ta:b\nState:\tS (sleeping)\nNSpid:\t100\t7\t1\nTracerPid:\t0\nThreads:\t2\n\
                    SigPnd:\t0000000000000000\nShdPnd:\t0000000000004000\nSigBlk:\tfffffffe7ffbfeff\n\
                    SigIgn:\t0000000000000002\nSigCgt:\t0000000180000000\n";
        let status = Status::parse(text.as_bytes());
        assert_eq!((status.state, status.inside(), status.is_namespace_init()), ('S', Some(1), true));
        assert_eq!((status.shared_pending, status.ignored, status.caught), (0x4000, 2, 0x1_8000_0000));
    }

    #[test]
    fn our_own_files() {
        let me = runsig_sys::process::getpid();
        let stat = Stat::of(me).unwrap();
        assert!(!stat.is_exiting() && stat.start_time > 0);
        assert!(threads(me).contains(&me));
        assert!(pid_namespace(me).is_some());
        assert!(command(me).contains("runsig_signal"));
        assert_eq!(Stat::of(i32::MAX), None);
    }
}
