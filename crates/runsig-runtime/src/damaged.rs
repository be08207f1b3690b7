//! A container whose state file cannot be read: what is there of it anyway.
//!
//! Owns: the search for its processes. Must not: end or remove anything, or be called for a container whose
//! state is known.

use std::path::Path;

/// Processes in a cgroup that is named after the container, as engines name them, with their command names.
/// Where its cgroup was is in the state that is lost, so the name is all there is to go by.
pub(crate) fn processes(id: &str) -> Vec<(i32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<_> =
        numbers.filter(|pid| is_in_cgroup_of(*pid, id)).map(|pid| (pid, name(pid))).collect();
    found.sort_unstable();
    found
}

fn is_in_cgroup_of(pid: i32, id: &str) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // Each line is `number:controllers:path`: https://man7.org/linux/man-pages/man7/cgroups.7.html
    let paths = table.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths
        .flat_map(|path| Path::new(path).iter())
        .any(|part| part.to_str().is_some_and(|part| names(part, id)))
}

/// `ID`, `engine-ID`, and both with systemd's `.scope`.
fn names(part: &str, id: &str) -> bool {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    part.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with('-'))
}

fn name(pid: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn cgroups_are_named_as_engines_name_them() {
        for part in ["web", "libpod-web", "cri-containerd-web.scope", "web.scope"] {
            assert!(names(part, "web"), "{part}");
        }
        for part in ["", "web2", "myweb", "web.slice", "docker"] {
            assert!(!names(part, "web"), "{part}");
        }
    }
}
