//! Looking at every container below a root.
//!
//! Owns: doing for many containers what [`Store::load`] and [`Container::status`] do for one, with
//! what they share opened once, because `list` of a busy host is nothing but system calls.
//! Must not: see anything in another way than they do; what is not plain is left to them.

use std::ffi::CString;
use std::path::PathBuf;

use runsig_cgroup::Freezers;
use runsig_signal::identity::{self, Identity};
use runsig_signal::zap::Zap;
use runsig_sys::{Errno, OwnedFd, fd, fs};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::state::{Phase, State};
use crate::status::{Status, live_pid, waits_for_start};
use crate::store::{Store, c_path, check_id, read_state};

/// What a table shows of a container. Nothing of it is open any more: there may be more containers
/// than one process may have descriptors.
#[derive(Debug)]
pub struct Seen {
    /// Its bundle.
    pub bundle: PathBuf,
    /// When it was made.
    pub created: String,
    /// Whose it is.
    pub owner: u32,
    /// Its status then.
    pub status: Status,
    /// Init's PID, 0 when it has ended.
    pub pid: i32,
}

/// All of a container.
#[derive(Debug)]
pub struct SeenClosely {
    /// Its state.json.
    pub state: State,
    /// Its status then.
    pub status: Status,
    /// Init's PID, 0 when it has ended.
    pub pid: i32,
    /// Who keeps an init that has exited and cannot end.
    pub exiting: Option<Zap>,
}

/// What of a state.json is needed for a table. The rest is skipped: to copy it costs as much as to read it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Brief {
    phase: Phase,
    #[serde(default)]
    init: Option<Identity>,
    bundle: PathBuf,
    created: String,
    owner: u32,
    cgroup: runsig_cgroup::Paths,
}

/// The containers below one root.
struct Listing<'a> {
    store: &'a Store,
    root: OwnedFd,
    freezers: Freezers,
}

/// From this many containers on a second thread takes half of them. It costs what two containers cost.
const MANY: usize = 32;

/// Looks at the containers with these IDs, in this order, for a table.
///
/// # Errors
/// When the root cannot be opened. What is wrong with one container does not hide the others.
pub fn look_at(store: &Store, ids: &[String]) -> Result<Vec<Result<Seen>>> {
    in_two(ids, |ids| {
        let listing = Listing::new(store)?;
        Ok(ids.iter().map(|id| listing.look(id)).collect())
    })
}

/// As [`look_at`], with all that is known of each, and who keeps an init that has exited and cannot end.
///
/// # Errors
/// None of its own: what is wrong with one container does not hide the others.
pub fn look_closely_at(store: &Store, ids: &[String]) -> Result<Vec<Result<SeenClosely>>> {
    in_two(ids, |ids| Ok(ids.iter().map(|id| look_closely(store, id)).collect()))
}

/// Looks at many in two threads.
fn in_two<T: Send>(
    ids: &[String],
    look: impl Fn(&[String]) -> Result<Vec<Result<T>>> + Sync,
) -> Result<Vec<Result<T>>> {
    if ids.len() < MANY {
        return look(ids);
    }
    let (first, second) = ids.split_at(ids.len() / 2);
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, || look(second));
        let mut seen = look(first)?;
        // Where there may be no thread, or it was lost, one does it all.
        let rest = other.ok().and_then(|other| other.join().ok()).unwrap_or_else(|| look(second));
        seen.extend(rest?);
        Ok(seen)
    })
}

fn look_closely(store: &Store, id: &str) -> Result<SeenClosely> {
    let container = store.load(id)?;
    let (status, exiting) = container.status_and_zap()?;
    Ok(SeenClosely { pid: container.live_pid(status), state: container.state, status, exiting })
}

