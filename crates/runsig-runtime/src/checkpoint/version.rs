//! Which CRIU it is, and what it and the kernel can do.
//!
//! Owns: the questions and the comparisons. Must not: decide what needs which version.

use super::error::CriuError;
use super::program::Start;
use super::rpc::{self, Features, Kind, Request};
use super::swrk::{Deaf, Swrk};
use crate::error::{Error, Result};

/// The first CRIU that tells its version when asked.
const OLDEST: i32 = 3_00_00;

/// CRIU's version: major, minor, sublevel, two digits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(i32);

fn ask(request: Request) -> Result<rpc::Response> {
    Swrk::start(&Start::default())?.ask(request, &mut Deaf)
}

impl Version {
    /// Asks CRIU.
    ///
    /// # Errors
    /// When there is none, or it is too old to be asked.
    pub(super) fn ask() -> Result<Self> {
        let request = Request { kind: Kind::Version as i32, ..Request::default() };
        let version = match ask(request) {
            Ok(response) => response.version.unwrap_or_default(),
            Err(Error::Criu(error)) => return Err(Error::Criu(error.during("CRIU version check"))),
            Err(error) => return Err(error),
        };
        let version = Self::number(&version);
        version.require(OLDEST)?;
        Ok(version)
    }

    /// A build from git counts as the next minor version, as in runc.
    fn number(version: &rpc::Version) -> Self {
        let part = |number: i32| number.clamp(0, 99);
        let release = part(version.major) * 10_000 + part(version.minor) * 100;
        if version.git.as_ref().is_some_and(|git| !git.is_empty()) {
            return Self(release + 100);
        }
        Self(release + part(version.sublevel.unwrap_or(0)))
    }

    /// Whether it is at least this one.
    pub(super) fn is_at_least(self, needed: i32) -> bool {
        self.0 >= needed
    }

    fn require(self, needed: i32) -> Result<()> {
        if self.is_at_least(needed) {
            return Ok(());
        }
        Err(Error::Criu(CriuError::TooOld { found: self.0, needed }))
    }
}

/// Demands that CRIU and the kernel can track changed memory.
///
/// # Errors
/// When they say that they cannot.
pub(super) fn require_memory_tracking() -> Result<()> {
    require(&Features { mem_track: Some(true), lazy_pages: None })
}

/// Demands that CRIU and the kernel can bring pages back when they are used.
///
/// # Errors
/// When they say that they cannot.
pub(super) fn require_lazy_pages() -> Result<()> {
    require(&Features { mem_track: None, lazy_pages: Some(true) })
}

fn require(wanted: &Features) -> Result<()> {
    let request =
        Request { kind: Kind::FeatureCheck as i32, features: Some(wanted.clone()), ..Request::default() };
    let found = match ask(request) {
        Ok(response) => response.features.unwrap_or_default(),
        Err(Error::Criu(error)) => return Err(Error::Criu(error.during("CRIU feature check"))),
        Err(error) => return Err(error),
    };
    let missing = missing(wanted, &found);
    if missing.is_empty() { Ok(()) } else { Err(Error::Criu(CriuError::Missing(missing))) }
}

/// What CRIU does not speak of counts as there: an old one does not know the question.
fn missing(wanted: &Features, found: &Features) -> Vec<&'static str> {
    let lacks = |wanted: Option<bool>, found: Option<bool>| wanted == Some(true) && found == Some(false);
    let mem_track = lacks(wanted.mem_track, found.mem_track).then_some("MemTrack");
    let lazy_pages = lacks(wanted.lazy_pages, found.lazy_pages).then_some("LazyPages");
    mem_track.into_iter().chain(lazy_pages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: i32, minor: i32, sublevel: Option<i32>, git: Option<&str>) -> i32 {
        Version::number(&rpc::Version { major, minor, sublevel, git: git.map(str::to_owned) }).0
    }

    #[test]
    fn versions_are_numbers_as_in_runc() {
        assert_eq!(version(3, 17, Some(1), None), 31701);
        assert_eq!(version(4, 2, None, Some("")), 40200);
        assert_eq!(version(3, 17, Some(1), Some("v3.17-5-gabc")), 31800);
        assert_eq!(version(i32::MAX, -5, Some(i32::MAX), None), 990_099);
    }

    #[test]
    fn only_a_plain_no_counts_as_missing() {
        let wanted = Features { mem_track: Some(true), lazy_pages: None };
        assert_eq!(
            missing(&wanted, &Features { mem_track: Some(false), lazy_pages: Some(false) }),
            ["MemTrack"]
        );
        assert!(missing(&wanted, &Features::default()).is_empty());
        assert!(missing(&wanted, &Features { mem_track: Some(true), lazy_pages: None }).is_empty());
    }
}
