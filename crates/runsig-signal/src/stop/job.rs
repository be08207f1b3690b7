//! One container on its way through its plan.
//!
//! Owns: what is sent when, and when to go on. Must not: wait; the loop in [`super`] does.

use std::time::Duration;

use runsig_sys::process::monotonic_ns;

use super::report::{ContainerReport, Outcome, ProcessReport};
use super::watch::Watch;
use super::{Event, Observer, Progress, Request, after};
use crate::broadcast::{self, Whom};
use crate::deliver::{self, living_children};
use crate::disposition::{self, DefaultAction};
use crate::error::{Error, Result};
use crate::identity::{self, Life};
use crate::names::Signal;
use crate::plan::{KILL_WAIT, Stage, StopPlan};
use crate::policy::{OnDropped, StopScope};
use crate::procfs::Stat;
use crate::target::{PidNamespace, Target};
use crate::zap;

/// How long an init whose last child has ended gets to end as well or to start something new: a
/// shell needs well under a millisecond.
const SETTLE: Duration = Duration::from_millis(20);
/// How often a signal is forwarded to children that a deaf init starts anew. A shell that loops
/// would go on for ever.
const FORWARDS: u32 = 3;
/// Why those are killed whom init has left.
const LEFT: &str = "init has ended: its container's other processes are killed";

/// What the container is waited for to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Everybody but init has the stage's signal.
    Others,
    /// Init has it.
    Init,
    /// Init's children with these numbers have it in its place, for this many times.
    Forwarded { children: Vec<i32>, times: u32 },
    /// Those have ended; init has until the alarm.
    Settling { times: u32 },
    /// Init has ended, or was on its way before we came; only the kernel has work left.
    Ending,
}

#[derive(Debug)]
pub(super) struct Job<'a> {
    target: &'a Target,
    policy: &'a super::StopPolicy,
    plan: StopPlan,
    next_stage: usize,
    signal: Option<Signal>,
    wait: Duration,
    phase: Phase,
    deadline: u64,
    settle: Option<u64>,
    watch: Watch,
    notes: Vec<String>,
    done: Option<ContainerReport>,
}

impl<'a> Job<'a> {
    pub(super) fn new(request: &'a Request<'a>) -> Self {
        let own = request.target.pid_namespace == PidNamespace::Own;
        Self {
            target: request.target,
            policy: &request.policy,
            plan: request.plan(),
            next_stage: 0,
            signal: None,
            wait: Duration::ZERO,
            phase: Phase::Init,
            deadline: u64::MAX,
            settle: None,
            watch: Watch::new(monotonic_ns(), own),
            notes: Vec::new(),
            done: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.is_some()
    }
    pub(super) fn descriptors(&self) -> Vec<i32> {
        if self.is_done() { Vec::new() } else { self.watch.descriptors().collect() }
    }
    /// When to look again even if nothing happens.
    pub(super) fn alarm(&self) -> Option<u64> {
        if self.is_done() { None } else { Some(self.settle.unwrap_or(u64::MAX).min(self.deadline)) }
    }
    pub(super) fn progress(&self) -> Option<Progress<'_>> {
        let left = Duration::from_nanos(self.deadline.saturating_sub(monotonic_ns()));
        let alive = self.watch.living().collect();
        (!self.is_done()).then_some(Progress { id: &self.target.id, signal: self.signal, left, alive })
    }
    pub(super) fn into_report(self) -> ContainerReport {
        let unfinished = || Outcome::Failed { error: "not carried out".to_owned() };
        let Self { done, target, watch, notes, .. } = self;
        done.unwrap_or_else(|| report(&target.id, &watch, &notes, unfinished()))
    }

    pub(super) fn begin(&mut self, observer: &mut dyn Observer) {
        let begun = self.try_begin(observer);
        self.settle_result(begun, observer);
    }
    fn try_begin(&mut self, observer: &mut dyn Observer) -> Result<()> {
        match self.target.find_init()? {
            None if self.target.creator.is_none() && self.target.pid_namespace == PidNamespace::Own => {
                self.finish(Outcome::AlreadyStopped, observer);
                Ok(())
            }
            None => self.begin_without_init(observer),
            Some((init, Life::Running)) => {
                self.watch.add_init(init);
                self.start_stage(observer)
            }
            Some((init, _)) => {
                self.note(&self.target.exiting(&init).to_string(), observer);
                self.watch.add_init(init);
                self.ending();
                Ok(())
            }
        }
    }

