//! Memory and swap.

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use runsig_sys::Errno;

use super::convert;
use super::knobs::Knobs;
use crate::error::{Error, Result};

const V1_LIMIT: &str = "memory.limit_in_bytes";
const V1_SUM: &str = "memory.memsw.limit_in_bytes";

/// The numbers of the bundle; 0 where there is none.
struct Wanted {
    limit: i64,
    sum: i64,
    reservation: i64,
}

impl Wanted {
    fn of(memory: &LinuxMemory) -> Self {
        Self {
            limit: memory.limit().unwrap_or(0),
            sum: memory.swap().unwrap_or(0),
            reservation: memory.reservation().unwrap_or(0),
        }
    }
    fn is_any(&self) -> bool {
        self.limit != 0 || self.sum != 0 || self.reservation != 0
    }
}

pub(super) fn is_set(r: &LinuxResources) -> bool {
    r.memory().as_ref().is_some_and(|memory| Wanted::of(memory).is_any())
}

/// Limits of kernel memory are ignored, as the kernel does (5.16); the OOM killer cannot be
/// disabled and swappiness is not a cgroup's on v2.
pub(super) fn unified(r: &LinuxResources, knobs: &Knobs<'_>) -> Result<()> {
    let Some(memory) = r.memory().as_ref().filter(|_| is_set(r)) else { return Ok(()) };
    let wanted = Wanted::of(memory);
    check(r, knobs)?;
    unified_swap(&wanted, knobs)?;
    unified_limit(knobs, "memory.max", wanted.limit)?;
    unified_limit(knobs, "memory.low", wanted.reservation)
}

/// `checkBeforeUpdate`.
pub(super) fn check(r: &LinuxResources, knobs: &Knobs<'_>) -> Result<()> {
    match r.memory() {
        Some(memory) if memory.check_before_update() == Some(true) => check_usage(&Wanted::of(memory), knobs),
        _ => Ok(()),
    }
}

fn unified_swap(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    let memory = match wanted.limit {
        // A change of the sum alone: the limit that is in force is the one to take off.
        0 if wanted.sum > 0 => {
            knobs.read_number("memory.max")?.map_or(0, |limit| i64::try_from(limit).unwrap_or(-1))
        }
        limit => limit,
    };
    let swap = convert::swap(wanted.sum, memory)?;
    let value = match swap {
        0 if wanted.sum > 0 => "0".to_owned(), // the same limit for both: no swap
        0 => return Ok(()),
        -1 => "max".to_owned(),
        bytes => bytes.to_string(),
    };
    match knobs.write("memory.swap.max", &value) {
        // A kernel without swap accounting needs no telling that there is no limit, or no swap;
        // one without the memory controller does.
        Err(Error::Call { errno: Errno::ENOENT, .. }) if value == "max" || value == "0" => Ok(()),
        other => other,
    }
}

fn unified_limit(knobs: &Knobs<'_>, file: &str, value: i64) -> Result<()> {
    match value {
        0 => Ok(()),
        -1 => knobs.write(file, "max"),
        bytes => knobs.write_number(file, bytes),
    }
}

/// Refuses a limit below what is in use, which would end processes at once.
fn check_usage(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    // As far as that can be told: the check is a service, its failure none.
    let Ok(Some(usage)) = knobs.read_number("memory.current") else { return Ok(()) };
    for (what, limit) in [("memory+swap", wanted.sum), ("memory", wanted.limit)] {
        if u64::try_from(limit).is_ok_and(|limit| limit > 0 && limit <= usage) {
            return Err(Error::invalid(format!("rejecting {what} limit {limit} <= usage {usage}")));
        }
    }
    Ok(())
}

pub(super) fn legacy<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    let Some(memory) = r.memory() else { return Ok(()) };
    let swappiness = swappiness(memory)?;
    let no_oom_killer = memory.disable_oom_killer() == Some(true);
    let wanted = Wanted::of(memory);
    if !wanted.is_any() && swappiness.is_none() && !no_oom_killer {
        return Ok(());
    }
    let knobs = knobs()?;
    legacy_limits(&wanted, &knobs)?;
    if wanted.reservation != 0 {
        knobs.write_number("memory.soft_limit_in_bytes", wanted.reservation)?;
    }
    if no_oom_killer {
        knobs.write("memory.oom_control", "1")?;
    }
    swappiness.map_or(Ok(()), |value| knobs.write_number("memory.swappiness", value))
}

fn swappiness(memory: &LinuxMemory) -> Result<Option<u64>> {
    match memory.swappiness() {
        None | Some(u64::MAX) => Ok(None), // -1 as an unsigned number
        Some(value) if value <= 100 => Ok(Some(value)),
        Some(value) => {
            Err(Error::invalid(format!("invalid memory swappiness value: {value} (valid range is 0-100)")))
        }
    }
}

/// The kernel insists on limit <= sum at every moment, so a sum that grows comes first.
fn legacy_limits(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    let sum = match (wanted.limit, wanted.sum) {
        // No limit on memory means none on the sum, where the kernel counts swap at all.
        (-1, 0) if knobs.dir.has(V1_SUM) => -1,
        (_, sum) => sum,
    };
    let sum_first = wanted.limit != 0 && sum != 0 && {
        let current = knobs.read_number(V1_LIMIT)?.unwrap_or(u64::MAX);
        sum == -1 || u64::try_from(sum).map_or(true, |sum| current < sum)
    };
    if sum_first {
        legacy_sum(knobs, sum)?;
        return legacy_limit(knobs, wanted.limit);
    }
    legacy_limit(knobs, wanted.limit)?;
    legacy_sum(knobs, sum)
}

fn legacy_sum(knobs: &Knobs<'_>, sum: i64) -> Result<()> {
    if sum == 0 { Ok(()) } else { knobs.write_number(V1_SUM, sum) }
}

fn legacy_limit(knobs: &Knobs<'_>, limit: i64) -> Result<()> {
    if limit == 0 {
        return Ok(());
    }
    match knobs.write_number(V1_LIMIT, limit) {
        // More is in use and cannot be reclaimed.
        Err(Error::Write { errno: Errno::EBUSY, .. }) => {
            let usage = knobs.read("memory.usage_in_bytes")?;
            let peak = knobs.read("memory.max_usage_in_bytes")?;
            let (usage, peak) = (usage.trim(), peak.trim());
            Err(Error::invalid(format!(
                "unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak})"
            )))
        }
        other => other,
    }
}
