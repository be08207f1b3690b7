//! The container's file system, from the host's tree to the container's root.
//!
//! Owns: the order of the work, in four steps that the rest of the init calls: [`prepare`] (the
//! rootfs, its mounts, devices and links), [`switch`] (it becomes `/`), [`console_mount`], and
//! [`finalize`] (read-only and hidden parts). Everything goes by descriptors and the mount API:
//! a path inside the rootfs is walked once, from the root's descriptor.
//!
//! Must not: run hooks, write sysctls, touch anything outside the mount namespace.

mod bind;
mod cgroup;
mod copyup;
mod device;
mod legacy;
mod mask;
mod mount;
mod path;
mod switch;
#[cfg(test)]
mod tests;

use alloc::ffi::CString;
use alloc::vec::Vec;

use runsig_proto::Op;
use runsig_proto::plan::{InitPlan, Rootfs};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs};

use crate::error::{During, Failure, Result};
use crate::namespaces::Network;
use crate::sync::Sync;

/// A rootfs on its way to being the root.
#[derive(Debug)]
pub struct Prepared {
    root: OwnedFd,
    /// Mounts to make read-only at the end: (destination, the mount).
    read_only_later: Vec<(CString, OwnedFd)>,
}

impl Prepared {
    /// The root of the container, before and after [`switch`]; an `O_PATH` descriptor.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// What every mount needs to know.
#[derive(Debug, Clone, Copy)]
struct Context<'a> {
    root: BorrowedFd<'a>,
    plan: &'a InitPlan,
    rootfs: &'a Rootfs,
    sync: &'a Sync,
    network: &'a Network<'a>,
    /// Which of the plan's mounts has its turn.
    turn: u32,
}

/// Prepares the rootfs: propagation, a mount of its own, all mounts, devices and links.
/// The calling process ends with the working directory it had. What only the runtime can make it is asked for;
/// a network namespace that follows has been entered.
///
/// # Errors
/// What could not be made or mounted, and why.
pub fn prepare(plan: &InitPlan, sync: &Sync) -> Result<Prepared> {
    let rootfs = wanted(plan)?;
    let root = switch::own_root(rootfs, plan.namespaces.mount)?;
    // Modes are what we say, whatever the caller of the runtime had as its mask.
    let mask = fs::umask(0);
    let network = Network::of(&plan.namespaces, sync);
    let filled = fill(Context { root: root.as_fd(), plan, rootfs, sync, network: &network, turn: 0 });
    fs::umask(mask);
    let read_only_later = filled?;
    network.enter()?;
    Ok(Prepared { read_only_later, root })
}

fn fill(mut ctx: Context<'_>) -> Result<Vec<(CString, OwnedFd)>> {
    let mut later = Vec::new();
    for mount in &ctx.rootfs.mounts {
        let fd = mount::mount(ctx, mount)?;
        ctx.turn += 1;
        if mount::read_only_later(mount) {
            later.push((mount.destination.clone(), fd));
        }
    }
    if ctx.rootfs.setup_dev {
        device::make_all(ctx)?;
        device::make_links(ctx.root)?;
    }
    Ok(later)
}

/// Makes the prepared rootfs the root, and `/` the working directory.
///
/// # Errors
/// As pivot_root(2), move_mount(2) or chroot(2); a /dev/null in the container that is none.
pub fn switch(plan: &InitPlan, prepared: &mut Prepared) -> Result<()> {
    let rootfs = wanted(plan)?;
    switch::switch(rootfs, prepared.root())?;
    if rootfs.setup_dev { device::reopen_null(prepared.root()) } else { Ok(()) }
}

/// Puts a terminal on the container's /dev/console. Call it between [`switch`] and [`finalize`].
///
/// # Errors
/// When `slave` is no terminal of a devpts, or the mount fails.
pub fn console_mount(prepared: &Prepared, slave: BorrowedFd<'_>) -> Result<()> {
    device::console(prepared.root(), slave)
}

/// Makes read-only and hides what is to be so, and gives the tree its propagation. Everything that
/// writes below /proc/sys (sysctls) has to be done by now.
///
/// # Errors
/// What could not be hidden or made read-only. A path that does not exist is none.
pub fn finalize(plan: &InitPlan, prepared: Prepared) -> Result<()> {
    let rootfs = wanted(plan)?;
    if plan.namespaces.mount {
        for (destination, mount) in &prepared.read_only_later {
            mask::make_read_only(mount.as_fd()).during_at(Op::Mount, destination)?;
        }
        if rootfs.readonly {
            mask::make_read_only(prepared.root()).during_at(Op::ReadonlyRoot, c"/")?;
        }
    }
    mask::read_only_paths(prepared.root(), &rootfs.readonly_paths)?;
    mask::mask_paths(prepared.root(), &rootfs.masked, rootfs.mount_label.as_deref())?;
    // Last: of an unbindable tree no part could be bound read-only any more.
    if plan.namespaces.mount { switch::set_propagation(rootfs, prepared.root()) } else { Ok(()) }
}

fn wanted(plan: &InitPlan) -> Result<&Rootfs> {
    plan.rootfs.as_ref().ok_or_else(|| Failure::at(Op::Plan, c"", Errno::EINVAL))
}
