//! Stops that end well.

use std::time::{Duration, Instant};

use runsig_signal::plan::StopPlan;
use runsig_signal::policy::{OnDropped, StopPolicy, StopScope};
use runsig_signal::stop::{
    ContainerReport, End, Event, Observer, Outcome, Report, Request, Silent, dry_run, run_stop,
};
use runsig_signal::table::StopWould;
use runsig_signal::{PidNamespace, Signal};

use crate::identity::Outsider;
use crate::world::{self, Container, Group, eventually, shell};

fn policy(plan: &str) -> StopPolicy {
    StopPolicy {
        plan: StopPlan::parse(plan).unwrap(),
        scope: StopScope::Init,
        on_dropped: OnDropped::Forward,
    }
}

pub(crate) fn run(container: &Container, plan: &str, observer: &mut dyn Observer) -> Report {
    run_with(container, policy(plan), observer)
}

fn run_with(container: &Container, policy: StopPolicy, observer: &mut dyn Observer) -> Report {
    run_stop(&[Request { target: &container.target, policy }], None, observer)
}

fn only(report: Report) -> ContainerReport {
    assert_eq!(report.containers.len(), 1);
    report.containers.into_iter().next().unwrap()
}

fn stopped(container: &Container, plan: &str) -> ContainerReport {
    let report = run(container, plan, &mut Silent);
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert!(!container.lives());
    only(report)
}

/// How init ended and how the others did.
fn ends(report: &ContainerReport) -> (Option<End>, Vec<Option<End>>) {
    let (init, others): (Vec<_>, Vec<_>) = report.processes.iter().partition(|process| process.init);
    (init.first().and_then(|init| init.end), others.iter().map(|other| other.end).collect())
}

const TERM_PLAN: &str = "TERM:10s,KILL";
const KILLED_BY_TERM: End = End::Killed { signal: Signal::TERM, core: false };

/// In under 100 ms: the best of five, for other tests may have the machine's cores.
pub(crate) fn deaf_shell() {
    let best = (0..5).map(|_| stop_a_deaf_shell()).min().unwrap();
    assert!(best < Duration::from_millis(100), "{best:?}");
}

fn stop_a_deaf_shell() -> Duration {
    let mut container = shell("echo ready; sleep 1000; exit 4");
    eventually("a child", || !container.children().is_empty());
    let before = Instant::now();
    let report = stopped(&container, TERM_PLAN);
    let took = before.elapsed();
    assert_eq!(ends(&report), (Some(End::Exited { code: 4 }), vec![Some(KILLED_BY_TERM)]));
    assert_eq!((container.ended_with(), report.exit_code), (4, Some(4)));
    assert!(report.processes[0].sent.is_empty(), "init was not bothered");
    assert_eq!(report.processes[1].sent[0].signal, Signal::TERM);
    took
}

pub(crate) fn dry() {
    let container = shell("echo ready; sleep 1000; exit 4");
    eventually("a child", || !container.children().is_empty());
    let dry = dry_run(&Request { target: &container.target, policy: policy(TERM_PLAN) }).unwrap();
    assert!(dry.running && !dry.paused);
    let would: Vec<StopWould> = dry.processes.iter().map(|row| row.stop).collect();
    assert_eq!(would, [StopWould::Wait, StopWould::Forward]);
    let json = serde_json::to_value(&dry).unwrap();
    assert_eq!(json["stages"][0]["waitMs"], 10_000);
    assert_eq!(json["onDropped"], "forward");
    assert!(container.lives());
}

pub(crate) fn deaf_and_alone() {
    let container = world::start(&["sh", "-c", "echo ready; exec sleep 1000"]);
    let before = Instant::now();
    let report = stopped(&container, TERM_PLAN);
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    assert_eq!(ends(&report), (Some(End::KilledByStage), vec![]));
    assert_eq!(report.notes, ["init has no handler for SIGTERM and no children: killed at once"]);
    assert_eq!(report.exit_code, Some(137));
}

/// A shell that starts a new child whenever one ends.
pub(crate) fn deaf_loop() {
    let container = shell("echo ready; while true; do sleep 1000; done");
    let before = Instant::now();
    let report = stopped(&container, TERM_PLAN);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(ends(&report).0, Some(End::KilledByStage), "{report:?}");
}

pub(crate) fn handled() {
    let container = shell("trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done");
    let report = stopped(&container, TERM_PLAN);
    assert_eq!(ends(&report).0, Some(End::Exited { code: 3 }));
    // Stages that need not come do not come.
    assert_eq!(report.processes[0].sent.len(), 1);
}

