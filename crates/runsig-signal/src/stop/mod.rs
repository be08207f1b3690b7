//! Stopping containers well.
//!
//! Owns: the loop that takes any number of containers through their plans at once, waiting on pidfds
//! only. Nothing is locked, so that a second, more impatient stop simply gets there first.
//! Must not: print; an [`Observer`] does.

mod dry;
mod job;
mod report;
mod watch;

use std::time::Duration;

use runsig_sys::process::{self, POLLIN, PollFd, monotonic_ns};
use runsig_sys::{BorrowedFd, Errno};

pub use dry::{DryRun, dry_run};
pub use report::{ContainerReport, End, Outcome, ProcessReport, Report, Sent};

use crate::names::Signal;
use crate::plan::StopPlan;
use crate::policy::StopPolicy;
use crate::target::Target;
use job::Job;

/// One container to stop, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which.
    pub target: &'a Target,
    /// How.
    pub policy: StopPolicy,
}

impl Request<'_> {
    /// The stages. Of one that has not been started nothing runs yet that could be asked.
    fn plan(&self) -> StopPlan {
        match self.target.created || self.target.creator.is_some() {
            true => StopPlan::kill(),
            false => self.policy.plan.clone(),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A signal was sent.
    Sent {
        /// Which.
        signal: Signal,
        /// To whom, for people: `init`, `everybody`, `everybody but init`, `init's children`.
        to: &'static str,
        /// How long to wait at most before the next step.
        wait: Duration,
    },
    /// Something that explains what comes next.
    Note(&'a str),
    /// A process has ended.
    Ended(&'a ProcessReport),
    /// A container is done with.
    Done(&'a ContainerReport),
}

/// Where a container's stop stands.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The container.
    pub id: &'a str,
    /// The signal of the stage.
    pub signal: Option<Signal>,
    /// What is left of the stage's time.
    pub left: Duration,
    /// (number, command) of who is alive, init first.
    pub alive: Vec<(i32, &'a str)>,
}

/// Watches a stop: a live line, a log, nothing.
pub trait Observer {
    /// Told of everything at once.
    fn event(&mut self, id: &str, event: &Event<'_>);
    /// How often to tell where things stand; `None` for never.
    fn tick_every(&self) -> Option<Duration> {
        None
    }
    /// Told where things stand with the containers that are not stopped yet.
    fn tick(&mut self, _progress: &[Progress<'_>]) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _id: &str, _event: &Event<'_>) {}
}

/// Stops the containers, all at the same time. Whatever goes wrong with one is in its report and
/// changes nothing for the others. When `interrupt` becomes readable, everything not stopped by then
/// is reported as it is and left alone.
pub fn run_stop(
    requests: &[Request<'_>],
    interrupt: Option<BorrowedFd<'_>>,
    observer: &mut dyn Observer,
) -> Report {
    watch::raise_descriptor_limit();
    let mut jobs: Vec<Job<'_>> = requests.iter().map(Job::new).collect();
    for job in &mut jobs {
        job.begin(observer);
    }
    let mut next_tick = observer.tick_every().map(after);
    while jobs.iter().any(|job| !job.is_done()) {
        if let Err(()) = wait_and_advance(&mut jobs, interrupt, next_tick, observer) {
            jobs.iter_mut().for_each(|job| job.interrupt(observer));
            break;
        }
        if let Some(every) =
            observer.tick_every().filter(|_| next_tick.is_some_and(|at| monotonic_ns() >= at))
        {
            let progress: Vec<Progress<'_>> = jobs.iter().filter_map(Job::progress).collect();
            observer.tick(&progress);
            next_tick = Some(after(every));
        }
    }
    Report { containers: jobs.into_iter().map(Job::into_report).collect() }
}

/// One round: sleep until something happens, then let every container take note. An error is the
/// interruption.
fn wait_and_advance(
    jobs: &mut [Job<'_>],
    interrupt: Option<BorrowedFd<'_>>,
    next_tick: Option<u64>,
    observer: &mut dyn Observer,
) -> Result<(), ()> {
    let mut fds = vec![poll_fd(interrupt.map_or(-1, BorrowedFd::raw))];
    fds.extend(jobs.iter().flat_map(Job::descriptors).map(poll_fd));
    let alarm = jobs.iter().filter_map(Job::alarm).chain(next_tick).min();
    // Rounded up: waking a moment early would only mean going to sleep again.
    let timeout = alarm.map_or(-1, |at| at.saturating_sub(monotonic_ns()).div_ceil(1_000_000).cast_signed());
    match process::poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(()),
        Err(errno) => {
            jobs.iter_mut().for_each(|job| job.fail(&format!("wait for processes: {errno}"), observer));
            return Ok(());
        }
    }
    if fds.first().is_some_and(|first| first.revents != 0) {
        return Err(());
    }
    let mut ready: Vec<i32> = fds.iter().filter(|fd| fd.revents != 0).map(|fd| fd.fd).collect();
    ready.sort_unstable();
    for job in jobs.iter_mut().filter(|job| !job.is_done()) {
        job.advance(&ready, observer);
    }
    Ok(())
}

fn poll_fd(fd: i32) -> PollFd {
    PollFd { fd, events: POLLIN, revents: 0 }
}

/// The moment this long from now, in nanoseconds of the monotonic clock.
fn after(time: Duration) -> u64 {
    monotonic_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
