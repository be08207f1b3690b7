//! A test's world with a systemd of its own: PID 1 of its PID namespace, in cgroups made for the test.
//!
//! Owns: starting it, and seeing to it that it can change nothing of the machine: its mounts, its
//! network, its host name and its view of the cgroups are its own, kernel settings are read-only, and
//! what it wants to keep goes to a tmpfs. It takes half a second to start. Must not: know containers.
//!
//! The steps: "outside" makes the namespaces and waits for the result; "boot" makes the mounts, starts
//! the last step and becomes systemd; "booted" waits for systemd, runs the test, and notes its result.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use crate::case::View;
use crate::harness::{tag, test_dir};
use crate::{cgroup, needs, sandbox, wait};

const CGROUPS: &str = "/sys/fs/cgroup";
const NONE: Option<&str> = None;
const SKIPPED: u8 = 77;

/// The program, where Debian and others put it.
fn systemd() -> Option<&'static str> {
    ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].into_iter().find(|path| Path::new(path).exists())
}

fn result_file() -> PathBuf {
    test_dir().join("exit-code")
}

/// Runs `boot` as PID 1 of a new PID namespace until the test has a result, and ends it.
pub(crate) fn outside(boot: Command) -> ExitCode {
    if systemd().is_none() {
        return skipped("systemd is not installed");
    }
    if needs::in_guest() {
        return skipped("the guest has a systemd already: the same tests run with that one");
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID) {
        return skipped(&format!("no private namespaces here (root is needed): {error}"));
    }
    let mut boot = boot;
    let mut child = boot.spawn().expect("the test's own program");
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        if let Ok(code) = fs::read_to_string(result_file()) {
            // With PID 1 goes everything.
            let _ = child.kill();
            let _ = child.wait();
            return ExitCode::from(code.parse().unwrap_or(1));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Prepares the world, starts `booted` and becomes systemd. Returns only when that fails.
#[expect(clippy::zombie_processes, reason = "systemd, which we become, reaps it")]
pub(crate) fn boot(mut booted: Command) -> ExitCode {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NONE).expect("a /proc of our own");
    let cgroups = match sandbox::view() {
        View::SystemdHybrid => hybrid_cgroups(),
        _ => v2_cgroups(),
    };
    if let Err(why) = cgroups {
        return skipped(&why);
    }
    seclude().expect("mounts for systemd");
    let _child = booted.spawn().expect("the test's own program");
    let failed = Command::new(systemd().expect("looked before"))
        .args([
            "--system",
            "--unit=quick.target",
            "--show-status=no",
            "--log-target=console",
            "--log-level=info",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("container", "runsig-test")
        .exec();
    panic!("cannot start systemd: {failed}");
}

/// Waits for systemd, runs the test and notes its result for "outside".
pub(crate) fn booted(mut test: Command) -> ExitCode {
    let answers = || {
        let state = Command::new("systemctl").args(["is-active", "quick.target"]).output();
        state.is_ok_and(|output| output.stdout.starts_with(b"active"))
    };
    let ready =
        wait::until(Duration::from_secs(30), || Path::new("/run/systemd/private").exists() && answers());
    let code = if ready {
        test.status().expect("the test's own program").code().unwrap_or(1)
    } else {
        println!("systemd did not start:\n{}", fs::read_to_string(log_file()).unwrap_or_default());
        1
    };
    let whole = test_dir().join("exit-code.new");
    fs::write(&whole, code.to_string()).and_then(|()| fs::rename(&whole, result_file())).expect("a result");
    ExitCode::SUCCESS
}

fn skipped(why: &str) -> ExitCode {
    println!("SKIP: {why}");
    ExitCode::from(SKIPPED)
}

/// cgroup v2 alone, with a cgroup of the test's as the root that systemd sees.
fn v2_cgroups() -> Result<(), String> {
    if !cgroup::is_pure_v2() {
        umount2(CGROUPS, MntFlags::MNT_DETACH).map_err(|error| format!("cannot hide v1: {error}"))?;
        mount(Some("none"), CGROUPS, Some("cgroup2"), MsFlags::empty(), NONE)
            .map_err(|error| format!("no cgroup v2 here: {error}"))?;
    }
    enter_own(Path::new(CGROUPS)).map_err(|error| format!("no cgroup v2 here: {error}"))?;
    unshare(CloneFlags::CLONE_NEWCGROUP).expect("a cgroup namespace");
    umount2(CGROUPS, MntFlags::MNT_DETACH).expect("umount");
    mount(Some("none"), CGROUPS, Some("cgroup2"), MsFlags::empty(), NONE).expect("our cgroup v2");
    Ok(())
}

/// What is mounted where: the name of the mount point and the options to mount it again.
struct Mounted {
    name: String,
    unified: bool,
    options: String,
}

/// v1 controllers, v2 without controllers next to them, and the hierarchy that systemd keeps.
fn hybrid_cgroups() -> Result<(), String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let mounted: Vec<Mounted> = table.lines().filter_map(mounted).collect();
    if !mounted.iter().any(|one| one.options == "devices") {
        return Err("no cgroup v1 here".to_owned());
    }
    if !mounted.iter().any(|one| one.options == "none,name=systemd") {
        return Err("no hierarchy of systemd's (name=systemd) here".to_owned());
    }
    for one in &mounted {
        enter_own(&Path::new(CGROUPS).join(&one.name))
            .map_err(|error| format!("cgroup {}: {error}", one.name))?;
    }
    unshare(CloneFlags::CLONE_NEWCGROUP).expect("a cgroup namespace");
    umount2(CGROUPS, MntFlags::MNT_DETACH).expect("umount");
    mount(Some("cgroups"), CGROUPS, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).expect("tmpfs");
    for one in &mounted {
        let place = Path::new(CGROUPS).join(&one.name);
        fs::create_dir(&place).expect("mkdir");
        let kind = if one.unified { "cgroup2" } else { "cgroup" };
        let options = (!one.unified).then_some(one.options.as_str());
        mount(Some(kind), &place, Some(kind), MsFlags::empty(), options).expect("our cgroups");
    }
    Ok(())
}

fn mounted(line: &str) -> Option<Mounted> {
    let (left, right) = line.split_once(" - ")?;
    let name = left.split(' ').nth(4)?.strip_prefix(CGROUPS)?.strip_prefix('/')?.to_owned();
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let options = options.strip_prefix("rw,").unwrap_or_default();
    match kind {
        "cgroup2" => Some(Mounted { name, unified: true, options: String::new() }),
        "cgroup" if options.contains("name=systemd") => {
            Some(Mounted { name, unified: false, options: "none,name=systemd".to_owned() })
        }
        "cgroup" => Some(Mounted { name, unified: false, options: options.to_owned() }),
        _ => None,
    }
}

/// Makes the test's cgroup in a hierarchy and moves us into it.
fn enter_own(hierarchy: &Path) -> io::Result<()> {
    let own = hierarchy.join(tag());
    fs::create_dir(&own)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(all) = fs::read_to_string(hierarchy.join(file)).map(|all| all.trim().to_owned())
            && !all.is_empty()
        {
            fs::write(own.join(file), all)?;
        }
    }
    fs::write(own.join("cgroup.procs"), "0")
}

fn log_file() -> PathBuf {
    test_dir().join("systemd.log")
}

/// Everything that systemd would set for a whole machine is the test's alone.
fn seclude() -> io::Result<()> {
    let own = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    unshare(own)?;
    let bind = |from: &Path, to: &str| mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE);
    bind(Path::new("/proc/sys"), "/proc/sys")?;
    // A user namespace may mount /proc only while a whole one is in sight.
    let whole = test_dir().join("proc");
    fs::create_dir(&whole)?;
    mount(Some("proc"), &whole, Some("proc"), MsFlags::empty(), NONE)?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, "/proc/sys", NONE, read_only, NONE)?;
    for (place, mode) in
        [("/run", "mode=755"), ("/etc/systemd/system", "mode=755"), ("/var/lib/systemd", "mode=755")]
    {
        if Path::new(place).is_dir() {
            mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some(mode))?;
        }
    }
    fs::create_dir_all("/run/systemd/system")?;
    fs::write("/run/systemd/system/quick.target", "[Unit]\nDefaultDependencies=no\n")?;
    // /tmp is the machine's: nothing here may tidy it up.
    for unit in ["setup.service", "clean.service", "clean.timer"] {
        std::os::unix::fs::symlink("/dev/null", format!("/run/systemd/system/systemd-tmpfiles-{unit}"))?;
    }
    if Path::new("/etc/machine-id").exists() {
        fs::write("/run/machine-id", "0123456789abcdef0123456789abcdef\n")?;
        bind(Path::new("/run/machine-id"), "/etc/machine-id")?;
    }
    own_devices()?;
    fs::write(log_file(), "")?;
    fs::write("/dev/console", "")?;
    bind(&log_file(), "/dev/console")?;
    Ok(())
}

/// A /dev whose nodes are the machine's and whose directory is not.
fn own_devices() -> io::Result<()> {
    let new = test_dir().join("dev");
    fs::create_dir(&new)?;
    mount(Some("tmpfs"), &new, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty", "kmsg", "ptmx"] {
        let (from, to) = (Path::new("/dev").join(name), new.join(name));
        if from.exists() {
            fs::write(&to, "")?;
            mount(Some(&from), &to, NONE, MsFlags::MS_BIND, NONE)?;
        }
    }
    for name in ["pts", "shm", "net"] {
        let (from, to) = (Path::new("/dev").join(name), new.join(name));
        if from.is_dir() {
            fs::create_dir(&to)?;
            mount(Some(&from), &to, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
        }
    }
    mount(Some(&new), "/dev", NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    Ok(())
}
