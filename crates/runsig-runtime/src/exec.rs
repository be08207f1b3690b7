//! `exec`: one more process in a running container.
//!
//! Owns: entering the container's namespaces and cgroup, and waiting for the process in front.
//! Must not: change the container's state.

use std::path::PathBuf;

use runsig_cgroup::{Cgroup, Paths};
use runsig_proto::plan::{Fds, Namespaces, Process};
use runsig_proto::{InitPlan, Op};
use runsig_signal::identity::{self, ProcessFd};
use runsig_spec::{ExecPlan, ExecSource, exec_process};
use runsig_sys::process::{self, CLONE_NEWNS, CLONE_NEWTIME, CLONE_NEWUSER};
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs, sched};

use crate::bundle;
use crate::child;
use crate::console::Console;
use crate::create;
use crate::error::{Error, InitError, Result};
use crate::exec_names;
use crate::facts;
use crate::foreground::{Foreground, Signals};
use crate::launch::{self, Launch, Launched};
use crate::notify;
use crate::options::{ExecOptions, Globals};
use crate::state::State;
use crate::status::Status;
use crate::store::{Container, Store, c_path};
use crate::talk::{self, Listener};
use crate::trace;

/// Runs a process in a container. Returns its exit code (128+n for a signal), or 0 when detached.
///
/// # Errors
/// When the container is not running, the description is bad, or the process cannot be made.
pub fn exec(globals: &Globals, source: ExecSource<'_>, options: ExecOptions) -> Result<i32> {
    let container = Store::new(&globals.root).load(&options.id)?;
    check_status(&container, options.ignore_paused)?;
    options.name.as_deref().map(exec_names::check).transpose()?;
    let host = bundle::host_facts(&options.id);
    let facts = facts::load(&container, &host)?;
    let plan = exec_process(&facts.as_container(), source, &host)?;
    plan.warnings.iter().for_each(|warning| globals.warn(warning));
    let terminal = plan.process.terminal;
    if options.detach {
        let console = create::console_socket(options.console_socket.as_deref(), terminal)?;
        Exec { globals, container: &container, options: &options, plan, console, front: None }.start()?;
        return Ok(0);
    }
    if options.console_socket.is_some() {
        return Err(create::unused_console_socket());
    }
    let signals = Signals::block()?;
    let (mut console, socket) = Console::for_terminal(terminal)?;
    let front = console.as_mut();
    let child =
        Exec { globals, container: &container, options: &options, plan, console: socket, front }.start()?;
    let code = Foreground { signals, console, relay: None, child: &child }.wait();
    if let Some(name) = &options.name {
        exec_names::take_back(&container, name);
    }
    code
}

fn check_status(container: &Container, ignore_paused: bool) -> Result<()> {
    match container.status()? {
        Status::Stopped | Status::Creating => {
            Err(Error::State("cannot exec in a stopped container".to_owned()))
        }
        Status::Paused if !ignore_paused => Err(Error::State(
            "cannot exec in a paused container (use --ignore-paused to override)".to_owned(),
        )),
        _ => Ok(()),
    }
}

struct Exec<'a> {
    globals: &'a Globals,
    container: &'a Container,
    options: &'a ExecOptions,
    plan: ExecPlan,
    console: Option<OwnedFd>,
    /// Our side of the terminal, when we stay in front.
    front: Option<&'a mut Console>,
}

