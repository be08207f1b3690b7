//! Where a container's cgroups are: decided once, kept in state.json.
//!
//! Owns: turning `linux.cgroupsPath` and the container's ID into directories, as runc's cgroupfs
//! drivers do. Must not: touch any directory.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::host::{Host, Mode, OwnCgroups};
use crate::systemd::{self, Unit};

/// A directory in a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    mount: PathBuf,
    relative: PathBuf,
}

impl Directory {
    /// A directory below a mount point. `relative` is cleaned: it cannot lead out of the mount.
    ///
    /// # Errors
    /// When it names the hierarchy's root, where no container may live, or contains a NUL.
    pub fn new(mount: impl Into<PathBuf>, relative: &str) -> Result<Self> {
        let clean = clean(relative)?;
        if clean.as_os_str().is_empty() {
            return Err(Error::invalid(format!("cgroup path {relative:?} names the root of the hierarchy")));
        }
        Ok(Self { mount: mount.into(), relative: clean })
    }
    /// The mount point.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }
    /// The path below the mount point.
    #[must_use]
    pub fn relative(&self) -> &Path {
        &self.relative
    }
    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.mount.join(&self.relative)
    }
    /// A parent of this directory in the same hierarchy.
    pub(crate) fn above(&self, relative: &Path) -> Self {
        Self { mount: self.mount.clone(), relative: relative.to_owned() }
    }
}

/// A directory in a v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy {
    /// What the hierarchy controls.
    pub controllers: Vec<String>,
    /// Where.
    pub directory: Directory,
}

impl Legacy {
    /// The hierarchy in which systemd keeps its units.
    pub(crate) fn is_systemds(&self) -> bool {
        self.controls("name=systemd")
    }
    pub(crate) fn controls(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// Who makes cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// We do, by way of cgroupfs.
    #[default]
    Cgroupfs,
    /// systemd does: a transient unit. `cgroups_path` is `slice:prefix:name` then.
    Systemd,
    /// Nobody: the container stays in its creator's cgroup.
    Disabled,
}

/// What [`Paths::resolve`] needs to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `linux.cgroupsPath`; absolute means below the mount point.
    pub cgroups_path: Option<&'a str>,
    /// The container's ID: the name of the cgroup where the bundle gives none.
    pub id: &'a str,
    /// Who makes it.
    pub driver: Driver,
    /// Go without a cgroup rather than fail, when there is no permission and nothing was asked for.
    pub rootless: bool,
}

/// The cgroups of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Paths {
    /// The v2 directory; on a hybrid host the one in the hierarchy without controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unified: Option<Directory>,
    /// The v1 directories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) legacy: Vec<Legacy>,
    /// Its creator's directories in the v1 hierarchies that it goes without a cgroup in: it is in those, and
    /// sees them. Only for making the container.
    #[serde(skip)]
    pub(crate) shared: Vec<Legacy>,
    /// Missing permission is fine as long as nothing is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rootless: bool,
    /// The bundle asked for this very path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) explicit: bool,
    /// Parent directories that were not there before us, topmost first; they go when they are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) made: Vec<Directory>,
    /// The unit of systemd's that these directories belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
}

/// What a mount of type `cgroup` inside the container shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountView {
    /// The host's directory, on cgroup v2.
    pub v2: Option<PathBuf>,
    /// On v1 (name of the mount point such as `cpu,cpuacct`, the host's directory).
    pub v1: Vec<(String, PathBuf)>,
    /// Other names for mount points: (`cpu`, `cpu,cpuacct`).
    pub links: Vec<(String, String)>,
}

impl Paths {
    /// Decides where a container's cgroups are.
    ///
    /// # Errors
    /// A path that names the root or contains a NUL; no cgroups on this host, or a v1 host without
    /// the `devices` hierarchy, unless the driver is [`Driver::Disabled`].
    pub fn resolve(host: &Host, request: Request<'_>) -> Result<Self> {
        match request.driver {
            Driver::Disabled => return Ok(Self::default()),
            Driver::Systemd => return systemd::paths(host, request),
            Driver::Cgroupfs => {}
        }
        let absolute = request.cgroups_path.is_some_and(|path| path.starts_with('/'));
        let own = if absolute { OwnCgroups::default() } else { OwnCgroups::read()? };
        Self::resolve_with(host, request, &own)
    }

