//! Freezing and thawing.
//!
//! Owns: v2 `cgroup.freeze`, v1 `freezer.state`, and the wait until it has happened. Both are
//! bounded. Must not: leave a cgroup half frozen.

use std::cell::RefCell;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::events::{Events, Watch};
use crate::paths::Paths;

/// A process in an uninterruptible sleep freezes when it wakes; longer than this nobody waits.
const BOUND: Duration = Duration::from_secs(10);

const V1: &str = "freezer.state";
const V2: &str = "cgroup.freeze";

/// Freezers of many containers, one after the other: the hierarchy of the last one stays open.
#[derive(Debug, Default)]
pub struct Freezers {
    mount: RefCell<Option<Dir>>,
}

impl Freezers {
    /// The common answer for half the system calls of [`Cgroup::is_frozen`], since `list` asks for every
    /// container: cgroup v2's file is there and says 0. False says nothing: the long way has to tell.
    #[must_use]
    pub fn is_plainly_thawed(&self, paths: &Paths) -> bool {
        if !paths.is_unified() {
            return false;
        }
        let Some(directory) = &paths.unified else { return false };
        let mut mount = self.mount.borrow_mut();
        if mount.as_ref().is_none_or(|mount| mount.path() != directory.mount()) {
            *mount = Dir::open_mount(directory.mount()).ok();
        }
        let thawed = mount.as_ref().map(|mount| mount.holds_below(directory.relative(), V2, b"0"));
        matches!(thawed, Some(Ok(true)))
    }
}

impl Cgroup {
    /// Freezes every process of the container, and waits until they are.
    ///
    /// # Errors
    /// When there is no freezer, or it takes longer than ten seconds; everything is thawed then.
    pub fn freeze(&self) -> Result<()> {
        let (dir, unified) = self.freezer("toggle freezer")?;
        let frozen = if unified { freeze_v2(dir) } else { freeze_v1(dir) };
        if frozen.is_err() {
            let _ = thaw(dir, unified);
        }
        frozen
    }

    /// Thaws every process of the container.
    ///
    /// # Errors
    /// When there is no freezer or it cannot be written.
    pub fn thaw(&self) -> Result<()> {
        let (dir, unified) = self.freezer("toggle freezer")?;
        thaw(dir, unified)
    }

    /// Whether the container itself (not only a parent of its cgroup) is frozen. A cgroup that is
    /// gone, or a kernel without a freezer, is not.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn is_frozen(&self) -> Result<bool> {
        if Freezers::default().is_plainly_thawed(self.paths()) {
            return Ok(false);
        }
        let (dir, unified) = match self.freezer("read freezer state") {
            Ok(found) => found,
            Err(Error::NotConfigured { .. }) => return Ok(false),
            Err(error) if error.is_gone() => return Ok(false),
            Err(error) => return Err(error),
        };
        match if unified { is_frozen_v2(dir) } else { is_frozen_v1(dir) } {
            Err(error) if error.is_gone() => Ok(false),
            other => other,
        }
    }

    /// The directory to freeze, and whether it is a v2 one.
    fn freezer(&self, what: &'static str) -> Result<(&Dir, bool)> {
        if self.paths().is_unified() {
            return Ok((self.v2_dir()?.ok_or(Error::NotConfigured { what })?, true));
        }
        Ok((self.v1_dir("freezer")?.ok_or(Error::NotConfigured { what })?, false))
    }
}

fn freeze_v2(dir: &Dir) -> Result<()> {
    dir.write(V2, "1")?;
    if Watch::new(dir)?.wait(BOUND, |events| events.frozen)? {
        return Ok(());
    }
    Err(Error::Timeout { what: "the cgroup to freeze", path: dir.path().to_owned() })
}

/// The v1 freezer stays FREEZING while processes appear in the cgroup (clone, or a PID written to
/// it). Writing FROZEN again helps; now and then it takes a thaw and a pause.
fn freeze_v1(dir: &Dir) -> Result<()> {
    let end = Instant::now() + BOUND;
    for round in 1u32.. {
        if round % 50 == 0 {
            dir.write(V1, "THAWED")?;
            sleep(Duration::from_millis(10));
        }
        dir.write(V1, "FROZEN")?;
        if round % 25 == 0 {
            sleep(Duration::from_micros(10));
        }
        match dir.read(V1)?.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" if Instant::now() < end => {}
            "FREEZING" => break,
            other => return Err(Error::invalid(format!("unexpected state {other} while freezing"))),
        }
    }
    Err(Error::Timeout { what: "the cgroup to freeze", path: dir.path().to_owned() })
}

fn thaw(dir: &Dir, unified: bool) -> Result<()> {
    if unified { dir.write(V2, "0") } else { dir.write(V1, "THAWED") }
}

fn is_frozen_v2(dir: &Dir) -> Result<bool> {
    if dir.read(V2)?.trim() != "1" {
        return Ok(false);
    }
    // Asked to freeze: it counts when it is done, which may be a moment away.
    if Events::read(dir)?.frozen {
        return Ok(true);
    }
    Watch::new(dir)?.wait(BOUND, |events| events.frozen)
}

fn is_frozen_v1(dir: &Dir) -> Result<bool> {
    let end = Instant::now() + BOUND;
    loop {
        match dir.read(V1)?.trim() {
            "THAWED" => return Ok(false),
            // By ourselves, or by way of a parent?
            "FROZEN" => return Ok(dir.read("freezer.self_freezing").is_ok_and(|own| own.trim() == "1")),
            "FREEZING" if Instant::now() < end => sleep(Duration::from_millis(1)),
            other => return Err(Error::invalid(format!("unknown freezer.state {other:?}"))),
        }
    }
}
