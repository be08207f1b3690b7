//! What a container's cgroup costs on this host, in microseconds: medians over rounds with a pause
//! in between, because a tight loop hides the waits for RCU.
//!
//! As root: `cargo run --release -p runsig-cgroup --example cost [ROUNDS]`, and for cgroup v2 alone
//! in a mount namespace that has only that at /sys/fs/cgroup.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use runsig_cgroup::{Cgroup, Host, Paths, Request};

const STEPS: [&str; 9] = [
    "mkdir+rmdir alone, one directory",
    "detect + resolve",
    "create",
    "apply (default devices)",
    "add_task",
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

fn one_round(n: usize) -> Result<[Duration; STEPS.len()], Box<dyn Error>> {
    let name = format!("/runsig-test-cost-{}-{n}", std::process::id());
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn()?;
    let measured = measure(&name, child.id() as i32);
    child.kill()?;
    child.wait()?;
    measured
}

fn measure(name: &str, pid: i32) -> Result<[Duration; STEPS.len()], Box<dyn Error>> {
    let mut start = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        now - std::mem::replace(&mut start, now)
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
    cgroup.add_task(pid)?;
    let add = lap();
    cgroup.add_to_unified(pid)?;
    lap();
    cgroup.freeze()?;
    let freeze = lap();
    cgroup.thaw()?;
    let thaw = lap();
    cgroup.kill_all()?;
    let kill = lap();
    cgroup.wait_empty(Duration::from_secs(5))?;
    lap();
    cgroup.remove()?;
    Ok([mkdir, resolve, create, apply, add, freeze, thaw, kill, lap()])
}
