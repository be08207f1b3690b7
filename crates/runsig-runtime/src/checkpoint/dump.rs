//! `checkpoint`: saving a running container.
//!
//! Owns: what is asked of CRIU, and what becomes of the container afterwards. Must not: speak CRIU's
//! protocol itself ([`super::swrk`]).

use std::path::{Path, PathBuf};

use runsig_signal::identity::{self, ProcessFd};
use runsig_spec::Plan;
use runsig_sys::process::{CLONE_NEWNET, CLONE_NEWPID};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, RawFd, fd, fs};

use super::error::CriuError;
use super::external;
use super::log;
use super::options::{CheckpointOptions, Directories};
use super::program::Start;
use super::rpc::{Kind, Options, PageServer, Request};
use super::swrk::{Listener, Swrk};
use super::version::{self, Version};
use crate::bundle;
use crate::cgroup_mounts;
use crate::delete;
use crate::error::{Error, Result};
use crate::options::Globals;
use crate::sd_notify;
use crate::status::Status;
use crate::store::{Container, Store, c_path};

const LOG: &str = "dump.log";
/// The first CRIU that freezes cgroups v2.
const FREEZES_V2: i32 = 3_14_00;
/// The first CRIU that tells by a notification that lazy pages are served.
const TELLS_READY: i32 = 3_15_00;

/// Saves a container. It is gone afterwards, unless it is to be left running or only its memory was
/// saved.
///
/// # Errors
/// When it does not run, or CRIU fails: then it goes on running.
pub fn checkpoint(globals: &Globals, options: &CheckpointOptions) -> Result<()> {
    let store = Store::new(&globals.root);
    let container = store.load(&options.id)?;
    check_state(&container)?;
    make_images(globals, options, &container)?;
    if options.leave_running || options.pre_dump {
        return Ok(());
    }
    // The images are whole; what cannot be removed is left to `delete`.
    if let Err(error) = delete::destroy(&store, container) {
        globals.warn(&error.to_string());
    }
    Ok(())
}

fn check_state(container: &Container) -> Result<()> {
    match container.status()? {
        status @ (Status::Created | Status::Stopped | Status::Creating) => {
            return Err(Error::State(format!("Container cannot be checkpointed in {status} state")));
        }
        Status::Running | Status::Paused => {}
    }
    if container.state.resident.is_some() {
        return Err(Error::State(format!(
            "container {:?} cannot be checkpointed: its PID 1 is a resident init ({})",
            container.id(),
            runsig_signal::resident::INIT
        )));
    }
    Ok(())
}

fn make_images(globals: &Globals, options: &CheckpointOptions, container: &Container) -> Result<()> {
    options.check_parent()?;
    let status_fd = options.status_fd.filter(|_| options.lazy_pages()).map(check_status_fd).transpose()?;
    let plan = plan(container)?;
    let version = Version::ask()?;
    let directories = options.criu.directories(LOG)?;
    let init = init(container)?;
    if options.pre_dump {
        version::require_memory_tracking()?;
    }
    if options.lazy_pages() {
        version::require_lazy_pages()?;
    }
    let dump = Dump { options, container, plan: &plan, version, init: &init, directories: &directories };
    let mut request = dump.request()?;
    let mut ready = Ready { status_fd };
    if let (Some(number), Some(asked)) = (status_fd, &mut request.options)
        && !version.is_at_least(TELLS_READY)
    {
        asked.status_fd = Some(number);
        ready.status_fd = None;
    }
    if !options.pre_dump {
        dump.write_descriptors()?;
    }
    let inherit: Vec<RawFd> = status_fd.into_iter().collect();
    let given = directories.numbered(&options.criu, options.criu.work());
    let start = Start { inherit: &inherit, directories: &given, ..Start::default() };
    let outcome = Swrk::start(&start)?.ask(request, &mut ready);
    outcome.map(drop).map_err(|error| with_log(globals, error, &directories.log))
}

/// Adds CRIU's log to an error of CRIU's, and quotes it.
pub(super) fn with_log(globals: &Globals, error: Error, path: &Path) -> Error {
    match error {
        Error::Criu(error) => {
            log::quote(globals, path);
            Error::Criu(CriuError::Logged(Box::new(error), path.to_owned()))
        }
        other => other,
    }
}

/// The bundle again: state.json knows nothing of mounts, which no other verb needs.
fn plan(container: &Container) -> Result<Plan> {
    let state = &container.state;
    let mut plan = runsig_spec::load(&state.bundle, &bundle::host_facts(&state.id))?;
    plan.rootfs.clone_from(&state.rootfs);
    cgroup_mounts::fill(&mut plan.init, &state.cgroup);
    if sd_notify::has_directory(container) {
        sd_notify::add_mount(&mut plan, &container.path)?;
    }
    Ok(plan)
}

fn init(container: &Container) -> Result<ProcessFd> {
    let init = container.state.init.ok_or(Error::NotRunning(None))?;
    identity::open(&init)?.filter(|init| !init.has_ended()).ok_or(Error::NotRunning(None))
}

/// Whether the descriptor is open and can be written to.
fn check_status_fd(number: i32) -> Result<i32> {
    let invalid = |why: String| Error::Invalid(format!("invalid --status-fd argument {number}: {why}"));
    match fs::status_flags(BorrowedFd::from_raw(number)) {
        Err(errno) => Err(invalid(errno.to_string())),
        Ok(flags) if flags & (fs::O_WRONLY | fs::O_RDWR) == 0 => Err(invalid("not writable".to_owned())),
        Ok(_) => Ok(number),
    }
}

impl CheckpointOptions {
    fn lazy_pages(&self) -> bool {
        self.criu.lazy_pages
    }
}