impl Exec<'_> {
    /// Makes the process and sees its program start.
    fn start(mut self) -> Result<Child> {
        create::check_open(self.options.preserve_fds, 0)?;
        let (launched, init) = self.launch()?;
        match self.finish(&launched, init) {
            Ok(()) => Ok(launched.child),
            Err(error) => {
                launch::kill_and_reap(&launched.child);
                Err(error)
            }
        }
    }

    fn launch(&mut self) -> Result<(Launched, InitPlan)> {
        let state = &self.container.state;
        let first = running_init(state)?;
        let console = self.console.take();
        let time = self.time_namespace(&first)?;
        let plan = self.init_plan(console.as_ref(), time.as_ref())?;
        // All at once through the pidfd (5.8); a time namespace cannot be entered by a process that
        // shares its memory, so the init does that itself.
        let entered = state.namespaces & !CLONE_NEWTIME;
        let join = [(first.as_fd(), entered)];
        // Named, so that it stays open until the init has its own copy.
        let time = time.map(|(fd, _)| fd);
        let inherit: Vec<_> = [&console, &time]
            .into_iter()
            .flatten()
            .map(OwnedFd::raw)
            .chain(3..3 + self.options.preserve_fds.cast_signed())
            .collect();
        let launch_through = |cgroup: Option<BorrowedFd<'_>>, tasks| {
            Launch {
                namespaces: 0,
                cgroup,
                tasks,
                join: if entered == 0 { &[] } else { &join },
                maps: None,
                become_root: state.namespaces & CLONE_NEWUSER != 0,
                inherit: inherit.clone(),
            }
            .start()
        };
        Ok((self.launch_in_place(&first, launch_through)?, plan))
    }

    /// Starts the process where it belongs: in the container's cgroup, or in the one below that is named.
    fn launch_in_place(
        &self,
        first: &ProcessFd,
        launch_through: impl Fn(Option<BorrowedFd<'_>>, Vec<OwnedFd>) -> Result<Launched>,
    ) -> Result<Launched> {
        let own = &self.container.state.cgroup;
        let launch_in = |paths: &Paths| {
            let cgroup = Cgroup::new(paths.clone());
            let (cgroup, tasks) = doors(&cgroup)?;
            launch_through(cgroup, tasks).map_err(refused_by_cgroup)
        };
        let wanted = own.below(&self.options.cgroups)?;
        let mut inits = None;
        let mut launched = launch_in(&wanted);
        let mut can_be_moved = is_foreign(&launched);
        // Init can have moved: into a cgroup below, so that its own takes no processes any more,
        // or away from one that is gone. Nobody who names a cgroup wants another.
        if let Err(Error::Placing { .. }) = launched
            && self.options.cgroups.is_empty()
        {
            inits = own.of_process(first.pid());
            launched = inits.as_ref().map_or(launched, launch_in);
            can_be_moved |= is_foreign(&launched);
        }
        // A user may enter no cgroup of theirs from one that is root's, but systemd may move them.
        can_be_moved &= own.unit().is_some();
        let why = match launched {
            Err(Error::Placing { why, .. }) if can_be_moved || self.may_stay_outside() => why,
            settled => return settled,
        };
        let launched = launch_through(None, Vec::new())?;
        let pid = launched.child.pid;
        let moved = if can_be_moved { attach(own, &wanted, inits.as_ref(), pid) } else { Err(why) };
        self.unless_kept_out(launched, moved)
    }

    /// runc's rule: a rootless process goes without a cgroup it cannot enter. Who names one wants that one.
    fn may_stay_outside(&self) -> bool {
        self.container.state.cgroup.is_rootless() && self.options.cgroups.is_empty()
    }

    fn unless_kept_out(
        &self,
        launched: Launched,
        moved: std::result::Result<(), String>,
    ) -> Result<Launched> {
        let Err(why) = moved else { return Ok(launched) };
        let error = Error::Placing { why, foreign: true };
        if self.may_stay_outside() {
            self.globals.warn(&format!("{error}; the process stays in its caller's cgroup"));
            return Ok(launched);
        }
        launch::kill_and_reap(&launched.child);
        Err(error)
    }

    fn time_namespace(&self, first: &ProcessFd) -> Result<Option<(OwnedFd, PathBuf)>> {
        if self.container.state.namespaces & CLONE_NEWTIME == 0 {
            return Ok(None);
        }
        let path = PathBuf::from(format!("/proc/{}/ns/time", first.pid()));
        let fd = fs::openat(fd::CWD, &c_path(&path)?, fs::O_RDONLY, 0).map_err(Error::io("open", &path))?;
        // The number was still init's when we opened the file if it is init's now.
        if first.has_ended() { Err(Error::NotRunning(None)) } else { Ok(Some((fd, path))) }
    }

    fn init_plan(&self, console: Option<&OwnedFd>, time: Option<&(OwnedFd, PathBuf)>) -> Result<InitPlan> {
        let bits = self.container.state.namespaces;
        let join: Option<Result<_>> = time.map(|(fd, path)| Ok((CLONE_NEWTIME, fd.raw(), c_path(path)?)));
        let fds = Fds {
            exec_fifo: -1,
            console: console.map_or(-1, OwnedFd::raw),
            preserve: self.options.preserve_fds,
        };
        let namespaces = Namespaces {
            join: join.into_iter().collect::<Result<_>>()?,
            unshare: 0,
            time_offsets: Vec::new(),
            user: bits & CLONE_NEWUSER != 0,
            mount: bits & CLONE_NEWNS != 0,
            network_follows: false,
        };
        let process = Process { rlimits: self.plan.rlimits.clone(), ..self.plan.process.clone() };
        Ok(InitPlan::joining(fds, namespaces, process))
    }

    fn finish(&mut self, launched: &Launched, plan: InitPlan) -> Result<()> {
        let pid = launched.child.pid;
        trace::cloned(self.globals, pid, 0);
        if self.plan.initial_affinity.is_none() && self.plan.process.affinity.is_none() {
            child::reset_affinity(pid);
        }
        if let Some(mask) = &self.plan.initial_affinity {
            sched::sched_setaffinity(pid, mask)
                .map_err(Error::io("set affinity of process", pid.to_string()))?;
            trace::affinity(self.globals, pid, mask);
        }
        if let Some(groups) = &self.container.state.resctrl {
            groups.add(pid)?;
        }
        if let Some(score) = self.plan.oom_score_adj {
            child::set_oom_score(pid, score)?;
        }
        if plan.namespaces.user {
            child::raise_rlimits(pid, &self.plan.rlimits)?;
        }
        trace::planned(self.globals, pid, &plan);
        launch::send_plan(launched.sync.as_fd(), plan)?;
        let mut answers = Answers { container: self.container, child: &launched.child };
        talk::until_ready(launched.sync.as_fd(), &mut answers)?;
        trace::exec_ready(self.globals, pid);
        if let Some(name) = &self.options.name {
            exec_names::give(self.container, name, child::identity(pid)?)?;
        }
        notify::publish(
            self.options.pid_file.as_deref(),
            self.options.pidfd_socket.as_deref(),
            notify::Kind::Setns,
            &launched.child,
        )?;
        if let Some(front) = &mut self.front {
            front.receive()?;
        }
        talk::go(launched.sync.as_fd(), Vec::new())?;
        talk::until_exec(launched.sync.as_fd(), &mut answers)
    }
}