    /// Nobody zaps the others where init had no PID namespace of its own, or none yet.
    fn begin_without_init(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.watch.refresh(self.target)?;
        let outcome = match &self.target.creator {
            Some(_) if self.watch.anybody_left() => {
                return self.kill_leftovers("it is half made: its processes are killed", observer);
            }
            None if self.watch.anybody_left() => return self.kill_leftovers(LEFT, observer),
            Some(creator) if !identity::has_ended(creator)? => {
                Outcome::Failed { error: "is being created, and nothing of it runs yet".to_owned() }
            }
            _ => Outcome::AlreadyStopped,
        };
        self.finish(outcome, observer);
        Ok(())
    }

    /// The next stage of the plan; after the last, whoever lives is reported.
    fn start_stage(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(stage) = self.plan.stages().get(self.next_stage).copied() else {
            self.still_running(observer);
            return Ok(());
        };
        self.next_stage += 1;
        self.watch.refresh(self.target)?;
        self.set(stage);
        if stage.signal == Signal::KILL {
            return self.kill(observer);
        }
        // A paused container gets the signal first, so that it is the first thing it meets.
        let paused = self.target.is_paused()?;
        let sent = self.send_stage(stage.signal, observer);
        if paused && let Some(group) = &self.target.group {
            group.thaw()?;
        }
        sent
    }
    fn set(&mut self, stage: Stage) {
        self.signal = Some(stage.signal);
        self.wait = stage.wait;
        self.deadline = after(stage.wait);
        self.settle = None;
    }
    fn send_stage(&mut self, signal: Signal, observer: &mut dyn Observer) -> Result<()> {
        if self.policy.scope == StopScope::Init || !(self.watch.others_alive() || self.watch.unwatched > 0) {
            return self.signal_init(signal, false, observer);
        }
        broadcast::broadcast(self.target, signal, Whom::Others)?;
        self.reached(signal, |_, init| !init, observer)?;
        self.sent(signal, "everybody but init", observer);
        if self.policy.scope == StopScope::All {
            return self.signal_init(signal, true, observer);
        }
        self.phase = Phase::Others;
        Ok(())
    }

    /// Init's turn. `children_have_it`: they got the signal already.
    fn signal_init(
        &mut self,
        signal: Signal,
        children_have_it: bool,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(init) = self.watch.init() else { return Ok(()) };
        let own = self.target.pid_namespace == PidNamespace::Own;
        if !own
            || self.target.resident.is_some()
            || self.policy.on_dropped == OnDropped::Warn
            || !disposition::will_be_dropped(init.pid(), signal)
        {
            return self.send_init(signal, observer);
        }
        if self.policy.on_dropped == OnDropped::Kill {
            return self.kill_at_once(&format!("init has no handler for {signal}"), observer);
        }
        let children = living_children(init.pid());
        if children.is_empty() {
            return self
                .nobody_to_ask(&format!("init has no handler for {signal} and no children"), observer);
        }
        self.forward(signal, children, children_have_it, 1, observer)
    }
    fn send_init(&mut self, signal: Signal, observer: &mut dyn Observer) -> Result<()> {
        if let Some(init) = self.watch.init() {
            init.send(signal)?;
        }
        self.reached(signal, |_, init| init, observer)?;
        self.phase = Phase::Init;
        self.sent(signal, "init", observer);
        Ok(())
    }

    /// Gives the signal to init's children in its place.
    fn forward(
        &mut self,
        signal: Signal,
        children: Vec<i32>,
        have_it: bool,
        times: u32,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.watch.refresh(self.target)?;
        if let (false, Some(init)) = (have_it, self.watch.init()) {
            let reached = deliver::forward(init, signal)?;
            self.reached(signal, |pid, _| reached.contains(&pid), observer)?;
            self.note(&format!("init has no handler for {signal}: its children get it instead"), observer);
            self.sent(signal, "init's children", observer);
        }
        self.phase = Phase::Forwarded { children, times };
        self.settle = None;
        Ok(())
    }

    /// Nobody but a deaf init is left. A plan without KILL gets its way all the same.
    fn nobody_to_ask(&mut self, why: &str, observer: &mut dyn Observer) -> Result<()> {
        if self.plan.stages().last().is_some_and(|last| last.signal == Signal::KILL) {
            return self.kill_at_once(why, observer);
        }
        self.note(why, observer);
        match self.signal {
            Some(signal) => self.send_init(signal, observer),
            None => Ok(()),
        }
    }
    fn kill_at_once(&mut self, why: &str, observer: &mut dyn Observer) -> Result<()> {
        self.note(&format!("{why}: killed at once"), observer);
        self.next_stage = self.plan.stages().len();
        self.set(Stage { signal: Signal::KILL, wait: KILL_WAIT });
        self.kill(observer)
    }
    fn kill(&mut self, observer: &mut dyn Observer) -> Result<()> {
        broadcast::kill_everybody(self.target)?;
        let own = self.target.pid_namespace == PidNamespace::Own;
        self.watch.note_sent(Signal::KILL, |_, init| init || !own);
        self.phase = Phase::Init;
        self.sent(Signal::KILL, if own { "init" } else { "everybody" }, observer);
        Ok(())
    }

