//! A procfs that nothing is mounted over, to write through.
//!
//! A container can arrange for `/proc/self/attr/exec` or `/proc/sys/...` by name to be another file
//! (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881). So we go in at `/proc` only after a check that it
//! is the root of a procfs, and from there without crossing a mount or leaving by a link. Where that
//! fails (something is mounted over a part, or it is read-only) we make an instance of our own, which
//! is attached nowhere. That one comes second because letting go of it waits for RCU.
//!
//! Owns: the way in. Must not: know what is written.

use core::ffi::CStr;

use runsig_sys::fd::CWD;
use runsig_sys::{Errno, OwnedFd, fs, mount};

/// The root directory of procfs has this inode number.
const PROC_ROOT_INO: u64 = 1;

/// Stay below the root of procfs, on it, and off the links that lead to other files. `self` is an
/// ordinary link.
const INSIDE: u64 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_XDEV | fs::RESOLVE_NO_MAGICLINKS;

/// The way into procfs, with an instance of our own once that was needed.
#[derive(Debug, Default)]
pub struct ProcFs {
    own: Option<OwnedFd>,
}

impl ProcFs {
    /// Opens a file of procfs.
    ///
    /// # Errors
    /// Those of openat2(2); `EXDEV` when something is mounted on the way and the kernel refuses us
    /// an instance of our own.
    pub fn open(&mut self, path: &CStr, flags: u32) -> Result<OwnedFd, Errno> {
        if self.own.is_none() {
            match mounted().and_then(|root| inside(&root, path, flags)) {
                Err(errno) => self.own = Some(private().map_err(|_| errno)?),
                file => return file,
            }
        }
        self.own.as_ref().ok_or(Errno::ENOENT).and_then(|root| inside(root, path, flags))
    }

    /// Writes to a file of procfs, in one write: that is how it takes values.
    ///
    /// # Errors
    /// As [`Self::open`]; as write(2).
    pub fn write(&mut self, path: &CStr, value: &[u8]) -> Result<(), Errno> {
        let file = self.open(path, fs::O_WRONLY)?;
        fs::write(file.as_fd(), value).map(drop)
    }
}

fn inside(root: &OwnedFd, path: &CStr, flags: u32) -> Result<OwnedFd, Errno> {
    fs::openat2(root.as_fd(), path, flags, 0, INSIDE)
}

/// A new instance, attached nowhere: only we see it. A user namespace whose view of procfs is
/// restricted gets none.
fn private() -> Result<OwnedFd, Errno> {
    let context = mount::fsopen(c"proc")?;
    mount::fsconfig_create(context.as_fd())?;
    mount::fsmount(context.as_fd(), mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC)
}

/// The one at `/proc`, if it is one.
fn mounted() -> Result<OwnedFd, Errno> {
    let root = fs::openat2(
        CWD,
        c"/proc",
        fs::O_PATH | fs::O_DIRECTORY | fs::O_NOFOLLOW,
        0,
        fs::RESOLVE_NO_SYMLINKS,
    )?;
    let is_root = fs::fstat(root.as_fd())?.ino == PROC_ROOT_INO;
    let is_procfs = fs::fstatfs(root.as_fd())?.0 == fs::PROC_SUPER_MAGIC;
    if is_root && is_procfs { Ok(root) } else { Err(Errno::EXDEV) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(procfs: &mut ProcFs, path: &CStr) -> Result<usize, Errno> {
        let file = procfs.open(path, fs::O_RDONLY)?;
        fs::read(file.as_fd(), &mut [0; 64])
    }

    #[test]
    fn our_own_files_are_there() {
        assert!(read(&mut ProcFs::default(), c"self/status").unwrap() > 0);
        // Only root may make an instance.
        if let Ok(own) = private() {
            assert!(read(&mut ProcFs { own: Some(own) }, c"self/status").unwrap() > 0);
        }
    }

    #[test]
    fn no_way_leads_out() {
        let out = |path| ProcFs::default().open(path, fs::O_RDONLY).err();
        assert_eq!(out(c"../etc/passwd"), Some(Errno::EXDEV));
        assert_eq!(out(c"/etc/passwd"), Some(Errno::EXDEV));
        assert_eq!(out(c"self/root/etc/passwd"), Some(Errno::ELOOP));
    }
}