    fn resolve_with(host: &Host, request: Request<'_>, own: &OwnCgroups) -> Result<Self> {
        let explicit = request.cgroups_path.is_some_and(|path| !path.is_empty());
        let inner = request.cgroups_path.filter(|path| !path.is_empty()).unwrap_or(request.id);
        let mut paths = Self { rootless: request.rootless, explicit, ..Self::default() };
        match host.mode() {
            Mode::None => return Err(Error::NoMount { controller: "cgroup" }),
            Mode::Unified => paths.unified = Some(unified(host, inner, own)?),
            Mode::Legacy | Mode::Hybrid => {
                paths.legacy = legacy(host, inner, own)?;
                // As runc: below the mount point, wherever the caller is.
                paths.unified =
                    host.unified.as_ref().map(|mount| Directory::new(mount, inner)).transpose()?;
            }
        }
        Ok(paths)
    }

    /// The paths of a cgroup v2 directory that somebody else made.
    ///
    /// # Errors
    /// As [`Directory::new`].
    pub fn of_unified(mount: impl Into<PathBuf>, relative: &str) -> Result<Self> {
        Ok(Self { unified: Some(Directory::new(mount, relative)?), explicit: true, ..Self::default() })
    }

    /// The paths of a process that enters cgroups below the container's: (controller, path), where
    /// no controller means all hierarchies. Nothing of it is made or removed.
    ///
    /// # Errors
    /// A path that leads out of the container's cgroup, or a controller it has none for.
    pub fn below(&self, subs: &[(String, PathBuf)]) -> Result<Self> {
        let mut paths = self.clone();
        for (controller, sub) in subs {
            let inside = |directory: &mut Directory| {
                directory.relative = directory.relative.join(stays_below(sub)?);
                Ok(())
            };
            if controller.is_empty() {
                paths.unified.iter_mut().try_for_each(inside)?;
                paths.legacy.iter_mut().try_for_each(|h| inside(&mut h.directory))?;
                continue;
            }
            let hierarchy = paths.legacy.iter_mut().find(|h| h.controls(controller)).ok_or_else(|| {
                Error::invalid(format!("unknown controller {controller} in SubCgroupPaths"))
            })?;
            // Two controllers of one hierarchy share its directory.
            let given = self.legacy.iter().find(|h| h.controls(controller)).map(|h| &h.directory);
            if Some(&hierarchy.directory) == given {
                inside(&mut hierarchy.directory)?;
            }
        }
        Ok(paths)
    }

    /// Where a process of the container is now, on cgroup v2: it can have moved itself.
    #[must_use]
    pub fn of_process(&self, pid: i32) -> Option<Self> {
        let directory = self.unified.as_ref().filter(|_| self.legacy.is_empty())?;
        let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let unified = Directory::new(directory.mount.clone(), path).ok()?;
        Some(Self { unified: Some(unified), ..self.clone() })
    }

    /// The unit of systemd's that the container is in.
    #[must_use]
    pub fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref()
    }

    /// Whether its creator was to get by without privilege.
    #[must_use]
    pub fn is_rootless(&self) -> bool {
        self.rootless
    }

    /// Whether the container has no cgroup of its own.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.unified.is_none() && self.legacy.is_empty()
    }

    /// Whether the container is on cgroup v2 alone.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        self.unified.is_some() && self.legacy.is_empty()
    }

    /// The v2 directory; on a hybrid host the one without controllers.
    #[must_use]
    pub fn v2(&self) -> Option<PathBuf> {
        self.unified.as_ref().map(Directory::path)
    }

    /// The directory in the v1 hierarchy of this controller.
    #[must_use]
    pub fn v1(&self, controller: &str) -> Option<PathBuf> {
        self.find(controller).map(|h| h.directory.path())
    }

    /// (controller, directory) of everything there is, as runc lists it in its state: the v2
    /// directory is under the empty name.
    #[must_use]
    pub fn by_controller(&self) -> Vec<(String, PathBuf)> {
        let legacy = self
            .legacy
            .iter()
            .flat_map(|h| h.controllers.iter().map(|controller| (controller.clone(), h.directory.path())));
        legacy.chain(self.v2().map(|path| (String::new(), path))).collect()
    }

    pub(crate) fn find(&self, controller: &str) -> Option<&Legacy> {
        self.legacy.iter().find(|h| h.controls(controller))
    }

    /// What a mount of type `cgroup` inside the container shows. Nothing on a host whose cgroups
    /// are disabled for this container.
    #[must_use]
    pub fn mount_view(&self) -> MountView {
        if self.is_unified() {
            return MountView { v2: self.v2(), ..MountView::default() };
        }
        let mut view = MountView::default();
        for hierarchy in self.legacy.iter().chain(&self.shared) {
            let Some(name) = hierarchy.directory.mount.file_name().and_then(|n| n.to_str()) else { continue };
            view.v1.push((name.to_owned(), hierarchy.directory.path()));
            if name.contains(',') {
                view.links.extend(name.split(',').map(|part| (part.to_owned(), name.to_owned())));
            }
        }
        view
    }
}

