//! `tmpcopyup`: a new tmpfs starts with what its destination held.
//!
//! Owns: copying a tree between two descriptors: owners, modes, extended attributes, links,
//! nodes. Must not: follow links, or attach anything.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_sys::fs::{
    self, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS,
    Stat,
};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use super::path::{read_link, terminated};

type Done<T = ()> = core::result::Result<T, Errno>;

/// Bytes for directory entries, and for one round of copying.
const ENTRIES: usize = 32 * 1024;
const CHUNK: usize = 1 << 20;
/// Longest list of attribute names, longest value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const ATTRIBUTES: usize = 64 * 1024;

/// Copies what is in `from` into the empty `to`. The owner of `to` becomes that of `from`, unless
/// the mount options say whose it is.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, keep_owner: bool) -> Done {
    let from = fs::openat(from, c".", O_RDONLY | O_DIRECTORY, 0)?;
    let to = fs::openat(to, c".", O_RDONLY | O_DIRECTORY, 0)?;
    if !keep_owner {
        let stat = fs::fstat(from.as_fd())?;
        fs::fchownat(to.as_fd(), c"", stat.uid, stat.gid)?;
    }
    copy_attributes(from.as_fd(), to.as_fd())?;
    // Directories still to do, as paths below both roots: no depth exhausts stack or descriptors.
    let mut todo: Vec<Vec<u8>> = alloc::vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let (source, target) = (open_dir(from.as_fd(), &path)?, open_dir(to.as_fd(), &path)?);
        let mut buf = alloc::vec![0; ENTRIES];
        loop {
            let filled = fs::getdents(source.as_fd(), &mut buf)?;
            if filled == 0 {
                break;
            }
            for (name, _) in fs::dir_entries(buf.get(..filled).unwrap_or_default()) {
                if copy_entry(source.as_fd(), target.as_fd(), name)? {
                    todo.push(below(&path, name));
                }
            }
        }
    }
    Ok(())
}

fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> Done<OwnedFd> {
    let path = if path.is_empty() { CString::from(c".") } else { terminated(path)? };
    fs::openat2(root, &path, O_RDONLY | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
}

fn below(path: &[u8], name: &CStr) -> Vec<u8> {
    let mut all = Vec::with_capacity(path.len() + 1 + name.to_bytes().len());
    all.extend_from_slice(path);
    if !path.is_empty() {
        all.push(b'/');
    }
    all.extend_from_slice(name.to_bytes());
    all
}

/// Copies one entry; true for a directory, whose content is still to be copied.
fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Done<bool> {
    let stat = fs::stat(from, name, false)?;
    match stat.mode & fs::S_IFMT {
        fs::S_IFDIR => copy_dir(from, to, name).map(|()| true),
        fs::S_IFREG => copy_file(from, to, name).map(|()| false),
        fs::S_IFLNK => {
            let target = terminated(&read_link(from, name)?)?;
            fs::symlinkat(&target, to, name)?;
            fs::fchownat(to, name, stat.uid, stat.gid)?;
            Ok(false)
        }
        _ => {
            fs::mknodat(to, name, stat.mode, stat.rdev_major, stat.rdev_minor)?;
            fs::fchownat(to, name, stat.uid, stat.gid)?;
            Ok(false)
        }
    }
}

fn copy_dir(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Done {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    let source = fs::openat(from, name, flags, 0)?;
    let stat = fs::fstat(source.as_fd())?;
    fs::mkdirat(to, name, 0o700)?;
    let target = fs::openat(to, name, flags, 0)?;
    copy_metadata(&stat, source.as_fd(), target.as_fd())
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Done {
    // O_NONBLOCK: should it be a fifo by now, opening must not wait.
    let source = fs::openat(from, name, O_RDONLY | O_NOFOLLOW | fs::O_NONBLOCK, 0)?;
    let stat = fs::fstat(source.as_fd())?;
    if !stat.is(fs::S_IFREG) {
        return Err(Errno::ESTALE);
    }
    let target = fs::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
    while fs::sendfile(target.as_fd(), source.as_fd(), CHUNK)? > 0 {}
    copy_metadata(&stat, source.as_fd(), target.as_fd())
}

/// Owner first: a change of owner takes the set-user-ID bit and file capabilities away.
fn copy_metadata(stat: &Stat, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Done {
    fs::fchownat(to, c"", stat.uid, stat.gid)?;
    fs::fchmod(to, stat.mode & 0o7777)?;
    copy_attributes(from, to)
}

/// Copies extended attributes, as far as we may and the tmpfs takes them.
fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Done {
    let mut list = alloc::vec![0; 256];
    let len = loop {
        match fs::flistxattr(from, &mut list) {
            Ok(0) | Err(Errno::EOPNOTSUPP) => return Ok(()),
            Err(Errno::ERANGE) if list.len() < ATTRIBUTES => list.resize(ATTRIBUTES, 0),
            other => break other?,
        }
    };
    let mut value = alloc::vec![0; ATTRIBUTES];
    for name in list.get(..len).unwrap_or_default().split_inclusive(|b| *b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let got = fs::fgetxattr(from, name, &mut value)?;
        match fs::fsetxattr(to, name, value.get(..got).unwrap_or_default()) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
