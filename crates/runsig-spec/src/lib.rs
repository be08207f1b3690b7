//! config.json and process.json become a validated [`Plan`].
//!
//! Owns: reading the bundle's files, every rule about what they may say, and the resolving of
//! names, options and filters into numbers and bytes. Must not: change anything on the host.

mod caps;
mod cpuset;
mod default_spec;
mod devices;
mod document;
mod error;
mod exec;
mod hooks;
mod json;
mod keys;
pub mod known;
mod load;
mod mounts;
mod namespaces;
mod network;
mod options;
pub mod plan;
mod process;
mod resources;
mod rlimits;
mod rootless;
mod scheduler;
mod seccomp;
mod strict;
mod sysctl;
mod text;
mod version;

pub use default_spec::default_spec;
pub use error::SpecError;
pub use exec::{ContainerFacts, ExecPlan, ExecSource, ProcessOverrides, exec_process};
pub use keys::read as read_json;
pub use load::{LoadOptions, from_json, from_spec, load};
pub use plan::Plan;
pub use resources::forget_pids_without_limit;
pub use seccomp::SeccompCache;
pub use version::OCI_VERSION;
