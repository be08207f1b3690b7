//! The namespaces that clone could not give us, and what belongs to being in new ones.
//!
//! Owns: joining, making, time offsets, the host's name, sysctls, loopback.
//! Must not: touch the file system of the container.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

use runsig_proto::plan::Namespaces;
use runsig_proto::{InitPlan, Op};
use runsig_sys::process::{CLONE_NEWNET, CLONE_NEWTIME};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, net, process};

use crate::error::{During, Failure, Result};
use crate::procfs::ProcFs;
use crate::sync::Sync;
use crate::words::Text;

/// Enters and makes what is left: first those given by path, then the new ones.
///
/// # Errors
/// [`Op::JoinNamespace`], [`Op::Unshare`], [`Op::TimeOffsets`].
pub fn enter(plan: &Namespaces, procfs: &mut ProcFs) -> Result<()> {
    for (kind, fd, path) in &plan.join {
        let namespace = OwnedFd::from_raw(*fd);
        process::setns(namespace.as_fd(), *kind).during_at(Op::JoinNamespace, path)?;
    }
    if plan.unshare == 0 {
        return Ok(());
    }
    process::unshare(plan.unshare).during(Op::Unshare)?;
    if plan.unshare & CLONE_NEWTIME != 0 { enter_time(&plan.time_offsets, procfs) } else { Ok(()) }
}

/// unshare(2) makes a time namespace only for children; its offsets can be written until somebody
/// is in it, and then we go in ourselves (time_namespaces(7)).
fn enter_time(offsets: &[u8], procfs: &mut ProcFs) -> Result<()> {
    if !offsets.is_empty() {
        procfs.write(c"self/timens_offsets", offsets).during(Op::TimeOffsets)?;
    }
    let directory = procfs.open(c"self/ns", fs::O_PATH | fs::O_DIRECTORY).during(Op::TimeOffsets)?;
    // The last step is a magic link, the one thing the walk above refuses.
    let namespace =
        fs::openat(directory.as_fd(), c"time_for_children", fs::O_RDONLY, 0).during(Op::TimeOffsets)?;
    process::setns(namespace.as_fd(), CLONE_NEWTIME).during(Op::TimeOffsets)
}

/// A new network namespace that the runtime makes while we make mounts, because that takes as long as all
/// of ours together. It has to be entered before anything asks for the network.
#[derive(Debug, Default)]
pub struct Network<'a> {
    /// Where it comes from, if it does.
    from: Option<&'a Sync>,
    entered: Cell<bool>,
}

impl<'a> Network<'a> {
    /// The one of this plan.
    #[must_use]
    pub fn of(plan: &Namespaces, sync: &'a Sync) -> Self {
        Self { from: plan.network_follows.then_some(sync), entered: Cell::new(false) }
    }

    /// Enters it, unless we are in it already.
    ///
    /// # Errors
    /// [`Op::Sync`] when it does not come, [`Op::Unshare`].
    pub fn enter(&self) -> Result<()> {
        match self.from {
            Some(sync) if !self.entered.replace(true) => {
                process::setns(sync.network()?.as_fd(), CLONE_NEWNET).during(Op::Unshare)
            }
            _ => Ok(()),
        }
    }
}

/// Brings up the loopback interface of a new network namespace.
///
/// # Errors
/// [`Op::Network`].
pub fn bring_up_loopback(plan: &InitPlan) -> Result<()> {
    if plan.loopback { net::loopback_up().during(Op::Network) } else { Ok(()) }
}

/// Sets the host and domain names.
///
/// # Errors
/// [`Op::Hostname`], [`Op::Domainname`].
pub fn set_names(plan: &InitPlan) -> Result<()> {
    if let Some(name) = &plan.hostname {
        process::sethostname(name.as_bytes()).during_at(Op::Hostname, name)?;
    }
    if let Some(name) = &plan.domainname {
        process::setdomainname(name.as_bytes()).during_at(Op::Domainname, name)?;
    }
    Ok(())
}

/// Writes the sysctls.
///
/// # Errors
/// [`Op::Sysctl`] with the path.
pub fn write_sysctls(plan: &InitPlan, procfs: &mut ProcFs) -> Result<()> {
    for (path, value) in &plan.sysctl {
        if !is_clean(path) {
            return Err(Failure::at(Op::Sysctl, path, Errno::EINVAL));
        }
        let file = Text::new().with(b"sys/").with(path.as_bytes()).into_cstring();
        procfs.write(&file, value.as_bytes()).during_at(Op::Sysctl, path)?;
    }
    Ok(())
}

/// Whether every component of a relative path is a name: procfs has no use for the others.
fn is_clean(path: &CStr) -> bool {
    path.to_bytes().split(|b| *b == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Marks everything we inherited as ours: only what the container is meant to get outlives exec.
///
/// # Errors
/// [`Op::Descriptors`].
pub fn keep_descriptors_in(plan: &InitPlan) -> Result<()> {
    let first = plan.fds.preserve.saturating_add(3);
    fs::cloexec_from(first).during(Op::Descriptors)?;
    let ours: Vec<i32> = [plan.fds.exec_fifo, plan.fds.console]
        .into_iter()
        .chain(plan.namespaces.join.iter().map(|(_, fd, _)| *fd))
        .filter(|fd| *fd >= 0)
        .collect();
    ours.iter().try_for_each(|fd| fs::set_cloexec(BorrowedFd::from_raw(*fd), true)).during(Op::Descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_paths_stay_below_proc_sys() {
        for good in [c"net/ipv4/ip_forward", c"kernel/shm_rmid_forced", c"net/ipv4/conf/eth0.1/arp_notify"] {
            assert!(is_clean(good), "{good:?}");
        }
        for bad in
            [c"", c"/net", c"net//ipv4", c"../kernel/core_pattern", c"net/../../sysrq-trigger", c"net/."]
        {
            assert!(!is_clean(bad), "{bad:?}");
        }
    }
}