pub(crate) fn ignoring_is_killed() {
    let container = shell("trap '' TERM HUP; sleep 1000 & echo ready; wait");
    eventually("a child", || !container.children().is_empty());
    let before = Instant::now();
    let report = stopped(&container, "TERM:150ms,HUP:100ms,KILL");
    assert!(before.elapsed() >= Duration::from_millis(250), "{:?}", before.elapsed());
    assert_eq!(ends(&report), (Some(End::KilledByStage), vec![Some(End::Zapped)]));
    let sent: Vec<Signal> = report.processes[0].sent.iter().map(|sent| sent.signal).collect();
    assert_eq!(sent, [Signal::TERM, Signal::HUP, Signal::KILL]);
}

const SLOW_CHILD: &str = "trap 'exit 0' TERM; \
     busybox sh -c 'trap \"sleep 0.2; exit 5\" TERM; echo ready; while true; do sleep 0.02; done' & \
     while true; do sleep 0.02; done";

pub(crate) fn others_first() {
    // Without it the child has no chance: init ends at once.
    let container = shell(SLOW_CHILD);
    let report = stopped(&container, TERM_PLAN);
    assert!(ends(&report).1.contains(&Some(End::Zapped)), "{report:?}");
    let container = shell(SLOW_CHILD);
    let with = StopPolicy { scope: StopScope::OthersFirst, ..policy(TERM_PLAN) };
    let report = only(run_with(&container, with, &mut Silent));
    assert_eq!(report.outcome, Outcome::Stopped);
    let (init, others) = ends(&report);
    assert_eq!(init, Some(End::Exited { code: 0 }));
    assert!(others.contains(&Some(End::Exited { code: 5 })), "{report:?}");
    // Others that do not go: init still gets its turn, then KILL.
    let stubborn =
        shell("trap 'exit 6' TERM; busybox sh -c \"trap '' TERM; echo ready; sleep 1000\" & wait; wait");
    let with = StopPolicy { scope: StopScope::OthersFirst, ..policy("TERM:150ms,KILL") };
    let report = only(run_with(&stubborn, with, &mut Silent));
    assert_eq!(ends(&report).0, Some(End::Exited { code: 6 }), "{report:?}");
}

pub(crate) fn everybody() {
    let container = shell("trap 'exit 0' TERM; sleep 1000 & sleep 1000 & echo ready; wait");
    eventually("children", || container.members().len() == 3);
    let with = StopPolicy { scope: StopScope::All, ..policy(TERM_PLAN) };
    let report = only(run_with(&container, with, &mut Silent));
    assert_eq!(ends(&report), (Some(End::Exited { code: 0 }), vec![Some(KILLED_BY_TERM); 2]));
}

const RLIMIT_NOFILE: u32 = 7;

fn stop_a_thousand() -> ContainerReport {
    let container = world::start(&["python3", &world::program("waits.py"), "sleepers", "1000"]);
    let with = StopPolicy { scope: StopScope::All, ..policy(TERM_PLAN) };
    let report = only(run_with(&container, with, &mut Silent));
    assert_eq!(report.outcome, Outcome::Stopped);
    report
}

/// More processes than the soft limit of descriptors: it is raised, and each end is told.
pub(crate) fn thousand() {
    let (_, hard) = runsig_sys::sched::getrlimit(RLIMIT_NOFILE).unwrap();
    runsig_sys::sched::prlimit(0, RLIMIT_NOFILE, 256, hard).unwrap();
    let report = stop_a_thousand();
    assert_eq!(report.unwatched, 0);
    assert_eq!(ends(&report), (Some(End::KilledByStage), vec![Some(KILLED_BY_TERM); 1000]));
}

/// More than the hard limit: some are not watched, all are stopped.
pub(crate) fn few_descriptors() {
    assert!(world::inside(&["prlimit", "--nofile=256:256", "--"], &world::ourselves(), "few-descriptors"));
}

pub(crate) fn few_descriptors_inside() {
    let report = stop_a_thousand();
    assert!(report.processes.len() > 200, "{}", report.processes.len());
    assert!(report.alive().next().is_none());
}

pub(crate) fn plan_without_kill() {
    let container = shell("trap '' TERM; echo ready; while true; do sleep 1; done");
    let report = run(&container, "TERM:50ms", &mut Silent);
    assert_eq!(report.exit_code(), 1);
    let report = only(report);
    assert_eq!(report.outcome, Outcome::StillRunning { cause: None });
    assert!(report.alive().any(|process| process.pid == container.pid()));
    assert!(container.lives());
}

pub(crate) fn many() {
    let slow = "trap 'sleep 0.3; exit 0' TERM; echo ready; while true; do sleep 0.02; done";
    let containers: Vec<Container> = (0..5).map(|_| shell(slow)).collect();
    let mut stopped = shell("echo ready");
    stopped.ended_with();
    let all = containers.iter().chain([&stopped]);
    let requests: Vec<Request<'_>> =
        all.map(|container| Request { target: &container.target, policy: policy(TERM_PLAN) }).collect();
    let before = Instant::now();
    let report = run_stop(&requests, None, &mut Silent);
    assert!(before.elapsed() < Duration::from_millis(1200), "{:?}", before.elapsed());
    assert_eq!(report.exit_code(), 0);
    let outcomes: Vec<&Outcome> = report.containers.iter().map(|container| &container.outcome).collect();
    assert_eq!(outcomes[..5], [&Outcome::Stopped; 5]);
    assert_eq!(outcomes[5], &Outcome::AlreadyStopped);
}

