//! The other end of the init's socket: starts the real program and talks to it.

use std::ffi::{CStr, CString};

use runsig_proto::plan::{Fds, InitPlan, Namespaces, Process};
use runsig_proto::{FromInit, ToInit, frame};
use runsig_sys::process::{self, CStrArray, ExitStatus, POLLIN, PollFd, WaitFor};
use runsig_sys::spawn::{Child, Spawn, spawn};
use runsig_sys::{BorrowedFd, OwnedFd, RawFd, fs, net};

/// The program the build script made.
pub(crate) const PROGRAM: &[u8] = include_bytes!(env!("RUNSIG_INIT_PATH"));

/// Longest wait for anything, in milliseconds.
const PATIENCE: i64 = 30_000;

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Whether namespaces and credentials can be changed; says so when not.
pub(crate) fn is_root() -> bool {
    let root = process::geteuid() == 0;
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// A process in our own namespaces, as ourselves, that executes `args`.
pub(crate) fn plan(args: &[&str]) -> InitPlan {
    let fds = Fds { exec_fifo: -1, console: -1, preserve: 0 };
    let namespaces = Namespaces::default();
    let process = Process {
        args: args.iter().map(|arg| c(arg)).collect(),
        env: vec![c("PATH=/usr/bin:/bin")],
        cwd: c("/"),
        uid: process::geteuid(),
        gid: process::getegid(),
        keep_groups: true,
        umask: 0o022,
        ..Process::default()
    };
    InitPlan::joining(fds, namespaces, process)
}

/// The same for a shell script.
pub(crate) fn script(text: &str) -> InitPlan {
    plan(&["sh", "-c", text])
}

/// A running init. What is left of it is killed at the end.
pub(crate) struct Init {
    pub sync: Option<OwnedFd>,
    pub child: Child,
}

impl Init {
    /// Starts the program from a memfd, as the runtime does, and sends it the plan.
    pub(crate) fn start(plan: InitPlan, namespaces: u64, inherit: &[RawFd]) -> Self {
        Self::start_in(plan, &[], namespaces, inherit)
    }

    /// The same, inside the namespaces of others.
    pub(crate) fn start_in(
        plan: InitPlan,
        join: &[(BorrowedFd<'_>, u64)],
        namespaces: u64,
        inherit: &[RawFd],
    ) -> Self {
        let file = fs::memfd(c"runsig-init").unwrap();
        fs::write_all(file.as_fd(), PROGRAM).unwrap();
        fs::seal(file.as_fd()).unwrap();
        let (ours, theirs) = net::socketpair().unwrap();
        // Out of the way of descriptors that the program is to inherit.
        let theirs = fs::dup(theirs.as_fd(), 100).unwrap();
        let number = c(&theirs.raw().to_string());
        let argv: [&CStr; 2] = [c"runsig-init", &number];
        let (mut argv_room, mut envp_room) = ([std::ptr::null(); 3], [std::ptr::null(); 1]);
        let inherit: Vec<RawFd> = inherit.iter().copied().chain([theirs.raw()]).collect();
        let child = spawn(&Spawn {
            namespaces,
            cgroup: None,
            tasks: &[],
            join,
            hold: None,
            become_root: false,
            inherit: &inherit,
            program: file.as_fd(),
            argv: &CStrArray::new(argv.into_iter(), &mut argv_room).unwrap(),
            envp: &CStrArray::new(std::iter::empty(), &mut envp_room).unwrap(),
            report: None,
        })
        .unwrap();
        let init = Self { sync: Some(ours), child };
        init.send(&ToInit::Plan { plan });
        init
    }

    /// Starts the program and takes it to the point where only the exec is left.
    pub(crate) fn ready(plan: InitPlan) -> Self {
        let init = Self::start(plan, 0, &[]);
        assert_eq!(init.next(), Some(FromInit::Ready));
        init
    }

    pub(crate) fn go(&self, state: &[u8]) {
        self.send(&ToInit::Go { state: state.to_vec() });
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) fn next(&self) -> Option<FromInit> {
        let sync = self.sync.as_ref().unwrap();
        await_readable(sync.raw(), "a message");
        frame::receive(sync.as_fd()).unwrap()
    }

    /// How the process ends.
    pub(crate) fn end(&self) -> ExitStatus {
        await_readable(self.child.pidfd.raw(), "the end");
        process::wait(WaitFor::Pidfd(self.child.pidfd.as_fd()), false).unwrap().unwrap().1
    }

    /// Whether it still runs after a while.
    pub(crate) fn stays(&self) -> bool {
        let mut fds = [PollFd { fd: self.child.pidfd.raw(), events: POLLIN, revents: 0 }];
        process::poll(&mut fds, 200).unwrap() == 0
    }

    fn send(&self, message: &ToInit) {
        frame::send(self.sync.as_ref().unwrap().as_fd(), message).unwrap();
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = process::pidfd_send_signal(self.child.pidfd.as_fd(), 9);
        let _ = process::wait(WaitFor::Pidfd(self.child.pidfd.as_fd()), false);
    }
}

fn await_readable(fd: RawFd, what: &str) {
    let mut fds = [PollFd { fd, events: POLLIN, revents: 0 }];
    assert_eq!(process::poll(&mut fds, PATIENCE).unwrap(), 1, "waited in vain for {what}");
}

/// What becomes of a plan: the exit status of its program, which gets an empty state.
pub(crate) fn outcome(plan: InitPlan) -> ExitStatus {
    let init = Init::ready(plan);
    init.go(b"");
    assert_eq!(init.next(), None, "the end of the stream means that the program runs");
    init.end()
}

/// The failure that a plan comes to before it is ready: operation, subject, error number.
pub(crate) fn failure(plan: InitPlan) -> (runsig_proto::Op, String, i32) {
    let init = Init::start(plan, 0, &[]);
    let message = init.next();
    let Some(FromInit::Failed { op, subject, errno, .. }) = message else { panic!("{message:?}") };
    assert_eq!(init.next(), None);
    assert_eq!(init.end(), ExitStatus::Exited(255));
    (op, subject.into_string().unwrap(), errno)
}
