//! The device filter on v2.

use runsig_sys::{Errno, OwnedFd, bpf};

use super::{Filter, in_user_namespace, program};
use crate::dir::Dir;
use crate::error::{Error, Result};

const LICENSE: &std::ffi::CStr = c"Apache";
const NAME: &[u8] = b"runsig_devices";
/// BPF_CGROUP_MAX_PROGS.
const MAX_ATTACHED: usize = 64;

/// Puts the filter on a cgroup, in the place of what is there. A `fresh` cgroup has none yet.
pub(crate) fn set(dir: &Dir, filter: &Filter, fresh: bool) -> Result<()> {
    if fresh && filter.allows_all() {
        return Ok(());
    }
    match replace(dir, filter, fresh) {
        // Nobody there may load a program; device nodes of the host are out of reach anyway.
        Err(_) if in_user_namespace() => Ok(()),
        other => other,
    }
}

fn replace(dir: &Dir, filter: &Filter, fresh: bool) -> Result<()> {
    let fail = |op| move |errno| Error::Bpf { op, path: dir.path().to_owned(), errno };
    let old = if fresh { Vec::new() } else { attached(dir)? };
    let new =
        bpf::load_device_filter(&program::assemble(filter)?, LICENSE, NAME).map_err(fail("BPF_PROG_LOAD"))?;
    if let [only] = old.as_slice() {
        match bpf::attach_device_filter(dir.fd(), new.as_fd(), Some(only.as_fd())) {
            Err(Errno::EINVAL) => {} // before Linux 5.6
            other => return other.map_err(fail("BPF_PROG_ATTACH")),
        }
    }
    bpf::attach_device_filter(dir.fd(), new.as_fd(), None).map_err(fail("BPF_PROG_ATTACH"))?;
    for program in &old {
        bpf::detach_device_filter(dir.fd(), program.as_fd()).map_err(fail("BPF_PROG_DETACH"))?;
    }
    Ok(())
}

/// The filters on the cgroup itself. One that a security module hides from us stays: filters can
/// only add restrictions.
fn attached(dir: &Dir) -> Result<Vec<OwnedFd>> {
    let fail = |op| move |errno| Error::Bpf { op, path: dir.path().to_owned(), errno };
    let mut room = [0; MAX_ATTACHED];
    let ids = bpf::attached_device_filters(dir.fd(), &mut room).map_err(fail("BPF_PROG_QUERY"))?;
    let mut programs = Vec::with_capacity(ids.len());
    for id in ids {
        match bpf::program_by_id(*id) {
            Ok(program) => programs.push(program),
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOENT) => {}
            Err(errno) => return Err(fail("BPF_PROG_GET_FD_BY_ID")(errno)),
        }
    }
    Ok(programs)
}