pub(crate) fn interrupted() {
    let container = shell("trap '' TERM; echo ready; while true; do sleep 1; done");
    let (read, write) = runsig_signal::wait::interrupter().unwrap();
    let request = [Request { target: &container.target, policy: policy(TERM_PLAN) }];
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            runsig_sys::fs::write_all(write.as_fd(), b"x").unwrap();
        });
        run_stop(&request, Some(read.as_fd()), &mut Silent)
    });
    assert_eq!(report.exit_code(), 130);
    assert!(only(report).alive().count() >= 1);
    assert!(container.lives());
}

/// Nothing is locked: two stops at a time, and the impatient one ends both.
pub(crate) fn second_wins() {
    let script = "trap '' TERM; echo ready; while true; do sleep 1; done";
    let container = shell(script);
    let init = container.init;
    let same = move || runsig_signal::Target {
        init: Some(init),
        id: "the same".into(),
        pid_namespace: PidNamespace::Own,
        namespace_inode: None,
        created: false,
        creator: None,
        group: None,
        annotations: Default::default(),
        resident: None,
    };
    let before = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let target = same();
            let request = [Request { target: &target, policy: policy("TERM:50ms,KILL") }];
            assert_eq!(run_stop(&request, None, &mut Silent).exit_code(), 0);
        });
        stopped(&container, "TERM:1m,KILL");
    });
    assert!(before.elapsed() < Duration::from_secs(2));
}

pub(crate) fn created_and_stopped() {
    let mut container = shell("trap '' TERM; echo ready; while true; do sleep 1; done");
    container.target.created = true;
    let report = stopped(&container, TERM_PLAN);
    assert_eq!(report.processes[0].sent[0].signal, Signal::KILL);
    let again = run(&container, TERM_PLAN, &mut Silent);
    assert_eq!((again.exit_code(), only(again).outcome), (0, Outcome::AlreadyStopped));
}

fn paused(group: Group) {
    let script = ["busybox", "sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"];
    let container = world::start_in(&script, PidNamespace::Own, group);
    container.freeze();
    let report = stopped(&container, TERM_PLAN);
    assert_eq!(ends(&report).0, Some(End::Exited { code: 3 }));
    let deaf = ["sh", "-c", "echo ready; exec sleep 1000"];
    let container = world::start_in(&deaf, PidNamespace::Own, group);
    container.freeze();
    let before = Instant::now();
    stopped(&container, TERM_PLAN);
    assert!(before.elapsed() < Duration::from_secs(1));
}

pub(crate) fn paused_v2() {
    paused(Group::V2);
}
pub(crate) fn paused_v1() {
    paused(Group::V1);
}

/// Nobody outlives init in a PID namespace that others use, either.
pub(crate) fn shared() {
    let command = ["busybox", "sh", "-c", "sleep 1000 & echo ready; exec sleep 2000"];
    let container = world::start_in(&command, PidNamespace::Shared, Group::V2);
    eventually("two processes", || container.members().len() == 2);
    let report = stopped(&container, TERM_PLAN);
    assert_eq!(ends(&report), (Some(KILLED_BY_TERM), vec![Some(End::KilledByStage)]));
    assert!(container.members().is_empty());
}

/// Told of everything, in order.
#[derive(Default)]
struct Log(Vec<String>, usize);

impl Observer for Log {
    fn event(&mut self, _id: &str, event: &Event<'_>) {
        self.0.push(match event {
            Event::Sent { signal, to, .. } => format!("{signal} to {to}"),
            Event::Note(_) => "note".to_owned(),
            Event::Ended(process) => process.end.unwrap().to_string(),
            Event::Done(_) => "done".to_owned(),
        });
    }
    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }
    fn tick(&mut self, progress: &[runsig_signal::stop::Progress<'_>]) {
        self.1 += progress.len();
    }
}

/// Init is killed, and cannot end because of somebody outside, until that one reaps.
pub(crate) fn zapped_init() {
    let mut container = world::start(&["sh", "-c", "echo ready; exec sleep 1000"]);
    let mut outsider = Outsider::new(&container);
    let mut log = Log::default();
    let report = run(&container, "KILL:200ms", &mut log);
    assert_eq!(report.exit_code(), 1);
    let Outcome::StillRunning { cause: Some(cause) } = only(report).outcome else {
        panic!("not still running")
    };
    assert!(cause.contains(&format!("zombie {}", outsider.pid)), "{cause}");
    assert_eq!(log.0, ["SIGKILL to init", "zapped when init ended", "done"]);
    assert!(log.1 >= 5, "{} ticks", log.1);
    outsider.reap();
    assert_eq!(container.ended_with(), 137);
}
