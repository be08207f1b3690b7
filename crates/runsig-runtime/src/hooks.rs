//! Hooks of the runtime's side: prestart, createRuntime, poststart, poststop.
//!
//! Owns: running a program with the state on its standard input, bounded in time.
//! Must not: decide what a failure means for the container.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use runsig_proto::plan::Hook;
use runsig_sys::process::{POLLIN, PollFd};
use runsig_sys::{Errno, OwnedFd, process, signal};

use crate::error::{Error, Result};
use crate::state::OciState;

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
    let path = OsStr::from_bytes(hook.path.as_bytes());
    let mut command = Command::new(path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(OsStr::from_bytes(name.as_bytes()));
        command.args(rest.iter().map(|arg| OsStr::from_bytes(arg.as_bytes())));
    }
    command.env_clear();
    for pair in &hook.env {
        let bytes = pair.as_bytes();
        if let Some(at) = bytes.iter().position(|b| *b == b'=') {
            let (key, value) = bytes.split_at(at);
            command.env(OsStr::from_bytes(key), OsStr::from_bytes(value.get(1..).unwrap_or_default()));
        }
    }
    let input = state_input(state).map_err(|errno| format!("memfd: {errno}"))?;
    let output = OutputFile::new().map_err(|errno| format!("memfd: {errno}"))?;
    let (out, err) = output.handles().map_err(|errno| format!("memfd: {errno}"))?;
    let mut child = command
        .stdin(input)
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| format!("fork/exec {}: {}", path.to_string_lossy(), Errno::from_io(&e)))?;
    match wait(&mut child, hook.timeout)? {
        status if status.success() => Ok(()),
        status => Err(format!("{}{}", describe(status), output.text())),
    }
}

/// The state as a file to read: a hook that never reads it cannot make us wait, as a pipe would.
fn state_input(state: &[u8]) -> runsig_sys::Result<Stdio> {
    let file = runsig_sys::fs::memfd(c"hook-state")?;
    runsig_sys::fs::write_all(file.as_fd(), state)?;
    runsig_sys::fs::seek_to(file.as_fd(), 0)?;
    Ok(std::fs::File::from(file).into())
}

/// Waits for the hook's end, at most its timeout; past that it is killed.
fn wait(child: &mut Child, timeout: Option<u32>) -> std::result::Result<ExitStatus, String> {
    let failed = |e: std::io::Error| format!("wait: {}", Errno::from_io(&e));
    let Some(seconds) = timeout else { return child.wait().map_err(failed) };
    // The child is ours and not reaped, so its number cannot belong to another process.
    let pidfd = process::pidfd_open(child.id().cast_signed()).map_err(|e| format!("pidfd_open: {e}"))?;
    let deadline = process::monotonic_ns().saturating_add(u64::from(seconds) * 1_000_000_000);
    loop {
        let left = deadline.saturating_sub(process::monotonic_ns());
        let mut fds = [PollFd { fd: pidfd.raw(), events: POLLIN, revents: 0 }];
        match process::poll(&mut fds, (left / 1_000_000).cast_signed() + i64::from(left > 0)) {
            Ok(1) => return child.wait().map_err(failed),
            Ok(_) if left == 0 => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("hook ran past specified timeout of {seconds}.0s"));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("poll: {errno}")),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => {
            let words = signal::words(number).map_or_else(|| format!("signal {number}"), str::to_owned);
            format!("signal: {words}{}", if status.core_dumped() { " (core dumped)" } else { "" })
        }
        (None, None) => "unknown status".to_owned(),
    }
}

/// What a hook prints goes into memory, so that a hook that fails can be quoted.
struct OutputFile {
    fd: OwnedFd,
}

impl OutputFile {
    fn new() -> runsig_sys::Result<Self> {
        runsig_sys::fs::memfd(c"hook-output").map(|fd| Self { fd })
    }

    fn handles(&self) -> runsig_sys::Result<(Stdio, Stdio)> {
        // One open file with one position: both streams append to it in the order they are written.
        let one = runsig_sys::fs::dup(self.fd.as_fd(), 3)?;
        let two = runsig_sys::fs::dup(self.fd.as_fd(), 3)?;
        Ok((std::fs::File::from(one).into(), std::fs::File::from(two).into()))
    }

    fn text(&self) -> String {
        let mut buffer = [0u8; 2048];
        let n = runsig_sys::fs::pread(self.fd.as_fd(), &mut buffer, 0).unwrap_or(0);
        match String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).trim() {
            "" => String::new(),
            text => format!(", output: {}", text.replace('\n', "; ")),
        }
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
        assert_eq!(error.to_string(), "error running prestart hook #1: exit status 3, output: why");
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
