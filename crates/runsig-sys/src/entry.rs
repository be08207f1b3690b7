//! How the host-side program begins.
//!
//! Owns: a C `main` in place of the standard library's, which costs every call 0.05 ms: it reads
//! /proc/self/maps and installs handlers for a message about stack overflows. What of it keeps a
//! program safe is done here, and [`arguments`] stands in for `std::env::args_os`: not every C library
//! tells the standard library before `main`. Must not: parse arguments.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

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
        extern "C" fn main(_argc: i32, argv: *mut *const core::ffi::c_char) -> i32 {
            // SAFETY: the C library's start passes a null-ended array that stays for the program's life.
            unsafe { $crate::entry::prepare(argv) };
            i32::from($main())
        }
    };
}

/// What `main` was given.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// The program's arguments, its own name first. None in a program without [`program!`](crate::program).
pub fn arguments() -> impl Iterator<Item = OsString> {
    let mut next = ARGUMENTS.load(Ordering::Relaxed);
    core::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: not beyond the null that ends the array, as `prepare` was promised.
        let argument = unsafe { next.read() };
        if argument.is_null() {
            return None;
        }
        // SAFETY: the null has not been reached, so there is another element.
        next = unsafe { next.add(1) };
        // SAFETY: a terminated string that stays, as `prepare` was promised.
        let argument = unsafe { CStr::from_ptr(argument) };
        Some(OsString::from(OsStr::from_bytes(argument.to_bytes())))
    })
}

/// What has to hold before anything is opened or written: descriptors 0 to 2 are open, so that no
/// file of ours lands there and gets what is meant for standard error; and a closed pipe is an
/// error, not a signal.
///
/// # Safety
/// `argv` is a null-ended array of terminated strings that are never changed.
pub unsafe fn prepare(argv: *mut *const c_char) {
    ARGUMENTS.store(argv, Ordering::Relaxed);
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
