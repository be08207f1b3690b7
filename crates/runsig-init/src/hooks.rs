//! Hooks that run inside the container's namespaces: createContainer and startContainer.
//!
//! Owns: running one after the other, bounded in time, and how their failure is worded.
//! Must not: decide when they run.

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::Op;
use runsig_proto::plan::Hook;
use runsig_sys::process::{self, CStrArray, ExitStatus};
use runsig_sys::run::{Run, run};
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, Errno, fs, signal};

use crate::error::{Failure, Result};
use crate::words::Text;

/// How much of what a failing hook printed is quoted.
const QUOTE: usize = 2048;

const SIGKILL: i32 = 9;

/// Runs the hooks in order, with `state` on their standard input, until one fails. Those without an
/// environment of their own get `default_env`.
///
/// # Errors
/// [`Op::Hook`] with the hook's path, and in the detail the whole sentence: which hook, and how it
/// failed, in runc's words.
pub fn run_all(kind: &[u8], hooks: &[Hook], default_env: &[CString], state: &[u8]) -> Result<()> {
    for (index, hook) in (0..).zip(hooks) {
        let env = if hook.env.is_empty() { default_env } else { &hook.env };
        run_one(hook, env, state).map_err(|how| {
            let sentence = Text::new().with(b"error running ").with(kind).with(b" hook #").number(index);
            Failure::because(Op::Hook, &hook.path, &sentence.with(b": ").with(how.as_bytes()).into_cstring())
        })?;
    }
    Ok(())
}

/// Runs one; the error is how it failed.
fn run_one(hook: &Hook, env: &[CString], state: &[u8]) -> core::result::Result<(), Text> {
    let system = |what: &'static [u8]| move |errno| Text::new().with(what).with(b": ").errno(errno);
    // A file: a hook that never reads it cannot hold us up, as a pipe would.
    let input = fs::memfd_holding(c"hook-state", state).map_err(system(b"memfd_create"))?;
    let output = fs::memfd_data(c"hook-output").map_err(system(b"memfd_create"))?;
    let child = start(hook, env, [input.as_fd(), output.as_fd(), output.as_fd()]).map_err(|errno| {
        Text::new().with(b"fork/exec ").with(hook.path.as_bytes()).with(b": ").errno(errno)
    })?;
    match wait(&child, hook.timeout)? {
        ExitStatus::Exited(0) => Ok(()),
        status => Err(quote(describe(status), output.as_fd())),
    }
}

fn start(hook: &Hook, env: &[CString], stdio: [BorrowedFd<'_>; 3]) -> core::result::Result<Child, Errno> {
    let args: Vec<&CStr> = if hook.args.is_empty() {
        vec![&hook.path]
    } else {
        hook.args.iter().map(CString::as_c_str).collect()
    };
    let mut argv_room = vec![core::ptr::null(); args.len() + 1];
    let mut envp_room = vec![core::ptr::null(); env.len() + 1];
    run(&Run {
        path: &hook.path,
        argv: &CStrArray::new(args.into_iter(), &mut argv_room)?,
        envp: &CStrArray::new(env.iter().map(CString::as_c_str), &mut envp_room)?,
        stdio,
    })
}

/// Waits for the end, at most the timeout; past that the hook is killed and has failed.
fn wait(child: &Child, timeout: Option<u32>) -> core::result::Result<ExitStatus, Text> {
    let ended = |seconds| {
        process::wait_at_most(child.pidfd.as_fd(), seconds)
            .map_err(|errno| Text::new().with(b"wait: ").errno(errno))
    };
    if let Some(status) = ended(timeout)? {
        return Ok(status);
    }
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), SIGKILL);
    let _ = ended(None);
    let words = Text::new().with(b"hook ran past specified timeout of ");
    Err(words.number(timeout.unwrap_or_default()).with(b".0s"))
}

/// The end of a process as Go prints it, since engines show these words.
fn describe(status: ExitStatus) -> Text {
    match status {
        ExitStatus::Exited(code) => Text::new().with(b"exit status ").number(code.unsigned_abs()),
        ExitStatus::Killed { signal: number, core } => {
            let text = Text::new().with(b"signal: ");
            let text = match signal::words(number) {
                Some(words) => text.with(words.as_bytes()),
                None => text.with(b"signal ").number(number.unsigned_abs()),
            };
            if core { text.with(b" (core dumped)") } else { text }
        }
    }
}

/// With what the hook printed, on one line.
fn quote(text: Text, output: BorrowedFd<'_>) -> Text {
    let mut buf = [0; QUOTE];
    let len = fs::pread(output, &mut buf, 0).unwrap_or(0);
    let printed = buf.get(..len).unwrap_or_default().trim_ascii();
    if printed.is_empty() {
        return text;
    }
    let mut lines = printed.split(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default();
    lines.fold(text.with(b", output: ").with(first), |text, line| text.with(b"; ").with(line))
}

/// Runs the createContainer hooks.
///
/// # Errors
/// As [`run_all`].
pub fn create_container(plan: &runsig_proto::InitPlan, state: &[u8]) -> Result<()> {
    run_all(b"createContainer", &plan.create_container, &[], state)
}

/// Runs the startContainer hooks; those without an environment get the program's, as in runc.
///
/// # Errors
/// As [`run_all`].
pub fn start_container(plan: &runsig_proto::InitPlan, state: &[u8]) -> Result<()> {
    run_all(b"startContainer", &plan.start_container, &plan.process.env, state)
}

#[cfg(test)]
mod tests;
