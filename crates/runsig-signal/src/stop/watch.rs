//! The processes of one container during its stop.
//!
//! Owns: holding them, and noting what each was sent and how it ended.
//! Must not: send anything.

use std::collections::HashSet;

use runsig_sys::process::monotonic_ns;
use runsig_sys::sched::{getrlimit, prlimit};

use super::report::{End, ProcessReport, Sent};
use crate::error::Result;
use crate::identity::{Life, ProcessFd};
use crate::names::Signal;
use crate::procfs::{self, Stat, Status};
use crate::target::Target;

#[derive(Debug)]
struct Watched {
    process: ProcessFd,
    report: ProcessReport,
}

/// The processes watched; init, when there is one, comes first.
#[derive(Debug)]
pub(super) struct Watch {
    began: u64,
    all: Vec<Watched>,
    /// Processes for which there was no descriptor left.
    pub(super) unwatched: usize,
    /// Whether the kernel ends everybody when init ends.
    zaps: bool,
}

impl Watch {
    pub(super) fn new(began: u64, zaps: bool) -> Self {
        Self { began, all: Vec::new(), unwatched: 0, zaps }
    }
    /// Milliseconds since the stop began.
    pub(super) fn clock(&self) -> u64 {
        monotonic_ns().saturating_sub(self.began) / 1_000_000
    }
    fn add(&mut self, process: ProcessFd, init: bool) {
        let pid = process.pid();
        let report = ProcessReport {
            pid,
            inside: Status::of(pid).and_then(|status| status.inside()),
            init,
            command: procfs::command(pid),
            sent: Vec::new(),
            end: None,
            after_ms: None,
        };
        self.all.push(Watched { process, report });
    }
    pub(super) fn add_init(&mut self, init: ProcessFd) {
        self.add(init, true);
    }
    /// Takes in processes that are new to us. Returns their numbers.
    pub(super) fn refresh(&mut self, target: &Target) -> Result<Vec<i32>> {
        let known: HashSet<i32> = self.alive().map(|watched| watched.report.pid).collect();
        let (fresh, missed) = target.processes(&known)?;
        self.unwatched = missed;
        let pids = fresh.iter().map(ProcessFd::pid).collect();
        for process in fresh {
            self.add(process, false);
        }
        Ok(pids)
    }
    fn alive(&self) -> impl Iterator<Item = &Watched> {
        self.all.iter().filter(|watched| watched.report.end.is_none())
    }
    /// (number, command) of everybody alive.
    pub(super) fn living(&self) -> impl Iterator<Item = (i32, &str)> {
        self.alive().map(|watched| (watched.report.pid, watched.report.command.as_str()))
    }
    /// The descriptors to poll.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.alive().map(|watched| watched.process.as_fd().raw())
    }
    pub(super) fn init(&self) -> Option<&ProcessFd> {
        self.all.first().filter(|first| first.report.init).map(|first| &first.process)
    }
    pub(super) fn init_ended(&self) -> bool {
        self.all.first().is_none_or(|first| !first.report.init || first.report.end.is_some())
    }
    pub(super) fn others_alive(&self) -> bool {
        self.alive().any(|watched| !watched.report.init)
    }
    pub(super) fn anybody_alive(&self) -> bool {
        self.alive().next().is_some()
    }
    /// Whether anybody is alive, or was when there was no descriptor to watch it with.
    pub(super) fn anybody_left(&self) -> bool {
        self.anybody_alive() || self.unwatched > 0
    }
    /// Takes those who live out of the report: they are none of the container's.
    pub(super) fn forget_the_living(&mut self) {
        self.all.retain(|watched| watched.report.end.is_some());
    }
    pub(super) fn any_alive_of(&self, pids: &[i32]) -> bool {
        self.alive().any(|watched| pids.contains(&watched.report.pid))
    }
    /// The process with this number, when it is alive.
    pub(super) fn get(&self, pid: i32) -> Option<&ProcessFd> {
        self.alive().find(|watched| watched.report.pid == pid).map(|watched| &watched.process)
    }
    /// Notes that the living whom `which` picks (by number and being init) were sent a signal.
    pub(super) fn note_sent(&mut self, signal: Signal, which: impl Fn(i32, bool) -> bool) {
        let at_ms = self.clock();
        for watched in self.all.iter_mut().filter(|watched| watched.report.end.is_none()) {
            if which(watched.report.pid, watched.report.init) {
                watched.report.sent.push(Sent { signal, at_ms });
            }
        }
    }
    /// Those of the living whom `which` picks that a signal has stopped (SIGSTOP, a Ctrl-Z).
    pub(super) fn stopped(&self, which: impl Fn(i32, bool) -> bool) -> impl Iterator<Item = &ProcessFd> {
        let picked = self.alive().filter(move |watched| which(watched.report.pid, watched.report.init));
        let stopped = picked.filter(|one| Stat::of(one.report.pid).is_some_and(|stat| stat.state == 'T'));
        stopped.map(|watched| &watched.process)
    }
    /// Notes who has ended among those with a descriptor that `ready` picks. Returns their reports.
    pub(super) fn collect(&mut self, ready: impl Fn(i32) -> bool) -> Vec<ProcessReport> {
        let now = self.clock();
        let init_gone = self.zaps && self.init_is_going();
        let mut ended = Vec::new();
        for Watched { process, report } in self.all.iter_mut().filter(|watched| watched.report.end.is_none())
        {
            if ready(process.as_fd().raw()) && process.has_ended() {
                let zapped = init_gone && !report.init;
                report.end = Some(End::judge(process.exit_status(), &report.sent, zapped));
                report.after_ms = Some(now);
                ended.push(report.clone());
            }
        }
        ended
    }
    /// Whether init has ended, or is about to and zapping the others, or was killed.
    fn init_is_going(&self) -> bool {
        let Some(first) = self.all.first().filter(|first| first.report.init) else { return false };
        first.report.end.is_some()
            || first.report.sent.iter().any(|sent| sent.signal == Signal::KILL)
            || first.process.life() != Life::Running
    }
    pub(super) fn exit_code(&self) -> Option<i32> {
        self.init().and_then(ProcessFd::exit_status).map(|status| status.shell_code())
    }
    pub(super) fn reports(&self) -> Vec<ProcessReport> {
        self.all.iter().map(|watched| watched.report.clone()).collect()
    }
}

/// Raises the soft limit of open descriptors, often 1024, to the hard one: a stop holds one for each
/// process. What it cannot hold it counts.
pub(super) fn raise_descriptor_limit() {
    const RLIMIT_NOFILE: u32 = 7;
    if let Ok((soft, hard)) = getrlimit(RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = prlimit(0, RLIMIT_NOFILE, hard, hard);
    }
}
