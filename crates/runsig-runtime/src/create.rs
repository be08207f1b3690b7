//! `create`, and the making half of `run`.
//!
//! Owns: the order of things. What is about to be made is on disk before it is made: first the
//! state with the cgroup's path, then the cgroup, then the process. A kill of this program at any
//! point leaves either nothing, or a state from which `delete --force` (or the next `create`)
//! finds the rest; the half-made init ends by itself when its sync socket closes.
//!
//! Must not: wait for the container's program.

use std::path::Path;

use runsig_proto::plan::Forward;
use runsig_signal::target::{PidNamespace, ResidentInit};
use runsig_spec::Plan;
use runsig_sys::process::{self, CLONE_NEWPID};
use runsig_sys::spawn::Child;
use runsig_sys::{BorrowedFd, OwnedFd, fs};

use crate::build::{Builder, Start};
use crate::child::identity;
use crate::delete;
use crate::error::{Error, Result};
use crate::notify;
use crate::options::{CreateOptions, Globals};
use crate::resctrl::Resctrl;
use crate::sd_notify;
use crate::state::{HookRecord, ListenerRecord, Phase, State};
use crate::store::{Container, Store};
use crate::talk;
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
    let notifies = sd_notify::manager().is_some();
    if notifies {
        sd_notify::add_mount(&mut plan, &store.path(&options.id))?;
    }
    let mut state = first_state(options, &plan, crate::bundle::cgroup_paths(globals, &plan, &options.id)?)?;
    state.resctrl = plan.intel_rdt.as_ref().map(|rdt| Resctrl::find()?.plan(rdt, &options.id)).transpose()?;
    let mut container = claim(&store, state)?;
    let built =
        Builder::new(globals, options, &mut plan, &mut container, console).notifying(notifies).build(start);
    match built {
        Ok((launched, go)) => Ok(Made { container, child: launched.child, sync: launched.sync, go, plan }),
        Err(error) => {
            // What failed is the news; a clean-up that fails too leaves the state for `delete`.
            let _ = delete::destroy(&store, container);
            Err(error)
        }
    }
}

/// Claims the ID; one whose creator was killed half-way is cleaned up and taken over.
pub(crate) fn claim(store: &Store, state: State) -> Result<Container> {
    match store.claim(state.clone()) {
        Err(Error::Exists) if delete::clear_abandoned(store, &state.id)? => store.claim(state),
        other => other,
    }
}

pub(crate) fn first_state(
    options: &CreateOptions,
    plan: &Plan,
    cgroup: runsig_cgroup::Paths,
) -> Result<State> {
    let joined = plan.joined_namespaces.iter().fold(0, |bits, (flag, _)| bits | flag);
    Ok(State {
        oci_version: runsig_spec::OCI_VERSION.to_owned(),
        id: options.id.clone(),
        phase: Phase::Creating,
        creator: identity(process::getpid())?,
        init: None,
        bundle: plan.bundle.clone(),
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

/// Descriptors for the container have to be open; those of socket activation count first.
fn check_preserved(plan: &mut Plan, options: &CreateOptions) -> Result<()> {
    let activated = crate::bundle::listen_fds();
    check_open(activated, 0)?;
    check_open(options.preserve_fds, activated)?;
    if activated > 0 {
        let env = &mut plan.init.process.env;
        env.extend(std::ffi::CString::new(format!("LISTEN_FDS={activated}")));
        env.push(c"LISTEN_PID=1".to_owned());
    }
    plan.init.fds.preserve = activated + options.preserve_fds;
    Ok(())
}

/// Checks that our caller gave us descriptors 3+`skip` to 3+`skip`+`count`-1. One that is close-on-exec did not come
/// through our own exec: it is ours, a directory of the host's perhaps, and a way out of the container.
pub(crate) fn check_open(count: u32, skip: u32) -> Result<()> {
    for index in 0..count {
        let number = 3 + skip + index;
        let descriptor = BorrowedFd::from_raw(number.cast_signed());
        if fs::is_cloexec(descriptor) != Ok(false) || fs::set_cloexec(descriptor, true).is_err() {
            return Err(Error::Invalid(format!(
                "unable to stat preserved-fd {index} (of {count}): no such file or directory"
            )));
        }
    }
    Ok(())
}
