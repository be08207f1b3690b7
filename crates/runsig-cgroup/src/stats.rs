//! What a container uses, in the form `runc events` prints.
//!
//! Owns: reading the counters of both versions into one set of figures with runc's names, where
//! cgroup v2's are brought into v1's terms. Must not: wait, or change anything.

mod memory;
mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::{Error, Result};

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// CPU sets, of cgroup v1.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block I/O.
    pub blkio: Blkio,
    /// Huge pages, by their size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Intel RDT. Not read.
    pub intel_rdt: Empty,
    /// Network interfaces. Not read: no OCI configuration makes runc name any.
    pub network_interfaces: Option<Empty>,
}

/// `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

/// CPU time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// How much.
    pub usage: CpuUsage,
    /// How much was held back.
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// By CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By CPU, in the kernel (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By CPU, in programs (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// CFS bandwidth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// Nanoseconds of waiting.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// The switches of v1's cpuset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cpuset {
    /// The CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// `cpuset.cpu_exclusive`.
    pub cpu_exclusive: u64,
    /// The memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// `cpuset.mem_hardwall`.
    pub mem_hardwall: u64,
    /// `cpuset.mem_exclusive`.
    pub mem_exclusive: u64,
    /// `cpuset.memory_migrate`.
    pub memory_migrate: u64,
    /// `cpuset.memory_spread_page`.
    pub memory_spread_page: u64,
    /// `cpuset.memory_spread_slab`.
    pub memory_spread_slab: u64,
    /// `cpuset.memory_pressure`.
    pub memory_pressure: u64,
    /// `cpuset.sched_load_balance`.
    pub sched_load_balance: u64,
    /// `cpuset.sched_relax_domain_level`.
    pub sched_relax_domain_level: i64,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// The limit; the largest number for none.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most there ever was.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was hit (v1).
    pub failcnt: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// All.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryEntry,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryEntry,
    /// The kernel's (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: MemoryEntry,
    /// TCP buffers (v1).
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat` as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// The limit; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Huge pages of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// Bytes now.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most there ever were (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// A counter of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// The device's minor number.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read`, `Write`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The count.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Block I/O.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A file of pressure stall information. <https://docs.kernel.org/accounting/psi.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Somebody waited.
    pub some: Stall,
    /// Everybody waited.
    pub full: Stall,
}

/// One line of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Percent of the last 10 s.
    pub avg10: f64,
    /// Percent of the last 60 s.
    pub avg60: f64,
    /// Percent of the last 300 s.
    pub avg300: f64,
    /// Microseconds.
    pub total: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cgroup {
    /// Reads all counters. A controller that is not there has none.
    ///
    /// # Errors
    /// When the container has no cgroup any more, or a counter cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        if self.paths().is_disabled() {
            // As runc: a rootless container that had to go without a cgroup uses nothing we know of.
            return if self.paths().rootless {
                Ok(Stats::default())
            } else {
                Err(Error::NotConfigured { what: "read statistics" })
            };
        }
        if !self.paths().is_unified() {
            return v1::stats(self);
        }
        v2::stats(self.v2_dir()?.ok_or(Error::NotConfigured { what: "read statistics" })?)
    }

    /// How many processes the kernel has killed in it for want of memory.
    ///
    /// # Errors
    /// When the cgroup is gone. A kernel without the controller counts none.
    pub fn oom_kills(&self) -> Result<u64> {
        let (dir, file) = if self.paths().is_unified() {
            (self.v2_dir()?, "memory.events")
        } else {
            (self.v1_dir("memory")?, "memory.oom_control")
        };
        let Some(dir) = dir else { return Ok(0) };
        Ok(text(dir, file)?.map_or(0, |text| value_of(&text, "oom_kill").unwrap_or(0)))
    }
}

/// A file's text; `None` when there is no such file.
fn text(dir: &Dir, file: &str) -> Result<Option<String>> {
    use runsig_sys::Errno;
    match dir.read(file) {
        Ok(text) => Ok(Some(text)),
        // A pressure file that is there but switched off.
        Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::EOPNOTSUPP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's only number; `max` is the largest there is.
fn number(dir: &Dir, file: &str) -> Result<Option<u64>> {
    let Some(text) = text(dir, file)? else { return Ok(None) };
    let word = text.trim();
    let parsed = if word == "max" { Ok(u64::MAX) } else { word.parse() };
    parsed.map(Some).map_err(|_| {
        Error::invalid(format!(
            "unable to parse {word:?} as a uint from Cgroup file {:?}",
            dir.path().join(file)
        ))
    })
}

/// The lines `key number` of a file.
fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

fn value_of(text: &str, key: &str) -> Option<u64> {
    pairs(text).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The sizes of huge pages this cgroup counts, such as `2MB`, from the names of its files.
fn page_sizes(dir: &Dir) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.path()) else { return Vec::new() };
    let names =
        entries.filter_map(std::result::Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
    let mut sizes: Vec<String> = names
        .filter_map(|name| {
            let size = name.strip_prefix("hugetlb.")?.split('.').next()?;
            size.ends_with('B').then(|| size.to_owned())
        })
        .collect();
    sizes.sort();
    sizes.dedup();
    sizes
}

fn pids(dir: &Dir) -> Result<Pids> {
    let limit = number(dir, "pids.max")?.filter(|limit| *limit != u64::MAX).unwrap_or(0);
    match number(dir, "pids.current")? {
        Some(current) => Ok(Pids { current, limit }),
        // Without the controller there are at least the processes to count.
        None => {
            let processes = text(dir, "cgroup.procs")?.unwrap_or_default();
            Ok(Pids { current: processes.lines().count() as u64, limit: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_looks_as_in_runc() {
        let json = serde_json::to_value(Stats::default()).unwrap();
        assert_eq!(json["cpu"], serde_json::json!({"usage": {"kernel": 0, "user": 0}}));
        assert_eq!(json["memory"], serde_json::json!({}));
        assert_eq!(
            (&json["intel_rdt"], &json["network_interfaces"]),
            (&serde_json::json!({}), &serde_json::Value::Null)
        );
    }

    #[test]
    fn lines_that_are_no_pairs_are_passed_over() {
        let text = "oom 3\noom_kill 2\nbad\nworse x\n";
        assert_eq!(pairs(text).collect::<Vec<_>>(), [("oom", 3), ("oom_kill", 2)]);
        assert_eq!((value_of(text, "oom_kill"), value_of(text, "o")), (Some(2), None));
    }
}
