//! systemd makes the cgroup: a transient scope for the container, below a slice.
//!
//! Owns: the unit's name, its properties, and asking systemd for it. The files of the cgroup are
//! written as without systemd, afterwards: not everything has a property.
//!
//! Must not: know containers. Nothing here runs for a container without a unit.

mod annotations;
mod bus;
mod devices;
mod driver;
mod gvariant;
mod manager;
mod message;
mod translate;
mod unit;
mod value;

pub use annotations::properties;
pub use bus::BusError;
pub use driver::Wishes;
pub(crate) use driver::{forget, paths};
pub use unit::Unit;
pub use value::Value;

/// A property of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// As D-Bus calls it, such as `TimeoutStopUSec`.
    pub name: String,
    /// Its value; the type has to be the one systemd expects.
    pub value: Value,
}

/// Whether systemd runs this host, as sd_booted(3) tells.
#[must_use]
pub fn is_running() -> bool {
    std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|found| found.is_dir())
}

/// Whether root of a user namespace is to use the systemd of the user that the session bus belongs
/// to, rather than one of its own.
#[must_use]
pub fn session_is_a_users() -> bool {
    bus::session_owner().is_some_and(|owner| owner != 0)
}
