//! The program's environment: HOME.
//!
//! Owns: looking values up, and the home directory from the container's /etc/passwd.
//! Must not: check or change other variables; the runtime has done that.

use alloc::ffi::CString;
use alloc::vec::Vec;

use runsig_sys::fd::CWD;
use runsig_sys::{BorrowedFd, Errno, fs};

use crate::words::Text;

/// The home of a user who has none, as runc chooses it.
const NO_HOME: &[u8] = b"/";

/// Longest line of /etc/passwd that is looked at; the rest of a longer one is passed over.
const LINE: usize = 1024;

/// The value of the last variable with this name: the one that counts when there are several.
#[must_use]
pub fn value<'a>(env: &'a [CString], name: &[u8]) -> Option<&'a [u8]> {
    env.iter().rev().find_map(|pair| pair.as_bytes().strip_prefix(name)?.strip_prefix(b"="))
}

/// Adds HOME where it is missing or empty.
pub fn add_home(env: &mut Vec<CString>, uid: u32) {
    if value(env, b"HOME").is_some_and(|home| !home.is_empty()) {
        return;
    }
    env.retain(|pair| !pair.as_bytes().starts_with(b"HOME="));
    let home = home_of(uid).unwrap_or_else(|_| NO_HOME.into());
    env.push(Text::new().with(b"HOME=").with(&home).into_cstring());
}

/// Only a regular file is read: a fifo or a device that an image puts there would hold us up.
fn home_of(uid: u32) -> Result<Vec<u8>, Errno> {
    let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
    let file = fs::openat(CWD, c"/etc/passwd", flags, 0)?;
    if !fs::fstat(file.as_fd())?.is(fs::S_IFREG) {
        return Err(Errno::EINVAL);
    }
    find_line(file.as_fd(), |line| home_in(line, uid).map(Vec::from))
        .map(|home| home.unwrap_or(NO_HOME.into()))
}

/// The first thing `look` finds in a line of the file, read through a small buffer: the file can
/// be as large as the image likes.
fn find_line<T>(file: BorrowedFd<'_>, look: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, Errno> {
    let mut buf = [0; 1024];
    let mut line = Vec::with_capacity(LINE);
    loop {
        let n = fs::read(file, &mut buf)?;
        if n == 0 {
            return Ok(look(&line));
        }
        for byte in buf.get(..n).unwrap_or_default() {
            if *byte != b'\n' {
                if line.len() < LINE {
                    line.push(*byte);
                }
                continue;
            }
            if let Some(found) = look(&line) {
                return Ok(Some(found));
            }
            line.clear();
        }
    }
}

/// The home in a line `name:password:uid:gid:comment:home:shell`, if it is this user's.
fn home_in(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.trim_ascii().split(|b| *b == b':');
    let number = fields.nth(2)?;
    let number: u32 = core::str::from_utf8(number).ok()?.parse().ok()?;
    if number != uid {
        return None;
    }
    Some(fields.nth(2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn strings(pairs: &[&str]) -> Vec<CString> {
        pairs.iter().map(|pair| CString::new(*pair).unwrap()).collect()
    }

    #[test]
    fn a_line_of_passwd_gives_the_home_of_its_user_only() {
        assert_eq!(home_in(b"app:x:1000:1000:An App:/home/app:/bin/sh", 1000), Some(&b"/home/app"[..]));
        assert_eq!(home_in(b"app:x:1000:1000:An App:/home/app:/bin/sh", 100), None);
        assert_eq!(home_in(b"app:x:1000:1000::", 1000), Some(&b""[..]));
        assert_eq!(home_in(b"app:x:1000", 1000), Some(&b""[..]), "short lines count, as in runc");
        for odd in [&b"# comment"[..], b"", b"+::::::", b"a:b", b"x:x:-1:0::/h:", b"x:x:99999999999:0::/h:"] {
            assert_eq!(home_in(odd, 1000), None);
        }
    }

    #[test]
    fn the_first_line_of_a_file_that_fits_counts() {
        let file = fs::memfd_data(c"passwd").unwrap();
        let long = vec![b'x'; 5000];
        fs::write_all(file.as_fd(), b"root:x:0:0:root:/root:/bin/sh\n").unwrap();
        fs::write_all(file.as_fd(), &long).unwrap();
        fs::write_all(file.as_fd(), b"\na:x:7:7::/first:\nb:x:7:7::/second:").unwrap();
        for (uid, home) in [(7, Some(&b"/first"[..])), (0, Some(b"/root")), (8, None)] {
            fs::seek_to(file.as_fd(), 0).unwrap();
            let found = find_line(file.as_fd(), |line| home_in(line, uid).map(Vec::from)).unwrap();
            assert_eq!(found.as_deref(), home);
        }
    }

    #[test]
    fn the_last_of_several_values_counts() {
        let env = strings(&["PATH=/a", "PATHS=/c", "PATH=/b"]);
        assert_eq!(value(&env, b"PATH"), Some(&b"/b"[..]));
        assert_eq!(value(&env, b"HOME"), None);
    }

    #[test]
    fn home_is_added_only_where_it_is_missing_or_empty() {
        let mut env = strings(&["HOME=/x", "A=b"]);
        add_home(&mut env, 0);
        assert_eq!(env, strings(&["HOME=/x", "A=b"]));
        let mut env = strings(&["HOME=", "A=b"]);
        add_home(&mut env, u32::MAX - 7);
        assert_eq!(env, strings(&["A=b", "HOME=/"]));
    }
}
