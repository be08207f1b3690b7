//! cgroup v1 and v2 for Runsig: where a container's processes are kept, limited, frozen and counted.
//!
//! Owns: the choice of directories ([`Paths`]), making and removing them, limits
//! ([`Cgroup::apply`], [`Cgroup::update`]), the device filter, freezing, the list of processes, and
//! killing all of them. Errors say which file and why.
//!
//! Must not: know containers, state files or signals other than KILL; write to standard error;
//! touch a cgroup that is not the container's, other than to enable controllers on the way down.

mod cgroup;
mod delegate;
mod devices;
mod dir;
mod error;
mod events;
mod freezer;
mod host;
mod kill;
mod members;
mod paths;
mod remove;
mod resources;
pub mod stats;
pub mod systemd;
mod v1;
mod v2;
mod walk;

pub use cgroup::{Cgroup, Creation};
pub use error::{Error, Result};
pub use freezer::Freezers;
pub use host::{Hierarchy, Host, MOUNT, Mode};
pub use members::Member;
pub use paths::{Directory, Driver, Legacy, MountView, Paths, Request};
pub use resources::merge;
pub use stats::Stats;