impl<'a> Listing<'a> {
    /// Opens the root.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn new(store: &'a Store) -> Result<Self> {
        let root = fs::openat(fd::CWD, &c_path(store.root())?, fs::O_PATH | fs::O_DIRECTORY, 0);
        let root = root.map_err(Error::io("open", store.root()))?;
        Ok(Self { store, root, freezers: Freezers::default() })
    }

    /// As [`Store::load`] and [`crate::Container::status`].
    fn look(&self, id: &str) -> Result<Seen> {
        let brief = self.load(id)?;
        let status = match self.plain_status(id, &brief)? {
            Some(status) => status,
            None => self.store.load(id)?.status()?,
        };
        let Brief { init, bundle, created, owner, .. } = brief;
        Ok(Seen { bundle, created, owner, status, pid: live_pid(init, status) })
    }

    fn load(&self, id: &str) -> Result<Brief> {
        let name = below(id, "state.json")?;
        let path = || self.store.path(id).join("state.json");
        // The walk of Store::load, in one step: an ID is one name, no links, and opening never waits.
        let flags = fs::O_RDONLY | fs::O_NONBLOCK;
        match fs::openat2(self.root.as_fd(), &name, flags, 0, fs::RESOLVE_NO_SYMLINKS) {
            Ok(file) => read_state(&file, path),
            Err(Errno::ENOENT) => Err(Error::NotExist),
            Err(errno) => Err(Error::io("open", path())(errno)),
        }
    }

    /// The status of a container that is made and not paused.
    fn plain_status(&self, id: &str, state: &Brief) -> Result<Option<Status>> {
        let (Phase::Created, Some(init)) = (state.phase, state.init) else { return Ok(None) };
        // Whoever reads the fifo is init, and lives: it need not be looked for.
        let created = waits_for_start(self.root.as_fd(), &below(id, "exec.fifo")?, || self.store.path(id))?;
        if !created && identity::has_ended(&init)? {
            return Ok(Some(Status::Stopped));
        }
        if !self.freezers.is_plainly_thawed(&state.cgroup) {
            return Ok(None);
        }
        Ok(Some(if created { Status::Created } else { Status::Running }))
    }
}

fn below(id: &str, file: &str) -> Result<CString> {
    check_id(id)?;
    CString::new([id, "/", file].concat()).map_err(|_| Error::NotExist)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn bundle(id: &str) -> PathBuf {
        Path::new("/b").join(id)
    }

    fn write(root: &Path, id: &str, pid: i32) {
        let state = serde_json::json!({
            "ociVersion": "1.0.2", "id": id, "phase": "created", "creator": {"pid": 1, "start_time": 1},
            "init": {"pid": pid, "start_time": 1, "inode": 1}, "bundle": bundle(id), "rootfs": "/b/r", "created": "",
            "owner": 0, "namespaces": 0, "pidNamespace": "own",
            "cgroup": {},
        });
        let directory = root.join(id);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("state.json"), state.to_string()).unwrap();
    }

    #[test]
    fn many_are_seen_in_order_and_as_one_by_one() {
        let root = std::env::temp_dir().join(format!("runsig-test-listing-{}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let ids: Vec<String> = (0..3 * MANY).map(|number| format!("c{number:03}")).collect();
        for id in &ids {
            // No process has such a number.
            write(&root, id, i32::MAX);
        }
        std::fs::write(root.join("c007/state.json"), "{").unwrap();
        std::fs::remove_file(root.join("c040/state.json")).unwrap();
        std::fs::rename(root.join("c070"), root.join("elsewhere")).unwrap();
        symlink("elsewhere", root.join("c070")).unwrap();
        let store = Store::new(&root);
        for (id, seen) in ids.iter().zip(look_at(&store, &ids).unwrap()) {
            match (id.as_str(), seen) {
                ("c007", Err(Error::BadState { .. })) | ("c040", Err(Error::NotExist)) => {}
                // A link to a container is none.
                ("c070", Err(Error::Io { .. })) => assert!(store.load(id).is_err()),
                (_, Ok(seen)) => {
                    assert_eq!((seen.bundle, seen.status, seen.pid), (bundle(id), Status::Stopped, 0))
                }
                (id, other) => panic!("{id}: {other:?}"),
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
