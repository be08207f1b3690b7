//! What the runtime does when an init that is setting up asks for it.
//!
//! Owns: hooks, seccomp listeners, trees of idmapped mounts. Must not: hold the conversation ([`crate::talk`]).

use runsig_spec::Plan;
use runsig_sys::BorrowedFd;
use runsig_sys::process;
use runsig_sys::spawn::Child;

use crate::child::{main_process, pid_inside};
use crate::error::{Error, Result};
use crate::hooks;
use crate::host_mounts;
use crate::notify;
use crate::state::State;
use crate::status::Status;
use crate::talk::Listener;

/// The runtime's side of the conversation.
pub(crate) struct Answers<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) state: &'a State,
    pub(crate) child: &'a Child,
}

impl Listener for Answers<'_> {
    fn hooks(&mut self) -> Result<Vec<u8>> {
        let state = self.state.oci(Status::Creating, self.child.pid);
        hooks::run("prestart", &self.plan.hooks.prestart, &state)?;
        hooks::run("createRuntime", &self.plan.hooks.create_runtime, &state)?;
        let inside = || self.state.oci(Status::Creating, pid_inside(self.child.pid)).to_json();
        Ok(if self.plan.init.create_container.is_empty() { Vec::new() } else { inside() })
    }

    fn seccomp_listener(&mut self, number: i32) -> Result<()> {
        let Some(listener) = &self.plan.seccomp_listener else {
            return Err(Error::Invalid("seccomp listenerPath is not set".to_owned()));
        };
        // Whoever loads a filter speaks to us: the main process, where init is a resident one.
        let failed = |pid: i32| Error::io("get seccomp fd of process", pid.to_string());
        let (pid, fd) = if self.plan.init.resident.is_some() {
            let pid = main_process(self.child.pid)?;
            let main = process::pidfd_open(pid).map_err(failed(pid))?;
            (pid, process::pidfd_getfd(main.as_fd(), number))
        } else {
            (self.child.pid, process::pidfd_getfd(self.child.pidfd.as_fd(), number))
        };
        let state = self.state.oci(Status::Creating, self.child.pid);
        notify::send_seccomp_listener(listener, fd.map_err(failed(pid))?.as_fd(), pid, &state)
    }

    fn tree(&mut self, sync: BorrowedFd<'_>, mount: u32) -> Result<()> {
        host_mounts::send_tree(self.plan, mount, self.child.pidfd.as_fd(), sync)
    }
}
