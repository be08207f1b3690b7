//! The truth about an init that has exited but does not end.
//!
//! When PID 1 of a PID namespace exits, the kernel kills everybody else there and lets PID 1 sleep in
//! `zap_pid_ns_processes` until all of them are reaped. Those whose parent is outside (an exec whose
//! parent does not reap) or who cannot be killed (state D) keep it there, maybe for ever.
//!
//! Owns: finding those and their parents. Must not: wait or signal.

use std::fmt;

use serde::Serialize;

use crate::procfs::{self, Stat, Status};

/// A process that keeps an init from ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Its number for us.
    pub pid: i32,
    /// Its number in the container.
    pub inside: Option<i32>,
    /// Its command; for a zombie the short name in brackets.
    pub command: String,
    /// Z (nobody has reaped it), D (waits in the kernel), or another state of one that is just dying.
    pub state: char,
    /// Its parent for us; 0 when that is outside of what we can see.
    pub parent: i32,
    /// The parent's command.
    pub parent_command: String,
    /// Who traces it, and so has to let go of it first; 0 for nobody.
    pub tracer: i32,
}

/// An init in `zap_pid_ns_processes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Zap {
    /// The init.
    pub pid: i32,
    /// Who keeps it; empty when it is on its way out by itself.
    pub blockers: Vec<Blocker>,
}

/// Who is left in the PID namespace of the exiting process `init`. `namespace` is the namespace's
/// inode where it is known from before; the exiting process itself shows it to those who may look.
#[must_use]
pub fn examine(init: i32, namespace: Option<u64>) -> Zap {
    let namespace = namespace.or_else(|| procfs::pid_namespace(init));
    let blockers = match namespace {
        Some(inode) => procfs::processes().into_iter().filter_map(|pid| blocker(pid, init, inode)).collect(),
        None => Vec::new(),
    };
    Zap { pid: init, blockers }
}

fn blocker(pid: i32, init: i32, namespace: u64) -> Option<Blocker> {
    // Those in a nested namespace have a number in this one as well, and keep it as long.
    if pid == init || procfs::is_in_pid_namespace(pid, namespace) != Some(true) {
        return None;
    }
    let stat = Stat::of(pid)?;
    let status = Status::of(pid)?;
    // A child of init is reaped by init itself: only the living among them are in the way.
    if stat.is_dead() && stat.ppid == init && status.tracer == 0 {
        return None;
    }
    Some(Blocker {
        pid,
        inside: status.inside(),
        command: procfs::command(pid),
        state: stat.state,
        parent: stat.ppid,
        parent_command: if stat.ppid == 0 { String::new() } else { procfs::command(stat.ppid) },
        tracer: status.tracer,
    })
}

impl fmt::Display for Zap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to act on; json has them all.
        const SHOWN: usize = 5;
        write!(f, "init (process {}) is exiting", self.pid)?;
        if self.blockers.is_empty() {
            return Ok(());
        }
        f.write_str(", kept by ")?;
        for (n, blocker) in self.blockers.iter().take(SHOWN).enumerate() {
            write!(f, "{}{blocker}", if n == 0 { "" } else { "; " })?;
        }
        match self.blockers.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            'Z' => write!(f, "zombie {} {}", self.pid, self.command)?,
            'D' => write!(f, "process {} {:?} in uninterruptible sleep", self.pid, self.command)?,
            state => write!(f, "process {} {:?} (state {state})", self.pid, self.command)?,
        }
        if self.tracer != 0 {
            return write!(f, ", traced by process {} {:?}", self.tracer, procfs::command(self.tracer));
        }
        match (self.state, self.parent) {
            ('Z', 0) => f.write_str(", which its parent outside has not reaped"),
            ('Z', parent) => {
                write!(f, ", which its parent, process {parent} {:?}, has not reaped", self.parent_command)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zombie() -> Blocker {
        Blocker {
            pid: 12,
            inside: Some(7),
            command: "[sh]".into(),
            state: 'Z',
            parent: 5,
            parent_command: "conmon -x".into(),
            tracer: 0,
        }
    }

    #[test]
    fn says_who_blocks_and_whose_child_it_is() {
        let zap = Zap { pid: 3, blockers: vec![zombie()] };
        assert_eq!(
            zap.to_string(),
            "init (process 3) is exiting, kept by zombie 12 [sh], which its parent, process 5 \"conmon -x\", \
             has not reaped"
        );
        let many = Zap { pid: 3, blockers: vec![zombie(); 9] }.to_string();
        assert!(many.ends_with("; and 4 more"), "{many}");
        assert_eq!(Zap { pid: 3, blockers: vec![] }.to_string(), "init (process 3) is exiting");
    }

    #[test]
    fn a_process_that_waits_in_the_kernel() {
        let stuck = Blocker { state: 'D', command: "cat".into(), ..zombie() };
        assert_eq!(stuck.to_string(), "process 12 \"cat\" in uninterruptible sleep");
    }
}
