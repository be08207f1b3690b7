//! From a ready container to the running program: what both kinds of init do last.
//!
//! Owns: the order of confinement, credentials, working directory, look-up, `Ready` and exec.
//! Must not: make anything in the file system.

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::plan::Process;
use runsig_proto::{FromInit, InitPlan, Op};
use runsig_sys::process::CStrArray;
use runsig_sys::{BorrowedFd, Errno, fs, process};

use crate::error::{During, Failure, Result};
use crate::procfs::ProcFs;
use crate::sync::Sync;
use crate::{credentials, env, find, hooks, placement, security};

/// Longest working directory path the kernel tells: `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// Sets what is inherited through exec and needs our full privileges.
///
/// # Errors
/// What could not be set.
pub fn confine(plan: &InitPlan, procfs: &mut ProcFs) -> Result<()> {
    security::label_next_exec(&plan.process, procfs)?;
    security::forbid_new_privileges(&plan.process)?;
    placement::apply(&plan.process)
}

/// From a process that is confined to its program. Returns only on failure.
pub fn start(mut plan: InitPlan, sync: &mut Sync) -> Failure {
    let ready = settle(&mut plan, sync).and_then(|path| {
        let state = announce(sync)?;
        await_start(&plan, sync)?;
        Ok((path, state))
    });
    match ready {
        Ok((path, state)) => execute(&plan, &path, &state, sync),
        Err(failure) => failure,
    }
}

/// Becomes the program's user in its working directory and finds its executable. A filter is
/// loaded here when only privileges allow it (no no_new_privs), or when its listener has to reach
/// the runtime while it still listens; any other waits until right before the last hooks and exec, so
/// that the filter need not allow our own calls.
///
/// # Errors
/// What could not be done; [`Op::FindExecutable`] is the last.
fn settle(plan: &mut InitPlan, sync: &Sync) -> Result<CString> {
    let process = &mut plan.process;
    placement::limit(process)?;
    // Before any filter, which may forbid it. From here on nothing is opened without O_CLOEXEC.
    fs::cloexec_from(plan.fds.preserve.saturating_add(3)).during(Op::Descriptors)?;
    load_filter_if(process, sync, !process.no_new_privs)?;
    fs::umask(process.umask);
    let arrived = enter_cwd(&process.cwd, about_permission)?;
    env::add_home(&mut process.env, process.uid);
    credentials::limit_bounding_set(process.capabilities.as_ref())?;
    credentials::become_user(process)?;
    // A directory that only the user may enter: a volume on a file system that trusts no root.
    if !arrived {
        enter_cwd(&process.cwd, |_| false)?;
    }
    check_cwd()?;
    credentials::set_capabilities(process.capabilities.as_ref())?;
    let name = process.args.first().ok_or(Failure::new(Op::Plan, Errno::EINVAL))?;
    let path = find::executable(name, &process.env)?;
    load_filter_if(process, sync, process.no_new_privs && notifies(process))?;
    Ok(path)
}

/// Says that only the exec is left, and waits for the word; the state in it is for hooks.
///
/// # Errors
/// [`Op::Sync`] when the runtime is gone.
fn announce(sync: &Sync) -> Result<Vec<u8>> {
    sync.ask(&FromInit::Ready)
}

/// Waits until `start` writes a byte. The runtime has its answer and is not waited for any more.
///
/// # Errors
/// [`Op::ExecFifo`].
fn await_start(plan: &InitPlan, sync: &mut Sync) -> Result<()> {
    if plan.fds.exec_fifo < 0 {
        return Ok(());
    }
    sync.close();
    fs::read_exact(BorrowedFd::from_raw(plan.fds.exec_fifo), &mut [0]).during(Op::ExecFifo)
}

/// Runs the last hooks and becomes the program. Returns only on failure.
fn execute(plan: &InitPlan, path: &CStr, state: &[u8], sync: &mut Sync) -> Failure {
    let process = &plan.process;
    if let Err(failure) = load_filter_if(process, sync, process.no_new_privs && !notifies(process)) {
        return failure;
    }
    // They are bound by the filter, as in runc.
    let failure = match hooks::start_container(plan, state) {
        Ok(()) => Failure::at(Op::Exec, path, exec(process, path)),
        Err(failure) => failure,
    };
    // As in runc, the container has started by now: what is wrong goes to its own standard error.
    sync.close();
    failure
}

fn exec(process: &Process, path: &CStr) -> Errno {
    let mut argv_room = vec![core::ptr::null(); process.args.len() + 1];
    let mut envp_room = vec![core::ptr::null(); process.env.len() + 1];
    let argv = CStrArray::new(process.args.iter().map(CString::as_c_str), &mut argv_room);
    let envp = CStrArray::new(process.env.iter().map(CString::as_c_str), &mut envp_room);
    match (argv, envp) {
        (Ok(argv), Ok(envp)) => process::execve(path, &argv, &envp),
        (Err(errno), _) | (_, Err(errno)) => errno,
    }
}

fn load_filter_if(process: &Process, sync: &Sync, now: bool) -> Result<()> {
    match &process.seccomp {
        Some(seccomp) if now => security::load_filter(seccomp, sync),
        _ => Ok(()),
    }
}

fn notifies(process: &Process) -> bool {
    process.seccomp.as_ref().is_some_and(|seccomp| seccomp.notify)
}

/// Changes to the working directory; false when an error that `later` accepts kept us out.
fn enter_cwd(cwd: &CStr, later: impl Fn(Errno) -> bool) -> Result<bool> {
    match fs::chdir(cwd) {
        Ok(()) => Ok(true),
        Err(errno) if later(errno) => Ok(false),
        Err(errno) => Err(Failure::at(Op::Cwd, cwd, errno)),
    }
}

/// The kernel marks a working directory outside our root: one that a descriptor of the host led to
/// (CVE-2024-21626).
fn check_cwd() -> Result<()> {
    let mut buf = vec![0; LONGEST_PATH];
    match fs::getcwd(&mut buf) {
        Ok(path) if path.starts_with(b"/") => Ok(()),
        Ok(_) => Err(Failure::new(Op::CwdOutside, Errno::ENOENT)),
        Err(errno) => Err(Failure::new(Op::CwdOutside, errno)),
    }
}

fn about_permission(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}
