//! What a container's cgroup costs on this host, in microseconds: medians over rounds with a pause
//! in between, because a tight loop hides the waits for RCU.
//!
//! As root: `cargo run --release -p runsig-cgroup --example cost [ROUNDS]`, and for cgroup v2 alone
//! in a mount namespace that has only that at /sys/fs/cgroup.

use std::error::Error;
use std::ffi::CStr;
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::{Cgroup, Host, Paths, Request};
use runsig_sys::process::{self, CStrArray, WaitFor};
use runsig_sys::spawn::{Child, Spawn, spawn};
use runsig_sys::{BorrowedFd, OwnedFd};

const STEPS: [&str; 10] = [
    "mkdir+rmdir alone, one directory",
    "detect + resolve",
    "create",
    "apply (default devices)",
    "a process outside",
    "a process inside (tasks, clone into)",
    "freeze",
    "thaw",
    "kill_all",
    "remove",
];

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(30), |n| n.parse::<usize>())?;
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); STEPS.len()];
    for n in 0..rounds {
        std::thread::sleep(Duration::from_millis(40));
        for (step, took) in times.iter_mut().zip(one_round(n)?) {
            step.push(took);
        }
    }
    for (name, mut took) in STEPS.iter().zip(times) {
        took.sort_unstable();
        let median = took.get(took.len() / 2).copied().unwrap_or_default();
        println!("{:>9.1}  {name}", median.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// Starts `sleep`, and goes on when it runs.
fn start(cgroup: Option<BorrowedFd<'_>>, tasks: &[OwnedFd]) -> Result<Child, Box<dyn Error>> {
    let program = OwnedFd::from(std::fs::File::open("/bin/sleep")?);
    let (mut room, mut none) = ([std::ptr::null(); 3], [std::ptr::null(); 1]);
    let argv: [&CStr; 2] = [c"sleep", c"60"];
    let tasks: Vec<i32> = tasks.iter().map(OwnedFd::raw).collect();
    let request = Spawn {
        namespaces: 0,
        cgroup,
        tasks: &tasks,
        join: &[],
        hold: None,
        become_root: false,
        inherit: &[],
        program: program.as_fd(),
        argv: &CStrArray::new(argv.into_iter(), &mut room)?,
        envp: &CStrArray::new(std::iter::empty(), &mut none)?,
        report: None,
    };
    spawn(&request).map_err(|failure| format!("spawn: {failure:?}").into())
}

fn reap(child: &Child) -> Result<(), Box<dyn Error>> {
    // Gone already is fine.
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), 9);
    process::wait(WaitFor::Pidfd(child.pidfd.as_fd()), false)?;
    Ok(())
}

fn one_round(n: usize) -> Result<[Duration; STEPS.len()], Box<dyn Error>> {
    measure(&format!("/runsig-test-cost-{}-{n}", std::process::id()))
}

fn measure(name: &str) -> Result<[Duration; STEPS.len()], Box<dyn Error>> {
    let mut last = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        now - std::mem::replace(&mut last, now)
    };
    let request = Request { cgroups_path: Some(name), id: "cost", ..Request::default() };
    let paths = Paths::resolve(&Host::detect()?, request)?;
    let resolve = lap();
    let alone = paths.by_controller().pop().map(|(_, path)| path).unwrap_or_default();
    std::fs::create_dir(&alone)?;
    std::fs::remove_dir(&alone)?;
    let mkdir = lap();
    let mut cgroup = Cgroup::new(paths);
    cgroup.create(Some(&LinuxResources::default()))?;
    let create = lap();
    cgroup.apply(None, &[])?;
    let apply = lap();
    let outside = start(None, &[])?;
    let without = lap();
    reap(&outside)?;
    lap();
    let child = start(cgroup.dir_fd()?, &cgroup.task_files()?)?;
    let within = lap();
    std::thread::sleep(Duration::from_millis(15));
    lap();
    cgroup.freeze()?;
    let freeze = lap();
    cgroup.thaw()?;
    let thaw = lap();
    cgroup.kill_all()?;
    let kill = lap();
    reap(&child)?;
    cgroup.wait_empty(Duration::from_secs(5))?;
    lap();
    cgroup.remove()?;
    Ok([mkdir, resolve, create, apply, without, within, freeze, thaw, kill, lap()])
}
