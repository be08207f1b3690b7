//! What stays outside of CRIU's images: mounts of the host's files, namespaces that were joined, the
//! ends of pipes. Dump and restore have to call them by the same names, and the names are runc's, so
//! that images can go from one runtime to the other.
//!
//! Owns: those names. Must not: make or open any of it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use runsig_proto::plan::{Mount, MountWhat};
use runsig_spec::Plan;
use runsig_spec::plan::HostMount;
use runsig_sys::process::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER,
    CLONE_NEWUTS,
};
use runsig_sys::{OwnedFd, fd, fs};

use super::rpc::ExternalMount;
use crate::error::{Error, Result};
use crate::host_mounts;
use crate::store::c_path;

/// The list of what the standard streams were, beside the images.
pub(super) const DESCRIPTORS: &str = "descriptors.json";

const NULL: &str = "/dev/null";
/// As the kernel: more than this many links in one path is a loop.
const MOST_LINKS: usize = 40;

pub(super) fn path(text: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(text.to_bytes()))
}

/// Where in the rootfs, seen from inside, a destination leads when its links are followed. By name
/// only, for it is a name: what is not there is taken as it is spelt.
pub(super) fn resolve(rootfs: &Path, destination: &Path) -> PathBuf {
    let mut inside = PathBuf::from("/");
    let mut links = 0;
    let mut left: Vec<PathBuf> = vec![destination.to_owned()];
    while let Some(next) = left.pop() {
        let mut parts = next.components();
        let Some(part) = parts.next() else { continue };
        let rest = parts.as_path().to_owned();
        if !rest.as_os_str().is_empty() {
            left.push(rest);
        }
        match part {
            Component::RootDir => inside = PathBuf::from("/"),
            Component::ParentDir => drop(inside.pop()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::Normal(name) => {
                let reached = inside.join(name);
                let on_host = rootfs.join(reached.strip_prefix("/").unwrap_or(&reached));
                match std::fs::read_link(on_host) {
                    Ok(target) if links < MOST_LINKS => {
                        links += 1;
                        left.push(target);
                    }
                    _ => inside = reached,
                }
            }
        }
    }
    inside
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Every mount of the bundle that is not CRIU's to save: (where it is inside, what is mounted).
/// `clones` is where the trees are that CRIU is given in the place of some sources.
fn mounts(plan: &Plan, clones: Option<&Path>) -> Vec<(PathBuf, PathBuf)> {
    let rootfs = &plan.rootfs;
    let given = plan.init.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.mounts);
    let mut all = Vec::new();
    for (index, mount) in given.iter().enumerate() {
        let inside = || resolve(rootfs, path(&mount.destination));
        match &mount.what {
            MountWhat::Bind { source, .. } => {
                let clone = clones.filter(|_| is_cloned(plan, index, path(source)));
                let from = clone.map_or_else(|| path(source).to_owned(), |clones| clones.join(name(index)));
                all.push((inside(), from));
            }
            // Without a cgroup namespace the view is made of binds; otherwise there are real mounts.
            MountWhat::Cgroup { v1, v2, namespace: false, .. } => {
                let below = inside();
                if let Some(host) = v2.as_ref().filter(|_| v1.is_empty()) {
                    all.push((below, path(host).to_owned()));
                    continue;
                }
                all.extend(v1.iter().map(|(name, host)| (below.join(path(name)), path(host).to_owned())));
            }
            MountWhat::Cgroup { .. } | MountWhat::FileSystem { .. } => {}
        }
    }
    all
}

/// The maps of the mount with this number, if it is idmapped.
fn idmap(plan: &Plan, index: usize) -> Option<&HostMount> {
    plan.host_mounts.iter().find(|host| host.idmap && host.index == index)
}

/// Whether CRIU is given a clone of the source that it could not make a bind of.
fn is_cloned(plan: &Plan, index: usize, source: &Path) -> bool {
    idmap(plan, index).is_some() || source.starts_with(&plan.rootfs)
}

/// What a clone is called in the directory of clones.
fn name(index: usize) -> String {
    index.to_string()
}

fn devices(plan: &Plan) -> impl Iterator<Item = PathBuf> {
    let given = plan.init.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.devices);
    given.iter().map(|device| resolve(&plan.rootfs, path(&device.path)))
}

/// The mounts a dump leaves out. `masked` are the files that the container hides, as it sees them.
pub(super) fn for_dump(plan: &Plan, masked: &[PathBuf]) -> Vec<ExternalMount> {
    let itself = |path: PathBuf| ExternalMount { key: text(&path), value: text(&path) };
    let hidden = |path: &PathBuf| ExternalMount { key: text(path), value: NULL.to_owned() };
    let bound = mounts(plan, None).into_iter().map(|(inside, _)| itself(inside));
    bound.chain(masked.iter().map(hidden)).chain(devices(plan).map(itself)).collect()
}

/// What a restore mounts for them; `clones` is the directory of what [`Place::stand_in`] is made.
pub(super) fn for_restore(plan: &Plan, clones: &Path) -> Vec<ExternalMount> {
    let mount = |key: &Path, source: &Path| ExternalMount { key: text(key), value: text(source) };
    let bound = mounts(plan, Some(clones)).into_iter().map(|(inside, source)| mount(&inside, &source));
    let masks = plan.init.rootfs.as_ref().is_some_and(|rootfs| !rootfs.masked.is_empty());
    let hidden = masks.then(|| ExternalMount { key: NULL.to_owned(), value: NULL.to_owned() });
    bound.chain(hidden).chain(devices(plan).map(|path| mount(&path, &path))).collect()
}

