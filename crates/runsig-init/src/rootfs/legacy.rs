//! mount(2) for options that the mount API cannot carry.
//!
//! Owns: putting options back into one string. Must not: be used for anything else.

use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::plan::Mount;
use runsig_sys::fd::CWD;
use runsig_sys::fs::{self, O_DIRECTORY, O_PATH};
use runsig_sys::mount;
use runsig_sys::mount::{
    ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME,
};
use runsig_sys::raw::general as k;
use runsig_sys::{Errno, OwnedFd};

use super::mount::{New, Word, refused};
use super::path::{self, LastLink, Make, Place, terminated};
use super::{Context, switch};
use crate::error::Result;

/// Longest value fsconfig(2) takes, in bytes.
const LONGEST_VALUE: usize = 255;
/// mount(2) reads one page of options, in bytes, its end included; what is longer would be cut.
const LONGEST_DATA: usize = 4095;

/// Whether fsconfig(2) cannot say these options: a value that is too long (the layers of an
/// overlay), or one with a comma, which file systems without a parser of their own refuse.
/// A tmpfs has one, and takes lists of NUMA nodes.
pub(super) fn needed(new: &New<'_>) -> bool {
    new.fstype != c"tmpfs"
        && new.options.iter().any(|(_, value)| {
            value.as_ref().is_some_and(|v| v.as_bytes().len() > LONGEST_VALUE || v.as_bytes().contains(&b','))
        })
}

/// Mounts on a directory with mount(2) and returns the mount. The target is named by the working
/// directory, so that no path inside the rootfs is walked again.
pub(super) fn mount(
    ctx: Context<'_>,
    m: &Mount,
    new: &New<'_>,
    attrs: u64,
    context: Option<&CStr>,
    place: &Place,
) -> Result<OwnedFd> {
    let made = || {
        let before = fs::openat(CWD, c".", O_PATH | O_DIRECTORY, 0)?;
        fs::fchdir(place.fd.as_fd())?;
        let (flags, data) = flags_and_data(new.options, attrs, context)?;
        let mounted =
            mount::mount(Some(new.source), c".", Some(new.fstype), flags, Some(&terminated(&data)?));
        fs::fchdir(before.as_fd())?;
        mounted?;
        let real = terminated(&place.path)?;
        let top = path::find_or_make(ctx.root, &real, Make::Directory, LastLink::Refuse)?.fd;
        m.propagation.iter().try_for_each(|flags| switch::propagate(top.as_fd(), *flags))?;
        Ok(top)
    };
    made().map_err(|errno| refused(m, errno))
}

fn flags_and_data(
    options: &[Word],
    attrs: u64,
    context: Option<&CStr>,
) -> core::result::Result<(u64, Vec<u8>), Errno> {
    let mut flags = mount_flags(attrs);
    let mut data = Vec::new();
    for (key, value) in options {
        match (superblock_flag(key), value) {
            (Some(flag), None) => flags |= flag,
            _ => {
                push(&mut data, key.as_bytes());
                if let Some(value) = value {
                    data.push(b'=');
                    data.extend_from_slice(value.as_bytes());
                }
            }
        }
    }
    if let Some(context) = context {
        push(&mut data, b"context=\"");
        data.extend_from_slice(context.to_bytes());
        data.push(b'"');
    }
    if data.len() > LONGEST_DATA { Err(Errno::E2BIG) } else { Ok((flags, data)) }
}

fn push(data: &mut Vec<u8>, word: &[u8]) {
    if !data.is_empty() {
        data.push(b',');
    }
    data.extend_from_slice(word);
}

fn superblock_flag(word: &CStr) -> Option<u64> {
    Some(u64::from(match word.to_bytes() {
        b"sync" => k::MS_SYNCHRONOUS,
        b"dirsync" => k::MS_DIRSYNC,
        b"mand" => k::MS_MANDLOCK,
        b"lazytime" => k::MS_LAZYTIME,
        b"silent" => k::MS_SILENT,
        b"iversion" => k::MS_I_VERSION,
        b"async" | b"nomand" | b"nolazytime" | b"loud" | b"noiversion" => 0,
        _ => return None,
    }))
}

/// `ATTR_*` as `MS_*`.
fn mount_flags(attrs: u64) -> u64 {
    [
        (ATTR_RDONLY, k::MS_RDONLY),
        (ATTR_NOSUID, k::MS_NOSUID),
        (ATTR_NODEV, k::MS_NODEV),
        (ATTR_NOEXEC, k::MS_NOEXEC),
        (ATTR_NOATIME, k::MS_NOATIME),
        (ATTR_STRICTATIME, k::MS_STRICTATIME),
        (ATTR_NODIRATIME, k::MS_NODIRATIME),
        (ATTR_NOSYMFOLLOW, k::MS_NOSYMFOLLOW),
    ]
    .iter()
    .filter(|(attr, _)| attrs & attr != 0)
    .fold(0, |flags, (_, flag)| flags | u64::from(*flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn word(key: &CStr, value: Option<&str>) -> Word {
        (key.into(), value.map(|v| terminated(v.as_bytes()).unwrap()))
    }

    #[test]
    fn only_long_values_and_commas_need_mount_2() {
        let needed = |fstype, key, value| needed(&New { fstype, source: c"", options: &[word(key, value)] });
        let (fits, long) = ("x".repeat(255), "x".repeat(256));
        assert!(!needed(c"ext4", c"sync", None));
        assert!(!needed(c"overlay", c"lowerdir", Some(&fits)));
        assert!(needed(c"overlay", c"lowerdir", Some(&long)));
        assert!(needed(c"overlay", c"lowerdir", Some("/a\\,b")));
        assert!(!needed(c"tmpfs", c"mpol", Some("bind:0,1")));
    }

    #[test]
    fn options_become_one_string_and_flags() {
        let options = [word(c"lowerdir", Some("/a:/b")), word(c"sync", None), word(c"volatile", None)];
        let (flags, data) = flags_and_data(&options, ATTR_RDONLY | ATTR_NOATIME, Some(c"u:r:t:s0")).unwrap();
        assert_eq!(data, b"lowerdir=/a:/b,volatile,context=\"u:r:t:s0\"");
        assert_eq!(flags, u64::from(k::MS_SYNCHRONOUS | k::MS_RDONLY | k::MS_NOATIME));
        let long = vec![word(c"lowerdir", Some(&"x".repeat(5000)))];
        assert_eq!(flags_and_data(&long, 0, None), Err(Errno::E2BIG), "never cut silently");
    }
}
