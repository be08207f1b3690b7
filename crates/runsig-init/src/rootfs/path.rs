//! Finding and making places below a root directory, always from its descriptor.
//!
//! Owns: the walk. Links are followed as if the root were `/`, missing parts are made, and what
//! comes out is a descriptor together with the path it really has: the checks that follow look at
//! that path, and the mount goes onto that descriptor, so nothing can be put in between
//! (CVE-2021-30465).
//!
//! Must not: mount, or use a path twice.

use alloc::ffi::CString;
use alloc::vec::Vec;

use core::ffi::CStr;
use runsig_sys::fs::{
    self, O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS,
};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

/// As many links as the kernel follows in one walk (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// Longest target of a link (`PATH_MAX`).
const LONGEST_LINK: usize = 4096;

/// A file below the root.
#[derive(Debug)]
pub(crate) struct Place {
    /// An `O_PATH` descriptor.
    pub fd: OwnedFd,
    /// Its path from the root: no links, no `.` or `..`, no slash at the start. Empty: the root.
    pub path: Vec<u8>,
    /// Whether it was there before we came.
    pub existed: bool,
}

/// What to make when nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// What to do about a link at the very end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLink {
    /// Go where it leads, inside the root.
    Follow,
    /// Fail with `ELOOP`.
    Refuse,
}

/// Opens `path` (`O_PATH`), links followed inside the root.
pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    fs::openat2(root, path, O_PATH, 0, RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS)
}

/// Finds `path` or makes it, its missing parents too. A dangling link's target is made, inside
/// the root.
pub(crate) fn find_or_make(
    root: BorrowedFd<'_>,
    path: &CStr,
    make: Make,
    last: LastLink,
) -> Result<Place, Errno> {
    if let Ok(place) = find_plain(root, path) {
        return Ok(place);
    }
    let (path, existed) = resolve(root, path.to_bytes(), last)?;
    Ok(Place { fd: walk(root, &path, make)?, path, existed })
}

/// The directory that holds (or would hold) `path`, made if it is missing, and the last name.
pub(crate) fn parent<'p>(root: BorrowedFd<'_>, path: &'p CStr) -> Result<(OwnedFd, &'p CStr), Errno> {
    let bytes = path.to_bytes_with_nul();
    let slash = bytes.iter().rposition(|b| *b == b'/');
    let name = bytes.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default();
    let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno::EINVAL)?;
    if matches!(name.to_bytes(), b"" | b"." | b"..") {
        return Err(Errno::EINVAL);
    }
    let dir = terminated(bytes.get(..slash.unwrap_or(0)).unwrap_or_default())?;
    find_or_make(root, &dir, Make::Directory, LastLink::Follow).map(|place| (place.fd, name))
}

/// The common case, in one call: everything is there and no link is on the way.
fn find_plain(root: BorrowedFd<'_>, path: &CStr) -> Result<Place, Errno> {
    let clean = join(path.to_bytes())?;
    let fd = open_plain(root, &clean, O_PATH)?;
    Ok(Place { fd, path: clean, existed: true })
}

/// A path's names with single slashes; a `..` is no business of the common case.
fn join(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut clean = Vec::with_capacity(path.len());
    for name in names(path) {
        if name == b".." {
            return Err(Errno::EINVAL);
        }
        append(&mut clean, name);
    }
    Ok(clean)
}

/// The real path of `path` inside the root, whether or not its end exists. Parts that do not
/// exist are taken literally.
fn resolve(root: BorrowedFd<'_>, path: &[u8], last: LastLink) -> Result<(Vec<u8>, bool), Errno> {
    let mut todo: Vec<Vec<u8>> = names(path).rev().map(Vec::from).collect();
    let mut done: Vec<u8> = Vec::with_capacity(path.len());
    let (mut links, mut exists) = (0, true);
    while let Some(name) = todo.pop() {
        if name == b".." {
            done.truncate(done.iter().rposition(|b| *b == b'/').unwrap_or(0));
            continue;
        }
        let before = done.len();
        append(&mut done, &name);
        let fd = match open_plain(root, &done, O_PATH | O_NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => {
                exists = false;
                continue;
            }
            Err(errno) => return Err(errno),
        };
        exists = true;
        if !fs::fstat(fd.as_fd())?.is(fs::S_IFLNK) {
            continue;
        }
        links += 1;
        if links > LINKS || (todo.is_empty() && last == LastLink::Refuse) {
            return Err(Errno::ELOOP);
        }
        done.truncate(before);
        let target = read_link(fd.as_fd(), c"")?;
        if target.first() == Some(&b'/') {
            done.clear();
        }
        todo.extend(names(&target).rev().map(Vec::from));
    }
    Ok((done, exists))
}

/// Opens a path without links part by part, making what is missing. A link found now was put
/// there after `resolve` looked: that is an attack or a mistake, and an error (`ELOOP`).
fn walk(root: BorrowedFd<'_>, path: &[u8], make: Make) -> Result<OwnedFd, Errno> {
    let mut dir = fs::openat(root, c".", O_PATH | O_DIRECTORY, 0)?;
    let mut rest = names(path).peekable();
    while let Some(name) = rest.next() {
        let make = if rest.peek().is_some() { Make::Directory } else { make };
        dir = step(dir.as_fd(), &terminated(name)?, make)?;
    }
    Ok(dir)
}

/// Opens `name` in `dir`, or makes it. Somebody else may make it at the same moment.
fn step(dir: BorrowedFd<'_>, name: &CStr, make: Make) -> Result<OwnedFd, Errno> {
    let open = || fs::openat2(dir, name, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    match open() {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let made = match make {
        Make::Directory => fs::mkdirat(dir, name, 0o755),
        Make::File => fs::mknodat(dir, name, fs::S_IFREG | 0o644, 0, 0),
    };
    match made {
        Ok(()) | Err(Errno::EEXIST) => open(),
        Err(errno) => Err(errno),
    }
}

fn open_plain(root: BorrowedFd<'_>, path: &[u8], flags: u32) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { CString::from(c".") } else { terminated(path)? };
    fs::openat2(root, &path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
}

/// What the link at `path` (empty: the descriptor's own) holds.
pub(crate) fn read_link(dir: BorrowedFd<'_>, path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut buf = alloc::vec![0; LONGEST_LINK];
    let len = fs::readlinkat(dir, path, &mut buf)?;
    buf.truncate(len);
    Ok(buf)
}

/// The names of a path, without empty ones and `.`.
pub(crate) fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".")
}

fn append(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// The bytes as a string for the kernel; `EINVAL` for a NUL inside.
pub(crate) fn terminated(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}
