//! One mount of the plan: where it goes, what may go there, and file systems that are made new.
//!
//! Owns: the destination and the rules about /proc, file-system contexts, attaching.
//! Must not: know about binds ([`super::bind`]) or cgroups ([`super::cgroup`]) beyond calling them.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::Op;
use runsig_proto::plan::{Mount, MountWhat};
use runsig_sys::fs::{self, O_DIRECTORY, O_RDONLY};
use runsig_sys::mount::{self, ATTR_IDMAP, ATTR_RDONLY, AttrChange};
use runsig_sys::{BorrowedFd, Errno, OwnedFd};

use super::path::{self, LastLink, Make, Place};
use super::{Context, bind, cgroup, copyup, legacy, switch};
use crate::error::{During, Failure, Result};

/// An option word and its value.
pub(super) type Word = (CString, Option<CString>);

/// What may be mounted on inside /proc: files that lxcfs emulates, and two switches. Anything
/// else could make the LSM and sysctl writes that follow go elsewhere (CVE-2019-16884).
const PROC_FILES: [&[u8]; 10] = [
    b"proc/cpuinfo",
    b"proc/diskstats",
    b"proc/meminfo",
    b"proc/stat",
    b"proc/swaps",
    b"proc/uptime",
    b"proc/loadavg",
    b"proc/slabinfo",
    b"proc/sys/kernel/ns_last_pid",
    b"proc/sys/crypto/fips_enabled",
];

/// File systems that have nothing to do with the network of who mounts them. Of all others sysfs shows its
/// devices, and remote ones use it.
const WITHOUT_NETWORK: [&[u8]; 4] = [b"proc", b"tmpfs", b"devpts", b"mqueue"];

/// Words that change nothing but how much a superblock logs or counts; not every file system's
/// parser knows them.
const NEEDLESS: [&CStr; 4] = [c"silent", c"loud", c"iversion", c"noiversion"];

/// Mounts `m` and returns the mount.
pub(super) fn mount(ctx: Context<'_>, m: &Mount) -> Result<OwnedFd> {
    match &m.what {
        MountWhat::Bind { source, recursive, tree } => bind::mount(ctx, m, source, *recursive, *tree),
        MountWhat::FileSystem { fstype, source, options, tree } => {
            file_system(ctx, m, &New { fstype, source, options }, *tree)
        }
        MountWhat::Cgroup { v2, v1, links, namespace } => match v2 {
            Some(dir) => cgroup::mount_v2(ctx, m, dir, *namespace),
            None => cgroup::mount_v1(ctx, m, v1, links, *namespace),
        },
    }
}

/// The error of a mount that the kernel refused.
pub(super) fn refused(m: &Mount, errno: Errno) -> Failure {
    Failure::at(Op::Mount, &m.destination, errno).with(&m.source)
}

/// Whether a mount has to stay writable until [`super::finalize`]: /dev, because devices are made
/// there, and every tmpfs, because hooks may fill it.
pub(super) fn read_only_later(m: &Mount) -> bool {
    let MountWhat::FileSystem { fstype, .. } = &m.what else { return false };
    m.set & ATTR_RDONLY != 0
        && (fstype.as_bytes() == b"tmpfs" || path::names(m.destination.to_bytes()).eq([b"dev"]))
}

/// Finds or makes the place for a mount and checks that it may be mounted on. `of_proc` says
/// whether what comes is a procfs.
pub(super) fn destination(
    ctx: Context<'_>,
    m: &Mount,
    make: Make,
    last: LastLink,
    of_proc: bool,
) -> Result<Place> {
    let place =
        path::find_or_make(ctx.root, &m.destination, make, last).during_at(Op::MountPoint, &m.destination)?;
    match forbidden(&place.path, of_proc) {
        Some(reason) => Err(Failure::because(Op::MountPoint, &m.destination, reason)),
        None => Ok(place),
    }
}

