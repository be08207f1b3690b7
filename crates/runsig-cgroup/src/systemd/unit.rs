//! What a container's unit is called, and where its cgroup is.
//!
//! Owns: `cgroupsPath` in its systemd form, and the directories of slices. Must not: talk to systemd.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A container's unit, as its state keeps it: enough for every later verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `runc-ID.scope`.
    pub name: String,
    /// The slice it is in.
    pub slice: String,
    /// What its description calls the container.
    #[serde(default)]
    pub container: String,
    /// It is the user's own systemd that has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
    /// Its device rules on v1, where systemd writes a list of its own with every change: whether each
    /// allows, and its line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<(bool, String)>,
}

impl Unit {
    /// From `linux.cgroupsPath`: `slice:prefix:name`, or none.
    ///
    /// # Errors
    /// A path of another form, or with parts that can be no names of units.
    pub(crate) fn parse(cgroups_path: Option<&str>, id: &str, user: bool) -> Result<Self> {
        let default = if user { "user.slice" } else { "system.slice" };
        let (slice, prefix, container) = match cgroups_path.filter(|path| !path.is_empty()) {
            None => (default, "runc", id),
            Some(path) => {
                let parts: Vec<&str> = path.split(':').collect();
                let [slice, prefix, name] = parts.as_slice() else {
                    return Err(Error::invalid(format!(
                        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \
                         {path:?} instead"
                    )));
                };
                (if slice.is_empty() { default } else { slice }, *prefix, *name)
            }
        };
        let name = if container.ends_with(".slice") {
            container.to_owned()
        } else {
            format!("{prefix}-{container}.scope")
        };
        if name.contains(['/', '\0']) || name.len() > 255 {
            return Err(Error::invalid(format!("invalid unit name: {name}")));
        }
        Ok(Self { name, slice: slice.to_owned(), container: container.to_owned(), user, devices: Vec::new() })
    }

    /// Whether it is a slice, which is above containers.
    pub(crate) fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// Its cgroup, below `top`: systemd's own, or nothing for the host's.
    ///
    /// # Errors
    /// When its slice can be none.
    pub(crate) fn path(&self, top: &str) -> Result<String> {
        let slices = expand_slice(&self.slice)?;
        Ok(format!("{}{slices}/{}", top.trim_end_matches('/'), directory(&self.name)))
    }
}

/// The directory of a slice: `a-b.slice` is in `a.slice`. systemd.slice(5)
fn expand_slice(slice: &str) -> Result<String> {
    let refuse = || Error::invalid(format!("invalid slice name: {slice}"));
    let name = slice.strip_suffix(".slice").filter(|_| !slice.contains(['/', '\0'])).ok_or_else(refuse)?;
    if name == "-" {
        return Ok(String::new());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for component in name.split('-') {
        if matches!(component, "" | "." | "..") {
            return Err(refuse());
        }
        path.push_str(&format!("/{}", directory(&format!("{prefix}{component}.slice"))));
        prefix.push_str(&format!("{component}-"));
    }
    Ok(path)
}

/// What systemd counts as controllers, its own programs among them.
const CONTROLLERS: [&str; 13] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "io",
    "blkio",
    "memory",
    "devices",
    "pids",
    "bpf-firewall",
    "bpf-devices",
    "bpf-foreign",
    "bpf-socket-bind",
    "bpf-restrict-network-interfaces",
];

/// The directory of a unit: `_` comes in front of a name that could be one of the kernel's files, or that
/// begins with `_` already. systemd's cg_escape(), unchanged since 2013.
pub(crate) fn directory(unit: &str) -> std::borrow::Cow<'_, str> {
    let stem = unit.rsplit_once('.').map(|(stem, _)| stem);
    let is_kernels = unit.starts_with(['_', '.']) || unit.starts_with("cgroup.");
    if is_kernels || stem.is_some_and(|stem| CONTROLLERS.contains(&stem)) {
        format!("_{unit}").into()
    } else {
        unit.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(cgroups_path: &str) -> String {
        Unit::parse(Some(cgroups_path), "id", false).unwrap().path("").unwrap()
    }

    #[test]
    fn names_as_runc_makes_them() {
        assert_eq!(path(""), "/system.slice/runc-id.scope");
        assert_eq!(path("machine.slice:libpod:abc"), "/machine.slice/libpod-abc.scope");
        assert_eq!(path("::"), "/system.slice/-.scope");
        assert_eq!(path("-.slice:p:n"), "/p-n.scope");
        // What systemd has another directory for.
        assert_eq!(path("_a-b.slice:_p:n"), "/__a.slice/__a-b.slice/__p-n.scope");
        assert_eq!(path(":cgroup.p:n"), "/system.slice/_cgroup.p-n.scope");
        assert_eq!(path("memory.slice:.p:n"), "/_memory.slice/_.p-n.scope");
        assert_eq!(path("memories.slice:memory.p:n"), "/memories.slice/memory.p-n.scope");
        assert_eq!(path("a-b-c.slice:p:n"), "/a.slice/a-b.slice/a-b-c.slice/p-n.scope");
        assert_eq!(path(":ignored:pod.slice"), "/system.slice/pod.slice");
        let user = Unit::parse(None, "id", true).unwrap();
        assert_eq!(user.path("/user.slice/x").unwrap(), "/user.slice/x/user.slice/runc-id.scope");
        assert_eq!(Unit::parse(None, "id", false).unwrap().path("/").unwrap(), "/system.slice/runc-id.scope");
    }

    #[test]
    fn bad_paths_in_runcs_words() {
        for bad in ["/absolute", "a:b", "a:b:c:d"] {
            assert_eq!(
                Unit::parse(Some(bad), "id", false).unwrap_err().to_string(),
                format!(
                    "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {bad:?} instead"
                )
            );
        }
        for bad in ["a--b.slice", "-a.slice", ".slice", "a", "a/b.slice", "slice", "..slice"] {
            let unit = Unit::parse(Some(&format!("{bad}:p:n")), "id", false).unwrap();
            assert_eq!(unit.path("").unwrap_err().to_string(), format!("invalid slice name: {bad}"));
        }
        assert!(Unit::parse(Some("a.slice:p:../../x"), "id", false).is_err());
        assert!(Unit::parse(Some(&format!("a.slice:p:{}", "x".repeat(300))), "id", false).is_err());
    }
}
