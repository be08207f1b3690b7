//! CPU time and CPU sets.

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::convert;
use super::knobs::{Knobs, is_missing, is_refused};
use crate::error::{Error, Result};
use crate::v1::write_cpuset;

/// The kernel's default period in microseconds.
const PERIOD: u64 = 100_000;

/// The numbers of the bundle; 0 and `None` where there is none.
struct Wanted {
    shares: u64,
    quota: i64,
    period: u64,
    burst: Option<u64>,
    idle: Option<i64>,
    rt_runtime: i64,
    rt_period: u64,
}

impl Wanted {
    fn of(cpu: &LinuxCpu) -> Self {
        Self {
            shares: cpu.shares().unwrap_or(0),
            quota: cpu.quota().unwrap_or(0),
            period: cpu.period().unwrap_or(0),
            burst: cpu.burst(),
            idle: cpu.idle(),
            rt_runtime: cpu.realtime_runtime().unwrap_or(0),
            rt_period: cpu.realtime_period().unwrap_or(0),
        }
    }
    /// Realtime is no matter of cgroups on v2.
    fn is_any(&self) -> bool {
        self.shares != 0 || self.quota != 0 || self.period != 0 || self.burst.is_some() || self.idle.is_some()
    }
    fn is_any_legacy(&self) -> bool {
        self.is_any() || self.rt_runtime != 0 || self.rt_period != 0
    }
}

pub(super) fn is_set(r: &LinuxResources) -> bool {
    r.cpu().as_ref().is_some_and(|cpu| Wanted::of(cpu).is_any())
}

/// A value the kernel may refuse as long as an older one of another file is in force.
struct Retry<'v> {
    file: &'static str,
    value: Option<&'v str>,
}

impl<'v> Retry<'v> {
    /// Writes it now; a refusal counts only when nothing that could help (`later`) comes after.
    fn first(knobs: &Knobs<'_>, file: &'static str, value: &'v str, later: bool) -> Result<Self> {
        match knobs.write(file, value) {
            Ok(()) => Ok(Self { file, value: None }),
            Err(error) if later && is_refused(&error) => Ok(Self { file, value: Some(value) }),
            Err(error) => Err(error),
        }
    }
    fn again(self, knobs: &Knobs<'_>) -> Result<()> {
        self.value.map_or(Ok(()), |value| knobs.write(self.file, value))
    }
}

pub(super) fn unified(r: &LinuxResources, knobs: &Knobs<'_>) -> Result<()> {
    let Some(cpu) = r.cpu().as_ref().filter(|_| is_set(r)) else { return Ok(()) };
    let wanted = Wanted::of(cpu);
    if let Some(idle) = wanted.idle {
        knobs.write_number("cpu.idle", idle)?;
    }
    if wanted.shares != 0 {
        knobs.write_number("cpu.weight", convert::shares_to_weight(wanted.shares))?;
    }
    let burst = wanted.burst.map(|burst| burst.to_string());
    // A burst has to fit the quota.
    let retry = burst
        .as_deref()
        .map(|burst| Retry::first(knobs, "cpu.max.burst", burst, wanted.quota != 0))
        .transpose()?;
    if wanted.quota != 0 || wanted.period != 0 {
        knobs.write("cpu.max", &bandwidth(&wanted, knobs)?)?;
    }
    retry.map_or(Ok(()), |retry| retry.again(knobs))
}

/// `quota period`. The one that is not given stays as it is.
fn bandwidth(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<String> {
    let current =
        if wanted.quota == 0 || wanted.period == 0 { knobs.read("cpu.max")? } else { String::new() };
    let mut current = current.split_ascii_whitespace();
    let (old_quota, old_period) = (current.next().unwrap_or("max"), current.next());
    let quota = match wanted.quota {
        0 => old_quota.to_owned(),
        ..0 => "max".to_owned(),
        quota => quota.to_string(),
    };
    let period = match wanted.period {
        0 => old_period.and_then(|period| period.parse().ok()).unwrap_or(PERIOD),
        period => period,
    };
    Ok(format!("{quota} {period}"))
}

pub(super) fn legacy<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    let Some(wanted) = r.cpu().as_ref().map(Wanted::of).filter(Wanted::is_any_legacy) else {
        return Ok(());
    };
    let knobs = knobs()?;
    legacy_shares(&wanted, &knobs)?;
    legacy_bandwidth(&wanted, &knobs)?;
    if let Some(idle) = wanted.idle {
        knobs.write_number("cpu.idle", idle)?;
    }
    legacy_realtime(&wanted, &knobs)
}

/// The kernel corrects shares that are out of range in silence; we do not.
fn legacy_shares(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    if wanted.shares == 0 {
        return Ok(());
    }
    knobs.write_number("cpu.shares", wanted.shares)?;
    let taken = knobs.read_number("cpu.shares")?.unwrap_or(wanted.shares);
    let bound = match wanted.shares.cmp(&taken) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "maximum",
        std::cmp::Ordering::Less => "minimum",
    };
    Err(Error::invalid(format!("the {bound} allowed cpu-shares is {taken}")))
}

fn legacy_bandwidth(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    let has_quota = wanted.quota != 0;
    let period = wanted.period.to_string();
    // A shorter period can ask for more than a parent has, until the quota is down, too.
    let period = (wanted.period != 0)
        .then(|| Retry::first(knobs, "cpu.cfs_period_us", &period, has_quota))
        .transpose()?;
    let burst = wanted.burst.map(|burst| burst.to_string());
    let burst = burst.as_deref().map(|burst| Retry::first(knobs, "cpu.cfs_burst_us", burst, has_quota));
    let burst = match burst.transpose() {
        // Before Linux 5.15.
        Err(error) if is_missing(&error) => None,
        other => other?,
    };
    if has_quota {
        knobs.write_number("cpu.cfs_quota_us", wanted.quota)?;
    }
    period.map_or(Ok(()), |period| period.again(knobs))?;
    burst.map_or(Ok(()), |burst| burst.again(knobs))
}

fn legacy_realtime(wanted: &Wanted, knobs: &Knobs<'_>) -> Result<()> {
    let period = wanted.rt_period.to_string();
    let period = (wanted.rt_period != 0)
        .then(|| Retry::first(knobs, "cpu.rt_period_us", &period, wanted.rt_runtime != 0))
        .transpose()?;
    if wanted.rt_runtime != 0 {
        knobs.write_number("cpu.rt_runtime_us", wanted.rt_runtime)?;
    }
    period.map_or(Ok(()), |period| period.again(knobs))
}

/// The set CPUs and memory nodes that are asked for, with the name of the file.
fn cpuset(r: &LinuxResources) -> impl Iterator<Item = (&'static str, &str)> {
    let cpu = r.cpu().as_ref();
    let cpus = cpu.and_then(|cpu| cpu.cpus().as_deref()).map(|list| ("cpus", list));
    let mems = cpu.and_then(|cpu| cpu.mems().as_deref()).map(|list| ("mems", list));
    cpus.into_iter().chain(mems).filter(|(_, list)| !list.is_empty())
}

pub(super) fn cpuset_is_set(r: &LinuxResources) -> bool {
    cpuset(r).next().is_some()
}

pub(super) fn cpuset_unified(r: &LinuxResources, knobs: &Knobs<'_>) -> Result<()> {
    cpuset(r).try_for_each(|(what, list)| knobs.write(&format!("cpuset.{what}"), list))
}

pub(super) fn cpuset_legacy<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    if !cpuset_is_set(r) {
        return Ok(());
    }
    let knobs = knobs()?;
    cpuset(r).try_for_each(|(what, list)| write_cpuset(knobs.dir, what, list))
}
