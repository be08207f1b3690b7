//! Calling a runtime and timing it, on CLOCK_MONOTONIC, from before the spawn to the end.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::bundle::Workspace;

/// One of the runtimes.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What the table calls it.
    pub(crate) name: String,
    /// Its version, as it says itself.
    pub(crate) version: String,
    program: PathBuf,
    /// Its own bundles and state.
    pub(crate) workspace: Workspace,
    /// The cgroup its containers are in, from the mount point. It is there all the time, as an
    /// engine's is.
    cgroup: String,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From before the spawn to the end.
    pub(crate) wall: Duration,
    /// User and system time of the runtime and of those of its children that it waited for.
    pub(crate) cpu: Duration,
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// CPU time of all processes that this one has waited for.
fn children_cpu() -> Result<Duration, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default()
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

impl Peer {
    /// A runtime by path or name.
    pub(crate) fn new(program: &Path) -> Result<Peer, String> {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().replace(" version ", " ");
        // Not what it calls itself: two builds of one runtime may be compared.
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let workspace = Workspace::new(&name)?;
        let cgroup = format!("/runsig-bench-{}-{name}", std::process::id());
        let peer = Peer { name, version, program: program.to_path_buf(), workspace, cgroup };
        let directory = peer.cgroup_directory();
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(peer)
    }

    /// Where the cgroups of its containers are.
    pub(crate) fn cgroup_directory(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(self.cgroup.trim_start_matches('/'))
    }

    /// `RUNTIME --root R ARGS`, without input and output: containers inherit both.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.workspace.state()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it and returns what it took; an error when it fails.
    pub(crate) fn time(&self, args: &[&str]) -> Result<Cost, String> {
        let mut command = self.command(args);
        let log = self.workspace.dir.join("stderr");
        command.stderr(File::create(&log).map_err(|error| error.to_string())?);
        let cpu_before = children_cpu()?;
        let began = Instant::now();
        let status = command.status();
        let wall = began.elapsed();
        let cpu = children_cpu()?.saturating_sub(cpu_before);
        let status = status.map_err(|error| format!("{}: {error}", self.name))?;
        if status.success() {
            return Ok(Cost { wall, cpu });
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Err(format!("{} {args:?}: exit {code}: {}", self.name, said.trim()))
    }

    /// Runs it for its effect.
    pub(crate) fn call(&self, args: &[&str]) -> Result<(), String> {
        self.time(args).map(drop)
    }

    /// The bundle for a program under the cgroup of a container id.
    pub(crate) fn bundle(&self, id: &str, args: &[&str]) -> Result<String, String> {
        let path = self.workspace.bundle(id, &format!("{}/{id}", self.cgroup), args)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// A running container of a program.
    pub(crate) fn start(&self, id: &str, args: &[&str]) -> Result<(), String> {
        let bundle = self.bundle(id, args)?;
        self.call(&["create", "--bundle", &bundle, id])?;
        self.call(&["start", id])
    }

    /// The PID of a container's init.
    pub(crate) fn pid(&self, id: &str) -> Result<i32, String> {
        let output = self
            .command(&["state", id])
            .stdout(Stdio::piped())
            .output()
            .map_err(|error| error.to_string())?;
        let state: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let pid = state["pid"].as_i64().unwrap_or(0);
        i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or_else(|| format!("{}: no pid", self.name))
    }

    /// Waits until a container's init is gone or a zombie.
    pub(crate) fn wait_stopped(&self, pid: i32) -> Result<(), String> {
        let stopped = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
            Err(_) => true,
        };
        wait_for(&format!("{}: the end of {pid}", self.name), stopped)
    }

    /// Removes a container, running or not.
    pub(crate) fn remove(&self, id: &str) -> Result<(), String> {
        self.call(&["delete", "--force", id])
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(self.workspace.state()) else { return };
        for entry in entries.flatten() {
            let _ = self.remove(&entry.file_name().to_string_lossy());
        }
        let _ = fs::remove_dir(self.cgroup_directory());
    }
}

/// Waits for something, at most ten seconds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