    /// Kills who lives without an init.
    fn kill_leftovers(&mut self, why: &str, observer: &mut dyn Observer) -> Result<()> {
        self.note(why, observer);
        self.signal = Some(Signal::KILL);
        match &self.target.group {
            Some(group) => group.kill_all()?,
            None => self
                .watch
                .living()
                .filter_map(|(pid, _)| self.watch.get(pid))
                .try_for_each(|process| process.send(Signal::KILL).map(drop))?,
        }
        self.watch.note_sent(Signal::KILL, |_, _| true);
        self.ending();
        self.look_again();
        self.sent(Signal::KILL, "everybody", observer);
        Ok(())
    }
    /// Only the kernel has work left: it gets the time the plan gives to a KILL.
    fn ending(&mut self) {
        let last = self.plan.stages().last().filter(|last| last.signal == Signal::KILL);
        self.phase = Phase::Ending;
        self.wait = last.map_or(KILL_WAIT, |last| last.wait);
        self.deadline = after(self.wait);
        self.settle = None;
    }

    /// Takes note of who has ended (their descriptors are in `ready`, which is sorted) and of the
    /// time, and goes on.
    pub(super) fn advance(&mut self, ready: &[i32], observer: &mut dyn Observer) {
        self.collect(|fd| ready.binary_search(&fd).is_ok(), observer);
        let advanced = self.try_advance(observer);
        self.settle_result(advanced, observer);
    }
    fn try_advance(&mut self, observer: &mut dyn Observer) -> Result<()> {
        if self.watch.init_ended() {
            return self.after_init(observer);
        }
        let over = monotonic_ns() >= self.deadline;
        match self.phase.clone() {
            Phase::Others if !self.watch.others_alive() => self.others_ended(observer),
            Phase::Others if over => self.others_late(observer),
            Phase::Ending if over => {
                self.still_running(observer);
                Ok(())
            }
            _ if over => self.start_stage(observer),
            Phase::Forwarded { children, times } if !self.watch.any_alive_of(&children) => {
                self.phase = Phase::Settling { times };
                self.settle = Some(after(SETTLE));
                Ok(())
            }
            Phase::Settling { times } if self.settle.is_some_and(|at| monotonic_ns() >= at) => {
                self.settled(times, observer)
            }
            _ => Ok(()),
        }
    }

    /// Init has ended. In its own PID namespace so has everybody else; who still lives in its cgroup is no
    /// process of the container, and no business of ours.
    fn after_init(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.collect(|_| true, observer);
        if self.target.pid_namespace == PidNamespace::Own && self.target.creator.is_none() {
            self.watch.forget_the_living();
            self.finish(Outcome::Stopped, observer);
            return Ok(());
        }
        // Who there was no descriptor for is seen only by looking again; the ended have made room.
        if self.phase != Phase::Ending || (!self.watch.anybody_alive() && self.watch.unwatched > 0) {
            self.watch.refresh(self.target)?;
        }
        let left = self.watch.anybody_left();
        if self.phase != Phase::Ending && left {
            return self.kill_leftovers(LEFT, observer);
        }
        if !left {
            self.finish(Outcome::Stopped, observer);
        } else if monotonic_ns() >= self.deadline {
            self.still_running(observer);
        } else {
            self.look_again();
        }
        Ok(())
    }
    /// Those that no descriptor is left for say nothing when they end.
    fn look_again(&mut self) {
        self.settle = (!self.watch.anybody_alive()).then(|| after(SETTLE));
    }

    /// Those we knew of have ended; others may have come since.
    fn others_ended(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(signal) = self.signal else { return Ok(()) };
        let had_no_room = self.watch.unwatched > 0;
        let fresh = self.watch.refresh(self.target)?;
        // Those there was no descriptor for before have had the signal with everybody else.
        if !had_no_room {
            for process in fresh.iter().filter_map(|pid| self.watch.get(*pid)) {
                process.send(signal)?;
            }
        }
        self.reached(signal, |pid, _| fresh.contains(&pid), observer)?;
        if !fresh.is_empty() && monotonic_ns() < self.deadline {
            return Ok(());
        }
        // Init gets the whole time of the stage: it has not been asked before.
        self.deadline = after(self.wait);
        self.signal_init(signal, false, observer)
    }
    /// The stage's time is over for the others; now init gets its own.
    fn others_late(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(signal) = self.signal else { return Ok(()) };
        let deaf = || self.watch.init().is_some_and(|init| disposition::will_be_dropped(init.pid(), signal));
        if self.policy.on_dropped == OnDropped::Forward && deaf() {
            // Those who would get it in its place have had it, and their time.
            self.note(&format!("init has no handler for {signal}"), observer);
            return self.start_stage(observer);
        }
        self.deadline = after(self.wait);
        self.signal_init(signal, true, observer)
    }

