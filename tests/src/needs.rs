//! What a test needs of the machine. Where that is missing the test is skipped, but in the guest of `hack/vm`,
//! which has all of it, it fails: otherwise a guest that lost a controller would pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::case::skip;
use crate::runtime::find_in_path;

/// Whether this is the guest of `hack/vm`.
#[must_use]
pub fn in_guest() -> bool {
    std::env::var_os("RUNSIG_TEST_VM").is_some()
}

/// How many times longer than elsewhere things may take: the guest's processors are emulated.
#[must_use]
pub fn patience() -> u32 {
    if in_guest() { 4 } else { 1 }
}

fn missing(what: &str) -> ! {
    assert!(!in_guest(), "the guest should have it: {what}");
    skip(format!("{what} (the guest of hack/vm has it)"))
}

/// Whether systemd of that guest keeps cgroup v1, and v2 has no controllers (`hack/vm --cgroup v1`).
fn guest_has_v1() -> bool {
    std::env::var("RUNSIG_TEST_VM").is_ok_and(|hierarchy| hierarchy == "v1")
}

/// Controllers of cgroup v2.
#[track_caller]
pub fn controllers(names: &[&str]) {
    if guest_has_v1() {
        skip("this guest has its controllers on v1");
    }
    let list = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    for name in names {
        if !list.split_whitespace().any(|word| word == *name) {
            missing(&format!("no v2 controller {name}"));
        }
    }
}

/// A capability in the effective set, by its number.
#[track_caller]
pub fn capability(number: u32, name: &str) {
    if effective_capabilities() & (1 << number) == 0 {
        missing(&format!("no {name}"));
    }
}

/// The effective capabilities of this process.
#[must_use]
pub fn effective_capabilities() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("a set");
    u64::from_str_radix(line.trim(), 16).expect("hex")
}

/// A CRIU that works on this kernel.
#[track_caller]
pub fn criu() {
    if find_in_path("criu").is_none() {
        missing("no criu");
    }
    let check = Command::new("criu").arg("check").output().expect("criu");
    if !check.status.success() {
        let why = String::from_utf8_lossy(&check.stderr).lines().next().unwrap_or_default().to_owned();
        missing(&format!("criu does not work on this kernel: {why}"));
    }
}

/// AppArmor, and its parser.
#[track_caller]
pub fn apparmor() {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if enabled.trim() != "Y" || !Path::new("/sys/kernel/security/apparmor/.load").exists() {
        missing("no AppArmor");
    }
    if find_in_path("apparmor_parser").is_none() {
        missing("no apparmor_parser");
    }
}

/// SELinux, and a compiler of policies. A kernel has it in AppArmor's place, if it is told to.
#[track_caller]
pub fn selinux() {
    let told = fs::read_to_string("/proc/cmdline").unwrap_or_default().contains("security=selinux");
    if !Path::new("/sys/fs/selinux/load").exists() {
        assert!(!told, "the kernel should have SELinux");
        skip("no SELinux (hack/vm --kernel security=selinux has it)");
    }
    if find_in_path("secilc").is_none() {
        missing("no secilc");
    }
}

/// systemd as the machine's first process, with its bus.
#[track_caller]
pub fn systemd() {
    if !Path::new("/run/systemd/system").exists() || !Path::new("/run/systemd/private").exists() {
        missing("systemd does not run this machine");
    }
}

/// A kernel of at least this version; `without` says what older ones do not have.
pub fn kernel(major: u32, minor: u32, without: &str) {
    if !is_kernel(major, minor) {
        skip(format!("{without} before Linux {major}.{minor}"));
    }
}

/// Whether the kernel is of at least this version.
#[must_use]
pub fn is_kernel(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map_while(|word| word.parse().ok());
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= (major, minor)
}
