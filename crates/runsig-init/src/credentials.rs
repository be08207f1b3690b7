//! Who the program is: user, groups, capabilities, and whose its standard streams are.
//!
//! Owns: the order in which privileges go, so that each step still has those it needs.
//! Must not: load filters or labels.

use runsig_proto::Op;
use runsig_proto::plan::{Capabilities, Process};
use runsig_sys::{BorrowedFd, Errno, fs, process};

use crate::error::{During, Failure, Result};

const CAP_SETPCAP: u32 = 8;

/// The highest capability number a 64-bit set holds.
const LAST_CAP: u32 = 63;

/// Takes what is not wanted out of the bounding set, which needs a capability that the next steps
/// take away. Without that capability the set stays as it is, as in runc.
///
/// # Errors
/// [`Op::Capabilities`].
pub fn limit_bounding_set(wanted: Option<&Capabilities>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    if !has(process::capget().during(Op::Capabilities)?.effective, CAP_SETPCAP) {
        return Ok(());
    }
    for cap in (0..=LAST_CAP).filter(|cap| !has(wanted.bounding, *cap)) {
        match process::drop_bounding(cap) {
            // The kernel knows no more of them.
            Err(Errno::EINVAL) => break,
            dropped => dropped.during(Op::Capabilities)?,
        }
    }
    Ok(())
}

/// Becomes the program's user and keeps the permitted capabilities until [`set_capabilities`].
///
/// # Errors
/// [`Op::Groups`], [`Op::Gid`], [`Op::Uid`]: `EINVAL` means that the user namespace has no such ID.
pub fn become_user(process: &Process) -> Result<()> {
    process::set_keep_caps(true).during(Op::Capabilities)?;
    own_stdio(process.uid)?;
    if !process.keep_groups {
        process::setgroups(&process.groups).during(Op::Groups)?;
    }
    process::setresgid(process.gid).map_err(|errno| of_id(Op::Gid, process.gid, errno))?;
    process::setresuid(process.uid).map_err(|errno| of_id(Op::Uid, process.uid, errno))
}

fn of_id(op: Op, id: u32, errno: Errno) -> Failure {
    Failure::at(op, &crate::words::Text::new().number(id).into_cstring(), errno)
}

/// Sets the capability sets, now that the user is the right one.
///
/// # Errors
/// [`Op::Capabilities`]: `EPERM` when a set holds what we do not have. Ambient ones that cannot be
/// raised are left out, as in runc.
pub fn set_capabilities(wanted: Option<&Capabilities>) -> Result<()> {
    process::set_keep_caps(false).during(Op::Capabilities)?;
    let Some(wanted) = wanted else { return Ok(()) };
    process::capset(&process::Capabilities {
        effective: wanted.effective,
        permitted: wanted.permitted,
        inheritable: wanted.inheritable,
    })
    .during(Op::Capabilities)?;
    match process::clear_ambient() {
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(Failure::new(Op::Capabilities, errno)),
    }
    for cap in (0..=LAST_CAP).filter(|cap| has(wanted.ambient, *cap)) {
        let _ = process::raise_ambient(cap);
    }
    Ok(())
}

fn has(set: u64, cap: u32) -> bool {
    set & (1 << cap) != 0
}

/// Gives the standard streams to the user, who could not open `/dev/stdout` or use the terminal
/// otherwise. Only the owner changes: a group such as tty is the mount's choice. A file that cannot
/// be given away (another user namespace's, a read-only mount's) stays as it is.
fn own_stdio(uid: u32) -> Result<()> {
    const KEEP: u32 = u32::MAX;
    for fd in (0..3).map(BorrowedFd::from_raw) {
        let stat = match fs::fstat(fd) {
            Err(Errno::EBADF) => continue,
            stat => stat.during_at(Op::Descriptors, c"stdio")?,
        };
        if stat.uid == uid || is_null(&stat) {
            continue;
        }
        match fs::fchownat(fd, c"", uid, KEEP) {
            Ok(()) | Err(Errno::EPERM | Errno::EROFS) => {}
            Err(errno) => return Err(Failure::at(Op::Descriptors, c"stdio", errno).with(c"chown")),
        }
    }
    Ok(())
}

/// The host's /dev/null must not change its owner.
fn is_null(stat: &fs::Stat) -> bool {
    stat.is(fs::S_IFCHR) && (stat.rdev_major, stat.rdev_minor) == (1, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runsig_sys::fd::CWD;

    #[test]
    fn sets_are_bit_masks() {
        assert!(has(1 << CAP_SETPCAP, CAP_SETPCAP));
        assert!(!has(!(1 << CAP_SETPCAP), CAP_SETPCAP));
        assert!(has(1 << 63, LAST_CAP));
    }

    #[test]
    fn only_the_null_device_is_null() {
        assert!(is_null(&fs::stat(CWD, c"/dev/null", true).unwrap()));
        assert!(!is_null(&fs::stat(CWD, c"/dev/zero", true).unwrap()));
        assert!(!is_null(&fs::stat(CWD, c"/etc/passwd", true).unwrap()));
    }

    #[test]
    fn without_a_wish_nothing_changes() {
        let before = process::capget().unwrap();
        limit_bounding_set(None).unwrap();
        set_capabilities(None).unwrap();
        assert_eq!(process::capget().unwrap(), before);
    }
}
