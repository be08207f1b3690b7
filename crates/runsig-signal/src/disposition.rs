//! What a signal will do to a process, told beforehand.
//!
//! Owns: the prediction from /proc, in the order in which the kernel decides (`sig_ignored`,
//! `complete_signal`, `get_signal` of kernel/signal.c).
//! Must not: send anything. It is a prediction: the process may change its mind a moment later.

use std::os::unix::fs::FileExt;

use serde::Serialize;

use crate::identity::all_threads_exit;
use crate::names::Signal;
use crate::procfs::{self, Status};

/// What happens to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// A handler runs.
    Handled,
    /// The process waits for it: sigtimedwait, sigwaitinfo or a signalfd.
    WaitedFor,
    /// It stays pending: every thread blocks it.
    BlockedQueued,
    /// The process ignores it.
    Ignored,
    /// The kernel throws it away, because the process is PID 1 of a PID namespace and has no handler.
    Dropped,
    /// It ends the process.
    Fatal,
    /// It stops the process.
    Stops,
    /// It lets a stopped process go on.
    Continues,
    /// Its default is to do nothing.
    NoEffect,
    /// The process has ended, or is about to.
    Ended,
}

impl Disposition {
    /// The word for people and for json.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::WaitedFor => "waited-for",
            Self::BlockedQueued => "blocked-queued",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
            Self::Fatal => "fatal",
            Self::Stops => "stops",
            Self::Continues => "continues",
            Self::NoEffect => "no-effect",
            Self::Ended => "ended",
        }
    }
}

/// How a process waits for a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// A thread is in rt_sigtimedwait (sigwait, sigwaitinfo, sigtimedwait) with this signal.
    Sigtimedwait,
    /// A thread is in rt_sigtimedwait, but we may not see for what.
    SigtimedwaitUnseen,
    /// It holds a signalfd with this signal, and blocks it.
    Signalfd,
}

/// A prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// What happens.
    pub disposition: Disposition,
    /// How it waits, for [`Disposition::WaitedFor`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

impl From<Disposition> for Prediction {
    fn from(disposition: Disposition) -> Self {
        Self { disposition, wait: None }
    }
}

/// What a signal does where the program has said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultAction {
    End,
    Stop,
    Continue,
    Nothing,
}

/// <https://man7.org/linux/man-pages/man7/signal.7.html>
pub(crate) fn default_action(signal: Signal) -> DefaultAction {
    match signal.number() {
        0 | 17 | 23 | 28 => DefaultAction::Nothing,
        18 => DefaultAction::Continue,
        19..=22 => DefaultAction::Stop,
        _ => DefaultAction::End,
    }
}

/// Everything about a process that decides over signals, read once for any number of signals.
#[derive(Debug, Clone, Default)]
pub struct Dispositions {
    leader: Status,
    namespace_init: bool,
    threads: Vec<Thread>,
    signalfds: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    blocked: u64,
    waits: Waits,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Waits {
    #[default]
    No,
    For(u64),
    Unseen,
}

impl Dispositions {
    /// Reads it. `None` when the process is gone.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Self::from_leader(pid, Status::of(pid)?)
    }
    /// Reads the rest for a process whose /proc/PID/status is there already.
    pub(crate) fn from_leader(pid: i32, leader: Status) -> Option<Self> {
        let threads: Vec<Thread> = if leader.threads == 1 && !matches!(leader.state, 'Z' | 'X') {
            // The only thread left is the first one, unless that is dead: it has been read already.
            vec![Thread { blocked: leader.blocked, waits: waits(pid, pid) }]
        } else {
            living_threads(pid)
        };
        if threads.is_empty() && leader.state != 'Z' {
            return None;
        }
        // Only what every thread blocks can be read from a signalfd reliably.
        let blocked = threads.iter().fold(u64::MAX, |all, t| all & t.blocked);
        let signalfds = if blocked == 0 { 0 } else { signalfd_masks(pid) };
        Some(Self { namespace_init: leader.is_namespace_init(), leader, threads, signalfds })
    }

    /// What this signal will do, sent to the process from outside its PID namespace.
    #[must_use]
    pub fn predict(&self, signal: Signal) -> Prediction {
        if self.threads.is_empty() {
            return Disposition::Ended.into();
        }
        if signal == Signal::PROBE {
            return Disposition::NoEffect.into();
        }
        // From an ancestor namespace these two reach even PID 1.
        match signal {
            Signal::KILL => return Disposition::Fatal.into(),
            Signal::STOP => return Disposition::Stops.into(),
            _ => {}
        }
        let bit = signal.bit();
        if let Some(wait) = self.waited(bit) {
            return Prediction { disposition: Disposition::WaitedFor, wait: Some(wait) };
        }
        self.delivered(signal, bit).into()
    }

