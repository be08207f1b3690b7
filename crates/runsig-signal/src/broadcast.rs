//! One signal for everybody, without a race.
//!
//! Owns: how all processes of a container are reached at one moment, whichever PID namespace they
//! are in. Must not: wait for what they do with it.

use std::collections::HashSet;

use runsig_sys::process::pidfd_send_signal;
use runsig_sys::{BorrowedFd, Errno, inside};

use crate::error::{Error, Result};
use crate::identity::{Life, ProcessFd};
use crate::names::Signal;
use crate::target::{PidNamespace, Target};

/// Who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everybody, init last.
    All,
    /// Everybody but init.
    Others,
}

/// Sends `signal` to every process of the container. On a stopped container it does nothing and
/// succeeds, but SIGKILL still ends what is left over in a shared PID namespace.
///
/// # Errors
/// [`Error::Exiting`] when init is caught on its way out, or what the kernel refuses.
pub fn broadcast(target: &Target, signal: Signal, whom: Whom) -> Result<()> {
    match (target.pid_namespace, signal, whom) {
        (_, Signal::KILL, Whom::All) => kill_everybody(target),
        (PidNamespace::Own, ..) => inside_namespace(target, signal, whom),
        _ => one_by_one(target, signal, whom),
    }
}

/// Ends every process of the container.
///
/// # Errors
/// As [`broadcast`].
pub fn kill_everybody(target: &Target) -> Result<()> {
    let init = target.find_init()?;
    if target.pid_namespace == PidNamespace::Own {
        return match init {
            None => Ok(()),
            Some((init, Life::Running)) => {
                init.send(Signal::KILL)?;
                thaw_for_kill(target)
            }
            Some((init, _)) => Err(target.exiting(&init)),
        };
    }
    match &target.group {
        Some(group) => group.kill_all().and_then(|()| thaw_for_kill(target)),
        None => one_by_one(target, Signal::KILL, Whom::All),
    }
}

/// On cgroup v1 frozen processes die only when they are thawed.
pub(crate) fn thaw_for_kill(target: &Target) -> Result<()> {
    match &target.group {
        Some(group) if !group.kills_frozen() && group.is_frozen().unwrap_or(false) => group.thaw(),
        _ => Ok(()),
    }
}

/// The helper inside reaches all but init at one moment; init comes last, so that whatever it does on
/// the signal, the others have theirs already.
fn inside_namespace(target: &Target, signal: Signal, whom: Whom) -> Result<()> {
    let Some((init, life)) = target.find_init()? else { return Ok(()) };
    if life != Life::Running {
        return Err(target.exiting(&init));
    }
    match inside::broadcast(init.as_fd(), signal.number()) {
        Ok(_) => {}
        // The namespace takes no new processes once its init has begun to exit.
        Err(Errno::ENOMEM | Errno::ESRCH) if init.life() != Life::Running => {
            return if init.life().exists() { Err(target.exiting(&init)) } else { Ok(()) };
        }
        Err(errno) => {
            let what = format!("send {signal} to all processes of container {:?}", target.id);
            return Err(Error::sys(what)(errno));
        }
    }
    // A resident init would hand it on to those who have it.
    if whom == Whom::All && target.resident.is_none() {
        init.send(signal)?;
    }
    Ok(())
}

/// In a PID namespace that others use too: hold the cgroup still, signal each, let go.
fn one_by_one(target: &Target, signal: Signal, whom: Whom) -> Result<()> {
    let spared = match whom {
        Whom::All if signal == Signal::KILL || target.resident.is_none() => None,
        Whom::All | Whom::Others => target.init.map(|init| init.pid),
    };
    let Some(group) = &target.group else { return chase(target, signal, spared) };
    // The first refusal is reported, but it spares nobody else.
    let mut refused = None;
    let mut called = false;
    let held = group.each_frozen(&mut |pid, pidfd| {
        called = true;
        if Some(pid) != spared {
            refused = refused.take().or_else(|| signal_held(pid, pidfd, signal).err());
        }
    });
    match (held, refused) {
        (_, Some(refused)) => Err(refused),
        (Ok(()), None) => Ok(()),
        // A process in uninterruptible sleep can keep a cgroup from freezing.
        (Err(_), None) if !called => chase(target, signal, spared),
        (Err(error), None) => Err(error),
    }
}

fn signal_held(pid: i32, pidfd: BorrowedFd<'_>, signal: Signal) -> Result<()> {
    match pidfd_send_signal(pidfd, signal.number()) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::sys(format!("send {signal} to process {pid}"))(errno)),
    }
}

/// Without a way to hold them still: again and again until nobody new turns up.
fn chase(target: &Target, signal: Signal, spared: Option<i32>) -> Result<()> {
    /// A program that forks faster than this is not caught this way; SIGKILL and a cgroup will.
    const ROUNDS: usize = 100;
    let mut known = HashSet::new();
    for _ in 0..ROUNDS {
        let (fresh, _) = target.processes(&known)?;
        if fresh.is_empty() {
            break;
        }
        for process in fresh.iter().filter(|process| Some(process.pid()) != spared) {
            process.send(signal)?;
        }
        known.extend(fresh.iter().map(ProcessFd::pid));
    }
    Ok(())
}
