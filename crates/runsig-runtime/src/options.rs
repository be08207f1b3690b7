//! What the command line has resolved to.
//!
//! Owns: plain data. Must not: read anything.

use std::path::PathBuf;

/// Options of every verb.
#[derive(Debug, Clone)]
pub struct Globals {
    /// Where the containers' state is kept.
    pub root: PathBuf,
    /// Whether cgroups may be missing; `None` decides by the effective user.
    pub rootless: Option<bool>,
    /// How cgroups are managed.
    pub cgroup_manager: CgroupManager,
    /// Where warnings go: what is worth a line but no failure.
    pub warnings: Warnings,
    /// Where lines for `--debug` go, when somebody wants them.
    pub debug_log: Option<Warnings>,
}

impl Globals {
    pub(crate) fn warn(&self, message: &str) {
        (self.warnings.0)(message);
    }

    /// One line for `--debug`, made only when somebody reads it.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if let Some(log) = &self.debug_log {
            (log.0)(&message());
        }
    }
}

/// Takes warnings, or lines for `--debug`, one line each.
#[derive(Clone)]
pub struct Warnings(pub std::rc::Rc<dyn Fn(&str)>);

impl Default for Warnings {
    /// Nowhere.
    fn default() -> Self {
        Self(std::rc::Rc::new(|_| ()))
    }
}

impl std::fmt::Debug for Warnings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warnings")
    }
}

/// Who makes cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupManager {
    /// This runtime, through the file system.
    #[default]
    Cgroupfs,
    /// systemd, as a transient scope.
    Systemd,
    /// Nobody.
    Disabled,
}

/// Options of `create`, and of `run` where it creates.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// The new container's name.
    pub id: String,
    /// The file to read in place of the bundle's config.json; absolute.
    pub config: Option<PathBuf>,
    /// The directory with config.json.
    pub bundle: PathBuf,
    /// Where to write init's PID.
    pub pid_file: Option<PathBuf>,
    /// Unix socket that gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that gets init's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Do not pivot_root.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on the container gets.
    pub preserve_fds: u32,
    /// A resident init, whatever annotations and settings say.
    pub init: bool,
}

/// Options of `run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What is made.
    pub create: CreateOptions,
    /// Return as soon as the program runs.
    pub detach: bool,
    /// Keep the container when it has ended.
    pub keep: bool,
    /// Do not become a subreaper.
    pub no_subreaper: bool,
}

/// Options of `exec`, beside the process itself.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The container.
    pub id: String,
    /// Return as soon as the process runs.
    pub detach: bool,
    /// Where to write its PID.
    pub pid_file: Option<PathBuf>,
    /// Unix socket that gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that gets its pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// How many descriptors from 3 on it gets.
    pub preserve_fds: u32,
    /// (controller, path): existing cgroups below the container's; the controller is empty on v2.
    pub cgroups: Vec<(String, PathBuf)>,
    /// Do it in a paused container too; it runs once that is resumed.
    pub ignore_paused: bool,
    /// What to call it when a signal is to be sent to it.
    pub name: Option<String>,
}
