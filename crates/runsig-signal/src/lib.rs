//! The stop engine of Runsig: signals that arrive, stops that end well, and the truth about what is
//! still alive.
//!
//! Owns: signal names, who a signal is for, what it will do there, sending it to everybody without
//! a race, stop plans, waiting, and the reports about all this.
//!
//! Must not: know how a container is stored (callers give it a target), make or remove anything,
//! print, or exit. It returns what happened; the verbs decide what to say.

pub mod broadcast;
pub mod config;
pub mod deliver;
pub mod disposition;
pub mod duration;
pub mod error;
pub mod group;
pub mod identity;
pub mod names;
pub mod plan;
pub mod policy;
pub mod procfs;
pub mod resident;
pub mod stop;
pub mod table;
pub mod target;
#[cfg(test)]
mod test_settings;
pub mod wait;
pub mod zap;

pub use error::{Error, Result};
pub use identity::{Identity, Life, ProcessFd};
pub use names::{Signal, Source, default_signal};
pub use target::{PidNamespace, Target};
