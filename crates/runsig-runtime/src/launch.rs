//! Making the first process of a container or of an exec: descriptors, clone, maps, plan.
//!
//! Owns: everything up to the moment the init has its plan. Must not: talk to it after that
//! ([`crate::talk`]) or touch the state on disk.

use std::ffi::{CStr, CString};

use runsig_proto::{InitPlan, ToInit, frame};
use runsig_spec::plan::IdMapping;
use runsig_sys::process::{self, CStrArray, WaitFor};
use runsig_sys::spawn::{Child, Failure, Spawn, Step, spawn};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, RawFd, fs, net};

use crate::embed;
use crate::error::{Error, InitError, Result};
use crate::userns;

/// The descriptor after the standard ones.
const FIRST_UNNAMED: u32 = 3;

/// What a launch needs beside the plan.
pub(crate) struct Launch<'a> {
    /// `CLONE_NEW*` for the clone.
    pub(crate) namespaces: u64,
    /// A cgroup v2 directory to be born into.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// `tasks` files of cgroup v1 directories to enter.
    pub(crate) tasks: Vec<OwnedFd>,
    /// Namespaces entered before the clone.
    pub(crate) join: &'a [(BorrowedFd<'a>, u64)],
    /// Maps of a new user namespace: the child waits for them.
    pub(crate) maps: Option<(&'a [IdMapping], &'a [IdMapping])>,
    /// Become root of the user namespace that was made or joined.
    pub(crate) become_root: bool,
    /// Descriptors the init inherits beside the sync socket.
    pub(crate) inherit: Vec<RawFd>,
}

/// A running init that has not got its plan yet.
pub(crate) struct Launched {
    /// The process.
    pub(crate) child: Child,
    /// Our end of the sync socket.
    pub(crate) sync: OwnedFd,
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Io { operation, path: "runsig-init".into(), errno }
}

impl Launch<'_> {
    /// Clones the process and starts the init program in it.
    ///
    /// # Errors
    /// The step that failed; nothing is left running.
    pub(crate) fn start(mut self) -> Result<Launched> {
        // What our caller forgot to mark must not stay open in an init that waits for `start`: the
        // other end of a pipe would wait with it. `inherit` is let through in the child.
        fs::cloexec_from(FIRST_UNNAMED).map_err(failed("close descriptors for"))?;
        let program = sealed_program().map_err(failed("prepare"))?;
        let (ours, theirs) = net::socketpair().map_err(failed("socketpair for"))?;
        self.inherit.push(theirs.raw());
        let number = CString::new(theirs.raw().to_string()).unwrap_or_default();
        let argv: [&CStr; 2] = [c"runsig-init", &number];
        let (mut argv_room, mut envp_room) = ([std::ptr::null(); 3], [std::ptr::null(); 1]);
        let argv = CStrArray::new(argv.into_iter(), &mut argv_room).map_err(failed("start"))?;
        let envp = CStrArray::new(std::iter::empty(), &mut envp_room).map_err(failed("start"))?;
        let tasks: Vec<RawFd> = self.tasks.iter().map(OwnedFd::raw).collect();
        let request = Spawn {
            namespaces: self.namespaces,
            cgroup: self.cgroup,
            tasks: &tasks,
            join: self.join,
            hold: None,
            become_root: self.become_root,
            inherit: &self.inherit,
            program: program.as_fd(),
            argv: &argv,
            envp: &envp,
            report: None,
        };
        let child = match self.maps {
            None => spawn(&request).map_err(spawn_error)?,
            Some((uids, gids)) => spawn_with_maps(&request, uids, gids)?,
        };
        Ok(Launched { child, sync: ours })
    }
}

/// The child waits between clone and exec until it has its maps: exec as an unmapped user would
/// lose the capabilities it was born with.
fn spawn_with_maps(request: &Spawn<'_>, uids: &[IdMapping], gids: &[IdMapping]) -> Result<Child> {
    let (hold, release) = fs::pipe(0).map_err(failed("pipe for"))?;
    let (report_read, report_write) = fs::pipe(0).map_err(failed("pipe for"))?;
    let request = Spawn { hold: Some(hold.as_fd()), report: Some(report_write.as_fd()), ..*request };
    let child = spawn(&request).map_err(spawn_error)?;
    drop(report_write);
    let mapped = userns::write_maps(child.pid, uids, gids)
        .and_then(|()| fs::write_all(release.as_fd(), &[1]).map_err(failed("release")));
    let mut bytes = [0; 8];
    let outcome = match mapped {
        Err(error) => Err(error),
        // The end of the file means that exec has closed the other end.
        Ok(()) => match fs::read_exact(report_read.as_fd(), &mut bytes) {
            Err(_) => Ok(()),
            Ok(()) => Err(spawn_error(Failure::from_bytes(bytes))),
        },
    };
    match outcome {
        Ok(()) => Ok(child),
        Err(error) => {
            kill_and_reap(&child);
            Err(error)
        }
    }
}

fn spawn_error(failure: Failure) -> Error {
    let op = match failure.step {
        Step::Join => runsig_proto::Op::JoinNamespace,
        Step::Clone | Step::Hold | Step::BecomeRoot | Step::Cgroup => runsig_proto::Op::Unshare,
        Step::Inherit => runsig_proto::Op::Descriptors,
        Step::Exec => runsig_proto::Op::Exec,
    };
    let subject = if failure.step == Step::Exec { "runsig-init".to_owned() } else { String::new() };
    Error::Init(InitError { op, subject, detail: String::new(), errno: Some(failure.errno) })
}

/// A memfd with the init program, sealed: the overwrite of CVE-2019-5736 finds nothing of the
/// host's to overwrite.
fn sealed_program() -> runsig_sys::Result<OwnedFd> {
    let file = fs::memfd(c"runsig-init")?;
    fs::write_all(file.as_fd(), embed::INIT)?;
    fs::seal(file.as_fd())?;
    Ok(file)
}

/// Ends a child that has not been given to the container yet.
pub(crate) fn kill_and_reap(child: &Child) {
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), 9);
    let _ = process::wait(WaitFor::Pidfd(child.pidfd.as_fd()), false);
}

/// Sends the plan.
///
/// # Errors
/// When the init is gone already.
pub(crate) fn send_plan(sync: BorrowedFd<'_>, plan: InitPlan) -> Result<()> {
    frame::send(sync, &ToInit::Plan { plan }).map_err(failed("send the plan to"))
}
