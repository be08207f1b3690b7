//! What a runtime left behind: processes, cgroups, mounts, state.

use std::collections::BTreeSet;
use std::fs;

use crate::bundle::Bundle;
use crate::cgroup;
use crate::procs;
use crate::runtime::Runtime;
use crate::wait;

/// The world before the runtime was called.
#[derive(Debug)]
pub struct Before {
    processes: BTreeSet<i32>,
    mounts: BTreeSet<String>,
    state: BTreeSet<String>,
}

impl Before {
    /// Looks around.
    #[must_use]
    pub fn now(runtime: &Runtime) -> Before {
        Before { processes: procs::all(), mounts: mounts(), state: entries(runtime) }
    }

    /// What is there that was not before, one line a thing; a dying process gets a moment.
    #[must_use]
    pub fn leftovers(&self, runtime: &Runtime, bundle: &Bundle) -> Vec<String> {
        let mut found = Vec::new();
        wait::until(std::time::Duration::from_millis(500), || {
            found = self.look(runtime, bundle);
            found.is_empty()
        });
        found
    }

    /// Demands that nothing is left.
    #[track_caller]
    pub fn assert_clean(&self, runtime: &Runtime, bundle: &Bundle) {
        let left = self.leftovers(runtime, bundle);
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    /// Processes that were not there before, zombies too.
    #[must_use]
    pub fn new_processes(&self) -> Vec<i32> {
        procs::all().into_iter().filter(|pid| !self.processes.contains(pid)).collect()
    }

    /// The same but for cgroups: for a container that is there and goes on.
    #[must_use]
    pub fn new_things(&self, runtime: &Runtime) -> Vec<String> {
        let mut found = Vec::new();
        wait::until(std::time::Duration::from_millis(500), || {
            found = self.look_around(runtime);
            found.is_empty()
        });
        found
    }

    fn look(&self, runtime: &Runtime, bundle: &Bundle) -> Vec<String> {
        let mut found = self.look_around(runtime);
        let path = bundle.cgroup();
        let cgroups = if path.is_empty() { Vec::new() } else { cgroup::directories(&path) };
        found.extend(cgroups.iter().map(|dir| format!("cgroup {}", dir.display())));
        found
    }

    fn look_around(&self, runtime: &Runtime) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let fresh = procs::all().into_iter().filter(|pid| !self.processes.contains(pid));
        found.extend(
            fresh
                .filter(|pid| procs::alive(*pid))
                .map(|pid| format!("process {pid} ({}) {:?}", procs::command_line(pid), procs::state(pid))),
        );
        found.extend(mounts().difference(&self.mounts).map(|line| format!("mount {line}")));
        found.extend(entries(runtime).difference(&self.state).map(|name| format!("state directory {name}")));
        found
    }
}

fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().map(str::to_string).collect()
}

fn entries(runtime: &Runtime) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(&runtime.root) else { return BTreeSet::new() };
    // crun keeps its cache in a dot directory of the root, runsig one under a name that no container can have.
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !name.contains('~'))
        .collect()
}
