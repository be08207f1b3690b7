//! Runs a program to its Nth system call and kills it there.
//!
//! Counts the calls of the program's own threads. Its children are let go at once: they live or
//! die as they would without a tracer.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What came of a traced run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Killed on entering the system call asked for; the call was not made.
    Struck,
    /// It ended before, after this many system calls.
    Finished(usize),
}

/// Runs `command` until its `strike`th system call (from 1) and kills it there.
pub(crate) fn run(command: &Command, strike: usize) -> Ended {
    let leader = start_stopped(command);
    let tracer =
        Tracer { leader, tasks: BTreeSet::from([leader]), entered: BTreeSet::new(), calls: 0, strike };
    tracer.run()
}

/// A shell that stops itself and then becomes the program: it can be seized without code of ours
/// between fork and exec.
#[expect(clippy::zombie_processes, reason = "the tracer waits for it by its PID")]
fn start_stopped(command: &Command) -> Pid {
    let child = Command::new("/bin/sh")
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(File::create("/dev/null").expect("/dev/null"))
        .stderr(File::create("/dev/null").expect("/dev/null"))
        .spawn()
        .expect("a shell");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a PID"));
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("stopped");
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(pid, options).expect("seize");
    kill(pid, Signal::SIGCONT).expect("continue");
    wait_for_exec(pid);
    pid
}

fn wait_for_exec(pid: Pid) {
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)).expect("wait") {
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                ptrace::syscall(pid, None).expect("go on");
                return;
            }
            WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) => {
                ptrace::cont(pid, None).expect("go on");
            }
            WaitStatus::Stopped(_, signal) => {
                let pass = (signal != Signal::SIGSTOP && signal != Signal::SIGCONT).then_some(signal);
                ptrace::cont(pid, pass).expect("go on");
            }
            other => panic!("the shell ended: {other:?}"),
        }
    }
}

struct Tracer {
    leader: Pid,
    tasks: BTreeSet<Pid>,
    /// Tasks inside a system call.
    entered: BTreeSet<Pid>,
    calls: usize,
    strike: usize,
}

impl Tracer {
    fn run(mut self) -> Ended {
        // The rest of execve comes first: an exit without an entry.
        self.entered.insert(self.leader);
        loop {
            let status = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Ok(status) => status,
                Err(Errno::ECHILD) => return Ended::Finished(self.calls),
                Err(Errno::EINTR) => continue,
                Err(error) => panic!("wait: {error}"),
            };
            if let Some(ended) = self.step(status) {
                return ended;
            }
        }
    }

    fn step(&mut self, status: WaitStatus) -> Option<Ended> {
        match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                self.tasks.remove(&pid);
                return (pid == self.leader).then_some(Ended::Finished(self.calls));
            }
            WaitStatus::PtraceSyscall(pid) => return self.at_system_call(pid),
            WaitStatus::PtraceEvent(pid, _, event) if event == Event::PTRACE_EVENT_CLONE as i32 => {
                go_on(pid, None);
            }
            WaitStatus::PtraceEvent(pid, _, _) => self.at_first_stop(pid),
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
            _ => {}
        }
        None
    }

    fn at_system_call(&mut self, pid: Pid) -> Option<Ended> {
        if !self.entered.remove(&pid) {
            self.entered.insert(pid);
            self.calls += 1;
            if self.calls == self.strike {
                self.kill();
                return Some(Ended::Struck);
            }
        }
        go_on(pid, None);
        None
    }

    /// A new task, or a group stop: threads are ours, processes are let go.
    fn at_first_stop(&mut self, pid: Pid) {
        if self.tasks.contains(&pid) || is_thread_of(pid, self.leader) {
            self.tasks.insert(pid);
            go_on(pid, None);
        } else {
            let _ = ptrace::detach(pid, None);
        }
    }

    fn kill(&mut self) {
        kill(self.leader, Signal::SIGKILL).expect("kill");
        while !self.tasks.is_empty() {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => {
                    self.tasks.remove(&pid);
                    if pid == self.leader {
                        return;
                    }
                }
                Ok(WaitStatus::PtraceEvent(pid, _, _)) => self.at_first_stop(pid),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

fn is_thread_of(task: Pid, leader: Pid) -> bool {
    std::path::Path::new(&format!("/proc/{leader}/task/{task}")).exists()
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    match ptrace::syscall(pid, signal) {
        // Killed meanwhile: its end is what comes next.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("go on with {pid}: {error}"),
    }
}
