//! The cgroup directories of a test, over all hierarchies it sees.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether /sys/fs/cgroup is a cgroup2 file system.
#[must_use]
pub fn is_pure_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Mount points of all cgroup hierarchies, from mountinfo.
#[must_use]
pub fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_cgroup = |line: &&str| line.contains(" - cgroup ") || line.contains(" - cgroup2 ");
    let point = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    table.lines().filter(is_cgroup).filter_map(point).collect()
}

/// The directories that exist for a cgroup path such as `/runsig-test-1/a`.
#[must_use]
pub fn directories(path: &str) -> Vec<PathBuf> {
    let relative = path.trim_start_matches('/');
    hierarchies().into_iter().map(|root| root.join(relative)).filter(|dir| dir.is_dir()).collect()
}

/// PIDs in a cgroup and below it.
#[must_use]
pub fn processes(path: &str) -> Vec<i32> {
    let mut pids = Vec::new();
    for dir in directories(path) {
        collect(&dir, &mut pids);
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn collect(dir: &Path, pids: &mut Vec<i32>) {
    let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in children(dir) {
        collect(&child, pids);
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The cgroups below a cgroup path, but not itself.
#[must_use]
pub fn below(path: &str) -> Vec<PathBuf> {
    directories(path).iter().flat_map(|dir| children(dir)).collect()
}

/// Reads a file of the first directory that has it.
#[must_use]
pub fn read(path: &str, file: &str) -> Option<String> {
    let found = directories(path).into_iter().find_map(|dir| fs::read_to_string(dir.join(file)).ok());
    found.map(|text| text.trim_end().to_string())
}

/// Removes every cgroup whose name starts with `tag`, when the processes in it are gone.
pub fn sweep(tag: &str) {
    let hierarchies = hierarchies();
    for root in &hierarchies {
        of_tag(root, tag).for_each(|dir| remove(&dir));
    }
    // For v1 controllers that the host does not mount podman makes plain directories and files.
    let plain = children(Path::new("/sys/fs/cgroup"));
    for root in plain.iter().filter(|root| !is_pure_v2() && !hierarchies.contains(root)) {
        of_tag(root, tag).for_each(|dir| drop(fs::remove_dir_all(dir)));
    }
}

fn of_tag(root: &Path, tag: &str) -> impl Iterator<Item = PathBuf> {
    let dotted = format!("{tag}.");
    children(root).into_iter().filter(move |dir| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        name == dotted.trim_end_matches('.') || name.starts_with(&dotted)
    })
}

fn remove(dir: &Path) {
    for child in children(dir) {
        remove(&child);
    }
    for _ in 0..200 {
        match fs::remove_dir(dir) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                // Frozen processes do not die.
                let _ = fs::write(dir.join("cgroup.freeze"), "0");
                let _ = fs::write(dir.join("freezer.state"), "THAWED");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            _ => return,
        }
    }
}
