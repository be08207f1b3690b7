//! Removing a container's cgroups.
//!
//! Owns: rmdir, depth first, with a bounded wait for processes that are just ending.
//! Must not: kill anybody; remove a parent that somebody else made or uses.

use std::path::Path;
use std::time::{Duration, Instant};

use runsig_sys::Errno;

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::events::Watch;
use crate::paths::{Directory, Paths};
use crate::systemd;
use crate::walk::walk;

/// How long [`Cgroup::remove`] waits for the last processes to end.
const BOUND: Duration = Duration::from_secs(2);
/// How long systemd is waited for that is not asked.
const NOTICE: Duration = Duration::from_millis(200);

impl Cgroup {
    /// Removes the container's unit, where it has one, and its directories with all below them, and
    /// those parents that were made for it and are empty now. What is gone already is no error.
    ///
    /// # Errors
    /// A directory that still holds processes after two seconds (`device or resource busy`). The
    /// other hierarchies are removed all the same; the first failure is returned.
    pub fn remove(&mut self) -> Result<()> {
        let stopped = self.paths().unit().map_or(Ok(true), systemd::forget);
        if matches!(stopped, Ok(false)) {
            self.leave_to_systemd();
        }
        // Whatever systemd says: some directories are ours.
        self.remove_within(BOUND).and(stopped.map(drop))
    }

    /// Gives a systemd that we could not speak to the time to see for itself that nobody is left. The kernel
    /// tells it 10 ms late (CGROUP_FILE_NOTIFY_MIN_INTV), and never when the directory is gone by then:
    /// the unit would stay for good, and its name be taken.
    fn leave_to_systemd(&mut self) {
        let end = Instant::now() + NOTICE;
        while self.exists() && Instant::now() < end {
            std::thread::sleep(NOTICE / 20);
        }
    }

    /// As [`Cgroup::remove`] for the directories alone, with another bound for the wait.
    ///
    /// # Errors
    /// As there.
    pub fn remove_within(&mut self, bound: Duration) -> Result<()> {
        // Descriptors we hold would not keep the directories, but they would go stale.
        self.forget_dirs();
        remove_paths(self.paths(), bound)
    }
}

pub(crate) fn remove_paths(paths: &Paths, bound: Duration) -> Result<()> {
    let end = Instant::now() + bound;
    let mut first = Ok(());
    let legacy = paths.legacy.iter().map(|h| &h.directory);
    for directory in paths.unified.iter().chain(legacy) {
        let removed = remove_directory(directory, end);
        if first.is_ok() {
            first = removed;
        }
    }
    remove_made(&paths.made);
    first
}

/// Removes empty directories, the last one first. One that is in use stays, and whoever uses it
/// owns it from here on.
pub(crate) fn remove_made(made: &[Directory]) {
    for directory in made.iter().rev() {
        if let Ok(mount) = Dir::open_mount(directory.mount()) {
            let _ = mount.unmake(directory.relative());
        }
    }
}

fn remove_directory(directory: &Directory, end: Instant) -> Result<()> {
    let mount = match Dir::open_mount(directory.mount()) {
        Err(error) if error.is_gone() => return Ok(()),
        other => other?,
    };
    remove_tree(&mount, directory.relative(), end)
}

/// Mostly one rmdir is all there is to it. Only when that fails, look why.
fn remove_tree(parent: &Dir, name: &Path, end: Instant) -> Result<()> {
    let Err(error) = gone_is_fine(parent.unmake(name)) else { return Ok(()) };
    if error.errno() != Some(Errno::EBUSY) {
        // A read-only mount refuses rmdir before it looks whether there is anything (EROFS).
        return match parent.descend(name) {
            Err(missing) if missing.is_gone() => Ok(()),
            _ => Err(error),
        };
    }
    let mut pause = Duration::from_micros(100);
    loop {
        sweep(parent, name)?;
        match gone_is_fine(parent.unmake(name)) {
            Err(error) if error.errno() == Some(Errno::EBUSY) && Instant::now() < end => {}
            other => return other,
        }
        wait_for_end(parent, name, pause, end);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Removes all below a directory that can go now.
fn sweep(parent: &Dir, name: &Path) -> Result<()> {
    let dir = match parent.descend(name) {
        Err(error) if error.is_gone() => return Ok(()),
        other => other?,
    };
    let leave = |parent: &Dir, name: &Path| match gone_is_fine(parent.unmake(name)) {
        Err(error) if error.errno() == Some(Errno::EBUSY) => Ok(()),
        other => other,
    };
    match walk(&dir, |_| Ok(()), leave) {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

/// Waits a little: until v2 says that nobody is left, else just for `pause`.
fn wait_for_end(parent: &Dir, name: &Path, pause: Duration, end: Instant) {
    let left = end.saturating_duration_since(Instant::now());
    let waited = parent.descend(name).is_ok_and(|dir| {
        let watch = Watch::new(&dir);
        watch.and_then(|watch| watch.wait(left, |events| !events.populated)).is_ok()
    });
    // Without that file (v1); or empty by now, but a thread is not done with it yet.
    if !waited || pause > Duration::from_micros(100) {
        std::thread::sleep(pause.min(left));
    }
}

fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::Call { errno: Errno::ENOENT | Errno::ENODEV, .. }) => Ok(()),
        other => other,
    }
}