/// Whether there would be a way in from elsewhere.
fn is_foreign(launched: &Result<Launched>) -> bool {
    matches!(launched, Err(Error::Placing { foreign: true, .. }))
}

/// Has systemd move a process into a cgroup; when that takes none, to where init is.
fn attach(own: &Paths, wanted: &Paths, inits: Option<&Paths>, pid: i32) -> std::result::Result<(), String> {
    let cgroup = Cgroup::new(own.clone());
    let Err(error) = cgroup.attach(wanted, pid) else { return Ok(()) };
    let moved = inits.is_some_and(|place| place != wanted && cgroup.attach(place, pid).is_ok());
    if moved { Ok(()) } else { Err(error.to_string()) }
}

/// The ways into the cgroups, which have to be there.
fn doors(cgroup: &Cgroup) -> Result<(Option<BorrowedFd<'_>>, Vec<OwnedFd>)> {
    let doors = || Ok((cgroup.dir_fd()?, cgroup.task_files()?));
    doors().map_err(|error: runsig_cgroup::Error| Error::Placing { why: error.to_string(), foreign: false })
}

/// An exec makes no namespaces, so a clone that fails like this was refused by the cgroup: it has
/// handed its controllers to the cgroups below, it has just been removed, or it is none of ours to enter
/// from where we are (ENOENT: from outside of our cgroup namespace, cgroups(7), `nsdelegate`).
fn refused_by_cgroup(error: Error) -> Error {
    let Error::Init(InitError { op: Op::Unshare, errno: Some(errno), .. }) = error else { return error };
    let foreign = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::ENOENT);
    match errno {
        Errno::EBUSY | Errno::ENODEV | Errno::EOPNOTSUPP => {}
        _ if foreign => {}
        _ => return error,
    }
    Error::Placing { why: errno.to_string(), foreign }
}

fn running_init(state: &State) -> Result<ProcessFd> {
    let init = state.init.ok_or(Error::NotRunning(None))?;
    identity::open(&init)?.ok_or(Error::NotRunning(None))
}

/// An exec has no hooks of the runtime's and no mounts, but its filter may have a listener.
struct Answers<'a> {
    container: &'a Container,
    child: &'a Child,
}

impl Listener for Answers<'_> {
    fn hooks(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn tree(&mut self, _: BorrowedFd<'_>, _: u32) -> Result<()> {
        Err(Error::Invalid("the init of an exec wants a mount".to_owned()))
    }

    fn seccomp_listener(&mut self, number: i32) -> Result<()> {
        let state = &self.container.state;
        let Some(listener) = state.seccomp_listener.as_ref() else {
            return Err(Error::Invalid("seccomp listenerPath is not set".to_owned()));
        };
        let fd = process::pidfd_getfd(self.child.pidfd.as_fd(), number)
            .map_err(Error::io("get seccomp fd of process", self.child.pid.to_string()))?;
        let shown = state.oci(Status::Running, state.init.map_or(0, |init| init.pid));
        notify::send_seccomp_listener(&listener.into(), fd.as_fd(), self.child.pid, &shown)
    }
}