/// An absolute path is below the mount point; another is next to the caller's own cgroup, whose
/// parent it shares: a cgroup with processes in it cannot hand controllers to its children.
fn unified(host: &Host, inner: &str, own: &OwnCgroups) -> Result<Directory> {
    let mount = host.unified.as_deref().ok_or(Error::NoMount { controller: "cgroup2" })?;
    if inner.starts_with('/') {
        return Directory::new(mount, inner);
    }
    let own = own.unified().ok_or_else(|| Error::invalid("cgroup path not found"))?;
    let parent = clean(own)?.parent().map(Path::to_path_buf).unwrap_or_default();
    join(mount, &parent, inner)
}

fn legacy(host: &Host, inner: &str, own: &OwnCgroups) -> Result<Vec<Legacy>> {
    let mut all = Vec::with_capacity(host.legacy.len());
    for hierarchy in &host.legacy {
        let first = hierarchy.controllers.first().map_or("", String::as_str);
        let directory = if inner.starts_with('/') {
            Directory::new(&hierarchy.mount, inner)?
        } else {
            // A hierarchy the caller is in nowhere (mounted, but not in /proc/self/cgroup) is
            // passed over, as runc passes over what it cannot find.
            let Some(own) = own.legacy(first) else { continue };
            join(&hierarchy.mount, &below(own, &hierarchy.root)?, inner)?
        };
        all.push(Legacy { controllers: hierarchy.controllers.clone(), directory });
    }
    // Without it every device would be open to the container.
    if !all.iter().any(|h| h.controls("devices")) {
        return Err(Error::NoMount { controller: "devices" });
    }
    Ok(all)
}

/// The caller's own cgroup seen from the mount: inside a container without a cgroup namespace
/// /proc/self/cgroup shows the host's path while only a part of the tree is mounted.
fn below(own: &str, root: &str) -> Result<PathBuf> {
    let (own, root) = (clean(own)?, clean(root)?);
    Ok(own.strip_prefix(&root).map(Path::to_path_buf).unwrap_or_default())
}

/// A path relative to a container's cgroup, without `..` that would lead out of it.
fn stays_below(sub: &Path) -> Result<PathBuf> {
    let mut inside = PathBuf::new();
    for component in sub.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir if !inside.pop() => {
                return Err(Error::invalid(format!("bad sub cgroup path: {}", sub.display())));
            }
            _ => {}
        }
    }
    Ok(inside)
}

fn join(mount: &Path, parent: &Path, inner: &str) -> Result<Directory> {
    // `inner` is cleaned by itself first: its `..` must not eat the parent.
    let inner = clean(inner)?;
    if inner.as_os_str().is_empty() {
        return Err(Error::invalid("cgroup path is empty"));
    }
    Ok(Directory { mount: mount.to_owned(), relative: parent.join(inner) })
}

