//! The peak resident memory of one process.
//!
//! Read from /proc at the very end of the process, where ptrace stops it: ru_maxrss would include
//! that of the process that spawned it.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Runs a command and returns the peak of its resident set, in KiB. Its children do not count.
pub(crate) fn peak(command: &Command) -> Result<f64, String> {
    let pid = start_stopped(command)?;
    let fail = |error: nix::Error| format!("{command:?}: {error}");
    ptrace::seize(pid, Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACEEXIT).map_err(fail)?;
    kill(pid, Signal::SIGCONT).map_err(fail)?;
    let mut peak = None;
    loop {
        let pass = match waitpid(pid, Some(WaitPidFlag::__WALL)).map_err(fail)? {
            WaitStatus::Exited(_, 0) => return peak.ok_or_else(|| format!("{command:?}: no peak")),
            WaitStatus::Exited(_, code) => return Err(format!("{command:?}: exit {code}")),
            WaitStatus::Signaled(_, signal, _) => return Err(format!("{command:?}: {signal}")),
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXIT as i32 => {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                peak = field(&status, "VmHWM:");
                None
            }
            WaitStatus::Stopped(_, signal) if signal != Signal::SIGCONT => Some(signal),
            _ => None,
        };
        ptrace::cont(pid, pass).map_err(fail)?;
    }
}

/// A shell that stops itself before it becomes the command.
fn start_stopped(command: &Command) -> Result<Pid, String> {
    let child = Command::new("/bin/sh")
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    let pid = Pid::from_raw(pid);
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).map_err(|error| error.to_string())?;
    Ok(pid)
}

/// A figure of /proc/PID/status, in KiB.
pub(crate) fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
