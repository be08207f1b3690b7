//! `linux.resources` as properties of a unit, so that systemd knows the limits that are set and does
//! not undo them when it writes its own.
//!
//! Owns: which limit is which property, on which version of cgroups and of systemd. It is runc's
//! choice, and IOWeight besides. What systemd has no property for is set in the files alone. Must
//! not: write anything.

use oci_spec::runtime::LinuxResources;

use super::Property;
use super::value::Value;
use crate::error::{Error, Result};
use crate::resources::convert;

/// "No limit", in every property that is one.
const INFINITY: u64 = u64::MAX;
/// The kernel's default, in microseconds.
const PERIOD: u64 = 100_000;
/// The kernel's default, which a group that is no longer idle has again.
const WEIGHT: u64 = 100;
/// systemd counts in percents of a CPU: microseconds a second.
const PERCENT: u64 = 10_000;

/// Which systemd it is, and what it has to do with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Its number, such as 252.
    pub(crate) version: u32,
    /// cgroup v2.
    pub(crate) unified: bool,
    /// The memory limit in force, where the change has none but a new sum with swap (v2).
    pub(crate) memory: i64,
    /// It is idle now (v2).
    pub(crate) idle: bool,
}

/// Properties, and what was lost on the way.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) list: Vec<Property>,
    pub(crate) warnings: Vec<String>,
}

impl Properties {
    pub(crate) fn push(&mut self, name: &str, value: Value) {
        self.list.push(Property { name: name.to_owned(), value });
    }

    fn number(&mut self, name: &str, number: u64) {
        self.push(name, Value::Uint64(number));
    }
}

/// The properties for limits. A CPU quota is rounded up to what systemd can express, in `r` too, so
/// that the files say the same.
pub(crate) fn limits(r: &mut LinuxResources, target: Target) -> Result<Properties> {
    let mut out = Properties::default();
    if target.unified {
        memory(r, target, &mut out)?;
        cpu_weight(r, target, &mut out);
    } else {
        legacy(r, &mut out);
    }
    cpu_quota(r, target, &mut out);
    if let Some(pids) = r.pids() {
        // 0 is no number systemd takes.
        let limit = u64::try_from(pids.limit()).map_or(INFINITY, |limit| limit.max(1));
        out.number("TasksMax", limit);
    }
    let cpu = r.cpu().as_ref();
    cpuset("AllowedCPUs", cpu.and_then(|cpu| cpu.cpus().as_deref()), target, &mut out)
        .map_err(|why| Error::invalid(format!("resources.CPU.Cpus={why}")))?;
    cpuset("AllowedMemoryNodes", cpu.and_then(|cpu| cpu.mems().as_deref()), target, &mut out)
        .map_err(|why| Error::invalid(format!("resources.CPU.Mems={why}")))?;
    if target.unified {
        io_weight(r, &mut out);
        unified(r, target, &mut out)?;
    }
    Ok(out)
}

/// -1, as a number without sign, is the largest: no limit.
fn memory(r: &LinuxResources, target: Target, out: &mut Properties) -> Result<()> {
    let Some(memory) = r.memory() else { return Ok(()) };
    let limit = memory.limit().unwrap_or(0);
    if limit != 0 {
        out.number("MemoryMax", limit.cast_unsigned());
    }
    let reservation = memory.reservation().unwrap_or(0);
    if reservation != 0 {
        out.number("MemoryLow", reservation.cast_unsigned());
    }
    let sum = memory.swap().unwrap_or(0);
    let known = if limit == 0 && sum > 0 { target.memory } else { limit };
    let swap = convert::swap(sum, known)?;
    if swap != 0 || sum > 0 {
        out.number("MemorySwapMax", swap.cast_unsigned());
    }
    Ok(())
}

fn cpu_weight(r: &LinuxResources, target: Target, out: &mut Properties) {
    let Some(cpu) = r.cpu() else { return };
    let idle = target.knows_idle() && cpu.idle() == Some(1);
    if idle {
        out.number("CPUWeight", 0);
    }
    match cpu.shares() {
        // Else systemd makes it idle again with its next change.
        None | Some(0) if target.idle && cpu.idle() == Some(0) => out.number("CPUWeight", WEIGHT),
        None | Some(0) => {}
        Some(_) if idle => out
            .warnings
            .push("unable to apply both CPUWeight and CpuIdle to systemd, ignoring CPUWeight".to_owned()),
        Some(shares) => out.number("CPUWeight", convert::shares_to_weight(shares)),
    }
}

