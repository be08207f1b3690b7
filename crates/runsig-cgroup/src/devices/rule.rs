//! One device rule.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Error, Result};

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Block,
    Char,
}

impl Kind {
    /// `BPF_DEVCG_DEV_*`.
    pub(crate) fn bpf(self) -> i32 {
        match self {
            Self::Block => 1,
            Self::Char => 2,
        }
    }
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Block => 'b',
            Self::Char => 'c',
        }
    }
}

/// What may be done with it: the bits of `BPF_DEVCG_ACC_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Access(u8);

impl Access {
    pub(crate) const MAKE: Self = Self(1);
    pub(crate) const READ: Self = Self(2);
    pub(crate) const WRITE: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    /// What the letters stand for. runc passes over others, and bundles with `rwa` exist; a text
    /// without any that counts is refused.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let access = text.chars().fold(Self::default(), |access, letter| {
            access
                | match letter {
                    'r' => Self::READ,
                    'w' => Self::WRITE,
                    'm' => Self::MAKE,
                    _ => Self::default(),
                }
        });
        if access.is_empty() {
            Err(Error::invalid(format!("unknown device access {text:?}")))
        } else {
            Ok(access)
        }
    }
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub(crate) fn bits(self) -> i32 {
        i32::from(self.0)
    }
}

impl BitOr for Access {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
impl BitAnd for Access {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
impl Not for Access {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MAKE, "m")] {
            if !(*self & bit).is_empty() {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// A rule: allow or deny an access to a device, or to many by wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `None`: every device, whatever its numbers, and every access.
    pub(crate) kind: Option<Kind>,
    /// `None`: any.
    pub(crate) major: Option<u32>,
    /// `None`: any.
    pub(crate) minor: Option<u32>,
    pub(crate) access: Access,
    pub(crate) allow: bool,
}

impl Rule {
    /// The rule in a bundle; `index` is its place in the list.
    pub(crate) fn parse(index: usize, raw: &LinuxDeviceCgroup) -> Result<Self> {
        let access = raw.access().as_deref().unwrap_or_default();
        if access.is_empty() {
            return Err(Error::invalid(format!("device access at {index} field cannot be empty")));
        }
        let kind = match raw.typ().unwrap_or_default() {
            LinuxDeviceType::A => None,
            LinuxDeviceType::B => Some(Kind::Block),
            LinuxDeviceType::C => Some(Kind::Char),
            other => {
                return Err(Error::invalid(format!("invalid cgroup device type {:?}", other.as_str())));
            }
        };
        Ok(Self {
            kind,
            major: number("major", raw.major())?,
            minor: number("minor", raw.minor())?,
            access: Access::parse(access)?,
            allow: raw.allow(),
        })
    }
}

/// -1 is a wildcard, as is nothing at all.
fn number(what: &str, raw: Option<i64>) -> Result<Option<u32>> {
    match raw {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| Error::invalid(format!("invalid {what} {n}"))),
    }
}

/// As the files of the v1 controller take it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kind) = self.kind else { return f.write_str("a *:* rwm") };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(f, "{} {}:{} {}", kind.letter(), number(self.major), number(self.minor), self.access)
    }
}
