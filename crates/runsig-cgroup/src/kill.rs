//! Killing everything in a cgroup.
//!
//! Owns: SIGKILL to all, with no race against fork. Must not: wait for anybody to be gone.

use std::collections::HashSet;

use runsig_sys::Errno;
use runsig_sys::process::pidfd_send_signal;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::members::list;

const SIGKILL: i32 = 9;
/// Linux 5.14.
const KILL: &str = "cgroup.kill";

impl Cgroup {
    /// Kills every process in the container's cgroup and below, also those of a frozen one, and
    /// those that are being forked. Returns when the signals are sent; see [`Cgroup::wait_empty`].
    /// A cgroup that is gone, or none at all, is no error.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn kill_all(&self) -> Result<()> {
        match self.kill_all_now() {
            Err(error) if error.is_gone() => Ok(()),
            other => other,
        }
    }

    fn kill_all_now(&self) -> Result<()> {
        let killed = match self.v2_dir() {
            Ok(Some(dir)) => match dir.write(KILL, "1") {
                Ok(()) => true,
                Err(error) if error.is_gone() => false,
                Err(error) => return Err(error),
            },
            Ok(None) => false,
            Err(error) if error.is_gone() => false,
            Err(error) => return Err(error),
        };
        if self.paths().is_unified() {
            return if killed { Ok(()) } else { self.kill_frozen() };
        }
        if killed && self.strangers_to_v2()?.is_empty() {
            // Dying, but a frozen v1 cgroup does not even let go of the dead.
            return if self.is_frozen()? { self.thaw() } else { Ok(()) };
        }
        self.kill_frozen()
    }

    /// Processes that are in v1 and not in the v2 directory of a hybrid host: somebody moved them,
    /// or could not put them there.
    fn strangers_to_v2(&self) -> Result<Vec<i32>> {
        let legacy = self.pids()?;
        if legacy.is_empty() {
            return Ok(legacy);
        }
        let Some(dir) = self.v2_dir()? else { return Ok(legacy) };
        let unified: HashSet<i32> = list(dir)?.into_iter().collect();
        Ok(legacy.into_iter().filter(|pid| !unified.contains(pid)).collect())
    }

    /// Without `cgroup.kill`: freeze, signal, thaw. A cgroup that will not freeze is killed in
    /// rounds until a round finds nobody new.
    fn kill_frozen(&self) -> Result<()> {
        let frozen = self.freeze();
        let killed = self.kill_rounds();
        // Thawed even when it was frozen before: only the living can die (v1).
        let thawed = match (&frozen, self.thaw()) {
            (Err(_), _) => Ok(()),
            (Ok(()), thawed) => thawed,
        };
        killed.and(thawed)
    }

    fn kill_rounds(&self) -> Result<()> {
        let mut sent = HashSet::new();
        for _ in 0..64 {
            let mut new = false;
            let mut failed = None;
            self.for_each(|member| match pidfd_send_signal(member.pidfd.as_fd(), SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => new |= sent.insert(member.pid),
                Err(errno) => failed = Some((member.pid, errno)),
            })?;
            if let Some((pid, errno)) = failed {
                return Err(Error::call("kill", pid.to_string(), errno));
            }
            if !new {
                break;
            }
        }
        Ok(())
    }
}
