//! Error numbers and their words.
//!
//! Owns: the kernel's error numbers as a type, printed in the lower-case words that Go programs
//! print, because container engines search our messages for those words.

use core::fmt;

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

/// A kernel error number. <https://man7.org/linux/man-pages/man3/errno.3.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident $words:literal,)*) => {
        impl Errno {
            $(#[doc = $words] pub const $name: Self = Self(linux_raw_sys::errno::$name as i32);)*
            /// The words for this error, where we have them.
            #[must_use]
            pub fn words(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($words),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM "operation not permitted",
    ENOENT "no such file or directory",
    ESRCH "no such process",
    EINTR "interrupted system call",
    EIO "input/output error",
    ENXIO "no such device or address",
    E2BIG "argument list too long",
    ENOEXEC "exec format error",
    EBADF "bad file descriptor",
    ECHILD "no child processes",
    EAGAIN "resource temporarily unavailable",
    ENOMEM "cannot allocate memory",
    EACCES "permission denied",
    EFAULT "bad address",
    ENOTBLK "block device required",
    EBUSY "device or resource busy",
    EEXIST "file exists",
    EXDEV "invalid cross-device link",
    ENODEV "no such device",
    ENOTDIR "not a directory",
    EISDIR "is a directory",
    EINVAL "invalid argument",
    ENFILE "too many open files in system",
    EMFILE "too many open files",
    ENOTTY "inappropriate ioctl for device",
    ETXTBSY "text file busy",
    EFBIG "file too large",
    ENOSPC "no space left on device",
    ESPIPE "illegal seek",
    EROFS "read-only file system",
    EMLINK "too many links",
    EPIPE "broken pipe",
    EDOM "numerical argument out of domain",
    ERANGE "numerical result out of range",
    EDEADLK "resource deadlock avoided",
    ENAMETOOLONG "file name too long",
    ENOSYS "function not implemented",
    ENOTEMPTY "directory not empty",
    ELOOP "too many levels of symbolic links",
    ENODATA "no data available",
    EPROTO "protocol error",
    EOVERFLOW "value too large for defined data type",
    EILSEQ "invalid or incomplete multibyte or wide character",
    EUSERS "too many users",
    ENOTSOCK "socket operation on non-socket",
    EMSGSIZE "message too long",
    EOPNOTSUPP "operation not supported",
    EAFNOSUPPORT "address family not supported by protocol",
    EADDRINUSE "address already in use",
    ENOTCONN "transport endpoint is not connected",
    ECONNRESET "connection reset by peer",
    ECONNREFUSED "connection refused",
    ETIMEDOUT "connection timed out",
    ESTALE "stale file handle",
    EDQUOT "disk quota exceeded",
    ECANCELED "operation canceled",
    ENOKEY "required key not available",
    EKEYREVOKED "key has been revoked",
    ENETUNREACH "network is unreachable",
}

impl Errno {
    /// The error with this number.
    #[must_use]
    pub fn from_raw(raw: i32) -> Self {
        Self(raw)
    }
    /// The number.
    #[must_use]
    pub fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => f.write_str(words),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}

/// Repeats a call for as long as a signal interrupts it.
///
/// # Errors
/// Whatever the call fails with other than `EINTR`.
pub fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

#[cfg(feature = "std")]
impl Errno {
    /// The error number inside an `io::Error`; `EIO` where it has none.
    #[must_use]
    pub fn from_io(error: &std::io::Error) -> Self {
        error.raw_os_error().map_or(Self::EIO, Self)
    }
}
