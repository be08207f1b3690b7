//! `restore`: a container made of CRIU's images instead of a new process.
//!
//! The order is that of `create`: the state is on disk before anything is made, and the container
//! counts as made only when its processes run. A restore that is killed half-way leaves a state from
//! which `delete --force` (or the next use of the ID) finds CRIU and what it has made by the cgroup.
//!
//! Owns: that order, and the runtime's answers to CRIU. Must not: set up what the images hold.

use std::path::{Path, PathBuf};

use runsig_cgroup::Cgroup;
use runsig_spec::Plan;
use runsig_sys::process::{self, CLONE_NEWCGROUP, CLONE_NEWTIME};
use runsig_sys::spawn::Child;
use runsig_sys::{Errno, OwnedFd, RawFd, fd, fork, fs, net};

use super::dump::{config_file, with_log};
use super::error::CriuError;
use super::external;
use super::options::{Directories, RestoreOptions};
use super::program::Start;
use super::rootfs::{self, Images, Root};
use super::rpc::{CgroupRoot, InheritFd, JoinNamespace, Kind, Options, Request};
use super::swrk::{Listener, Swrk};
use super::version::Version;
use crate::build;
use crate::cgroup_mounts;
use crate::child::identity;
use crate::console::Console;
use crate::create;
use crate::delete;
use crate::error::{Error, Result};
use crate::facts;
use crate::foreground::{Foreground, Signals};
use crate::hooks;
use crate::notify;
use crate::options::Globals;
use crate::sd_notify;
use crate::state::Phase;
use crate::status::Status;
use crate::store::{Container, Store, c_path};
use crate::userns;

const LOG: &str = "restore.log";
/// Where the rootfs is bound for CRIU, in the container's directory.
const ROOT: &str = "criu-root";
/// Where idmapped mounts are for CRIU, likewise.
const CLONES: &str = "criu-mounts";
/// The first CRIU that changes LSM profiles as it is told.
const CHANGES_LSM: i32 = 3_16_00;

/// Restores a container. Returns the exit code of its init (128+n for a signal), or 0 at once when
/// detached.
///
/// # Errors
/// With nothing left behind.
pub fn restore(globals: &Globals, options: &RestoreOptions) -> Result<i32> {
    let plan = load(globals, options)?;
    let terminal = plan.init.process.terminal;
    let socket = options.create.console_socket.as_deref();
    if options.detach {
        let console = create::console_socket(socket, terminal)?;
        return bring_back(globals, options, plan, console).map(|_| 0);
    }
    if socket.is_some() {
        return Err(create::unused_console_socket());
    }
    if !options.no_subreaper {
        // Not being one is no reason to fail: runc goes on too.
        let _ = process::set_child_subreaper(true);
    }
    let signals = Signals::block()?;
    let (mut console, socket) = Console::for_terminal(terminal)?;
    let restored = bring_back(globals, options, plan, socket)?;
    let result = console
        .as_mut()
        .map_or(Ok(()), Console::receive)
        .and_then(|()| Foreground { signals, console, relay: None, child: &restored.init }.wait());
    if result.is_err() {
        let _ = process::pidfd_send_signal(restored.init.pidfd.as_fd(), 9);
    }
    delete::destroy(&Store::new(&globals.root), restored.container)?;
    result
}

fn load(globals: &Globals, options: &RestoreOptions) -> Result<Plan> {
    let mut plan = create::load(globals, &options.create)?;
    // No container with one was ever saved: what is restored is the program itself.
    plan.init.resident = None;
    Ok(plan)
}

/// A container that runs again.
struct Restored {
    container: Container,
    init: Child,
}

fn bring_back(
    globals: &Globals,
    options: &RestoreOptions,
    mut plan: Plan,
    console: Option<OwnedFd>,
) -> Result<Restored> {
    let version = Version::ask()?;
    check_lsm(options, version)?;
    let mut directories = options.criu.directories(LOG)?;
    let owner = images_owner(&plan)?;
    if owner.is_some() {
        directories.divide()?;
    }
    let streams = read_streams(&options.criu.image_path, &directories)?;
    let namespaces = Joined::open(&plan, version)?;
    let store = Store::new(&globals.root);
    if sd_notify::manager().is_some() {
        sd_notify::add_mount(&mut plan, &store.path(&options.create.id))?;
    }
    let paths = crate::bundle::cgroup_paths(globals, &plan, &options.create.id)?;
    let mut container = create::claim(&store, create::first_state(&options.create, &plan, paths)?)?;
    let restore = Restore { globals, options, plan: &mut plan, container: &mut container, owner, console };
    match restore.run(&directories, &streams, &namespaces) {
        Ok(init) => Ok(Restored { container, init }),
        Err(error) => {
            let error = with_log(globals, error, &directories.log);
            // What failed is the news; a clean-up that fails too leaves the state for `delete`.
            let _ = delete::destroy(&store, container);
            Err(error)
        }
    }
}

