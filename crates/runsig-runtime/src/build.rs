//! Building a container whose ID is claimed: cgroup, process, conversation, state.
//!
//! Owns: the order of these. Must not: claim or give up the ID ([`crate::create`]).

use std::path::PathBuf;

use runsig_cgroup::systemd::{self, Wishes};
use runsig_cgroup::{Cgroup, Creation};
use runsig_proto::Op;
use runsig_spec::Plan;
use runsig_sys::process::{CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER};
use runsig_sys::{Errno, OwnedFd, fd, fs};

use crate::answers::Answers;
use crate::cgroup_mounts;
use crate::child::{
    identity, main_process, namespace_inode, pid_inside, raise_rlimits, reset_affinity, set_oom_score,
};
use crate::error::{Error, InitError, Result};
use crate::facts;
use crate::host_mounts;
use crate::launch::{self, Launch, Launched};
use crate::net_devices;
use crate::network;
use crate::notify::{Kind, publish};
use crate::options::{CreateOptions, Globals};
use crate::sd_notify;
use crate::state::Phase;
use crate::status::Status;
use crate::store::{Container, FIFO, c_path};
use crate::talk;
use crate::trace;

/// When the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// After `start` has written to the exec fifo.
    Later,
    /// At once.
    Now,
}

pub(crate) struct Builder<'a> {
    globals: &'a Globals,
    options: &'a CreateOptions,
    plan: &'a mut Plan,
    container: &'a mut Container,
    console: Option<OwnedFd>,
    /// The network namespace that is joined.
    network: Option<OwnedFd>,
    /// Our own one, to come back to when we have made the container's.
    home: Option<OwnedFd>,
    /// Devices that are in the container's network namespace.
    devices: Option<net_devices::Moved>,
    /// It gets an end of the service manager's socket.
    notifies: bool,
}

/// Names the namespaces that the clone was to join, where joining failed.
fn name_joined<'a>(error: Error, joined: impl Iterator<Item = &'a (u64, OwnedFd, PathBuf)>) -> Error {
    let Error::Init(InitError { op: Op::JoinNamespace, errno, .. }) = error else { return error };
    let detail = joined.map(|(.., path)| path.display().to_string()).collect::<Vec<_>>().join(", ");
    Error::Init(InitError { op: Op::JoinNamespace, subject: String::new(), detail, errno })
}

/// Makes the container's cgroup and notes what was made.
///
/// # Errors
/// As [`Cgroup::create`].
pub(crate) fn make_cgroup(container: &mut Container, plan: &Plan) -> Result<(Cgroup, Creation)> {
    let mut cgroup = Cgroup::new(container.state.cgroup.clone());
    let creation = cgroup.create(plan.resources.as_ref())?;
    if *cgroup.paths() != container.state.cgroup {
        // Parents were made for it too, or (rootless) it was left out.
        container.state.cgroup = cgroup.paths().clone();
        container.save()?;
    }
    Ok((cgroup, creation))
}

/// Sets limits, the device filter, and who owns the cgroup.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn limit(plan: &Plan, cgroup: &Cgroup) -> Result<()> {
    let devices: Vec<&str> = plan.bundle_devices.iter().map(String::as_str).collect();
    cgroup.apply(plan.resources.as_ref(), &devices)?;
    match plan.cgroup_owner {
        Some(owner) => Ok(cgroup.delegate(owner)?),
        None => Ok(()),
    }
}

