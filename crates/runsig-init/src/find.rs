//! Looking for the executable, inside the container and as its user, by the rules runc has from Go.
//!
//! Owns: those rules. Must not: execute anything.

use alloc::ffi::CString;
use core::ffi::CStr;

use runsig_proto::Op;
use runsig_sys::fd::CWD;
use runsig_sys::{Errno, fs};

use crate::env;
use crate::error::{During, Failure, Result};
use crate::words::Text;

/// The path to execute for `name`. A name with a slash is a path; any other is looked for in the
/// directories of the environment's PATH, and there is no default: without PATH nothing is found.
///
/// # Errors
/// [`Op::FindExecutable`] with `name`: `ENOENT`, `EACCES` (also for a directory), or whatever the
/// file system says. A bare name that is found through a relative directory of PATH is refused.
pub fn executable(name: &CStr, env: &[CString]) -> Result<CString> {
    if name.to_bytes().contains(&b'/') {
        return check(name).map(|()| name.into()).during_at(Op::FindExecutable, name);
    }
    let path = env::value(env, b"PATH").unwrap_or_default();
    let directories = path.split(|b| *b == b':').filter(|_| !path.is_empty() && !name.is_empty());
    for directory in directories {
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = Text::new().with(directory).with(b"/").with(name.to_bytes()).into_cstring();
        if check(&candidate).is_ok() {
            return if directory.starts_with(b"/") { Ok(candidate) } else { Err(relative(name)) };
        }
    }
    Err(Failure::at(Op::FindExecutable, name, Errno::ENOENT))
}

fn relative(name: &CStr) -> Failure {
    Failure::because(Op::FindExecutable, name, c"cannot run executable found relative to current directory")
}

/// Whether we may execute it. Where a filter or an old kernel refuses the question, the
/// permission bits answer.
fn check(path: &CStr) -> core::result::Result<(), Errno> {
    let stat = fs::stat(CWD, path, true)?;
    if stat.is(fs::S_IFDIR) {
        return Err(Errno::EACCES);
    }
    match fs::eaccess(CWD, path, fs::X_OK) {
        Err(Errno::ENOSYS | Errno::EPERM) if stat.mode & 0o111 != 0 => Ok(()),
        Err(Errno::ENOSYS | Errno::EPERM) => Err(Errno::EACCES),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, fs as stdfs};

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("runsig-find-{name}-{}", std::process::id()));
            stdfs::create_dir_all(path.join("first/dir")).unwrap();
            stdfs::create_dir_all(path.join("second")).unwrap();
            Self(path)
        }
        fn file(&self, name: &str, mode: u32) {
            let path = self.0.join(name);
            stdfs::write(&path, "").unwrap();
            stdfs::set_permissions(&path, stdfs::Permissions::from_mode(mode)).unwrap();
        }
        fn env(&self, path: &str) -> Vec<CString> {
            let path = path.replace('@', self.0.to_str().unwrap());
            Vec::from([CString::new(format!("PATH={path}")).unwrap()])
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = stdfs::remove_dir_all(&self.0);
        }
    }

    fn look(name: &str, env: &[CString]) -> core::result::Result<String, Option<Errno>> {
        executable(&CString::new(name).unwrap(), env)
            .map(|path| path.into_string().unwrap())
            .map_err(|failure| failure.errno)
    }

    #[test]
    fn the_first_executable_on_the_path_is_taken() {
        let dir = Dir::new("path");
        dir.file("first/plain", 0o644);
        dir.file("second/plain", 0o755);
        dir.file("second/dir", 0o755);
        let env = dir.env("/nowhere:@/first:@/second");
        let second = |name: &str| Ok(format!("{}/second/{name}", dir.0.display()));
        assert_eq!(look("plain", &env), second("plain"), "not the one without permission");
        assert_eq!(look("dir", &env), second("dir"), "not the directory");
        assert_eq!(look("other", &env), Err(Some(Errno::ENOENT)));
        assert_eq!(look("", &env), Err(Some(Errno::ENOENT)));
    }

    #[test]
    fn without_a_path_nothing_is_found() {
        assert_eq!(look("sh", &[]), Err(Some(Errno::ENOENT)));
        assert_eq!(look("sh", &Dir::new("none").env("")), Err(Some(Errno::ENOENT)));
    }

    #[test]
    fn a_name_with_a_slash_is_a_path() {
        let dir = Dir::new("slash");
        dir.file("plain", 0o644);
        let at = |name: &str| format!("{}/{name}", dir.0.display());
        assert_eq!(look("/bin/sh", &[]), Ok("/bin/sh".into()));
        assert_eq!(look(&at("missing"), &[]), Err(Some(Errno::ENOENT)));
        assert_eq!(look(&at("plain"), &[]), Err(Some(Errno::EACCES)));
        assert_eq!(look(&at("first"), &[]), Err(Some(Errno::EACCES)), "a directory");
        assert_eq!(look(&at("plain/x"), &[]), Err(Some(Errno::ENOTDIR)));
    }

    #[test]
    fn a_relative_directory_on_the_path_is_refused() {
        // The test runs in the crate's directory: a relative way to the root of the file system.
        let up = "../".repeat(40);
        let env = Dir::new("relative").env(&format!("{up}bin"));
        let failure = executable(c"sh", &env).unwrap_err();
        assert!(failure.errno.is_none() && failure.detail.to_bytes().ends_with(b"current directory"));
    }
}
