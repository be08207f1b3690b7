//! A user without any permission on cgroups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::{Cgroup, Creation, Error, Host, Paths, Request};
use runsig_sys::Errno;
use support::{IN_NAMESPACE, run_in_pure_v2, skipped};

/// Set in the copy of this program that runs as nobody.
const NOBODY: &str = "RUNSIG_TEST_NOBODY";

fn rootless(cgroups_path: Option<&str>) -> Cgroup {
    let id = support::unique("rootless");
    let request = Request { cgroups_path, id: &id, rootless: true, ..Request::default() };
    Cgroup::new(Paths::resolve(&Host::detect().unwrap(), request).unwrap())
}

fn memory_limit() -> LinuxResources {
    serde_json::from_str(r#"{"memory":{"limit":67108864}}"#).unwrap()
}

#[test]
#[ignore = "run as nobody by the tests below"]
fn nobody_without_anything() {
    let mut cgroup = rootless(None);
    assert_eq!(cgroup.create(None).unwrap(), Creation::Without);
    assert!(cgroup.paths().is_disabled());
    cgroup.apply(None, &[]).unwrap();
    cgroup.add_process(std::process::id() as i32).unwrap();
    assert!(cgroup.dir_fd().unwrap().is_none());
    cgroup.remove().unwrap();
}

#[test]
#[ignore = "run as nobody by the tests below"]
fn nobody_with_limits() {
    let mut cgroup = rootless(None);
    let unified = cgroup.paths().is_unified();
    let limits = memory_limit();
    let error = match cgroup.create(Some(&limits)) {
        Ok(creation) => {
            assert_eq!(creation, Creation::Without);
            cgroup.apply(Some(&limits), &[]).unwrap_err()
        }
        Err(error) => error,
    };
    if unified {
        assert!(matches!(&error, Error::Rootless(inner) if inner.errno() == Some(Errno::EACCES)), "{error}");
        let words = error.to_string();
        assert!(words.starts_with("rootless needs no limits + no cgrouppath when no permission"), "{words}");
        assert!(words.ends_with("permission denied"), "{words}");
    } else {
        assert_eq!(error.to_string(), "cannot set memory limit: container could not join or create cgroup");
    }
}

#[test]
#[ignore = "run as nobody by the tests below"]
fn nobody_with_a_path() {
    let mut cgroup = rootless(Some("/runsig-test-rootless/x"));
    let error = cgroup.create(None).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES), "{error}");
    assert!(error.to_string().starts_with("mkdir /sys/fs/cgroup/"), "{error}");
}

/// Runs the tests above as the user nobody.
fn run_as_nobody() {
    // A copy where nobody can reach it.
    let copy = std::env::temp_dir().join(support::unique("nobody"));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new(&copy)
        .args(["--ignored", "--nocapture", "--test-threads=1", "nobody_"])
        .env(NOBODY, "1")
        .uid(65534)
        .gid(65534)
        .status();
    std::fs::remove_file(&copy).unwrap();
    assert!(status.unwrap().success(), "tests as nobody failed");
}

#[test]
fn here() {
    if !skipped() {
        run_as_nobody();
    }
}

#[test]
#[ignore = "run by pure_v2"]
fn unified() {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        run_as_nobody();
    }
}

#[test]
fn pure_v2() {
    if !skipped() {
        run_in_pure_v2("unified");
    }
}
