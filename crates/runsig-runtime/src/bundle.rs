//! From the command line to a plan: what the bundle's reader has to be told about this host.
//!
//! Owns: host facts for `runsig-spec` and `runsig-cgroup`. Must not: judge the bundle.

use runsig_cgroup::{Driver, Host, Paths, Request};
use runsig_spec::{LoadOptions, Plan};
use runsig_sys::process;

use crate::error::Result;
use crate::options::{CgroupManager, CreateOptions, Globals};

/// Reads and checks the bundle.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn load(_globals: &Globals, options: &CreateOptions) -> Result<Plan> {
    let host = LoadOptions {
        rootless: process::geteuid() != 0,
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        ..LoadOptions::new(&options.id)
    };
    Ok(runsig_spec::load(&options.bundle, &host)?)
}

/// Decides where the container's cgroups are.
///
/// # Errors
/// A bad `cgroupsPath`, or a host without cgroups.
pub(crate) fn cgroup_paths(globals: &Globals, plan: &Plan, id: &str) -> Result<Paths> {
    let driver = match globals.cgroup_manager {
        CgroupManager::Disabled => Driver::Disabled,
        CgroupManager::Cgroupfs | CgroupManager::Systemd => Driver::Cgroupfs,
    };
    let rootless = globals.rootless.unwrap_or_else(|| process::geteuid() != 0);
    let request = Request { cgroups_path: plan.cgroups_path.as_deref(), id, driver, rootless };
    let host = if driver == Driver::Disabled { Host::default() } else { Host::detect()? };
    Ok(Paths::resolve(&host, request)?)
}

/// How many descriptors socket activation has passed to this very process (sd_listen_fds(3)).
pub(crate) fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid.cast_signed() == process::getpid() => count,
        _ => 0,
    }
}