/// Has systemd make the cgroup around a process that waits for us, and sets what is left to us.
///
/// # Errors
/// When systemd or the kernel refuses.
pub(crate) fn start_unit(
    globals: &Globals,
    plan: &mut Plan,
    container: &mut Container,
    cgroup: &mut Cgroup,
    pid: i32,
) -> Result<()> {
    let mut resources = plan.resources.take().unwrap_or_default();
    let properties = systemd::properties(&plan.annotations)?;
    let devices: Vec<&str> = plan.bundle_devices.iter().map(String::as_str).collect();
    let wishes = Wishes { bundle_devices: &devices, properties: &properties };
    let started = cgroup.start_unit(pid, wishes, &mut resources);
    plan.resources = Some(resources);
    match started {
        Ok(warnings) => warnings.iter().for_each(|warning| globals.warn(warning)),
        Err(error) if error.is_unit_exists() => {
            // Somebody has made one since we looked. Nothing of theirs is the container's.
            facts::forget(container)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    container.state.cgroup = cgroup.paths().clone();
    cgroup_mounts::fill(&mut plan.init, cgroup.paths());
    limit(plan, cgroup)
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        globals: &'a Globals,
        options: &'a CreateOptions,
        plan: &'a mut Plan,
        container: &'a mut Container,
        console: Option<OwnedFd>,
    ) -> Self {
        Self {
            globals,
            options,
            plan,
            container,
            console,
            network: None,
            home: None,
            devices: None,
            notifies: false,
        }
    }

    /// Gives it an end of the service manager's socket, which the plan has a mount for.
    pub(crate) fn notifying(mut self, notifies: bool) -> Self {
        self.notifies = notifies;
        self
    }

    /// cgroup, process, conversation, state: in this order.
    pub(crate) fn build(mut self, start: Start) -> Result<(Launched, Vec<u8>)> {
        let (mut cgroup, creation) = make_cgroup(self.container, self.plan)?;
        if creation == Creation::Without && self.plan.new_namespaces & CLONE_NEWPID == 0 {
            // In runc's words, which its callers look for.
            self.globals.warn(
                "Creating a rootless container with no cgroup and no private pid namespace. Such configuration is \
                 strongly discouraged (as it is impossible to properly kill all container's processes)",
            );
        }
        // Limits can be set while the init makes its mounts: nothing of the container's runs before it
        // has our answer. Not so the device list of v1, which denies all before it allows some, and
        // the init makes nodes; nor the CPUs and the real-time share, which a scheduling policy needs.
        // A unit of systemd's needs the process first, and does all of that while it waits for its plan.
        let has_unit = cgroup.paths().unit().is_some();
        let limits_first = !has_unit
            && (!cgroup.paths().is_unified()
                || self.plan.resources.as_ref().is_some_and(|r| r.cpu().is_some()));
        if limits_first {
            limit(self.plan, &cgroup)?;
        }
        facts::save(self.container, self.plan)?;
        if self.notifies {
            sd_notify::make_directory(self.container)?;
            sd_notify::tell_program(self.plan);
        }
        let launched = self.launch(&cgroup, start)?;
        let entered = if has_unit {
            start_unit(self.globals, self.plan, self.container, &mut cgroup, launched.child.pid)
        } else {
            Ok(())
        };
        let limited = limits_first || has_unit;
        match entered.and_then(|()| self.finish(&launched, (!limited).then_some(&cgroup))) {
            Ok(go) => Ok((launched, go)),
            Err(error) => {
                if let Some(devices) = self.devices.take() {
                    devices.give_back();
                }
                launch::kill_and_reap(&launched.child);
                Err(error)
            }
        }
    }

    fn launch(&mut self, cgroup: &Cgroup, start: Start) -> Result<Launched> {
        // Everything opened here stays open until the init has its own copies.
        let fifo = if start == Start::Later { Some(self.make_fifo()?) } else { None };
        let trees = host_mounts::open_trees(self.plan)?;
        let joined = self.open_namespaces()?;
        cgroup_mounts::fill(&mut self.plan.init, &self.container.state.cgroup);
        let console = self.console.take();
        let raw = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, OwnedFd::raw);
        self.plan.init.fds.exec_fifo = raw(&fifo);
        self.plan.init.fds.console = raw(&console);
        self.plan.init.namespaces.unshare = self.plan.new_namespaces & (CLONE_NEWCGROUP | CLONE_NEWTIME);
        self.home = network::let_follow(self.plan);

        // Once in its user namespace the init may enter only what that owns; we may enter all of
        // them, but for a time namespace, which takes no process that shares its memory.
        let early =
            if self.plan.init.namespaces.user { !CLONE_NEWTIME } else { CLONE_NEWUSER | CLONE_NEWPID };
        let is_early = |flag: u64| flag & early != 0;
        let early: Vec<_> = joined
            .iter()
            .filter(|(flag, ..)| is_early(*flag))
            .map(|(flag, fd, _)| (fd.as_fd(), *flag))
            .collect();
        let late = || joined.iter().filter(|(flag, ..)| !is_early(*flag));
        self.plan.init.namespaces.join =
            late().map(|(flag, fd, path)| Ok((*flag, fd.raw(), c_path(path)?))).collect::<Result<_>>()?;
        let inherit = [&fifo, &console]
            .into_iter()
            .flatten()
            .map(OwnedFd::raw)
            .chain(trees.iter().map(OwnedFd::raw))
            .chain(late().map(|(_, fd, _)| fd.raw()))
            .chain(3..3 + self.plan.init.fds.preserve.cast_signed())
            .collect();
        let new_user = self.plan.new_namespaces & CLONE_NEWUSER != 0;
        let (cgroup, tasks) = cgroup.first_doors()?;
        let launched = Launch {
            namespaces: self.plan.new_namespaces & !self.made_later(),
            cgroup,
            tasks,
            join: &early,
            maps: new_user.then_some((&*self.plan.uid_mappings, &*self.plan.gid_mappings)),
            become_root: self.plan.init.namespaces.user,
            inherit,
        }
        .start()
        .map_err(|error| name_joined(error, joined.iter().filter(|(flag, ..)| is_early(*flag))));
        self.network = joined.into_iter().find(|(flag, ..)| *flag == CLONE_NEWNET).map(|(_, fd, _)| fd);
        launched
    }

    /// The new namespaces that are not the clone's to make.
    fn made_later(&self) -> u64 {
        let network = if self.home.is_some() { CLONE_NEWNET } else { 0 };
        CLONE_NEWCGROUP | CLONE_NEWTIME | network
    }

    /// Before the hooks, which find the devices where the program will.
    fn move_devices(&mut self, pid: i32) -> Result<()> {
        if self.plan.net_devices.is_empty() {
            return Ok(());
        }
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let (network, path) = match self.network.take() {
            // The init has not joined it yet.
            Some(joined) => (joined, self.joined_network().unwrap_or(path)),
            None => {
                let open = fs::openat(fd::CWD, &c_path(&path)?, fs::O_RDONLY, 0);
                (open.map_err(Error::io("open", &path))?, path)
            }
        };
        self.devices = Some(net_devices::move_all(&self.plan.net_devices, network.as_fd(), &path)?);
        Ok(())
    }

    fn joined_network(&self) -> Option<PathBuf> {
        let mut joined = self.plan.joined_namespaces.iter();
        joined.find(|(flag, _)| *flag == CLONE_NEWNET).map(|(_, path)| path.clone())
    }

    /// The exec fifo, open for reading and writing so that neither side ever blocks in open.
    fn make_fifo(&self) -> Result<OwnedFd> {
        let dir = self.container.dir.as_fd();
        fs::mknodat(dir, FIFO, fs::S_IFIFO | 0o600, 0, 0)
            .and_then(|()| fs::openat(dir, FIFO, fs::O_RDWR, 0))
            .map_err(Error::io("create exec fifo in", &self.container.path))
    }

    fn open_namespaces(&self) -> Result<Vec<(u64, OwnedFd, PathBuf)>> {
        self.plan
            .joined_namespaces
            .iter()
            .map(|(flag, path)| {
                let fd =
                    fs::openat(fd::CWD, &c_path(path)?, fs::O_RDONLY, 0).map_err(Error::io("lstat", path))?;
                Ok((*flag, fd, path.clone()))
            })
            .collect()
    }

    /// From the clone to the last `Go`, which the caller sends.
    /// `unlimited` is the cgroup where its limits are still to be set.
    fn finish(&mut self, launched: &Launched, unlimited: Option<&Cgroup>) -> Result<Vec<u8>> {
        let pid = launched.child.pid;
        trace::cloned(self.globals, pid, self.plan.new_namespaces);
        reset_affinity(pid);
        if let Some(score) = self.plan.oom_score_adj {
            set_oom_score(pid, score)?;
        }
        self.plan.init.process.rlimits.clone_from(&self.plan.rlimits);
        if self.plan.init.namespaces.user {
            raise_rlimits(pid, &self.plan.rlimits)?;
        }
        if let (Some(groups), Some(rdt)) = (&mut self.container.state.resctrl, &self.plan.intel_rdt) {
            groups.apply(rdt, pid)?;
        }
        self.move_devices(pid)?;
        launch::send_plan(launched.sync.as_fd(), self.plan.init.clone())?;
        if let Some(home) = self.home.take() {
            network::make(&home, launched.sync.as_fd())?;
        }
        trace::planned(self.globals, pid, &self.plan.init);
        unlimited.map(|cgroup| limit(self.plan, cgroup)).transpose()?;
        let mut answers = Answers { plan: self.plan, state: &self.container.state, child: &launched.child };
        talk::until_ready(launched.sync.as_fd(), &mut answers)
            .map_err(|error| about_cpus(error, self.plan))?;
        trace::ready(self.globals);
        self.container.state.init = Some(identity(pid)?);
        self.container.state.pid_namespace_inode = namespace_inode(pid);
        if let Some(resident) = &mut self.container.state.resident {
            resident.main = Some(identity(main_process(pid)?)?);
        }
        self.container.state.phase = Phase::Created;
        self.container.save()?;
        let pidfd_socket = self.options.pidfd_socket.as_deref();
        publish(self.options.pid_file.as_deref(), pidfd_socket, Kind::Standard, &launched.child)?;
        let hooks_follow = !self.plan.init.start_container.is_empty();
        let inside = || self.container.state.oci(Status::Created, pid_inside(pid)).to_json();
        Ok(if hooks_follow { inside() } else { Vec::new() })
    }
}

/// Says what a refused deadline means: the kernel wants a process that may use every CPU.
fn about_cpus(error: Error, plan: &Plan) -> Error {
    let cpus = plan.resources.as_ref().and_then(|r| r.cpu().as_ref()).and_then(|cpu| cpu.cpus().as_ref());
    match error {
        Error::Init(InitError { op: Op::Scheduler, errno: Some(errno @ Errno::EPERM), .. })
            if cpus.is_some_and(|cpus| !cpus.is_empty()) =>
        {
            Error::Invalid(format!("process scheduler can't be used together with AllowedCPUs: {errno}"))
        }
        other => other,
    }
}
