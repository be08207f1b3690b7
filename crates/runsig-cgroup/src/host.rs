//! Which cgroup hierarchies this host has, seen from the caller's mount namespace.
//!
//! Owns: detection. One look at `/sys/fs/cgroup` is all it costs on cgroup v2; the mount table is
//! read once on anything older. Must not: change anything.

use std::path::{Path, PathBuf};

use runsig_sys::fs::{self, CGROUP2_SUPER_MAGIC, O_DIRECTORY, O_PATH};

use crate::dir::{c_path, read_all};
use crate::error::{Error, On as _, Result};

/// Where every distribution mounts cgroups.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// How cgroups are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// cgroup v2 only.
    Unified,
    /// cgroup v1 only.
    Legacy,
    /// v1 controllers, and a v2 hierarchy next to them.
    Hybrid,
    /// Nothing is mounted.
    None,
}

/// One mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// What it controls: `cpu`, `cpuacct`, `name=systemd`.
    pub controllers: Vec<String>,
    /// Its mount point.
    pub mount: PathBuf,
    /// Which directory of the hierarchy is mounted there; `/` but for containers in containers.
    pub root: String,
}

/// The hierarchies of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// The mount point of the v2 hierarchy.
    pub unified: Option<PathBuf>,
    /// The v1 hierarchies.
    pub legacy: Vec<Hierarchy>,
}

/// v1 controllers; other words among the mount options are options.
const CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
    "debug",
];

impl Host {
    /// Looks at this host.
    ///
    /// # Errors
    /// When the mount table cannot be read. No cgroups at all is no error, but [`Mode::None`].
    pub fn detect() -> Result<Self> {
        let mount = Path::new(MOUNT);
        if is_cgroup2(mount) {
            return Ok(Self { unified: Some(mount.to_owned()), legacy: Vec::new() });
        }
        Ok(Self::from_mountinfo(&read_proc("/proc/self/mountinfo")?))
    }

    /// How they are laid out.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.unified.is_some(), self.legacy.is_empty()) {
            (true, true) => Mode::Unified,
            (true, false) => Mode::Hybrid,
            (false, false) => Mode::Legacy,
            (false, true) => Mode::None,
        }
    }

    /// The hierarchies in a mount table.
    /// <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
    fn from_mountinfo(table: &str) -> Self {
        let mut host = Self::default();
        for line in table.lines() {
            let Some((left, right)) = line.split_once(" - cgroup") else { continue };
            let mut left = left.split(' ').skip(3);
            let (Some(root), Some(mount)) = (left.next(), left.next()) else { continue };
            let (root, mount) = (unescape(root), PathBuf::from(unescape(mount)));
            if right.starts_with("2 ") {
                host.add_unified(mount);
            } else if let Some(options) = right.strip_prefix(' ').and_then(|r| r.split(' ').nth(1)) {
                host.add_legacy(root, mount, options);
            }
        }
        host
    }

    fn add_unified(&mut self, mount: PathBuf) {
        // Later mounts hide earlier ones; the usual places win over anybody's private mount.
        if self.unified.is_none() || mount.starts_with(MOUNT) {
            self.unified = Some(mount);
        }
    }

    fn add_legacy(&mut self, root: String, mount: PathBuf, options: &str) {
        let controllers: Vec<String> = options
            .split(',')
            .filter(|o| CONTROLLERS.contains(o) || o.starts_with("name="))
            .map(str::to_owned)
            .collect();
        if controllers.is_empty() {
            return;
        }
        let new = Hierarchy { controllers, mount, root };
        match self.legacy.iter_mut().find(|h| h.controllers == new.controllers) {
            None => self.legacy.push(new),
            Some(known) if !known.mount.starts_with(MOUNT) && new.mount.starts_with(MOUNT) => *known = new,
            Some(_) => {}
        }
    }
}

/// The caller's own cgroups: lines `id:controllers:path`.
/// <https://man7.org/linux/man-pages/man7/cgroups.7.html>
#[derive(Debug, Default)]
pub(crate) struct OwnCgroups(String);

impl OwnCgroups {
    pub(crate) fn read() -> Result<Self> {
        read_proc("/proc/self/cgroup").map(Self)
    }
    #[cfg(test)]
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
    fn find(&self, wanted: impl Fn(&str, &str) -> bool) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            wanted(id, controllers).then_some(path)
        })
    }
    /// In the v2 hierarchy.
    pub(crate) fn unified(&self) -> Option<&str> {
        self.find(|id, controllers| id == "0" && controllers.is_empty())
    }
    /// In the v1 hierarchy of this controller.
    pub(crate) fn legacy(&self, controller: &str) -> Option<&str> {
        self.find(|_, controllers| controllers.split(',').any(|c| c == controller))
    }
}

fn is_cgroup2(mount: &Path) -> bool {
    let opened = c_path(mount)
        .ok()
        .and_then(|path| fs::openat(runsig_sys::fd::CWD, &path, O_PATH | O_DIRECTORY, 0).ok());
    opened.is_some_and(|fd| fs::fstatfs(fd.as_fd()).is_ok_and(|(kind, _)| kind == CGROUP2_SUPER_MAGIC))
}

pub(crate) fn read_proc(path: &'static str) -> Result<String> {
    let place = Path::new(path);
    let fd = fs::openat(runsig_sys::fd::CWD, &c_path(place)?, fs::O_RDONLY, 0).on("open", place)?;
    read_all(fd.as_fd()).map_err(|errno| Error::call("read", place, errno))
}

/// Undoes the `\040` of the mount table.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|d| byte == b'\\' && d.iter().all(|c| (b'0'..=b'7').contains(c)));
        if let Some(digits) = octal {
            out.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = tail.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:33 / /mnt/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_table() {
        let host = Host::from_mountinfo(HYBRID);
        assert_eq!(host.mode(), Mode::Hybrid);
        assert_eq!(host.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        let names: Vec<_> = host.legacy.iter().map(|h| h.controllers.join("+")).collect();
        assert_eq!(names, ["cpu+cpuacct", "devices", "name=systemd"]);
        assert_eq!(host.legacy[1].mount, Path::new("/sys/fs/cgroup/devices"));
    }

    #[test]
    fn other_tables() {
        assert_eq!(Host::from_mountinfo("").mode(), Mode::None);
        let v1 = "36 31 0:33 /docker/x /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        let host = Host::from_mountinfo(v1);
        assert_eq!(host.mode(), Mode::Legacy);
        assert_eq!(host.legacy[0].root, "/docker/x");
        let v2 = "36 31 0:33 / /my\\040cg rw - cgroup2 none rw\n";
        let host = Host::from_mountinfo(v2);
        assert_eq!(host.mode(), Mode::Unified);
        assert_eq!(host.unified.as_deref(), Some(Path::new("/my cg")));
        // Broken lines are passed over.
        assert_eq!(Host::from_mountinfo("a b - cgroup\n - cgroup2 \n - cgroup cgroup").mode(), Mode::None);
    }

    #[test]
    fn own_cgroups() {
        let own = OwnCgroups::from_text("9:name=systemd:/s\n4:cpu,cpuacct:/a:b\n0::/u\n");
        assert_eq!(own.unified(), Some("/u"));
        assert_eq!(own.legacy("cpuacct"), Some("/a:b"));
        assert_eq!(own.legacy("name=systemd"), Some("/s"));
        assert_eq!(own.legacy("memory"), None);
    }
}
