//! `create`, and the making half of `run`.
//!
//! Owns: the order of things. What is about to be made is on disk before it is made: first the
//! state with the cgroup's path, then the cgroup, then the process. A kill of this program at any
//! point leaves either nothing, or a state from which `delete --force` (or the next `create`)
//! finds the rest; the half-made init ends by itself when its sync socket closes.
//!
//! Must not: wait for the container's program.

use std::path::{Path, PathBuf};

use runsig_cgroup::Cgroup;
use runsig_proto::Op;
use runsig_proto::plan::Forward;
use runsig_signal::identity::Identity;
use runsig_signal::procfs;
use runsig_signal::target::{PidNamespace, ResidentInit};
use runsig_spec::Plan;
use runsig_sys::process::{self, CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER};
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs, sched};

use crate::cgroup_mounts;
use crate::delete;
use crate::error::{Error, InitError, Result};
use crate::facts;
use crate::hooks;
use crate::host_mounts;
use crate::launch::{self, Launch, Launched};
use crate::net_devices;
use crate::notify;
use crate::options::{CgroupManager, CreateOptions, Globals};
use crate::resctrl::Resctrl;
use crate::state::{HookRecord, ListenerRecord, Phase, State};
use crate::status::Status;
use crate::store::{Container, FIFO, Store, c_path};
use crate::talk::{self, Listener};
use crate::time;

/// Creates a container; its init waits for `start`.
///
/// # Errors
/// With nothing left behind.
pub fn create(globals: &Globals, options: &CreateOptions) -> Result<Container> {
    let plan = load(globals, options)?;
    let console = console_socket(options.console_socket.as_deref(), plan.init.process.terminal)?;
    let made = make(globals, options, plan, Start::Later, console)?;
    talk::go(made.sync.as_fd(), made.go)?;
    Ok(made.container)
}

/// Connects to the console socket of a process that nobody waits for in front; runc's rules.
pub(crate) fn console_socket(path: Option<&Path>, terminal: bool) -> Result<Option<OwnedFd>> {
    match (path, terminal) {
        (Some(path), true) => notify::connect(path).map(Some),
        (None, false) => Ok(None),
        (None, true) => Err(Error::Invalid(
            "cannot allocate tty if runc will detach without setting console socket".to_owned(),
        )),
        (Some(_), false) => Err(unused_console_socket()),
    }
}

pub(crate) fn unused_console_socket() -> Error {
    Error::Invalid("cannot use console socket if runc will not detach or allocate tty".to_owned())
}

/// When the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// After `start` has written to the exec fifo.
    Later,
    /// At once.
    Now,
}

/// A container whose init is ready and waits for the last `Go`.
pub(crate) struct Made {
    pub(crate) container: Container,
    pub(crate) child: Child,
    pub(crate) sync: OwnedFd,
    /// What to send with the last `Go`.
    pub(crate) go: Vec<u8>,
    pub(crate) plan: Plan,
}

/// Reads and checks the bundle.
///
/// # Errors
/// Before anything is made.
pub(crate) fn load(globals: &Globals, options: &CreateOptions) -> Result<Plan> {
    crate::store::check_id(&options.id)?;
    if globals.cgroup_manager == CgroupManager::Systemd {
        return Err(Error::Invalid(
            "--systemd-cgroup is not supported by this version of runsig: use cgroupfs".to_owned(),
        ));
    }
    crate::bundle::load(globals, options)
}

/// Makes everything up to the last `Go`.
///
/// # Errors
/// With nothing left behind.
pub(crate) fn make(
    globals: &Globals,
    options: &CreateOptions,
    mut plan: Plan,
    start: Start,
    console: Option<OwnedFd>,
) -> Result<Made> {
    check_preserved(&mut plan, options)?;
    if plan.init.resident.is_some() && plan.new_namespaces & CLONE_NEWPID == 0 {
        globals.warn(
            "the PID namespace is not the container's own: the resident init is not PID 1 but a subreaper, \
             and others may end it",
        );
    }
    let store = Store::new(&globals.root);
    let mut state = first_state(options, &plan, crate::bundle::cgroup_paths(globals, &plan, &options.id)?)?;
    state.resctrl = plan.intel_rdt.as_ref().map(|rdt| Resctrl::find()?.plan(rdt, &options.id)).transpose()?;
    let mut container = claim(&store, state)?;
    let built = Builder::new(options, &mut plan, &mut container, console).build(start);
    match built {
        Ok((launched, go)) => Ok(Made { container, child: launched.child, sync: launched.sync, go, plan }),
        Err(error) => {
            // What failed is the news; a clean-up that fails too leaves the state for `delete`.
            let _ = delete::destroy(&store, &container);
            Err(error)
        }
    }
}

/// Claims the ID; one whose creator was killed half-way is cleaned up and taken over.
fn claim(store: &Store, state: State) -> Result<Container> {
    match store.claim(state.clone()) {
        Err(Error::Exists) if delete::clear_abandoned(store, &state.id)? => store.claim(state),
        other => other,
    }
}

