//! How the host-side program begins.
//!
//! Owns: a C `main` in place of the standard library's, which costs every call 0.05 ms: it reads
//! /proc/self/maps and installs handlers for a message about stack overflows. What of it keeps a
//! program safe is done here. Must not: parse arguments; `std::env::args_os` works as ever, because
//! the C library hands them to the standard library before `main`.

use linux_raw_sys::general as k;

use crate::errno::Errno;
use crate::fd;
use crate::fs;
use crate::process::{self, PollFd};
use crate::signal::{self, Action};

/// Defines the program's `main`: the path of a function that returns the exit code. The crate needs
/// `#![no_main]`. Standard output is not flushed at the end.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        /// Called by the C library.
        #[unsafe(no_mangle)]
        extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
            $crate::entry::prepare();
            i32::from($main())
        }
    };
}

/// What has to hold before anything is opened or written: descriptors 0 to 2 are open, so that no
/// file of ours lands there and gets what is meant for standard error; and a closed pipe is an
/// error, not a signal.
pub fn prepare() {
    if open_standard_streams().is_err() {
        // Nothing can be said and nothing may be opened.
        process::exit(1);
    }
    // SIGPIPE is a valid signal to ignore: this cannot fail. The container's side sets it back.
    let _ = signal::set_action(k::SIGPIPE as i32, Action::Ignore);
}

fn open_standard_streams() -> crate::Result<()> {
    /// poll(2) sets it for a descriptor that is not open.
    const POLLNVAL: i16 = k::POLLNVAL as i16;
    let mut streams = [0, 1, 2].map(|fd| PollFd { fd, events: 0, revents: 0 });
    crate::errno::retry(|| process::poll(&mut streams, 0))?;
    for stream in streams.iter().filter(|stream| stream.revents & POLLNVAL != 0) {
        // The lowest free number is this one: those below are open by now.
        let null = fs::openat(fd::CWD, c"/dev/null", fs::O_RDWR, 0)?;
        if null.raw() != stream.fd {
            return Err(Errno::EBADF);
        }
        fs::set_cloexec(null.as_fd(), false)?;
        let _ = null.into_raw();
    }
    Ok(())
}
