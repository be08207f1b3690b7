//! What is measured: one function a row, each giving one sample of one runtime.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::call::{Cost, Peer, wait_for};
use crate::memory;

/// One row of the table.
pub(crate) struct Row {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// `ms` or `KiB`.
    pub(crate) unit: &'static str,
    /// What Runsig is to reach.
    pub(crate) target: Target,
    /// How many of the rounds it gets, in percent: slow ones get fewer.
    share: usize,
    sample: fn(&Peer) -> Result<Sample, String>,
}

/// The target of a row: an upper bound.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// As a share of this runtime's figure.
    Of(&'static str, f64),
    /// In KiB.
    KiB(f64),
}

impl Target {
    /// The target, and whether it is reached where that can be told.
    pub(crate) fn verdict(
        self,
        own: Option<Sample>,
        of_peer: impl FnOnce(&str) -> Option<Sample>,
    ) -> (String, Option<bool>) {
        let (text, holds) = match self {
            Target::Of(peer, share) => (
                format!("<= {share}x {peer}"),
                own.zip(of_peer(peer)).map(|(own, peer)| own.value <= peer.value * share),
            ),
            Target::KiB(bound) => (format!("<= {bound}"), own.map(|own| own.value <= bound)),
        };
        let words = holds.map_or("", |holds| if holds { ": holds" } else { ": missed" });
        (text + words, holds)
    }
}

/// One sample of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In the row's unit.
    pub(crate) value: f64,
    /// CPU time in ms, for rows about time.
    pub(crate) cpu: Option<f64>,
}

impl From<Cost> for Sample {
    fn from(cost: Cost) -> Sample {
        Sample { value: cost.wall.as_secs_f64() * 1000.0, cpu: Some(cost.cpu.as_secs_f64() * 1000.0) }
    }
}

impl Sample {
    fn of_memory(value: f64) -> Sample {
        Sample { value, cpu: None }
    }
}

/// Of the verbs that nobody waits for.
const NO_SLOWER: Target = Target::Of("crun", 1.0);

/// All rows.
pub(crate) const ROWS: &[Row] = &[
    Row { name: "run /bin/true", unit: "ms", target: Target::Of("crun", 0.5), share: 100, sample: run_true },
    Row {
        name: "create + start + delete",
        unit: "ms",
        target: Target::Of("crun", 0.4),
        share: 100,
        sample: create_start_delete,
    },
    Row { name: "state", unit: "ms", target: Target::Of("crun", 0.25), share: 100, sample: state },
    Row { name: "kill, one signal", unit: "ms", target: Target::Of("crun", 0.25), share: 100, sample: kill },
    Row {
        name: "exec /bin/true",
        unit: "ms",
        target: Target::Of("crun", 0.5),
        share: 100,
        sample: exec_true,
    },
    Row {
        name: "kill --all KILL, 1000 processes",
        unit: "ms",
        target: Target::Of("crun", 0.6),
        share: 25,
        sample: kill_all,
    },
    Row {
        name: "delete --force, running",
        unit: "ms",
        target: Target::Of("crun", 0.3),
        share: 50,
        sample: delete_force,
    },
    Row {
        name: "list, 100 containers",
        unit: "ms",
        target: Target::Of("crun", 0.3),
        share: 100,
        sample: list,
    },
    Row { name: "update, one limit", unit: "ms", target: NO_SLOWER, share: 50, sample: update },
    Row { name: "pause", unit: "ms", target: NO_SLOWER, share: 50, sample: pause },
    Row { name: "resume", unit: "ms", target: NO_SLOWER, share: 50, sample: resume },
    Row { name: "ps", unit: "ms", target: NO_SLOWER, share: 50, sample: ps },
    Row { name: "events --stats", unit: "ms", target: Target::Of("runc", 1.0), share: 50, sample: events },
    Row {
        name: "peak memory of create",
        unit: "KiB",
        target: Target::KiB(1560.0),
        share: 15,
        sample: create_memory,
    },
    Row {
        name: "waiting init, RSS",
        unit: "KiB",
        target: Target::KiB(600.0),
        share: 15,
        sample: init_memory,
    },
];

/// Before each sample: long enough that no RCU grace period of the last one is still under way.
const PAUSE: Duration = Duration::from_millis(40);

/// Samples of each runtime, taken in turns; why there are none, when a runtime cannot do it.
pub(crate) fn measure(row: &Row, peers: &[Peer], rounds: usize) -> Vec<Result<Vec<Sample>, String>> {
    let mut samples: Vec<Result<Vec<Sample>, String>> = peers.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..=(rounds * row.share / 100).max(3) {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            let Ok(list) = samples else { continue };
            sleep(PAUSE);
            match (row.sample)(peer) {
                // The first round warms up.
                Ok(_) if round == 0 => {}
                Ok(sample) => list.push(sample),
                Err(error) => {
                    eprintln!("{}: {error}", row.name);
                    *samples = Err(error);
                }
            }
        }
    }
    for peer in peers {
        clean_up(peer);
    }
    samples
}