    /// Whether somebody takes it without a handler.
    fn waited(&self, bit: u64) -> Option<Wait> {
        if self.threads.iter().any(|t| matches!(t.waits, Waits::For(set) if set & bit != 0)) {
            return Some(Wait::Sigtimedwait);
        }
        // While it waits, the kernel takes the awaited signals out of the thread's blocked mask. A
        // signal that is not blocked, not caught, and not ignored may be one of them.
        let unseen = self.threads.iter().any(|t| t.waits == Waits::Unseen && t.blocked & bit == 0);
        if unseen && (self.leader.caught | self.leader.ignored) & bit == 0 {
            return Some(Wait::SigtimedwaitUnseen);
        }
        (self.blocked_everywhere(bit) && self.signalfds & bit != 0).then_some(Wait::Signalfd)
    }
    fn blocked_everywhere(&self, bit: u64) -> bool {
        self.threads.iter().all(|t| t.blocked & bit != 0)
    }

    fn delivered(&self, signal: Signal, bit: u64) -> Disposition {
        let stopped = self.leader.state == 'T';
        // CONT lets a stopped process go on when it is sent, whatever becomes of it later.
        if signal == Signal::CONT && stopped {
            return Disposition::Continues;
        }
        if self.blocked_everywhere(bit) {
            return Disposition::BlockedQueued;
        }
        if self.leader.caught & bit != 0 {
            return Disposition::Handled;
        }
        if self.leader.ignored & bit != 0 {
            return Disposition::Ignored;
        }
        match default_action(signal) {
            DefaultAction::Nothing | DefaultAction::Continue if !self.namespace_init => Disposition::NoEffect,
            _ if self.namespace_init => Disposition::Dropped,
            DefaultAction::Stop => Disposition::Stops,
            _ => Disposition::Fatal,
        }
    }

    /// Its number in its own PID namespace.
    #[must_use]
    pub fn inside(&self) -> Option<i32> {
        self.leader.inside()
    }
    /// Whether it is PID 1 of a PID namespace below ours.
    #[must_use]
    pub fn is_namespace_init(&self) -> bool {
        self.namespace_init
    }
    /// Whether the signal is pending for it already.
    #[must_use]
    pub fn is_pending(&self, signal: Signal) -> bool {
        (self.leader.shared_pending | self.leader.pending) & signal.bit() != 0
    }
}

/// What one signal will do to one process. `None` when it is gone.
#[must_use]
pub fn predict(pid: i32, signal: Signal) -> Option<Prediction> {
    Dispositions::of(pid).map(|all| all.predict(signal))
}

/// Whether the kernel will drop this signal to this process. One small file is enough to know that it
/// will not, for nearly every process; only one that looks deaf is looked at closely.
#[must_use]
pub fn will_be_dropped(pid: i32, signal: Signal) -> bool {
    if signal == Signal::PROBE || signal.is_kernel_only() {
        return false;
    }
    let Some(leader) = Status::of(pid) else { return false };
    let bit = signal.bit();
    let queued = leader.threads == 1 && leader.blocked & bit != 0;
    if !leader.is_namespace_init() || queued || (leader.caught | leader.ignored) & bit != 0 {
        return false;
    }
    Dispositions::from_leader(pid, leader)
        .is_some_and(|all| all.predict(signal).disposition == Disposition::Dropped)
}

/// Threads may each be followed by another one between the list and the look: a few looks meet one.
fn living_threads(pid: i32) -> Vec<Thread> {
    const LOOKS: usize = 100;
    for _ in 0..LOOKS {
        let threads: Vec<Thread> = procfs::threads(pid).iter().filter_map(|tid| thread(pid, *tid)).collect();
        if !threads.is_empty() || all_threads_exit(pid) {
            return threads;
        }
    }
    Vec::new()
}

fn thread(pid: i32, tid: i32) -> Option<Thread> {
    let status = Status::read(&format!("{pid}/task/{tid}"))?;
    if matches!(status.state, 'Z' | 'X') {
        return None;
    }
    Some(Thread { blocked: status.blocked, waits: waits(pid, tid) })
}

#[cfg(target_arch = "x86_64")]
const RT_SIGTIMEDWAIT: [u64; 1] = [128];
/// 421 is the variant with 64-bit time for 32-bit programs.
#[cfg(not(target_arch = "x86_64"))]
const RT_SIGTIMEDWAIT: [u64; 2] = [137, 421];

/// Whether a thread is in rt_sigtimedwait, and for which set: the call's first argument points to it
/// in the program's memory. <https://man7.org/linux/man-pages/man5/proc_pid_syscall.5.html>
fn waits(pid: i32, tid: i32) -> Waits {
    let mut buf = [0; 512];
    let path = format!("/proc/{pid}/task/{tid}/syscall");
    let Ok(len) = procfs::read_once(&path, &mut buf) else { return waits_by_name(pid, tid) };
    let text = String::from_utf8_lossy(buf.get(..len).unwrap_or_default()).into_owned();
    let mut words = text.split_ascii_whitespace();
    let number = words.next().and_then(|n| n.parse().ok());
    if !number.is_some_and(|n: u64| RT_SIGTIMEDWAIT.contains(&n)) {
        return Waits::No;
    }
    let address = words.next().and_then(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
    address.and_then(|at| word_of_memory(pid, at)).map_or(Waits::Unseen, Waits::For)
}

/// Where /proc/PID/syscall is shut (no CONFIG_HAVE_ARCH_TRACEHOOK, no permission), the name of the
/// kernel function the thread sleeps in may still be there.
fn waits_by_name(pid: i32, tid: i32) -> Waits {
    let mut buf = [0; 64];
    let len = procfs::read_once(&format!("/proc/{pid}/task/{tid}/wchan"), &mut buf).unwrap_or(0);
    let name = String::from_utf8_lossy(buf.get(..len).unwrap_or_default()).into_owned();
    if name.contains("sigtimedwait") { Waits::Unseen } else { Waits::No }
}

fn word_of_memory(pid: i32, address: u64) -> Option<u64> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut word = [0; 8];
    memory.read_exact_at(&mut word, address).ok()?;
    Some(u64::from_ne_bytes(word))
}