struct Dump<'a> {
    options: &'a CheckpointOptions,
    container: &'a Container,
    plan: &'a Plan,
    version: Version,
    init: &'a ProcessFd,
    directories: &'a Directories,
}

impl Dump<'_> {
    fn request(&self) -> Result<Request> {
        let kind = if self.options.pre_dump { Kind::PreDump } else { Kind::Dump };
        let mut options = self.common();
        options.external = self.external_namespaces()?;
        options.freeze_cgroup = self.freezer();
        if !self.options.pre_dump {
            let masked = external::masked_files(self.plan, self.init.pid())?;
            options.external_mounts = external::for_dump(self.plan, &masked);
        }
        Ok(Request { kind: kind as i32, options: Some(options), ..Request::default() })
    }

    fn common(&self) -> Options {
        let (given, criu) = (self.options, &self.options.criu);
        let parent = given.parent_path.as_ref().map(|path| path.to_string_lossy().into_owned());
        Options {
            pid: Some(self.init.pid()),
            leave_running: Some(given.leave_running),
            tcp_skip_in_flight: Some(given.tcp_skip_in_flight),
            link_remap: Some(given.link_remap),
            track_mem: parent.is_some().then_some(true),
            parent_img: parent,
            page_server: given
                .page_server
                .as_ref()
                .map(|(address, port)| PageServer { address: Some(address.clone()), port: Some(*port) }),
            root: Some(self.plan.rootfs.to_string_lossy().into_owned()),
            config_file: config_file(&self.plan.annotations),
            ..super::options(criu, self.directories, LOG)
        }
    }

    /// The namespaces that the container has joined: CRIU leaves them out, and the restore finds them
    /// where its bundle says. They are looked for at init, which is in them, rather than at their paths.
    fn external_namespaces(&self) -> Result<Vec<String>> {
        let joined = self.plan.joined_namespaces.iter().map(|(flag, _)| *flag);
        let left_out = joined.filter(|flag| matches!(*flag, CLONE_NEWNET | CLONE_NEWPID));
        left_out.map(|flag| self.external_namespace(flag)).collect()
    }

    fn external_namespace(&self, flag: u64) -> Result<String> {
        let name = external::namespace_name(flag);
        let (key, needed) = external::namespace_key(flag).unwrap_or_default();
        if !self.version.is_at_least(needed) {
            return Err(Error::Criu(CriuError::Needs(format!(
                "criu lacks support for external {name} namespace during checkpointing process (old criu version?)"
            ))));
        }
        let path = PathBuf::from(format!("/proc/{}/ns/{name}", self.init.pid()));
        let stat = fs::stat(fd::CWD, &c_path(&path)?, true).map_err(Error::io("stat", &path))?;
        Ok(format!("{name}[{}]:{key}", stat.ino))
    }

    /// Without a freezer CRIU stops the processes one by one, and is outrun by those that fork.
    fn freezer(&self) -> Option<String> {
        let paths = &self.container.state.cgroup;
        let path = if paths.is_unified() {
            paths.v2().filter(|_| self.version.is_at_least(FREEZES_V2))
        } else {
            paths.v1("freezer")
        };
        path.map(|path| path.to_string_lossy().into_owned())
    }

    /// What the standard streams are, so that a restore can put its own in their places.
    fn write_descriptors(&self) -> Result<()> {
        let json = serde_json::to_vec(&external::streams(self.init.pid())).unwrap_or_default();
        let path = self.options.criu.image_path.join(external::DESCRIPTORS);
        let write = || -> runsig_sys::Result<()> {
            let name = std::ffi::CString::new(external::DESCRIPTORS).map_err(|_| Errno::EINVAL)?;
            let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC | fs::O_NOFOLLOW;
            let file = fs::openat(self.directories.images.as_fd(), &name, flags, 0o600)?;
            fs::write_all(file.as_fd(), &json)
        };
        write().map_err(Error::io("write", path))
    }
}

/// CRIU's configuration file: runc's, so that what is set up for runc holds. An annotation names
/// another one, or with an empty value none.
pub(super) fn config_file(annotations: &std::collections::BTreeMap<String, String>) -> Option<String> {
    match annotations.get("org.criu.config") {
        None => Some("/etc/criu/runc.conf".to_owned()),
        Some(file) => Some(file.clone()).filter(|file| !file.is_empty()),
    }
}

/// Tells whoever asked that lazy pages are served.
struct Ready {
    status_fd: Option<i32>,
}

impl Listener for Ready {
    fn notified(&mut self, script: &str, _: i32, _: Option<OwnedFd>) -> Result<()> {
        if script == "status-ready"
            && let Some(number) = self.status_fd.take()
        {
            // Nobody reading it any more is no reason to give up.
            let _ = fs::write_all(BorrowedFd::from_raw(number), &[0]);
            let _ = fd::close(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_annotation_chooses_the_configuration_file() {
        let with = |value: &str| BTreeMap::from([("org.criu.config".to_owned(), value.to_owned())]);
        assert_eq!(config_file(&BTreeMap::new()).as_deref(), Some("/etc/criu/runc.conf"));
        assert_eq!(config_file(&with("/x.conf")).as_deref(), Some("/x.conf"));
        assert_eq!(config_file(&with("")), None);
    }

    #[test]
    fn a_status_descriptor_has_to_be_writable() {
        let (read, write) = fs::pipe(0).unwrap();
        assert_eq!(check_status_fd(write.raw()).unwrap(), write.raw());
        let error = check_status_fd(read.raw()).unwrap_err().to_string();
        assert!(error.ends_with(": not writable"), "{error}");
        let error = check_status_fd(9999).unwrap_err().to_string();
        assert_eq!(error, "invalid --status-fd argument 9999: bad file descriptor");
    }
}