/// Containers that a row keeps from sample to sample are removed after it.
fn clean_up(peer: &Peer) {
    let Ok(entries) = fs::read_dir(peer.workspace.state()) else { return };
    for entry in entries.flatten() {
        let _ = peer.remove(&entry.file_name().to_string_lossy());
    }
}

fn run_true(peer: &Peer) -> Result<Sample, String> {
    let bundle = peer.bundle("true", &["/bin/true"])?;
    peer.time(&["run", "--bundle", &bundle, "true"]).map(Sample::from)
}

/// The three calls, not the program's own time between them.
fn create_start_delete(peer: &Peer) -> Result<Sample, String> {
    let bundle = peer.bundle("csd", &["/bin/true"])?;
    let create = peer.time(&["create", "--bundle", &bundle, "csd"])?;
    let pid = peer.pid("csd")?;
    let start = peer.time(&["start", "csd"])?;
    peer.wait_stopped(pid)?;
    let delete = peer.time(&["delete", "csd"])?;
    Ok((create + start + delete).into())
}

/// A container that stays between samples.
fn resident(peer: &Peer) -> Result<(), String> {
    if peer.pid("resident").is_err() {
        peer.start("resident", &["/bin/sleep", "100000"])?;
    }
    Ok(())
}

fn state(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    peer.time(&["state", "resident"]).map(Sample::from)
}

fn kill(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    // WINCH ends nothing.
    peer.time(&["kill", "resident", "WINCH"]).map(Sample::from)
}

/// A limit that needs no controller but the one a machine with cgroup v1 beside v2 has left for v2.
fn update(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    let file = peer.workspace.dir.join("resources.json");
    let limits = r#"{"unified": {"hugetlb.2MB.max": "1073741824"}}"#;
    fs::write(&file, limits).map_err(|error| format!("{}: {error}", file.display()))?;
    sleep(PAUSE);
    peer.time(&["update", "--resources", &file.to_string_lossy(), "resident"]).map(Sample::from)
}

fn pause(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    let took = peer.time(&["pause", "resident"])?;
    peer.call(&["resume", "resident"])?;
    Ok(took.into())
}

fn resume(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    peer.call(&["pause", "resident"])?;
    sleep(PAUSE);
    peer.time(&["resume", "resident"]).map(Sample::from)
}

fn ps(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    peer.time(&["ps", "--format", "json", "resident"]).map(Sample::from)
}

/// crun has no such verb.
fn events(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    peer.time(&["events", "--stats", "resident"]).map(Sample::from)
}

fn exec_true(peer: &Peer) -> Result<Sample, String> {
    resident(peer)?;
    sleep(PAUSE);
    peer.time(&["exec", "resident", "/bin/true"]).map(Sample::from)
}

fn list(peer: &Peer) -> Result<Sample, String> {
    if peer.pid("list99").is_err() {
        let bundle = peer.bundle("list", &["/bin/sleep", "100000"])?;
        for number in 0..100 {
            let id = format!("list{number}");
            let bundle =
                if number == 0 { bundle.clone() } else { peer.bundle(&id, &["/bin/sleep", "100000"])? };
            peer.call(&["create", "--bundle", &bundle, &id])?;
        }
        sleep(PAUSE * 4);
    }
    peer.time(&["list"]).map(Sample::from)
}

fn kill_all(peer: &Peer) -> Result<Sample, String> {
    let script = "i=0; while [ $i -lt 999 ]; do /bin/sleep 100000 & i=$((i+1)); done; wait";
    let id = "crowd";
    peer.start(id, &["/bin/sh", "-c", script])?;
    let cgroup = peer.cgroup_directory().join(id).join("cgroup.procs");
    wait_for("1000 processes", || {
        fs::read_to_string(&cgroup).is_ok_and(|list| list.lines().count() >= 1000)
    })?;
    let pid = peer.pid(id)?;
    sleep(PAUSE * 4);
    let took = peer.time(&["kill", "--all", id, "KILL"])?;
    peer.wait_stopped(pid)?;
    peer.remove(id)?;
    Ok(took.into())
}

fn delete_force(peer: &Peer) -> Result<Sample, String> {
    peer.start("force", &["/bin/sleep", "100000"])?;
    sleep(PAUSE * 2);
    peer.time(&["delete", "--force", "force"]).map(Sample::from)
}

/// The peak resident set of `create`'s own process.
fn create_memory(peer: &Peer) -> Result<Sample, String> {
    let bundle = peer.bundle("peak", &["/bin/sleep", "100000"])?;
    let peak = memory::peak(&peer.command(&["create", "--bundle", &bundle, "peak"]))?;
    peer.remove("peak")?;
    Ok(Sample::of_memory(peak))
}

fn init_memory(peer: &Peer) -> Result<Sample, String> {
    let bundle = peer.bundle("waiting", &["/bin/sleep", "100000"])?;
    peer.call(&["create", "--bundle", &bundle, "waiting"])?;
    let pid = peer.pid("waiting")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    peer.remove("waiting")?;
    let resident = memory::field(&status, "VmRSS:").ok_or_else(|| format!("{}: no VmRSS", peer.name))?;
    Ok(Sample::of_memory(resident))
}