    /// The children that had the signal in init's place have ended, and init has had its moment.
    fn settled(&mut self, times: u32, observer: &mut dyn Observer) -> Result<()> {
        let (Some(init), Some(signal)) = (self.watch.init(), self.signal) else { return Ok(()) };
        let children = living_children(init.pid());
        if !children.is_empty() && times < FORWARDS {
            return self.forward(signal, children, false, times + 1, observer);
        }
        let busy = Stat::of(init.pid()).is_some_and(|stat| matches!(stat.state, 'R' | 'D'));
        if children.is_empty() && busy {
            // It does something: cleaning up, perhaps. The stage's time bounds it.
            self.settle = Some(after(SETTLE));
            return Ok(());
        }
        let why = if children.is_empty() { "only init is left" } else { "init starts new children for ever" };
        self.settle = None;
        self.nobody_to_ask(&format!("{why} and has no handler for {signal}"), observer)
    }

    fn collect(&mut self, ready: impl Fn(i32) -> bool, observer: &mut dyn Observer) {
        for ended in self.watch.collect(ready) {
            observer.event(&self.target.id, &Event::Ended(&ended));
        }
    }
    /// Notes whom a stage's signal was sent to, and lets those of them go on that were stopped: they act on
    /// nothing before.
    fn reached(
        &mut self,
        signal: Signal,
        which: impl Fn(i32, bool) -> bool,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.watch.note_sent(signal, &which);
        if matches!(disposition::default_action(signal), DefaultAction::Stop) {
            return Ok(());
        }
        let woken =
            self.watch.stopped(&which).try_fold(0, |count, one| one.send(Signal::CONT).map(|_| count + 1))?;
        if woken > 0 {
            self.note(&format!("continued to act on {signal}: a signal had stopped it"), observer);
        }
        Ok(())
    }
    fn sent(&mut self, signal: Signal, to: &'static str, observer: &mut dyn Observer) {
        observer.event(&self.target.id, &Event::Sent { signal, to, wait: self.wait });
    }
    fn note(&mut self, text: &str, observer: &mut dyn Observer) {
        observer.event(&self.target.id, &Event::Note(text));
        self.notes.push(text.to_owned());
    }

    /// A container that vanished under our hands is a stopped one; the next round will see it.
    fn settle_result(&mut self, result: Result<()>, observer: &mut dyn Observer) {
        match result {
            Ok(()) => {}
            Err(error @ (Error::NotRunning | Error::Exiting(_))) => {
                if matches!(error, Error::Exiting(_)) {
                    self.note(&error.to_string(), observer);
                }
                self.ending();
            }
            Err(error) => self.fail(&error.to_string(), observer),
        }
    }
    pub(super) fn fail(&mut self, error: &str, observer: &mut dyn Observer) {
        if !self.is_done() {
            self.finish(Outcome::Failed { error: error.to_owned() }, observer);
        }
    }
    pub(super) fn interrupt(&mut self, observer: &mut dyn Observer) {
        if self.is_done() {
            return;
        }
        self.collect(|_| true, observer);
        let outcome = if self.watch.anybody_alive() { Outcome::Interrupted } else { Outcome::Stopped };
        self.finish(outcome, observer);
    }
    fn still_running(&mut self, observer: &mut dyn Observer) {
        let exiting = self.watch.init().filter(|init| init.life() == Life::Exiting);
        let cause = exiting.map(|init| zap::examine(init.pid(), self.target.namespace_inode).to_string());
        self.finish(Outcome::StillRunning { cause }, observer);
    }
    fn finish(&mut self, outcome: Outcome, observer: &mut dyn Observer) {
        let report = report(&self.target.id, &self.watch, &self.notes, outcome);
        observer.event(&self.target.id, &Event::Done(&report));
        self.done = Some(report);
    }
}

fn report(id: &str, watch: &Watch, notes: &[String], outcome: Outcome) -> ContainerReport {
    let processes: Vec<ProcessReport> = watch.reports();
    ContainerReport {
        id: id.to_owned(),
        outcome,
        exit_code: watch.exit_code(),
        took_ms: watch.clock(),
        notes: notes.to_vec(),
        processes,
        unwatched: watch.unwatched,
    }
}
