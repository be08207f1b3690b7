//! The init that stays: PID 1 of the container, with the program as its child.
//!
//! It is made by a fork when the container's file system is ready. The child goes on as any other
//! first process would, with everything that holds for the program; what is left of us keeps next
//! to no privileges and no descriptors, and lives in one loop: take a signal, hand it on, reap.
//! After the fork it makes no process and, in a PID namespace of its own, takes no memory, so that
//! a container which has used up its limits still has an init.
//!
//! Owns: the fork, the loop, and when it ends. Must not: set up anything for the program.

mod forward;
mod others;
mod privileges;
mod reap;
mod settings;

use alloc::ffi::CString;

use runsig_proto::{InitPlan, Op};
use runsig_sys::fork::fork;
use runsig_sys::process::{self, ExitStatus, monotonic_ns};
use runsig_sys::signal::{self, Action, SigSet};

use crate::console;
use crate::error::{During, Result};
use crate::procfs::ProcFs;
use crate::words::Text;
use others::Others;
use settings::Settings;

const SIGKILL: i32 = 9;
const SIGCHLD: i32 = 17;
/// A background process that touches its terminal gets these from the kernel. They concern nobody
/// but the receiver, so they go no further; tini does the same.
const TERMINAL: [i32; 2] = [21, 22];

/// How often to look for processes whose end nobody tells us of: others' children, put into our
/// namespace by `exec`.
const LOOK_MS: u64 = 5;
/// How often to kill what forks on, where no kernel does it for us.
const KILL_ROUNDS: u32 = 200;

/// Where the plan asks for it, forks: the caller goes on in the child, and the parent becomes the
/// resident init, which never comes back.
///
/// # Errors
/// [`Op::Fork`]; in the child [`Op::Session`] and [`Op::Console`].
pub fn stay(plan: &mut InitPlan, procfs: &mut ProcFs) -> Result<()> {
    let Some(wanted) = &plan.resident else { return Ok(()) };
    let settings = Settings::new(wanted);
    let others = Others::find(procfs);
    // From here on signals wait for the loop: none is lost, and none ends us between the two lives.
    signal::set_mask(SigSet::ALL).during(Op::Fork)?;
    if !others.are_ours_alone() {
        process::set_child_subreaper(true).during(Op::Fork)?;
    }
    match fork().during(Op::Fork)? {
        None => become_main(plan),
        Some(main) => Resident { settings, others, main, told: None, ending: None, unreaped: false }.live(),
    }
}

/// The child: a session of its own with the terminal, as the first process of a container has.
fn become_main(plan: &mut InitPlan) -> Result<()> {
    pass_activation(&mut plan.process.env);
    process::setsid().during_at(Op::Session, c"setsid")?;
    signal::set_mask(SigSet::EMPTY).during(Op::Fork)?;
    if plan.process.terminal { console::control() } else { Ok(()) }
}

/// Descriptors of socket activation are for the process with the number in LISTEN_PID
/// (sd_listen_fds(3)), which is ours now.
fn pass_activation(env: &mut [CString]) {
    let number = process::getpid().unsigned_abs();
    for pair in env.iter_mut().filter(|pair| pair.as_bytes() == b"LISTEN_PID=1") {
        *pair = Text::new().with(b"LISTEN_PID=").number(number).into_cstring();
    }
}

/// How the main process ended, and until when the others may take.
#[derive(Debug, Clone, Copy)]
struct Ending {
    code: i32,
    deadline_ns: u64,
}

#[derive(Debug)]
struct Resident {
    settings: Settings,
    others: Others,
    /// The main process; its number is ours to use until it has been reaped.
    main: i32,
    /// When everybody was last sent the stop signal.
    told: Option<u64>,
    /// Set when the main process has ended.
    ending: Option<Ending>,
    /// There may be more zombies.
    unreaped: bool,
}

impl Resident {
    fn live(mut self) -> ! {
        let awaited = self.settle();
        loop {
            match signal::sigtimedwait(awaited, self.patience_ms()) {
                Ok(SIGCHLD) | Err(_) => {}
                Ok(signal) => self.forward(signal),
            }
            // Each time: the kernel hands out low numbers first, so a storm of them hides CHLD.
            self.reap();
            if let Some(ending) = self.ending
                && (monotonic_ns() >= ending.deadline_ns || !self.anybody_left())
            {
                self.end(ending.code);
            }
        }
    }

    /// Lets go of what only the setting up needed. Returns the signals to wait for.
    fn settle(&self) -> SigSet {
        let kept = self.others.keep_only_their_descriptor();
        if kept.and_then(|()| privileges::keep_only_kill()).is_err() {
            // Rather no container than an init with privileges that nobody expects.
            let _ = process::kill(self.main, SIGKILL);
            process::exit(crate::FAILED);
        }
        // Started from a descriptor, it has that one's name.
        let _ = process::set_name(c"runsig-init");
        let mut awaited = SigSet::ALL;
        for signal in TERMINAL {
            let _ = signal::set_action(signal, Action::Ignore);
            awaited = awaited.without(signal);
        }
        let _ = signal::set_mask(awaited);
        #[cfg(feature = "freestanding")]
        runsig_sys::freestanding::forget_code();
        awaited
    }

    /// How long to wait for a signal: negative for ever.
    fn patience_ms(&self) -> i64 {
        match self.ending {
            _ if self.unreaped => 0,
            None => -1,
            Some(ending) => {
                let left = ending.deadline_ns.saturating_sub(monotonic_ns()).div_ceil(1_000_000);
                let look = if self.others.are_ours_alone() { left.min(LOOK_MS) } else { left };
                i64::try_from(look).unwrap_or(i64::MAX)
            }
        }
    }

    fn anybody_left(&self) -> bool {
        self.unreaped || reap::has_children() || self.others.include_strangers()
    }

    /// The main process has ended: the others get the stop signal, unless they have just had it,
    /// and some time.
    fn main_has_ended(&mut self, status: ExitStatus) {
        let (now, linger) = (monotonic_ns(), self.settings.linger_ns());
        self.ending = Some(Ending {
            code: self.settings.exit_code(status.shell_code()),
            deadline_ns: now.saturating_add(linger),
        });
        let just_told = self.told.is_some_and(|then| now.saturating_sub(then) < settings::JUST_NS);
        if linger > 0 && !just_told {
            self.others.send(self.settings.stop_signal());
        }
    }

    /// Ends, and everybody else with us: by the kernel where we are PID 1, by our hand where not.
    fn end(&mut self, code: i32) -> ! {
        for _ in 0..KILL_ROUNDS {
            if self.others.are_ours_alone() || !reap::has_children() {
                break;
            }
            self.others.send(SIGKILL);
            let _ = signal::sigtimedwait(SigSet::EMPTY.with(SIGCHLD), 1);
            self.reap();
        }
        process::exit(code)
    }
}