/// The user namespace that the container's root is of, if not the host's.
fn images_owner(plan: &Plan) -> Result<Option<OwnedFd>> {
    if plan.uid_mappings.is_empty() {
        return Ok(None);
    }
    userns::for_maps(&plan.uid_mappings, &plan.gid_mappings).map(Some)
}

fn check_lsm(options: &RestoreOptions, version: Version) -> Result<()> {
    let too_old =
        |flag: &str| Err(Error::Criu(CriuError::Needs(format!("{flag} requires at least CRIU 3.16"))));
    if version.is_at_least(CHANGES_LSM) {
        return Ok(());
    }
    match (&options.lsm_profile, &options.lsm_mount_context) {
        (Some(_), _) => too_old("--lsm-profile"),
        (_, Some(_)) => too_old("--lsm-mount-context"),
        _ => Ok(()),
    }
}

/// What the standard streams were when the container was saved.
fn read_streams(images: &Path, directories: &Directories) -> Result<Vec<String>> {
    let path = images.join(external::DESCRIPTORS);
    let name = c_path(Path::new(external::DESCRIPTORS))?;
    let bytes = fs::openat(directories.images.as_fd(), &name, fs::O_RDONLY, 0)
        .and_then(|file| crate::store::read_all(&file))
        .map_err(Error::io("open", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::BadState { path, reason: error.to_string() })
}

/// The namespaces that the bundle names.
#[derive(Default)]
struct Joined {
    /// Left out of the images; CRIU inherits them, open.
    inherited: Vec<(OwnedFd, &'static str)>,
    /// Those CRIU opens itself.
    named: Vec<JoinNamespace>,
}

impl Joined {
    fn open(plan: &Plan, version: Version) -> Result<Self> {
        let mut joined = Self::default();
        for (flag, path) in &plan.joined_namespaces {
            joined.add(*flag, path, version)?;
        }
        Ok(joined)
    }

    fn add(&mut self, flag: u64, path: &Path, version: Version) -> Result<()> {
        let name = external::namespace_name(flag);
        let Some((key, needed)) = external::namespace_key(flag) else {
            if flag == CLONE_NEWCGROUP {
                return Err(Error::Invalid(format!("Do not know how to handle namespace {name}")));
            }
            let file = path.to_string_lossy().into_owned();
            self.named.push(JoinNamespace { namespace: name.to_owned(), file });
            return Ok(());
        };
        if !version.is_at_least(needed) {
            return Err(Error::Criu(CriuError::Needs(format!(
                "criu lacks support for external {name} namespace during the restoration process (old criu version?)"
            ))));
        }
        let missing = |errno| {
            Error::Invalid(format!("Requested {name} namespace {} does not exist: {errno}", path.display()))
        };
        let file = fs::openat(fd::CWD, &c_path(path)?, fs::O_RDONLY, 0).map_err(missing)?;
        self.inherited.push((file, key));
        Ok(())
    }
}

/// The empty directories of the container's that CRIU finds its mounts at, in its own mount namespace.
struct Places {
    root: PathBuf,
    clones: PathBuf,
}

impl Places {
    fn make(container: &Path) -> Result<Self> {
        let make = |name: &str| {
            let path = container.join(name);
            fs::mkdirat(fd::CWD, &c_path(&path)?, 0o755).map_err(Error::io("mkdir", &path))?;
            // CRIU wants no links in it.
            std::fs::canonicalize(&path).map_err(Error::std_io("resolve", &path))
        };
        Ok(Self { root: make(ROOT)?, clones: make(CLONES)? })
    }

    /// Empty: what was mounted there has gone with CRIU.
    fn remove(&self) {
        for path in [&self.root, &self.clones] {
            let _ = c_path(path).map(|path| fs::unlinkat(fd::CWD, &path, true));
        }
    }
}

struct Restore<'a> {
    globals: &'a Globals,
    options: &'a RestoreOptions,
    plan: &'a mut Plan,
    container: &'a mut Container,
    owner: Option<OwnedFd>,
    console: Option<OwnedFd>,
}

impl Restore<'_> {
    /// cgroup, CRIU, processes, state: in this order.
    fn run(mut self, directories: &Directories, streams: &[String], joined: &Joined) -> Result<Child> {
        let (mut cgroup, _) = build::make_cgroup(self.container, self.plan)?;
        let has_unit = cgroup.paths().unit().is_some();
        if !has_unit {
            build::limit(self.plan, &cgroup)?;
        }
        cgroup_mounts::fill(&mut self.plan.init, &self.container.state.cgroup);
        facts::save(self.container, self.plan)?;
        if sd_notify::manager().is_some() {
            sd_notify::make_directory(self.container)?;
        }
        let places = Places::make(&self.container.path)?;
        let criu = self.start(&cgroup, &places, directories, joined)?;
        if has_unit {
            build::start_unit(self.globals, self.plan, self.container, &mut cgroup, criu.pid())?;
        }
        let request = self.request(directories, streams, joined, &places, criu.pid())?;
        let mut answers =
            Answers { plan: self.plan, container: self.container, console: self.console.take(), init: None };
        let response = criu.ask(request, &mut answers)?;
        let lost = || Error::Criu(CriuError::Protocol("it restored nothing".to_owned()));
        let init = answers.init.take().ok_or_else(lost)?;
        if response.restore.is_some_and(|restored| restored.pid != init.pid) {
            return Err(lost());
        }
        self.container.state.phase = Phase::Created;
        self.container.save()?;
        places.remove();
        notify::publish(self.options.create.pid_file.as_deref(), None, notify::Kind::Standard, &init)?;
        Ok(init)
    }

    fn start(
        &self,
        cgroup: &Cgroup,
        at: &Places,
        directories: &Directories,
        joined: &Joined,
    ) -> Result<Swrk> {
        let doors = doors(cgroup)?;
        let inherit: Vec<RawFd> = joined.inherited.iter().map(|(file, _)| file.raw()).collect();
        let places = external::places(self.plan)?;
        let criu = &self.options.criu;
        let images =
            self.owner.as_ref().map(|owner| Images { at: &criu.image_path, work: criu.work(), owner });
        let work = images.as_ref().map_or_else(|| criu.work().to_owned(), |_| at.clones.join(rootfs::WORK));
        let root =
            Root { rootfs: &self.plan.rootfs, at: &at.root, clones: &at.clones, images, places: &places };
        let before = || root.prepare();
        Swrk::start(&Start {
            cgroups: &doors,
            inherit: &inherit,
            directories: &directories.numbered(criu, &work),
            our_streams: true,
            before: Some(&before),
        })
    }

    fn request(
        &self,
        directories: &Directories,
        streams: &[String],
        joined: &Joined,
        at: &Places,
        criu: i32,
    ) -> Result<Request> {
        let streams = streams.iter().zip(0..3).filter(|(stream, _)| stream.contains("pipe:"));
        let inherited = joined.inherited.iter().map(|(file, key)| (file.raw(), (*key).to_owned()));
        let options = Options {
            root: Some(at.root.to_string_lossy().into_owned()),
            rst_sibling: Some(true),
            evasive_devices: Some(true),
            external_mounts: external::for_restore(self.plan, &at.clones),
            cgroup_roots: cgroup_roots(criu)?,
            join_ns: joined.named.clone(),
            inherit_fds: inherited
                .chain(streams.map(|(stream, number)| (number, stream.clone())))
                .map(|(fd, key)| InheritFd { key, fd })
                .collect(),
            lsm_profile: self.options.lsm_profile.clone(),
            lsm_mount_context: self.options.lsm_mount_context.clone(),
            config_file: config_file(&self.plan.annotations),
            ..super::options(&self.options.criu, directories, LOG)
        };
        Ok(Request { kind: Kind::Restore as i32, options: Some(options), ..Request::default() })
    }
}

