//! Giving a cgroup v2 directory to a container that may make cgroups of its own below it.
//!
//! Owns: [`Cgroup::delegate`]. Must not: decide who the owner is.

use runsig_sys::{Errno, fs};

use crate::cgroup::Cgroup;
use crate::error::{Error, On as _, Result};

/// The files that may be given away, one name a line (4.15).
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#delegation>
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// What is given away where the kernel has no list.
const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";
const KEEP_GROUP: u32 = u32::MAX;

impl Cgroup {
    /// Makes `uid` (of the host) the owner of the directory and of the files a delegate needs. The
    /// limits stay whose they are. Does nothing without cgroup v2.
    ///
    /// # Errors
    /// When the owner cannot be changed; a file that this kernel does not have is none.
    pub fn delegate(&self, uid: u32) -> Result<()> {
        if !self.paths().is_unified() {
            return Ok(());
        }
        let Some(dir) = self.v2_dir()? else { return Ok(()) };
        fs::fchownat(dir.fd(), c"", uid, KEEP_GROUP).on("chown", dir.path())?;
        let list = std::fs::read_to_string(LIST).unwrap_or_else(|_| USUAL.to_owned());
        for name in list.lines().filter(|name| !name.is_empty() && !name.contains('/')) {
            let Ok(file) = std::ffi::CString::new(name) else { continue };
            match fs::fchownat(dir.fd(), &file, uid, KEEP_GROUP) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(Error::call("chown", dir.path().join(name), errno)),
            }
        }
        Ok(())
    }
}
