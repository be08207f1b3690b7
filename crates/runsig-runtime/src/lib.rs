//! The host side of a container's life: create, start, run, exec, pause, delete; the state on
//! disk; hooks; terminals.
//!
//! Owns: the order in which things are made and unmade, so that a kill of this program at any
//! point leaves something `delete --force` can clean up. Must not: parse command lines or print.

mod answers;
mod build;
mod bundle;
mod cgroup_mounts;
pub mod checkpoint;
mod child;
pub mod console;
pub mod create;
mod damaged;
pub mod delete;
mod embed;
pub mod error;
pub mod events;
pub mod exec;
mod exec_names;
mod facts;
mod foreground;
pub mod hooks;
mod host_mounts;
mod launch;
pub mod listing;
mod net_devices;
mod network;
mod notify;
pub mod options;
pub mod pause;
mod resctrl;
mod rtnetlink;
pub mod run;
mod sd_notify;
mod seccomp_cache;
pub mod start;
pub mod state;
pub mod status;
pub mod store;
mod talk;
pub mod time;
mod trace;
pub mod update;
mod userns;

pub use error::{Error, Result};
pub use options::{CgroupManager, CreateOptions, ExecOptions, Globals, RunOptions, Warnings};
pub use state::{OciState, Phase, State};
pub use status::Status;
pub use store::{Container, Store};