/// The files that let a process into the cgroup.
fn doors(cgroup: &Cgroup) -> Result<Vec<OwnedFd>> {
    let (directory, mut doors) = cgroup.first_doors()?;
    if let Some(directory) = directory {
        let door = fs::openat(directory, c"cgroup.procs", fs::O_WRONLY, 0);
        doors.push(door.map_err(Error::io("open", "cgroup.procs"))?);
    }
    Ok(doors)
}

/// Restored cgroups are those that CRIU is in itself, whatever they were called before.
fn cgroup_roots(criu: i32) -> Result<Vec<CgroupRoot>> {
    let path = PathBuf::from(format!("/proc/{criu}/cgroup"));
    let text = std::fs::read_to_string(&path).map_err(Error::std_io("open", &path))?;
    Ok(parse_cgroups(&text))
}

/// The lines of cgroups(7): number, controllers, path.
fn parse_cgroups(text: &str) -> Vec<CgroupRoot> {
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let each = lines.flat_map(|(controllers, path)| controllers.split(',').map(move |name| (name, path)));
    each.map(|(name, path)| CgroupRoot { controller: Some(name.to_owned()), path: path.to_owned() }).collect()
}

/// The runtime's part in what CRIU does.
struct Answers<'a> {
    plan: &'a Plan,
    container: &'a mut Container,
    console: Option<OwnedFd>,
    init: Option<Child>,
}