/// Why nothing may be mounted on this path (a real one, from the root).
fn forbidden(real: &[u8], of_proc: bool) -> Option<&'static CStr> {
    let mut names = path::names(real);
    match (names.next(), names.next()) {
        (None, _) => Some(c"cannot be mounted because it is the top of the rootfs"),
        (Some(b"proc"), None) if !of_proc => Some(c"cannot be mounted because it is not of type proc"),
        (Some(b"proc"), Some(_)) if !PROC_FILES.contains(&real) => {
            Some(c"cannot be mounted because it is inside /proc")
        }
        _ => None,
    }
}

/// Attaches a detached mount at its place, and sets the propagation asked for, in order.
pub(super) fn attach(m: &Mount, mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<()> {
    mount::move_mount(mount, place)
        .map_err(|errno| in_words_of_mount(errno, mount, place))
        .and_then(|()| m.propagation.iter().try_for_each(|flags| switch::propagate(mount, *flags)))
        .map_err(|errno| refused(m, errno))
}

/// Where a directory meets a file, move_mount(2) says EINVAL; mount(2) says ENOTDIR, which engines know
/// and explain.
fn in_words_of_mount(errno: Errno, mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Errno {
    let is_directory = |file| fs::fstat(file).map(|stat| stat.is(fs::S_IFDIR)).ok();
    let unlike = is_directory(mount) != is_directory(place);
    if errno == Errno::EINVAL && unlike { Errno::ENOTDIR } else { errno }
}

/// A file system that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct New<'a> {
    pub fstype: &'a CStr,
    pub source: &'a CStr,
    pub options: &'a [Word],
}

fn file_system(ctx: Context<'_>, m: &Mount, new: &New<'_>, tree: i32) -> Result<OwnedFd> {
    if !WITHOUT_NETWORK.contains(&new.fstype.to_bytes()) {
        ctx.network.enter()?;
    }
    let place = match new.fstype.to_bytes() {
        b"proc" | b"sysfs" => ordinary_directory(ctx, m, new.fstype)?,
        _ => destination(ctx, m, Make::Directory, LastLink::Follow, false)?,
    };
    let attrs = m.set & !ATTR_IDMAP & if read_only_later(m) { !ATTR_RDONLY } else { u64::MAX };
    let label = ctx.rootfs.mount_label.as_deref();
    let kind = new.fstype.to_bytes();
    let context = label.filter(|_| !matches!(kind, b"proc" | b"sysfs" | b"mqueue"));
    if legacy::needed(new) {
        return legacy::mount(ctx, m, new, attrs, context, &place);
    }
    let mount = if tree >= 0 {
        let tree = OwnedFd::from_raw(tree);
        let change = AttrChange { set: attrs, clear: bind::cleared(attrs, m.clear), ..Default::default() };
        mount::mount_setattr(tree.as_fd(), &change).map(|()| tree)
    } else if kind == b"tmpfs" {
        tmpfs(new, attrs, context, &place)
    } else {
        make(new, attrs, context)
    };
    let mount = mount.map_err(|errno| refused(m, errno))?;
    if kind == b"mqueue" {
        label
            .map_or(Ok(()), |label| set_file_label(mount.as_fd(), label))
            .map_err(|errno| refused(m, errno))?;
    }
    if m.copy_up && place.existed {
        copyup::copy(place.fd.as_fd(), mount.as_fd(), owner_given(new.options))
            .map_err(|errno| refused(m, errno).with(c"tmpcopyup"))?;
    }
    attach(m, mount.as_fd(), place.fd.as_fd())?;
    Ok(mount)
}

/// The place for a procfs or sysfs: a real directory, never through a link at its end, or a
/// container could have them mounted where it wants (CVE-2019-19921, CVE-2023-27561).
fn ordinary_directory(ctx: Context<'_>, m: &Mount, fstype: &CStr) -> Result<Place> {
    let is_proc = fstype.to_bytes() == b"proc";
    let not_ordinary = || {
        let reason = if is_proc {
            c"filesystem \"proc\" must be mounted on ordinary directory"
        } else {
            c"filesystem \"sysfs\" must be mounted on ordinary directory"
        };
        Failure::because(Op::MountPoint, &m.destination, reason)
    };
    let place = destination(ctx, m, Make::Directory, LastLink::Refuse, is_proc)
        .map_err(|failure| if failure.errno == Some(Errno::ELOOP) { not_ordinary() } else { failure })?;
    let stat = fs::fstat(place.fd.as_fd()).during_at(Op::MountPoint, &m.destination)?;
    if stat.is(fs::S_IFDIR) { Ok(place) } else { Err(not_ordinary()) }
}

/// A detached mount of a new file system with these attributes (`ATTR_*`) and SELinux context.
pub(super) fn make(
    new: &New<'_>,
    attrs: u64,
    context: Option<&CStr>,
) -> core::result::Result<OwnedFd, Errno> {
    let fs_context = mount::fsopen(new.fstype)?;
    configure(fs_context.as_fd(), new, attrs, context)?;
    mount::fsmount(fs_context.as_fd(), attrs)
}

/// A detached tmpfs that looks like the directory it will cover: with its mode, unless one is given.
fn tmpfs(
    new: &New<'_>,
    attrs: u64,
    context: Option<&CStr>,
    place: &Place,
) -> core::result::Result<OwnedFd, Errno> {
    let fs_context = mount::fsopen(new.fstype)?;
    if place.existed && !has_option(new.options, c"mode") {
        let mode = fs::fstat(place.fd.as_fd())?.mode & 0o7777;
        mount::fsconfig_string(fs_context.as_fd(), c"mode", &octal(mode))?;
    }
    configure(fs_context.as_fd(), new, attrs, context)?;
    mount::fsmount(fs_context.as_fd(), attrs)
}

/// Tells a context all options and makes the superblock.
fn configure(
    fs_context: BorrowedFd<'_>,
    new: &New<'_>,
    attrs: u64,
    context: Option<&CStr>,
) -> core::result::Result<(), Errno> {
    if !new.source.is_empty() {
        mount::fsconfig_string(fs_context, c"source", new.source)?;
    }
    for (key, value) in new.options {
        match value {
            Some(value) => mount::fsconfig_string(fs_context, key, value)?,
            None => match mount::fsconfig_flag(fs_context, key) {
                Err(Errno::EINVAL) if NEEDLESS.contains(&key.as_c_str()) => {}
                other => other?,
            },
        }
    }
    if let Some(context) = context {
        mount::fsconfig_string(fs_context, c"context", context)?;
    }
    if attrs & ATTR_RDONLY != 0 {
        // As mount(2) does: the superblock too, or a read-only device could not be mounted.
        mount::fsconfig_flag(fs_context, c"ro")?;
    }
    mount::fsconfig_create(fs_context)
}

fn has_option(options: &[Word], key: &CStr) -> bool {
    options.iter().any(|(name, _)| name.as_c_str() == key)
}

fn owner_given(options: &[Word]) -> bool {
    has_option(options, c"uid") || has_option(options, c"gid")
}

fn octal(mode: u32) -> CString {
    let digits: Vec<u8> = [9, 6, 3, 0].iter().map(|shift| b'0' + ((mode >> shift) & 7) as u8).collect();
    CString::new(digits).unwrap_or_default()
}

/// Labels the root of a mount. For mqueue, which takes no `context` option.
fn set_file_label(mount: BorrowedFd<'_>, label: &CStr) -> core::result::Result<(), Errno> {
    let dir = fs::openat(mount, c".", O_RDONLY | O_DIRECTORY, 0)?;
    fs::fsetxattr(dir.as_fd(), c"security.selinux", label.to_bytes_with_nul())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_for_procfs_and_its_inside_for_the_known_files() {
        assert!(forbidden(b"", false).is_some());
        assert!(forbidden(b"proc", false).is_some());
        assert!(forbidden(b"proc", true).is_none());
        assert!(forbidden(b"proc/self/attr", true).is_some());
        assert!(forbidden(b"proc/sys/kernel", false).is_some());
        assert!(forbidden(b"proc/sys/kernel/ns_last_pid", false).is_none());
        assert!(forbidden(b"proc/meminfo", false).is_none());
        assert!(forbidden(b"process", false).is_none());
        assert!(forbidden(b"a/proc", false).is_none());
    }

    #[test]
    fn modes_are_four_octal_digits() {
        assert_eq!(octal(0o1777).as_c_str(), c"1777");
        assert_eq!(octal(0o55).as_c_str(), c"0055");
    }
}
