//! A stored container as the stop engine sees it.
//!
//! Owns: the translation. Must not: signal anything.

use runsig_runtime::{Container, Phase, Status};
use runsig_signal::{Target, group};

use crate::failure::Result;

/// The container, for verbs to which it does not matter whether it has been started.
pub(crate) fn of(container: &Container) -> Target {
    let state = &container.state;
    Target {
        id: state.id.clone(),
        init: state.init,
        pid_namespace: state.pid_namespace,
        namespace_inode: state.pid_namespace_inode,
        created: false,
        creator: (state.phase == Phase::Creating).then_some(state.creator),
        group: group::of(&state.cgroup),
        annotations: state.annotations.clone(),
        resident: state.resident,
    }
}

/// The container, with whether it waits to be started.
pub(crate) fn with_status(container: &Container) -> Result<Target> {
    let created = container.status()? == Status::Created;
    Ok(Target { created, ..of(container) })
}
