//! The container side of Runsig: from clone to execve.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

use core::ffi::CStr;

pub mod error;

/// Runs the init; `sync` is the decimal number of the sync socket.
#[must_use]
pub fn run(sync: Option<&CStr>) -> i32 {
    let number = sync.and_then(|s| s.to_str().ok()).and_then(|s| s.parse::<i32>().ok());
    let Some(fd) = number else { return 255 };
    let sync = runsig_sys::OwnedFd::from_raw(fd);
    match runsig_proto::frame::receive::<runsig_proto::ToInit>(sync.as_fd()) {
        Ok(Some(runsig_proto::ToInit::Plan { plan })) => plan.process.uid as i32,
        _ => 255,
    }
}
