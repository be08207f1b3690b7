//! `checkpoint` and `restore`, by way of CRIU's own protocol: `criu swrk`, protobuf messages over a
//! socket (docs/decisions/0012).
//!
//! Owns: everything that knows CRIU. Must not: make a container's first process itself; CRIU does.

mod dump;
mod error;
mod external;
mod log;
mod options;
mod program;
mod restore;
mod rootfs;
mod rpc;
mod swrk;
mod version;

pub use dump::checkpoint;
pub use error::CriuError;
pub use options::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};
pub use restore::restore;

use runsig_sys::OwnedFd;
use runsig_sys::process::CLONE_NEWNET;

/// CRIU's level of detail in its log: everything that helps to understand a failure. runc's.
const LOG_LEVEL: i32 = 4;

/// What a dump and a restore have in common.
fn options(given: &CriuOptions, directories: &options::Directories, log: &str) -> rpc::Options {
    rpc::Options {
        images_dir_fd: directories.images.raw(),
        work_dir_fd: directories.work.as_ref().map(OwnedFd::raw),
        log_level: Some(LOG_LEVEL),
        log_file: Some(log.to_owned()),
        notify_scripts: Some(true),
        orphan_pts_master: Some(true),
        // For a CRIU that does not know the mode.
        manage_cgroups: Some(true),
        manage_cgroups_mode: Some(given.cgroups_mode.code()),
        // What is in a network namespace of the container's own is the engine's business.
        empty_ns: Some(CLONE_NEWNET as u32),
        ext_unix_sk: Some(given.ext_unix_sk),
        tcp_established: Some(given.tcp_established),
        shell_job: Some(given.shell_job),
        file_locks: Some(given.file_locks),
        auto_dedup: Some(given.auto_dedup),
        lazy_pages: Some(given.lazy_pages),
        ..rpc::Options::default()
    }
}