fn first_state(options: &CreateOptions, plan: &Plan, cgroup: runsig_cgroup::Paths) -> Result<State> {
    let joined = plan.joined_namespaces.iter().fold(0, |bits, (flag, _)| bits | flag);
    Ok(State {
        oci_version: plan.oci_version.clone(),
        id: options.id.clone(),
        phase: Phase::Creating,
        creator: identity(process::getpid())?,
        init: None,
        bundle: absolute(&options.bundle)?,
        rootfs: plan.rootfs.clone(),
        created: time::now_rfc3339(),
        owner: process::geteuid(),
        annotations: plan.annotations.clone(),
        cgroup,
        resctrl: None,
        namespaces: plan.new_namespaces | joined,
        pid_namespace: pid_namespace(plan.new_namespaces, joined),
        pid_namespace_inode: None,
        resident: plan.init.resident.as_ref().map(|wanted| ResidentInit {
            main: None,
            forwards_to_all: wanted.forward == Forward::All,
            hurries: wanted.linger_ms == 0,
        }),
        seccomp_listener: plan.seccomp_listener.as_ref().map(ListenerRecord::from),
        poststart: plan.hooks.poststart.iter().map(HookRecord::from).collect(),
        poststop: plan.hooks.poststop.iter().map(HookRecord::from).collect(),
    })
}

fn pid_namespace(new: u64, joined: u64) -> PidNamespace {
    if new & CLONE_NEWPID != 0 {
        PidNamespace::Own
    } else if joined & CLONE_NEWPID != 0 {
        PidNamespace::Shared
    } else {
        PidNamespace::Host
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::std_io("resolve", path))
}

pub(crate) fn identity(pid: i32) -> Result<Identity> {
    Identity::of(pid).ok_or_else(|| Error::io("read start time of process", pid.to_string())(Errno::ESRCH))
}

/// The one child of a resident init that has just been made.
fn main_process(init: i32) -> Result<i32> {
    let lost = || Error::io("find the main process of init", init.to_string())(Errno::ESRCH);
    procfs::children(init).first().copied().ok_or_else(lost)
}

/// The PID namespace of a child of ours; only for telling later who else was in it.
fn namespace_inode(pid: i32) -> Option<u64> {
    let path = c_path(Path::new(&format!("/proc/{pid}/ns/pid"))).ok()?;
    fs::stat(fd::CWD, &path, true).ok().map(|stat| stat.ino)
}

/// Descriptors for the container have to be open; those of socket activation count first.
fn check_preserved(plan: &mut Plan, options: &CreateOptions) -> Result<()> {
    let activated = crate::bundle::listen_fds();
    check_open(options.preserve_fds, activated)?;
    if activated > 0 {
        let env = &mut plan.init.process.env;
        env.extend(std::ffi::CString::new(format!("LISTEN_FDS={activated}")));
        env.push(c"LISTEN_PID=1".to_owned());
    }
    plan.init.fds.preserve = activated + options.preserve_fds;
    Ok(())
}

/// Checks that descriptors 3+`skip` to 3+`skip`+`count`-1 are open.
pub(crate) fn check_open(count: u32, skip: u32) -> Result<()> {
    for index in 0..count {
        let number = 3 + skip + index;
        if fs::set_cloexec(BorrowedFd::from_raw(number.cast_signed()), true).is_err() {
            return Err(Error::Invalid(format!(
                "unable to stat preserved-fd {index} (of {count}): no such file or directory"
            )));
        }
    }
    Ok(())
}

struct Builder<'a> {
    options: &'a CreateOptions,
    plan: &'a mut Plan,
    container: &'a mut Container,
    console: Option<OwnedFd>,
    /// The network namespace that is joined.
    network: Option<OwnedFd>,
    /// Devices that are in the container's network namespace.
    devices: Option<net_devices::Moved>,
}

impl<'a> Builder<'a> {
    fn new(
        options: &'a CreateOptions,
        plan: &'a mut Plan,
        container: &'a mut Container,
        console: Option<OwnedFd>,
    ) -> Self {
        Self { options, plan, container, console, network: None, devices: None }
    }