/// What all its signalfds together accept.
fn signalfd_masks(pid: i32) -> u64 {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let is_signalfd = |path: &std::path::Path| {
        std::fs::read_link(path).is_ok_and(|link| link.as_os_str() == "anon_inode:[signalfd]")
    };
    entries
        .flatten()
        .filter(|entry| is_signalfd(&entry.path()))
        .filter_map(|entry| {
            let number = entry.file_name();
            let text = procfs::read_all(&format!("/proc/{pid}/fdinfo/{}", number.to_str()?)).ok()?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let mask = text.lines().find_map(|line| line.strip_prefix("sigmask:"))?.trim();
            u64::from_str_radix(mask, 16).ok()
        })
        .fold(0, |all, mask| all | mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(init: bool, blocked: &[u64]) -> Dispositions {
        let thread = |blocked: &u64| Thread { blocked: *blocked, waits: Waits::No };
        Dispositions {
            namespace_init: init,
            threads: blocked.iter().map(thread).collect(),
            ..Dispositions::default()
        }
    }
    fn term(all: &Dispositions) -> Disposition {
        all.predict(Signal::TERM).disposition
    }

    #[test]
    fn defaults_depend_on_being_pid_1() {
        let (init, other) = (process(true, &[0]), process(false, &[0]));
        for (signal, at_init, elsewhere) in [
            (Signal::TERM, Disposition::Dropped, Disposition::Fatal),
            (Signal::KILL, Disposition::Fatal, Disposition::Fatal),
            (Signal::STOP, Disposition::Stops, Disposition::Stops),
            (Signal::TSTP, Disposition::Dropped, Disposition::Stops),
            (Signal::CHLD, Disposition::Dropped, Disposition::NoEffect),
            (Signal::WINCH, Disposition::Dropped, Disposition::NoEffect),
            (Signal::URG, Disposition::Dropped, Disposition::NoEffect),
            (Signal::CONT, Disposition::Dropped, Disposition::NoEffect),
            (Signal::PROBE, Disposition::NoEffect, Disposition::NoEffect),
        ] {
            assert_eq!(init.predict(signal).disposition, at_init, "{signal} to init");
            assert_eq!(other.predict(signal).disposition, elsewhere, "{signal} to another");
        }
        let rt = Signal::parse("RTMIN+3").unwrap();
        assert_eq!(other.predict(rt).disposition, Disposition::Fatal);
    }

    #[test]
    fn one_thread_that_does_not_block_is_enough() {
        let bit = Signal::TERM.bit();
        assert_eq!(term(&process(true, &[bit, bit])), Disposition::BlockedQueued);
        assert_eq!(term(&process(true, &[bit, 0])), Disposition::Dropped);
        let mut caught = process(true, &[bit, 0]);
        caught.leader.caught = bit;
        assert_eq!(term(&caught), Disposition::Handled);
        caught.threads = vec![Thread { blocked: bit, waits: Waits::No }];
        assert_eq!(term(&caught), Disposition::BlockedQueued);
    }

    #[test]
    fn waiting_beats_everything_else() {
        let bit = Signal::TERM.bit();
        let mut all = process(true, &[0]);
        all.threads[0].waits = Waits::For(bit);
        assert_eq!(all.predict(Signal::TERM).wait, Some(Wait::Sigtimedwait));
        assert_eq!(all.predict(Signal::HUP).disposition, Disposition::Dropped);
        all.threads[0].waits = Waits::Unseen;
        assert_eq!(all.predict(Signal::TERM).wait, Some(Wait::SigtimedwaitUnseen));
        let mut fd = process(true, &[bit]);
        fd.signalfds = bit;
        assert_eq!(fd.predict(Signal::TERM).wait, Some(Wait::Signalfd));
        fd.threads[0].blocked = 0;
        assert_eq!(term(&fd), Disposition::Dropped);
    }

    #[test]
    fn cont_wakes_the_stopped() {
        let mut all = process(true, &[u64::MAX]);
        all.leader.state = 'T';
        assert_eq!(all.predict(Signal::CONT).disposition, Disposition::Continues);
    }

    #[test]
    fn ignored_is_not_dropped_and_the_dead_do_nothing() {
        let mut all = process(true, &[0]);
        all.leader.ignored = Signal::TERM.bit();
        assert_eq!(term(&all), Disposition::Ignored);
        assert_eq!(term(&process(false, &[])), Disposition::Ended);
    }
}
