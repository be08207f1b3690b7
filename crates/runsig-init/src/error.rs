//! What failed, with what, and why: the runtime puts it into words.
//!
//! Owns: the error type of this crate and the short ways to make one. Must not: print or send.

use alloc::ffi::CString;
use core::ffi::CStr;

use runsig_proto::{FromInit, Op};
use runsig_sys::Errno;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was being done.
    pub op: Op,
    /// With what: a path, a name; may be empty.
    pub subject: CString,
    /// More about it, in words; may be empty.
    pub detail: CString,
    /// The error number, where there is one.
    pub errno: Option<Errno>,
}

/// The result of a step.
pub type Result<T> = core::result::Result<T, Failure>;

impl Failure {
    /// A failure with an error number and nothing to name.
    #[must_use]
    pub fn new(op: Op, errno: Errno) -> Self {
        Self { op, subject: CString::default(), detail: CString::default(), errno: Some(errno) }
    }
    /// A failure of something that has a name.
    #[must_use]
    pub fn at(op: Op, subject: &CStr, errno: Errno) -> Self {
        Self { subject: subject.into(), ..Self::new(op, errno) }
    }
    /// A failure that words explain and no error number does.
    #[must_use]
    pub fn because(op: Op, subject: &CStr, detail: &CStr) -> Self {
        Self { op, subject: subject.into(), detail: detail.into(), errno: None }
    }
    /// With more about it.
    #[must_use]
    pub fn with(self, detail: &CStr) -> Self {
        Self { detail: detail.into(), ..self }
    }
    /// The message for the runtime.
    #[must_use]
    pub fn into_message(self) -> FromInit {
        let errno = self.errno.map_or(0, Errno::raw);
        FromInit::Failed { op: self.op, subject: self.subject, detail: self.detail, errno }
    }
}

/// Turns the error number of a system call into a [`Failure`].
pub trait During<T> {
    /// What was being done.
    ///
    /// # Errors
    /// The call's error, with `op`.
    fn during(self, op: Op) -> Result<T>;
    /// What was being done, and with what.
    ///
    /// # Errors
    /// The call's error, with `op` and `subject`.
    fn during_at(self, op: Op, subject: &CStr) -> Result<T>;
}

impl<T> During<T> for core::result::Result<T, Errno> {
    fn during(self, op: Op) -> Result<T> {
        self.map_err(|errno| Failure::new(op, errno))
    }
    fn during_at(self, op: Op, subject: &CStr) -> Result<T> {
        self.map_err(|errno| Failure::at(op, subject, errno))
    }
}