fn legacy(r: &LinuxResources, out: &mut Properties) {
    if let Some(limit) = r.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit != 0) {
        out.number("MemoryLimit", limit.cast_unsigned());
    }
    if let Some(shares) = r.cpu().as_ref().and_then(|cpu| cpu.shares()).filter(|shares| *shares != 0) {
        out.number("CPUShares", shares);
    }
    if let Some(weight) = r.block_io().as_ref().and_then(|io| io.weight()).filter(|weight| *weight != 0) {
        out.number("BlockIOWeight", weight.into());
    }
}

fn io_weight(r: &LinuxResources, out: &mut Properties) {
    if let Some(weight) = r.block_io().as_ref().and_then(|io| io.weight()).filter(|weight| *weight != 0) {
        out.number("IOWeight", convert::io_weight(weight));
    }
}

fn cpu_quota(r: &mut LinuxResources, target: Target, out: &mut Properties) {
    let Some(cpu) = r.cpu_mut() else { return };
    let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
    if let Some(rounded) = bandwidth(quota, period, target, out) {
        cpu.set_quota(Some(rounded));
    }
}

/// Properties for a quota and a period, 0 where there is none. Returns the quota when it had to be
/// rounded.
fn bandwidth(quota: i64, period: u64, target: Target, out: &mut Properties) -> Option<i64> {
    if period != 0 && target.version >= 242 {
        out.number("CPUQuotaPeriodUSec", period);
    }
    if quota == 0 && period == 0 {
        return None;
    }
    let Ok(wanted) = u64::try_from(quota) else {
        out.number("CPUQuotaPerSecUSec", INFINITY);
        return None;
    };
    if wanted == 0 {
        out.number("CPUQuotaPerSecUSec", INFINITY);
        return None;
    }
    let period = if period == 0 { PERIOD } else { period };
    let per_second = u128::from(wanted) * 1_000_000 / u128::from(period);
    let rounded = per_second.next_multiple_of(PERCENT.into());
    out.number("CPUQuotaPerSecUSec", u64::try_from(rounded).unwrap_or(INFINITY));
    if rounded == per_second { None } else { i64::try_from(rounded * u128::from(period) / 1_000_000).ok() }
}

/// Errors begin after the name of the field.
fn cpuset(
    name: &str,
    list: Option<&str>,
    target: Target,
    out: &mut Properties,
) -> std::result::Result<(), String> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(()) };
    if target.version >= 244 {
        let bits = bits(list).map_err(|why| format!("{list:?} conversion error: {why}"))?;
        out.push(name, Value::bytes(&bits));
    }
    Ok(())
}

/// `0-3,7` as a mask, the lowest numbers first, as long as it has to be.
fn bits(list: &str) -> std::result::Result<Vec<u8>, String> {
    /// Far above any machine.
    const LARGEST: usize = 8191;
    let number = |text: &str| {
        text.parse().ok().filter(|n| *n <= LARGEST).ok_or_else(|| format!("invalid number {text:?}"))
    };
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("invalid range: {range}"));
        }
        if bits.len() <= last / 8 {
            bits.resize(last / 8 + 1, 0);
        }
        for n in first..=last {
            if let Some(byte) = bits.get_mut(n / 8) {
                *byte |= 1 << (n % 8);
            }
        }
    }
    if bits.is_empty() { Err("empty value".to_owned()) } else { Ok(bits) }
}

