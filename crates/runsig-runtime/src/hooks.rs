//! Hooks of the runtime's side: prestart, createRuntime, poststart, poststop.
//!
//! Owns: running a program with the state on its standard input, bounded in time.
//! Must not: decide what a failure means for the container.

use std::ffi::{CStr, CString};

use runsig_proto::plan::Hook;
use runsig_sys::process::{self, CStrArray, ExitStatus};
use runsig_sys::run::Run;
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, OwnedFd, fs, signal};

use crate::error::{Error, Result};
use crate::state::OciState;

const SIGKILL: i32 = 9;

/// Runs the hooks in order; the first that fails ends it.
///
/// # Errors
/// [`Error::Hook`] with how it failed.
pub fn run(kind: &'static str, hooks: &[Hook], state: &OciState) -> Result<()> {
    let json = if hooks.is_empty() { Vec::new() } else { state.to_json() };
    hooks
        .iter()
        .enumerate()
        .try_for_each(|(index, hook)| run_one(hook, &json).map_err(|how| Error::Hook { kind, index, how }))
}

fn run_one(hook: &Hook, state: &[u8]) -> std::result::Result<(), String> {
    let memfd = |errno| format!("memfd: {errno}");
    // A file to read: a hook that never reads it cannot make us wait, as a pipe would.
    let input = fs::memfd_holding(c"hook-state", state).map_err(memfd)?;
    let output = fs::memfd_data(c"hook-output").map_err(memfd)?;
    let child = start(hook, [input.as_fd(), output.as_fd(), output.as_fd()])
        .map_err(|errno| format!("fork/exec {}: {errno}", hook.path.to_string_lossy()))?;
    match wait(&child, hook.timeout)? {
        ExitStatus::Exited(0) => Ok(()),
        status => Err(format!("{}{}", describe(status), printed(&output))),
    }
}

/// Starts the hook with no signal blocked. The standard library would hand on our mask, and in
/// front of a container we block every signal.
fn start(hook: &Hook, stdio: [BorrowedFd<'_>; 3]) -> runsig_sys::Result<Child> {
    let args: Vec<&CStr> = match hook.args.as_slice() {
        [] => vec![&hook.path],
        args => args.iter().map(CString::as_c_str).collect(),
    };
    let mut argv_room = vec![std::ptr::null(); args.len() + 1];
    let mut envp_room = vec![std::ptr::null(); hook.env.len() + 1];
    runsig_sys::run::run(&Run {
        path: &hook.path,
        argv: &CStrArray::new(args.into_iter(), &mut argv_room)?,
        envp: &CStrArray::new(hook.env.iter().map(CString::as_c_str), &mut envp_room)?,
        stdio,
    })
}

/// Waits for the hook's end, at most its timeout; past that it is killed.
fn wait(child: &Child, timeout: Option<u32>) -> std::result::Result<ExitStatus, String> {
    let ended = |seconds| {
        process::wait_at_most(child.pidfd.as_fd(), seconds).map_err(|errno| format!("wait: {errno}"))
    };
    if let Some(status) = ended(timeout)? {
        return Ok(status);
    }
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), SIGKILL);
    let _ = ended(None);
    Err(format!("hook ran past specified timeout of {}.0s", timeout.unwrap_or_default()))
}

fn describe(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(code) => format!("exit status {code}"),
        ExitStatus::Killed { signal: number, core } => {
            let words = signal::words(number).map_or_else(|| format!("signal {number}"), str::to_owned);
            format!("signal: {words}{}", if core { " (core dumped)" } else { "" })
        }
    }
}

/// What a hook printed, so that one that fails can be quoted.
fn printed(output: &OwnedFd) -> String {
    let mut buffer = [0u8; 2048];
    let n = fs::pread(output.as_fd(), &mut buffer, 0).unwrap_or(0);
    match String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).trim() {
        "" => String::new(),
        text => format!(", output: {}", text.replace('\n', "; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use std::ffi::CString;

    fn state() -> OciState {
        OciState {
            oci_version: "1.3.0".into(),
            id: "h".into(),
            status: Status::Created,
            pid: 7,
            bundle: "/b".into(),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    fn sh(script: &str, timeout: Option<u32>) -> Hook {
        let c = |s: &str| CString::new(s).unwrap();
        Hook { path: c("/bin/sh"), args: vec![c("sh"), c("-c"), c(script)], env: vec![c("A=b")], timeout }
    }

    #[test]
    fn state_and_environment_reach_the_hook() {
        let script = r#"read line; case "$line" in *'"id":"h"'*'"pid":7'*) [ "$A" = b ];; *) exit 1;; esac"#;
        run("poststop", &[sh(script, None)], &state()).unwrap();
    }

    #[test]
    fn a_failing_hook_is_quoted() {
        let error =
            run("prestart", &[sh("exit 0", None), sh("echo why; exit 3", None)], &state()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to start container process: error running prestart hook #1: exit status 3, output: why"
        );
    }

    #[test]
    fn a_hook_has_no_signal_blocked() {
        let before = signal::set_mask(signal::SigSet::ALL).unwrap();
        let error = run("prestart", &[sh("kill -TERM $$", None)], &state()).unwrap_err();
        signal::set_mask(before).unwrap();
        assert_eq!(
            error.to_string(),
            "unable to start container process: error running prestart hook #0: signal: terminated"
        );
    }

    #[test]
    fn a_hanging_hook_is_killed() {
        let started = process::monotonic_ns();
        let error = run("prestart", &[sh("sleep 60", Some(1))], &state()).unwrap_err();
        assert!(error.to_string().ends_with("hook ran past specified timeout of 1.0s"), "{error}");
        assert!(process::monotonic_ns() - started < 10_000_000_000);
    }

    #[test]
    fn a_hook_that_reads_nothing_is_no_failure() {
        let mut big = state();
        big.annotations.insert("k".into(), "v".repeat(1 << 20));
        run("prestart", &[sh("exit 0", None)], &big).unwrap();
    }
}