impl Listener for Answers<'_> {
    fn notified(&mut self, script: &str, pid: i32, fd: Option<OwnedFd>) -> Result<()> {
        match script {
            "setup-namespaces" => self.set_up(pid),
            "post-restore" => self.take_over(pid),
            "post-resume" if self.init.is_some() => {
                self.container.state.phase = Phase::Created;
                self.container.save()
            }
            "orphan-pts-master" => self.hand_over_terminal(fd),
            _ => Ok(()),
        }
    }
}

impl Answers<'_> {
    /// The namespaces are there and empty.
    fn set_up(&self, pid: i32) -> Result<()> {
        if self.plan.init.loopback {
            // A program that listens on 127.0.0.1 cannot be restored without.
            bring_up_loopback(pid)?;
        }
        let state = self.container.state.oci(Status::Creating, pid);
        hooks::run("prestart", &self.plan.hooks.prestart, &state)?;
        hooks::run("createRuntime", &self.plan.hooks.create_runtime, &state)
    }

    /// The processes are there and wait to be let go. From now on `delete` knows init; the container
    /// is made when they run.
    fn take_over(&mut self, pid: i32) -> Result<()> {
        let stranger = || Error::Criu(CriuError::Protocol(format!("process {pid} is no child of ours")));
        if pid <= 0 || parent(pid) != Some(process::getpid()) {
            return Err(stranger());
        }
        let pidfd = process::pidfd_open(pid).map_err(Error::io("open process", pid.to_string()))?;
        let state = &mut self.container.state;
        state.init = Some(identity(pid)?);
        state.pid_namespace_inode = crate::child::namespace_inode(pid);
        if has_own_time(pid) {
            // CRIU shifts the clocks of what it restores, and `exec` has to follow.
            state.namespaces |= CLONE_NEWTIME;
        }
        self.init = Some(Child { pid, pidfd });
        self.container.save()
    }

    fn hand_over_terminal(&mut self, master: Option<OwnedFd>) -> Result<()> {
        let Some(master) = master else {
            return Err(Error::Criu(CriuError::Protocol("a terminal without a descriptor".to_owned())));
        };
        // Nobody asked for one: it ends with us.
        let Some(console) = self.console.take() else { return Ok(()) };
        net::send_with_fds(console.as_fd(), b"orphan-pts-master", &[master.as_fd()])
            .map(drop)
            .map_err(Error::io("cannot send terminal to", "console socket"))
    }
}

/// The parent, from /proc/PID/stat, after the name in parentheses, which may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn has_own_time(pid: i32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/time")).ok();
    namespace(&pid.to_string()).is_some_and(|theirs| namespace("self") != Some(theirs))
}

/// In a process of its own, for we stay in our network namespace.
fn bring_up_loopback(pid: i32) -> Result<()> {
    let failed = |errno: Errno| Error::io("bring up loopback of process", pid.to_string())(errno);
    let path = c_path(Path::new(&format!("/proc/{pid}/ns/net")))?;
    let namespace = fs::openat(fd::CWD, &path, fs::O_RDONLY, 0).map_err(failed)?;
    let Some(helper) = fork::fork().map_err(failed)? else {
        let done = process::setns(namespace.as_fd(), process::CLONE_NEWNET).and_then(|()| net::loopback_up());
        process::exit(done.err().map_or(0, |errno| errno.raw()))
    };
    match process::wait(process::WaitFor::Pid(helper), false).map_err(failed)? {
        Some((_, process::ExitStatus::Exited(0))) => Ok(()),
        Some((_, process::ExitStatus::Exited(code))) => Err(failed(Errno::from_raw(code))),
        _ => Err(failed(Errno::EIO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_controller_has_its_root() {
        let text = "12:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c:d\nrubbish\n";
        let roots: Vec<_> = parse_cgroups(text)
            .into_iter()
            .map(|root| (root.controller.unwrap_or_default(), root.path))
            .collect();
        let expected = [("cpu", "/a"), ("cpuacct", "/a"), ("name=systemd", "/b"), ("", "/c:d")];
        assert_eq!(roots, expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
    }

    #[test]
    fn the_parent_is_found() {
        assert_eq!(parent(process::getpid()), Some(process::getppid()));
        assert_eq!(parent(i32::MAX), None);
    }
}