/// Files of cgroup v2 that have a property. In the order of their names.
fn unified(r: &LinuxResources, target: Target, out: &mut Properties) -> Result<()> {
    let mut files: Vec<(&String, &String)> = r.unified().iter().flatten().collect();
    files.sort_unstable();
    let idle =
        target.knows_idle() && files.iter().any(|(name, value)| *name == "cpu.idle" && value.trim() == "1");
    let has_weight = files.iter().any(|(name, _)| *name == "cpu.weight");
    for (name, value) in files {
        if name.contains('/') {
            return Err(Error::invalid(format!(
                "unified resource {name:?} must be a file name (no slashes)"
            )));
        }
        if name.find('.').is_none_or(|dot| dot == 0) {
            return Err(Error::invalid(format!(
                "unified resource {name:?} must be in the form CONTROLLER.PARAMETER"
            )));
        }
        let value = value.trim();
        let file = File { name, value };
        match name.as_str() {
            "cpu.idle" if idle => out.number("CPUWeight", 0),
            "cpu.idle" if target.idle && value == "0" && !has_weight => out.number("CPUWeight", WEIGHT),
            "cpu.weight" if idle => out.warnings.push(
                "unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight".to_owned(),
            ),
            "cpu.weight" => out.number("CPUWeight", file.number(value)?),
            "cpu.max" => file.cpu_max(target, out)?,
            "cpuset.cpus" => file.cpuset("AllowedCPUs", target, out)?,
            "cpuset.mems" => file.cpuset("AllowedMemoryNodes", target, out)?,
            "memory.high" => out.number("MemoryHigh", file.limit()?),
            "memory.low" => out.number("MemoryLow", file.limit()?),
            "memory.min" => out.number("MemoryMin", file.limit()?),
            "memory.max" => out.number("MemoryMax", file.limit()?),
            "memory.swap.max" => out.number("MemorySwapMax", file.limit()?),
            "pids.max" => out.number("TasksMax", file.limit()?.max(1)),
            _ => {}
        }
    }
    Ok(())
}

/// One entry of `linux.resources.unified`.
struct File<'a> {
    name: &'a str,
    value: &'a str,
}

impl File<'_> {
    fn number<T: std::str::FromStr>(&self, text: &str) -> Result<T> {
        text.parse().map_err(|_| {
            Error::invalid(format!(
                "unified resource {:?} value conversion error: parsing {text:?}: invalid syntax",
                self.name
            ))
        })
    }

    fn limit(&self) -> Result<u64> {
        if self.value == "max" { Ok(INFINITY) } else { self.number(self.value) }
    }

    fn cpu_max(&self, target: Target, out: &mut Properties) -> Result<()> {
        let mut words = self.value.split_ascii_whitespace();
        let (Some(quota), period, None) = (words.next(), words.next(), words.next()) else {
            return Err(Error::invalid(format!(
                "unified resource {:?} value invalid: {:?}",
                self.name, self.value
            )));
        };
        let quota = if quota == "max" { 0 } else { self.number(quota)? };
        let period = period.map_or(Ok(PERIOD), |period| self.number(period))?;
        bandwidth(quota, period, target, out);
        Ok(())
    }

    fn cpuset(&self, property: &str, target: Target, out: &mut Properties) -> Result<()> {
        let bad = |why: String| Error::invalid(format!("unified resource {:?}={why}", self.name));
        if self.value.is_empty() {
            return Err(bad("\"\" conversion error: empty value".to_owned()));
        }
        cpuset(property, Some(self.value), target, out).map_err(bad)
    }
}

/// What has to be said when the unit is made: systemd lets nobody change it later.
pub(crate) fn at_start(r: &LinuxResources, target: Target, out: &mut Properties) -> Result<()> {
    let group = r.unified().as_ref().and_then(|files| files.get("memory.oom.group"));
    let Some(group) = group.filter(|_| target.unified && target.version >= 253) else { return Ok(()) };
    match (File { name: "memory.oom.group", value: group }).number::<u64>(group.trim())? {
        0 => out.push("OOMPolicy", Value::text("continue")),
        1 => out.push("OOMPolicy", Value::text("kill")),
        _ => {}
    }
    Ok(())
}