/// The path without `.`, `..`, doubled or leading slashes; `..` stops at the top.
fn clean(path: &str) -> Result<PathBuf> {
    if path.contains('\0') {
        return Err(Error::invalid(format!("cgroup path {path:?} contains a null byte")));
    }
    let mut out = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Hierarchy;

    fn v2() -> Host {
        Host { unified: Some("/sys/fs/cgroup".into()), legacy: Vec::new() }
    }
    fn hierarchy(name: &str, controllers: &[&str], root: &str) -> Hierarchy {
        Hierarchy {
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            mount: Path::new("/sys/fs/cgroup").join(name),
            root: root.to_owned(),
        }
    }
    fn hybrid() -> Host {
        Host {
            unified: Some("/sys/fs/cgroup/unified".into()),
            legacy: vec![
                hierarchy("cpu,cpuacct", &["cpu", "cpuacct"], "/"),
                hierarchy("devices", &["devices"], "/"),
                hierarchy("memory", &["memory"], "/docker/x"),
                hierarchy("systemd", &["name=systemd"], "/"),
            ],
        }
    }
    #[test]
    fn sub_cgroups_stay_below() {
        let sub = |controller: &str, path: &str| [(controller.to_owned(), PathBuf::from(path))];
        let paths =
            Paths::resolve_with(&hybrid(), Request { id: "id", ..Request::default() }, &own()).unwrap();
        let all = paths.below(&sub("", "a/../b")).unwrap();
        assert!(all.legacy.iter().all(|h| h.directory.relative.ends_with("b")));
        let one = paths.below(&sub("memory", "m")).unwrap();
        assert_eq!(one.legacy.iter().filter(|h| h.directory.relative.ends_with("m")).count(), 1);
        assert_eq!(paths.below(&sub("", "/")).unwrap(), paths);
        for (bad, words) in
            [(sub("", ".."), "bad sub cgroup path: .."), (sub("whaat", "/"), "unknown controller whaat")]
        {
            assert!(paths.below(&bad).unwrap_err().to_string().contains(words));
        }
    }

    fn own() -> OwnCgroups {
        OwnCgroups::from_text(
            "9:name=systemd:/user.slice\n4:memory:/docker/x/me\n3:devices:/dev\n1:cpu,cpuacct:/\n0::/a/b\n",
        )
    }
    fn resolve(host: &Host, path: Option<&str>) -> Paths {
        Paths::resolve_with(host, Request { cgroups_path: path, id: "id", ..Request::default() }, &own())
            .unwrap()
    }
    fn v2_of(path: Option<&str>) -> String {
        resolve(&v2(), path).v2().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn unified_paths() {
        assert_eq!(v2_of(Some("/x/y")), "/sys/fs/cgroup/x/y");
        assert_eq!(v2_of(Some("x/y")), "/sys/fs/cgroup/a/x/y");
        assert_eq!(v2_of(None), "/sys/fs/cgroup/a/id");
        assert_eq!(v2_of(Some("")), "/sys/fs/cgroup/a/id");
        assert_eq!(v2_of(Some("system.slice:docker:1")), "/sys/fs/cgroup/a/system.slice:docker:1");
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(v2_of(Some("/../../etc")), "/sys/fs/cgroup/etc");
        assert_eq!(v2_of(Some("../../../etc")), "/sys/fs/cgroup/a/etc");
        assert_eq!(v2_of(Some("/x/./../..//y/")), "/sys/fs/cgroup/y");
        for bad in ["/", "..", "/..", ".", "/x/..", "a\0b"] {
            let request = Request { cgroups_path: Some(bad), id: "id", ..Request::default() };
            assert!(Paths::resolve_with(&v2(), request, &own()).is_err(), "{bad:?}");
            assert!(Paths::resolve_with(&hybrid(), request, &own()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn legacy_paths() {
        let absolute = resolve(&hybrid(), Some("/x"));
        assert_eq!(absolute.v1("cpuacct").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/x"));
        assert_eq!(absolute.v1("memory").unwrap(), Path::new("/sys/fs/cgroup/memory/x"));
        assert_eq!(absolute.v2().unwrap(), Path::new("/sys/fs/cgroup/unified/x"));
        assert!(!absolute.is_unified());
        let relative = resolve(&hybrid(), None);
        assert_eq!(relative.v1("devices").unwrap(), Path::new("/sys/fs/cgroup/devices/dev/id"));
        assert_eq!(relative.v1("memory").unwrap(), Path::new("/sys/fs/cgroup/memory/me/id"));
        assert_eq!(relative.v1("name=systemd").unwrap(), Path::new("/sys/fs/cgroup/systemd/user.slice/id"));
        assert_eq!(relative.v2().unwrap(), Path::new("/sys/fs/cgroup/unified/id"));
    }

    #[test]
    fn devices_must_be_there() {
        let mut host = hybrid();
        host.legacy.remove(1);
        let request = Request { id: "id", ..Request::default() };
        let error = Paths::resolve_with(&host, request, &own()).unwrap_err();
        assert_eq!(error.to_string(), "mountpoint for devices not found");
        let disabled = Request { driver: Driver::Disabled, ..request };
        assert!(Paths::resolve(&host, disabled).unwrap().is_disabled());
    }

    #[test]
    fn own_cgroup_outside_the_mount() {
        assert_eq!(below("/elsewhere", "/docker/x").unwrap(), Path::new(""));
        assert_eq!(below("/docker/xy", "/docker/x").unwrap(), Path::new(""));
        assert_eq!(below("/docker/x/y", "/docker/x").unwrap(), Path::new("y"));
    }

    #[test]
    fn mount_view() {
        let view = resolve(&hybrid(), Some("/x")).mount_view();
        assert_eq!(view.v2, None);
        assert_eq!(view.v1[0], ("cpu,cpuacct".to_owned(), "/sys/fs/cgroup/cpu,cpuacct/x".into()));
        assert_eq!(view.v1[3].0, "systemd");
        let links: Vec<_> = view.links.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(links, [("cpu", "cpu,cpuacct"), ("cpuacct", "cpu,cpuacct")]);
        assert_eq!(resolve(&v2(), Some("/x")).mount_view().v2.unwrap(), Path::new("/sys/fs/cgroup/x"));
    }
}
