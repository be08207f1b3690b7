//! One `kill`: the signal asked for, the policies, and what became of it.
//!
//! Owns: applying the opt-in policies to a single signal. Without any, what happens is what runc
//! does: one signal to init, in a handful of system calls.
//! Must not: wait for an effect.

use serde::Serialize;

use crate::broadcast::{self, Whom};
use crate::disposition;
use crate::error::{Error, Result};
use crate::identity::{self, ProcessFd, all_threads_exit};
use crate::names::Signal;
use crate::policy::{KillPolicy, KillScope, OnDropped};
use crate::procfs::{self, Stat};
use crate::target::{PidNamespace, Target};

/// Whom the signal was given to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// Init.
    Init,
    /// Every process of the container.
    Everybody,
    /// Init's children with these numbers, instead of init.
    Children(Vec<i32>),
}

/// What became of a `kill`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// What was asked for.
    pub requested: Signal,
    /// What was sent.
    pub sent: Signal,
    /// To whom.
    pub reached: Reached,
    /// Something the caller should be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Sends `signal` to the container as the policy says.
///
/// # Errors
/// [`Error::NotRunning`] and [`Error::Exiting`] when there is no init to get it, or what the kernel
/// refuses. With the scope `all` a stopped container is no error, and neither is SIGKILL for what is
/// left of one without a PID namespace of its own.
pub fn deliver(target: &Target, signal: Signal, policy: &KillPolicy) -> Result<Delivery> {
    let sent = policy.rewritten(signal);
    let done = |reached, sent, warning| Delivery { requested: signal, sent, reached, warning };
    let shared = target.pid_namespace != PidNamespace::Own;
    if sent == Signal::KILL && shared {
        // As runc: nobody outlives init there, since no kernel zaps them. That goes for an init that
        // is gone already, too, as long as somebody is left.
        if target.find_init()?.is_none() && target.pids()?.is_empty() {
            return Err(Error::NotRunning);
        }
        broadcast::kill_everybody(target)?;
        return Ok(done(Reached::Everybody, sent, None));
    }
    if policy.scope == KillScope::All && sent != Signal::PROBE {
        broadcast::broadcast(target, sent, Whom::All)?;
        return Ok(done(Reached::Everybody, sent, None));
    }
    let init = target.running_init()?;
    if !shared && target.resident.is_none() && disposition::will_be_dropped(init.pid(), sent) {
        return dropped(target, &init, sent, policy.on_dropped, done);
    }
    send_init(target, &init, sent)?;
    Ok(done(Reached::Init, sent, None))
}

fn send_init(target: &Target, init: &ProcessFd, signal: Signal) -> Result<()> {
    if !init.send(signal)? {
        return Err(Error::NotRunning);
    }
    if signal == Signal::KILL { broadcast::thaw_for_kill(target) } else { Ok(()) }
}

fn dropped(
    target: &Target,
    init: &ProcessFd,
    signal: Signal,
    policy: OnDropped,
    done: impl Fn(Reached, Signal, Option<String>) -> Delivery,
) -> Result<Delivery> {
    let deaf = format!("init of container {:?} has no handler for {signal}", target.id);
    match policy {
        OnDropped::Warn => {
            send_init(target, init, signal)?;
            let warning = format!("{deaf}: the kernel drops it, because init is PID 1");
            Ok(done(Reached::Init, signal, Some(warning)))
        }
        OnDropped::Kill => {
            send_init(target, init, Signal::KILL)?;
            let warning = format!("{deaf}: killed instead");
            Ok(done(Reached::Init, Signal::KILL, Some(warning)))
        }
        OnDropped::Forward => {
            let children = forward(init, signal)?;
            if children.is_empty() {
                send_init(target, init, signal)?;
                let warning = format!("{deaf} and no children: nobody gets it");
                return Ok(done(Reached::Init, signal, Some(warning)));
            }
            let warning = format!("{deaf}: forwarded to its children");
            Ok(done(Reached::Children(children), signal, Some(warning)))
        }
    }
}

/// Sends a signal to the living children of init and returns the numbers of those that got it. Each is
/// held meanwhile, and its child for certain: init can reap one and have another process get the
/// number, but that one is then seen to have another parent.
///
/// # Errors
/// When one cannot be opened or signalled.
pub(crate) fn forward(init: &ProcessFd, signal: Signal) -> Result<Vec<i32>> {
    let mut reached = Vec::new();
    for pid in living_children(init.pid()) {
        let child = identity::open_pid(pid)?;
        let child = child.filter(|child| child.seen().ppid == init.pid() && child.lives());
        if let Some(child) = child
            && child.send(signal)?
        {
            reached.push(pid);
        }
    }
    Ok(reached)
}

/// The numbers of a process's children that have not ended.
pub(crate) fn living_children(parent: i32) -> Vec<i32> {
    // One whose first thread is dead looks like a zombie, and lives as long as another thread does.
    let lives = |pid: &i32| {
        Stat::of(*pid).is_some_and(|stat| stat.ppid == parent && (!stat.is_dead() || !all_threads_exit(*pid)))
    };
    procfs::children(parent).into_iter().filter(lives).collect()
}