impl Target {
    fn knows_idle(self) -> bool {
        self.version >= 252
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(version: u32, unified: bool) -> Target {
        Target { version, unified, memory: 0, idle: false }
    }

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    /// `Name=number` for each; masks as their bytes.
    fn shown(properties: &Properties) -> Vec<String> {
        let value = |value: &Value| match value {
            Value::Uint64(INFINITY) => "infinity".to_owned(),
            Value::Uint64(n) => n.to_string(),
            Value::Text(text) => text.clone(),
            Value::Array(_, items) => format!(
                "{:?}",
                items.iter().map(|v| matches!(v, Value::Byte(0)).to_string()).collect::<String>()
            ),
            other => format!("{other:?}"),
        };
        properties.list.iter().map(|p| format!("{}={}", p.name, value(&p.value))).collect()
    }

    fn v2(json: &str) -> Vec<String> {
        shown(&limits(&mut resources(json), target(252, true)).unwrap())
    }

    fn v1(json: &str) -> Vec<String> {
        shown(&limits(&mut resources(json), target(252, false)).unwrap())
    }

    #[test]
    fn memory_and_swap() {
        assert_eq!(
            v2(r#"{"memory":{"limit":1000,"reservation":500,"swap":1500}}"#),
            ["MemoryMax=1000", "MemoryLow=500", "MemorySwapMax=500"]
        );
        assert_eq!(v2(r#"{"memory":{"limit":-1}}"#), ["MemoryMax=infinity", "MemorySwapMax=infinity"]);
        assert_eq!(v2(r#"{"memory":{"limit":9,"swap":9}}"#), ["MemoryMax=9", "MemorySwapMax=0"]);
        assert_eq!(v1(r#"{"memory":{"limit":1000,"swap":1500}}"#), ["MemoryLimit=1000"]);
        assert!(limits(&mut resources(r#"{"memory":{"swap":5}}"#), target(252, true)).is_err());
        let update = Target { memory: 100, ..target(252, true) };
        let swap = limits(&mut resources(r#"{"memory":{"swap":150}}"#), update).unwrap();
        assert_eq!(shown(&swap), ["MemorySwapMax=50"]);
    }

    #[test]
    fn cpu() {
        assert_eq!(v2(r#"{"cpu":{"shares":1024}}"#), ["CPUWeight=100"]);
        assert_eq!(v1(r#"{"cpu":{"shares":1024}}"#), ["CPUShares=1024"]);
        assert_eq!(v2(r#"{"cpu":{"idle":1}}"#), ["CPUWeight=0"]);
        let both = limits(&mut resources(r#"{"cpu":{"idle":1,"shares":5}}"#), target(252, true)).unwrap();
        assert_eq!((shown(&both), both.warnings.len()), (vec!["CPUWeight=0".to_owned()], 1));
        assert_eq!(v2(r#"{"cpu":{"idle":0}}"#), [""; 0]);
        let idle =
            |json| shown(&limits(&mut resources(json), Target { idle: true, ..target(252, true) }).unwrap());
        assert_eq!(idle(r#"{"cpu":{"idle":0}}"#), ["CPUWeight=100"]);
        assert_eq!(idle(r#"{"cpu":{"idle":0,"shares":2}}"#), ["CPUWeight=1"]);
        assert_eq!(idle(r#"{"unified":{"cpu.idle":"0"}}"#), ["CPUWeight=100"]);
        assert_eq!(idle(r#"{"unified":{"cpu.idle":"0","cpu.weight":"7"}}"#), ["CPUWeight=7"]);
        assert_eq!(idle(r#"{"cpu":{"quota":50000}}"#), ["CPUQuotaPerSecUSec=500000"]);
        let old = limits(&mut resources(r#"{"cpu":{"idle":1,"shares":1024}}"#), target(251, true)).unwrap();
        assert_eq!(shown(&old), ["CPUWeight=100"]);
    }

    #[test]
    fn quotas_are_whole_percents() {
        let mut exact = resources(r#"{"cpu":{"quota":50000,"period":100000}}"#);
        let properties = limits(&mut exact, target(252, true)).unwrap();
        assert_eq!(shown(&properties), ["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=500000"]);
        assert_eq!(exact.cpu().as_ref().unwrap().quota(), Some(50_000));
        // 40.05 % becomes 41 %, in the file too.
        let mut odd = resources(r#"{"cpu":{"quota":4005,"period":10000}}"#);
        let properties = limits(&mut odd, target(252, true)).unwrap();
        assert_eq!(shown(&properties), ["CPUQuotaPeriodUSec=10000", "CPUQuotaPerSecUSec=410000"]);
        assert_eq!(odd.cpu().as_ref().unwrap().quota(), Some(4100));
        assert_eq!(v2(r#"{"cpu":{"quota":-1}}"#), ["CPUQuotaPerSecUSec=infinity"]);
        assert_eq!(v2(r#"{"cpu":{"quota":20000}}"#), ["CPUQuotaPerSecUSec=200000"]);
        assert_eq!(
            v2(r#"{"cpu":{"period":5000}}"#),
            ["CPUQuotaPeriodUSec=5000", "CPUQuotaPerSecUSec=infinity"]
        );
        let old = limits(&mut resources(r#"{"cpu":{"period":5000}}"#), target(241, true)).unwrap();
        assert_eq!(shown(&old), ["CPUQuotaPerSecUSec=infinity"]);
        let absurd = r#"{"cpu":{"quota":9223372036854775807,"period":1}}"#;
        assert_eq!(v2(absurd), ["CPUQuotaPeriodUSec=1", "CPUQuotaPerSecUSec=infinity"]);
    }

    #[test]
    fn tasks_and_weights() {
        assert_eq!(v2(r#"{"pids":{"limit":0}}"#), ["TasksMax=1"]);
        assert_eq!(v2(r#"{"pids":{"limit":-1}}"#), ["TasksMax=infinity"]);
        assert_eq!(v1(r#"{"pids":{"limit":42}}"#), ["TasksMax=42"]);
        assert_eq!(v2(r#"{"blockIO":{"weight":1000}}"#), ["IOWeight=10000"]);
        assert_eq!(v1(r#"{"blockIO":{"weight":1000}}"#), ["BlockIOWeight=1000"]);
    }

    #[test]
    fn masks() {
        assert_eq!(bits("0"), Ok(vec![1]));
        assert_eq!(bits("1,3-5"), Ok(vec![0b11_1010]));
        assert_eq!(bits(" 8 ,, 16-17"), Ok(vec![0, 1, 3]));
        for bad in ["", ",", "5-2", "a", "1-", "-1", "9999", "1-99999999999"] {
            assert!(bits(bad).is_err(), "{bad}");
        }
        let old = limits(&mut resources(r#"{"cpu":{"cpus":"0","mems":"0"}}"#), target(243, true)).unwrap();
        assert!(old.list.is_empty());
        let error = limits(&mut resources(r#"{"cpu":{"cpus":"x"}}"#), target(252, true)).unwrap_err();
        assert!(error.to_string().starts_with("resources.CPU.Cpus=\"x\" conversion error"), "{error}");
    }

    #[test]
    fn unified_files() {
        assert_eq!(
            v2(
                r#"{"unified":{"memory.max":"41943040","memory.high":" max ","memory.min":"1","memory.low":"2",
                "memory.swap.max":"3","pids.max":"0","cpu.weight":"7","hugetlb.2MB.max":"0"}}"#
            ),
            [
                "CPUWeight=7",
                "MemoryHigh=infinity",
                "MemoryLow=2",
                "MemoryMax=41943040",
                "MemoryMin=1",
                "MemorySwapMax=3",
                "TasksMax=1"
            ]
        );
        assert_eq!(
            v2(r#"{"unified":{"cpu.max":"max"}}"#),
            ["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=infinity"]
        );
        assert_eq!(
            v2(r#"{"unified":{"cpu.max":"5000 50000"}}"#),
            ["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=100000"]
        );
        assert_eq!(v2(r#"{"unified":{"cpu.idle":"1","cpu.weight":"7"}}"#), ["CPUWeight=0"]);
        for bad in [
            r#"{"a/b.c":"1"}"#,
            r#"{"nodot":"1"}"#,
            r#"{".x":"1"}"#,
            r#"{"memory.max":"lots"}"#,
            r#"{"cpu.max":"1 2 3"}"#,
            r#"{"cpu.max":""}"#,
            r#"{"cpuset.cpus":"z"}"#,
            r#"{"cpuset.cpus":" "}"#,
            r#"{"pids.max":"-1"}"#,
        ] {
            let json = format!("{{\"unified\":{bad}}}");
            assert!(limits(&mut resources(&json), target(252, true)).is_err(), "{bad}");
        }
    }

    #[test]
    fn oom_groups() {
        let mut out = Properties::default();
        let r = resources(r#"{"unified":{"memory.oom.group":"1"}}"#);
        at_start(&r, target(252, true), &mut out).unwrap();
        assert!(out.list.is_empty());
        at_start(&r, target(253, true), &mut out).unwrap();
        assert_eq!(shown(&out), ["OOMPolicy=kill"]);
    }
}
