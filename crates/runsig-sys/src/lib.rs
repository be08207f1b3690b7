//! System calls for Runsig: the only crate with `unsafe` code.
//!
//! Owns: every raw system call, the descriptor types, the way a container's first process is
//! cloned and handed to its program, and (feature `freestanding`) what a program without a C
//! library needs to run at all. One system-call family a module; each wrapper names its man page.
//!
//! Must not: decide anything. No policy, no paths of our own, no logging, no retries other than
//! `EINTR`. It works without `std` and without a C library, because the container's init has
//! neither.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod arch;
pub mod bpf;
#[cfg(feature = "std")]
pub mod entry;
pub mod errno;
pub mod fd;
pub mod fork;
#[cfg(all(feature = "std", target_env = "musl"))]
mod fortify;
#[cfg(feature = "freestanding")]
pub mod freestanding;
pub mod fs;
#[cfg(feature = "heap")]
pub mod heap;
pub mod inside;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod nsfs;
pub mod pidfd_info;
pub mod process;
pub mod run;
pub mod sched;
pub mod security;
pub mod signal;
pub mod spawn;
pub mod term;

pub use errno::{Errno, Result};
pub use fd::{BorrowedFd, OwnedFd, RawFd};
pub use linux_raw_sys as raw;
