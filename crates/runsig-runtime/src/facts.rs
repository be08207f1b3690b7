//! What `exec` needs to know of a container, kept next to its state.
//!
//! The container's process is kept resolved, with its compiled seccomp filter: an exec neither
//! parses config.json nor compiles, and works when the bundle is gone. The form is the binary one
//! of `runsig-proto`, which is private to a build; a file of another build is not used, and the
//! bundle is read instead.
//!
//! It is written when the cgroup is the container's and before anything is started in it. So while
//! a container is being created, the file says whether the processes in the cgroup are its own.
//!
//! Owns: that file. Must not: make processes.

use std::ffi::CStr;

use runsig_proto::plan::Process;
use runsig_proto::{decode, encode};
use runsig_spec::plan::IdMapping;
use runsig_spec::{ContainerFacts, LoadOptions, Plan};
use runsig_sys::{Errno, fs};

use crate::error::{Error, Result};
use crate::store::{Container, read_all};

const FILE: &CStr = c"process";
/// Who wrote the file: this version, built with this init (whose size changes with any message).
const BUILD: &str = concat!("runsig process 1 ", env!("CARGO_PKG_VERSION"), " ");

type Limits = Vec<(u32, u64, u64)>;
type Cpus = (Option<Vec<u64>>, Option<Vec<u64>>);
type Maps = Vec<(u32, u32, u32)>;
type Stored = ((Process, Limits, Option<i32>), Cpus, (Maps, Maps));

/// The facts, owned.
pub(crate) struct Facts {
    process: Process,
    rlimits: Limits,
    oom_score_adj: Option<i32>,
    cpus: Cpus,
    uid_mappings: Vec<IdMapping>,
    gid_mappings: Vec<IdMapping>,
}

fn header() -> Vec<u8> {
    format!("{BUILD}{}\n", crate::embed::INIT.len()).into_bytes()
}

/// Keeps what later execs need.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn save(container: &Container, plan: &Plan) -> Result<()> {
    let maps = |maps: &[IdMapping]| maps.iter().map(|m| (m.container, m.host, m.size)).collect::<Maps>();
    let stored: Stored = (
        (plan.init.process.clone(), plan.rlimits.clone(), plan.oom_score_adj),
        (plan.initial_affinity.clone(), plan.final_affinity.clone()),
        (maps(&plan.uid_mappings), maps(&plan.gid_mappings)),
    );
    let mut bytes = header();
    bytes.extend(encode(&stored));
    let write = || {
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC | fs::O_NOFOLLOW;
        let file = fs::openat(container.dir.as_fd(), FILE, flags, 0o600)?;
        fs::write_all(file.as_fd(), &bytes)
    };
    write().map_err(Error::io("write", container.path.join("process")))
}

/// Whether the making of the container has come as far as [`save`]: from then on, and not before,
/// whatever is in its cgroup is the container's.
pub(crate) fn are_saved(container: &Container) -> bool {
    fs::stat(container.dir.as_fd(), FILE, false).is_ok()
}

/// Takes [`save`] back: the cgroup is somebody else's after all.
///
/// # Errors
/// When the file cannot be removed.
pub(crate) fn forget(container: &Container) -> Result<()> {
    fs::unlinkat(container.dir.as_fd(), FILE, false)
        .map_err(Error::io("remove", container.path.join("process")))
}

/// The facts of a container: kept ones, or from its bundle.
///
/// # Errors
/// When neither can be read.
pub(crate) fn load(container: &Container, options: &LoadOptions<'_>) -> Result<Facts> {
    if let Some(facts) = kept(container)? {
        return Ok(facts);
    }
    let plan = runsig_spec::load(&container.state.bundle, options)?;
    Ok(Facts {
        process: plan.init.process,
        rlimits: plan.rlimits,
        oom_score_adj: plan.oom_score_adj,
        cpus: (plan.initial_affinity, plan.final_affinity),
        uid_mappings: plan.uid_mappings,
        gid_mappings: plan.gid_mappings,
    })
}

fn kept(container: &Container) -> Result<Option<Facts>> {
    let read = || {
        let file = fs::openat(container.dir.as_fd(), FILE, fs::O_RDONLY | fs::O_NOFOLLOW, 0)?;
        read_all(&file)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(Error::io("read", container.path.join("process"))(errno)),
    };
    let stored = bytes.strip_prefix(&*header()).and_then(|body| decode::<Stored>(body).ok());
    Ok(stored.map(|((process, rlimits, oom_score_adj), cpus, (uids, gids))| {
        let maps = |maps: Maps| {
            maps.into_iter().map(|(container, host, size)| IdMapping { container, host, size }).collect()
        };
        Facts { process, rlimits, oom_score_adj, cpus, uid_mappings: maps(uids), gid_mappings: maps(gids) }
    }))
}

impl Facts {
    /// As the planner of an exec wants them.
    pub(crate) fn as_container(&self) -> ContainerFacts<'_> {
        ContainerFacts {
            process: &self.process,
            rlimits: &self.rlimits,
            oom_score_adj: self.oom_score_adj,
            affinity: (self.cpus.0.as_deref(), self.cpus.1.as_deref()),
            uid_mappings: &self.uid_mappings,
            gid_mappings: &self.gid_mappings,
        }
    }
}
