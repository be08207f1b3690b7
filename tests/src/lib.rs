//! Helpers shared by the tests that run real containers.
//!
//! Owns: bundles, the runtime under test, the sandbox each test runs in, and the search for what a
//! runtime left behind. Must not: know anything of Runsig's own crates but the system calls: the
//! tests see the runtime as an engine does, and run as well against runc (`RUNTIME=runc`).
//!
//! Every test runs in a process of its own, as the child of a small PID 1 in a private PID and
//! mount namespace. Whatever a test or a runtime forgets ends there.

pub mod booted;
pub mod bundle;
pub mod case;
pub mod cgroup;
pub mod console;
pub mod container;
pub mod fake_criu;
pub mod harness;
pub mod host_config;
pub mod leftovers;
pub mod login;
pub mod needs;
pub mod procs;
pub mod runtime;
pub mod sandbox;
pub mod service;
pub mod spec;
pub mod user;
pub mod version;
pub mod wait;

pub use bundle::Bundle;
pub use case::{Case, View, require_runsig, skip};
pub use container::Container;
pub use runtime::{Outcome, Runtime};
pub use serde_json::{Value, json};
