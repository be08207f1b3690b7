//! Descriptor types that work without `std`.
//!
//! Owns: closing. Must not: do any other input or output.

use core::marker::PhantomData;

use crate::arch::sys;
use crate::errno::Result;
use linux_raw_sys::general::__NR_close;

/// A descriptor's number.
pub type RawFd = i32;

/// A descriptor that is closed when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnedFd(RawFd);

/// A descriptor that something else keeps open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BorrowedFd<'a>(RawFd, PhantomData<&'a OwnedFd>);

/// The current directory, for the `*at` family.
pub const CWD: BorrowedFd<'static> = BorrowedFd(linux_raw_sys::general::AT_FDCWD, PhantomData);

impl OwnedFd {
    /// Takes over the descriptor with this number, for one that was inherited or received.
    /// A number that is not open makes later calls fail with `EBADF`; it breaks no memory.
    #[must_use]
    pub fn from_raw(fd: RawFd) -> Self {
        Self(fd)
    }
    /// The descriptor, lent.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd(self.0, PhantomData)
    }
    /// The number.
    #[must_use]
    pub fn raw(&self) -> RawFd {
        self.0
    }
    /// The number, given up: nobody closes it.
    #[must_use]
    pub fn into_raw(self) -> RawFd {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }
}

impl<'a> BorrowedFd<'a> {
    /// A descriptor known by its number, for one that stays open for as long as it is used.
    #[must_use]
    pub const fn from_raw(fd: RawFd) -> Self {
        Self(fd, PhantomData)
    }
    /// The number.
    #[must_use]
    pub fn raw(self) -> RawFd {
        self.0
    }
    pub(crate) fn arg(self) -> usize {
        self.0 as usize
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // An error of close(2) on Linux still means the descriptor is gone.
        let _ = close(self.0);
    }
}

/// Closes a descriptor by number. <https://man7.org/linux/man-pages/man2/close.2.html>
///
/// # Errors
/// `EBADF` when it is not open.
pub fn close(fd: RawFd) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { sys!(__NR_close, fd as usize) }.map(drop)
}

#[cfg(feature = "std")]
mod with_std {
    use super::{BorrowedFd, OwnedFd};
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd};

    impl From<OwnedFd> for std::os::fd::OwnedFd {
        fn from(fd: OwnedFd) -> Self {
            // SAFETY: an `OwnedFd` is the only owner of its descriptor and gives it up here.
            unsafe { Self::from_raw_fd(fd.into_raw()) }
        }
    }
    impl From<OwnedFd> for std::fs::File {
        fn from(fd: OwnedFd) -> Self {
            std::os::fd::OwnedFd::from(fd).into()
        }
    }
    impl From<std::os::fd::OwnedFd> for OwnedFd {
        fn from(fd: std::os::fd::OwnedFd) -> Self {
            Self::from_raw(fd.into_raw_fd())
        }
    }
    impl From<std::fs::File> for OwnedFd {
        fn from(file: std::fs::File) -> Self {
            Self::from_raw(file.into_raw_fd())
        }
    }
    impl AsFd for OwnedFd {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            // SAFETY: the descriptor stays open for the lifetime of the borrow of `self`.
            unsafe { std::os::fd::BorrowedFd::borrow_raw(self.raw()) }
        }
    }
    impl AsRawFd for OwnedFd {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            self.raw()
        }
    }
    impl<'a> From<std::os::fd::BorrowedFd<'a>> for BorrowedFd<'a> {
        fn from(fd: std::os::fd::BorrowedFd<'a>) -> Self {
            Self::from_raw(fd.as_raw_fd())
        }
    }
}