    /// cgroup, process, conversation, state: in this order.
    fn build(mut self, start: Start) -> Result<(Launched, Vec<u8>)> {
        let mut cgroup = Cgroup::new(self.container.state.cgroup.clone());
        cgroup.create(self.plan.resources.as_ref())?;
        if *cgroup.paths() != self.container.state.cgroup {
            // Parents were made for it too, or (rootless) it was left out.
            self.container.state.cgroup = cgroup.paths().clone();
            self.container.save()?;
        }
        // Limits can be set while the init makes its mounts: nothing of the container's runs before it
        // has our answer. Not so the device list of v1, which denies all before it allows some, and
        // the init makes nodes; nor the CPUs and the real-time share, which a scheduling policy needs.
        let limits_first =
            !cgroup.paths().is_unified() || self.plan.resources.as_ref().is_some_and(|r| r.cpu().is_some());
        if limits_first {
            self.limit(&cgroup)?;
        }
        facts::save(self.container, self.plan)?;
        let launched = self.launch(&cgroup, start)?;
        match self.finish(&launched, (!limits_first).then_some(&cgroup)) {
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

    /// Limits, the device filter, and who owns the cgroup.
    fn limit(&self, cgroup: &Cgroup) -> Result<()> {
        let devices: Vec<&str> = self.plan.bundle_devices.iter().map(String::as_str).collect();
        cgroup.apply(self.plan.resources.as_ref(), &devices)?;
        match self.plan.cgroup_owner {
            Some(owner) => Ok(cgroup.delegate(owner)?),
            None => Ok(()),
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
        let launched = Launch {
            namespaces: self.plan.new_namespaces & !(CLONE_NEWCGROUP | CLONE_NEWTIME),
            cgroup: cgroup.dir_fd()?,
            tasks: cgroup.task_files()?,
            join: &early,
            maps: new_user.then_some((&*self.plan.uid_mappings, &*self.plan.gid_mappings)),
            become_root: self.plan.init.namespaces.user,
            inherit,
        }
        .start();
        self.network = joined.into_iter().find(|(flag, ..)| *flag == CLONE_NEWNET).map(|(_, fd, _)| fd);
        launched
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
        unlimited.map(|cgroup| self.limit(cgroup)).transpose()?;
        let mut answers = Answers { plan: self.plan, state: &self.container.state, child: &launched.child };
        talk::until_ready(launched.sync.as_fd(), &mut answers)
            .map_err(|error| about_cpus(error, self.plan))?;
        self.container.state.init = Some(identity(pid)?);
        self.container.state.pid_namespace_inode = namespace_inode(pid);
        if let Some(resident) = &mut self.container.state.resident {
            resident.main = Some(identity(main_process(pid)?)?);
        }
        self.container.state.phase = Phase::Created;
        self.container.save()?;
        publish(self.options.pid_file.as_deref(), self.options.pidfd_socket.as_deref(), &launched.child)?;
        let hooks_follow = !self.plan.init.start_container.is_empty();
        let inside = || self.container.state.oci(Status::Created, pid_inside(pid)).to_json();
        Ok(if hooks_follow { inside() } else { Vec::new() })
    }
}

/// Every CPU that the cgroup allows, whatever our caller is bound to: the kernel cuts the mask down.
/// A process that is refused keeps its caller's CPUs.
pub(crate) fn reset_affinity(pid: i32) {
    let _ = sched::sched_setaffinity(pid, &[u64::MAX; 16]);
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

/// PID file and pidfd socket.
pub(crate) fn publish(pid_file: Option<&Path>, pidfd_socket: Option<&Path>, child: &Child) -> Result<()> {
    if let Some(path) = pid_file {
        write_pid_file(path, child.pid)?;
    }
    if let Some(path) = pidfd_socket {
        let socket = notify::connect(path)?;
        notify::send_pidfd(path, &socket, child.pidfd.as_fd())?;
    }
    Ok(())
}

/// What a child of ours calls itself, for hooks that run inside (runtime.md, State): the last number
/// of NSpid in <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>.
fn pid_inside(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_ascii_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(pid)
}

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
}

/// Raises hard limits of a process in a user namespace, which has lost the right to. The init
/// sets the limits themselves when it is done with the set-up.
pub(crate) fn raise_rlimits(pid: i32, limits: &[(u32, u64, u64)]) -> Result<()> {
    for (resource, _, hard) in limits {
        let failed = |errno| {
            Error::Invalid(format!("error setting rlimits: error setting rlimit type {resource}: {errno}"))
        };
        let (soft, ours) = sched::getrlimit(*resource).map_err(failed)?;
        if *hard > ours {
            sched::prlimit(pid, *resource, soft, *hard).map_err(failed)?;
        }
    }
    Ok(())
}

/// Writes the score of a process that is our child and not reaped.
pub(crate) fn set_oom_score(pid: i32, score: i32) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    let text = score.to_string();
    let write = |path: &std::ffi::CStr| -> runsig_sys::Result<()> {
        let file = fs::openat(fd::CWD, path, fs::O_RDWR, 0)?;
        // Without CAP_SYS_RESOURCE writing back the value it has already may be refused.
        let mut now = [0u8; 16];
        let n = fs::read(file.as_fd(), &mut now)?;
        if now.get(..n).unwrap_or_default().trim_ascii() == text.as_bytes() {
            return Ok(());
        }
        fs::write_all(file.as_fd(), text.as_bytes())
    };
    write(&c_path(&path)?).map_err(Error::io("write", &path))
}

/// Writes the PID where an engine waits for it: a whole file or none.
pub(crate) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::io("create", path)(Errno::EISDIR))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let temporary = path.with_file_name(hidden);
    std::fs::write(&temporary, pid.to_string()).map_err(Error::std_io("write", &temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::std_io("rename", path))
}
