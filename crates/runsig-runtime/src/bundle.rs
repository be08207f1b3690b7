//! From the command line to a plan: what the bundle's reader has to be told about this host.
//!
//! Owns: host facts for `runsig-spec` and `runsig-cgroup`. Must not: judge the bundle.

use std::path::Path;
use std::sync::OnceLock;

use runsig_cgroup::{Driver, Host, Paths, Request, systemd};
use runsig_signal::config::Config;
use runsig_spec::{LoadOptions, Plan};
use runsig_sys::process;

use crate::error::{Error, Result};
use crate::options::{CgroupManager, CreateOptions, Globals};
use crate::seccomp_cache::Cache;

/// Reads and checks the bundle.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn load(globals: &Globals, options: &CreateOptions) -> Result<Plan> {
    let cache = Cache::new(&globals.root);
    let host = LoadOptions {
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        seccomp_cache: Some(&cache),
        config: options.config.as_deref(),
        ..host_facts(&options.id)
    };
    let host = LoadOptions { rootless_cgroups: rootless_cgroups(globals), ..host };
    let mut plan = runsig_spec::load(&options.bundle, &host)?;
    plan.init.resident = runsig_signal::resident::find(options.init, &plan.annotations, &Config::default())?;
    plan.warnings.iter().for_each(|warning| globals.warn(warning));
    Ok(plan)
}

/// What holds on this host.
pub(crate) fn host_facts(id: &str) -> LoadOptions<'_> {
    let rootless = process::geteuid() != 0;
    let in_user_namespace = in_user_namespace();
    LoadOptions {
        rootless,
        in_user_namespace,
        setgroups_denied: (rootless || in_user_namespace) && setgroups_denied(),
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        ..LoadOptions::new(id)
    }
}

/// Whether cgroups may be out of reach: what `--rootless` says, else runc's guess. Root in a user
/// namespace (rootless podman's runtime) is no more than the user who made the namespace.
fn rootless_cgroups(globals: &Globals) -> bool {
    globals.rootless.unwrap_or_else(|| {
        process::geteuid() != 0
            || in_user_namespace()
                // Its root may have a systemd of its own there.
                && (globals.cgroup_manager != CgroupManager::Systemd || systemd::session_is_a_users())
    })
}

/// The initial user namespace maps every ID to itself (user_namespaces(7)). Read once: it is asked
/// for on the way of every create.
fn in_user_namespace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        std::fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| !map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
    })
}

fn setgroups_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

/// Decides where the container's cgroups are.
///
/// # Errors
/// A bad `cgroupsPath`, or a host without cgroups.
pub(crate) fn cgroup_paths(globals: &Globals, plan: &Plan, id: &str) -> Result<Paths> {
    let driver = match globals.cgroup_manager {
        CgroupManager::Disabled => Driver::Disabled,
        CgroupManager::Cgroupfs => Driver::Cgroupfs,
        CgroupManager::Systemd => Driver::Systemd,
    };
    let rootless = rootless_cgroups(globals);
    let request = Request { cgroups_path: plan.cgroups_path.as_deref(), id, driver, rootless };
    let host = if driver == Driver::Disabled { Host::default() } else { Host::detect()? };
    if driver != Driver::Systemd {
        return Ok(Paths::resolve(&host, request)?);
    }
    // What is wrong with the bundle is told without the words of a failed set-up.
    let check = || {
        systemd::properties(&plan.annotations)?;
        Paths::resolve(&host, request)
    };
    check().map_err(|error: runsig_cgroup::Error| Error::Invalid(error.to_string()))
}

/// How many descriptors socket activation has passed to this very process (sd_listen_fds(3)).
pub(crate) fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid.cast_signed() == process::getpid() => count,
        _ => 0,
    }
}