/// The masked paths of the bundle that are files in the container of process `pid`, as it sees them.
///
/// # Errors
/// When its root cannot be opened.
pub(super) fn masked_files(plan: &Plan, pid: i32) -> Result<Vec<PathBuf>> {
    let path_of_root = PathBuf::from(format!("/proc/{pid}/root"));
    let root = fs::openat(fd::CWD, &c_path(&path_of_root)?, fs::O_PATH | fs::O_DIRECTORY, 0)
        .map_err(Error::io("open", &path_of_root))?;
    let masked = plan.init.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.masked);
    let is_file = |text: &&CString| {
        let found = fs::openat2(root.as_fd(), text, fs::O_PATH, 0, fs::RESOLVE_IN_ROOT);
        found.and_then(|file| fs::fstat(file.as_fd())).is_ok_and(|stat| !stat.is(fs::S_IFDIR))
    };
    Ok(masked.iter().filter(is_file).map(|text| resolve(&plan.rootfs, path(text))).collect())
}

/// A mount that has to be prepared before CRIU can restore it.
pub(super) struct Place<'a> {
    /// As the container sees it.
    pub(super) inside: PathBuf,
    /// The place comes back with the tmpfs it is on.
    pub(super) on_tmpfs: bool,
    /// What is bound there.
    pub(super) source: Option<PathBuf>,
    /// What CRIU is given instead of the source.
    pub(super) stand_in: Option<StandIn<'a>>,
}

/// A tree to be made for CRIU.
pub(super) struct StandIn<'a> {
    /// Its name among the clones.
    pub(super) name: String,
    /// With the mounts below it.
    pub(super) tree: bool,
    /// It shows the IDs of this user namespace.
    pub(super) idmap: Option<(&'a HostMount, OwnedFd)>,
}

/// The places a restore needs, in the order of the mounts. Those of cgroups are never on the disk.
///
/// # Errors
/// When a user namespace for an idmapped mount cannot be made or opened.
pub(super) fn places(plan: &Plan) -> Result<Vec<Place<'_>>> {
    let mounts = plan.init.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.mounts);
    let mut all = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        let destination = path(&mount.destination);
        let (source, stand_in) = match &mount.what {
            MountWhat::Cgroup { .. } => continue,
            MountWhat::FileSystem { .. } => (None, None),
            MountWhat::Bind { source, recursive, .. } => {
                (Some(path(source).to_owned()), stand_in(plan, index, path(source), *recursive)?)
            }
        };
        let inside = resolve(&plan.rootfs, destination);
        all.push(Place { inside, on_tmpfs: on_tmpfs(destination, mounts), source, stand_in });
    }
    Ok(all)
}

fn stand_in<'a>(plan: &'a Plan, index: usize, source: &Path, tree: bool) -> Result<Option<StandIn<'a>>> {
    if !is_cloned(plan, index, source) {
        return Ok(None);
    }
    let namespace = |host| host_mounts::namespace(host, plan).map(|namespace| (host, namespace));
    let idmap = idmap(plan, index).map(namespace).transpose()?;
    Ok(Some(StandIn { name: name(index), tree, idmap }))
}

fn on_tmpfs(destination: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        let tmpfs =
            matches!(&mount.what, MountWhat::FileSystem { fstype, .. } if fstype.to_bytes() == b"tmpfs");
        let below = path(&mount.destination);
        tmpfs && destination != below && destination.starts_with(below)
    })
}

/// The kernel's name of a kind of namespace, as in /proc/PID/ns.
pub(super) fn namespace_name(flag: u64) -> &'static str {
    match flag {
        CLONE_NEWNET => "net",
        CLONE_NEWPID => "pid",
        CLONE_NEWIPC => "ipc",
        CLONE_NEWNS => "mnt",
        CLONE_NEWUTS => "uts",
        CLONE_NEWUSER => "user",
        CLONE_NEWCGROUP => "cgroup",
        CLONE_NEWTIME => "time",
        _ => "unknown",
    }
}

/// What a joined namespace is called in the images, and the CRIU that can leave one out.
/// `None` for the kinds that CRIU joins by path.
pub(super) fn namespace_key(flag: u64) -> Option<(&'static str, i32)> {
    match flag {
        CLONE_NEWNET => Some(("extRootNetNS", 3_11_00)),
        CLONE_NEWPID => Some(("extRootPidNS", 3_15_00)),
        _ => None,
    }
}

/// What the standard streams of a process are, as the links in /proc say.
pub(super) fn streams(pid: i32) -> [String; 3] {
    [0, 1, 2].map(|number| {
        std::fs::read_link(format!("/proc/{pid}/fd/{number}")).map(|link| text(&link)).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn rootfs() -> PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("runsig-external-{}-{number}", std::process::id()));
        std::fs::create_dir_all(root.join("real/conf")).unwrap();
        root
    }

    #[test]
    fn links_are_followed_inside_the_rootfs() {
        let root = rootfs();
        symlink("/real/conf", root.join("conf")).unwrap();
        symlink("../../../real", root.join("real/up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (given, found) in [
            ("/conf", "/real/conf"),
            ("/conf/new/file", "/real/conf/new/file"),
            ("/conf/../x", "/real/x"),
            ("/real/up/conf", "/real/conf"),
            ("/../../etc", "/etc"),
            ("/absent/./y", "/absent/y"),
            ("/loop", "/loop"),
            ("/", "/"),
        ] {
            assert_eq!(resolve(&root, Path::new(given)), Path::new(found), "{given}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_two_kinds_of_namespaces_are_left_out() {
        assert_eq!(namespace_key(CLONE_NEWNET).map(|(key, _)| key), Some("extRootNetNS"));
        assert_eq!(namespace_key(CLONE_NEWPID).map(|(key, _)| key), Some("extRootPidNS"));
        assert!(namespace_key(CLONE_NEWIPC).is_none());
    }
}
