//! The counters of cgroup v1.

use super::{Blkio, BlkioEntry, Cpu, CpuUsage, Cpuset, Hugetlb, Memory, Pids, Stats, Throttling};
use super::{memory, number, page_sizes, pids, text, value_of};
use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::Result;

/// `cpuacct.stat` counts ticks of USER_HZ, which is 100 wherever Linux runs containers.
const NS_PER_TICK: u64 = 10_000_000;

pub(super) fn stats(cgroup: &Cgroup) -> Result<Stats> {
    let mut stats = Stats {
        cpu: Cpu {
            usage: usage(cgroup.v1_dir("cpuacct")?)?,
            throttling: throttling(cgroup.v1_dir("cpu")?)?,
            psi: None,
        },
        cpuset: cgroup.v1_dir("cpuset")?.map_or(Ok(Cpuset::default()), cpuset)?,
        memory: cgroup.v1_dir("memory")?.map_or(Ok(Memory::default()), memory::legacy)?,
        pids: cgroup.v1_dir("pids")?.map_or(Ok(Pids::default()), pids)?,
        blkio: cgroup.v1_dir("blkio")?.map_or(Ok(Blkio::default()), blkio)?,
        ..Stats::default()
    };
    if let Some(dir) = cgroup.v1_dir("hugetlb")? {
        for size in page_sizes(dir) {
            let counts = hugetlb(dir, &size)?;
            stats.hugetlb.insert(size, counts);
        }
    }
    Ok(stats)
}

fn usage(dir: Option<&Dir>) -> Result<CpuUsage> {
    let Some(dir) = dir else { return Ok(CpuUsage::default()) };
    let stat = text(dir, "cpuacct.stat")?.unwrap_or_default();
    let ticks = |key: &str| value_of(&stat, key).unwrap_or(0) * NS_PER_TICK;
    let percpu = text(dir, "cpuacct.usage_percpu")?.unwrap_or_default();
    let all = text(dir, "cpuacct.usage_all")?.unwrap_or_default();
    let (percpu_user, percpu_kernel) = all.lines().skip(1).filter_map(user_and_kernel).unzip();
    Ok(CpuUsage {
        total: number(dir, "cpuacct.usage")?.unwrap_or(0),
        percpu: percpu.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect(),
        percpu_kernel,
        percpu_user,
        kernel: ticks("system"),
        user: ticks("user"),
    })
}

/// `cpu user system`.
fn user_and_kernel(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn throttling(dir: Option<&Dir>) -> Result<Throttling> {
    let Some(dir) = dir else { return Ok(Throttling::default()) };
    let stat = text(dir, "cpu.stat")?.unwrap_or_default();
    let count = |key: &str| value_of(&stat, key).unwrap_or(0);
    Ok(Throttling {
        periods: count("nr_periods"),
        throttled_periods: count("nr_throttled"),
        throttled_time: count("throttled_time"),
    })
}

fn cpuset(dir: &Dir) -> Result<Cpuset> {
    let flag = |name: &str| Ok::<_, crate::Error>(number(dir, &format!("cpuset.{name}"))?.unwrap_or(0));
    let list = |name: &str| {
        Ok::<_, crate::Error>(parse_list(&text(dir, &format!("cpuset.{name}"))?.unwrap_or_default()))
    };
    let level = text(dir, "cpuset.sched_relax_domain_level")?.unwrap_or_default();
    Ok(Cpuset {
        cpus: list("cpus")?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: list("mems")?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or(0),
    })
}

/// `0-2,7`.
fn parse_list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn hugetlb(dir: &Dir, size: &str) -> Result<Hugetlb> {
    let reserved = format!("hugetlb.{size}.rsvd");
    let prefix =
        if dir.has(&format!("{reserved}.usage_in_bytes")) { reserved } else { format!("hugetlb.{size}") };
    let read = |what: &str| Ok::<_, crate::Error>(number(dir, &format!("{prefix}.{what}"))?.unwrap_or(0));
    Ok(Hugetlb {
        usage: read("usage_in_bytes")?,
        max: read("max_usage_in_bytes")?,
        failcnt: read("failcnt")?,
    })
}

/// BFQ's counters where that scheduler has any, else those of throttling.
fn blkio(dir: &Dir) -> Result<Blkio> {
    let read = |bfq: &str, throttle: &str| -> Result<Vec<BlkioEntry>> {
        let entries = parse_blkio(&text(dir, bfq)?.unwrap_or_default());
        if entries.is_empty() {
            Ok(parse_blkio(&text(dir, throttle)?.unwrap_or_default()))
        } else {
            Ok(entries)
        }
    };
    Ok(Blkio {
        io_service_bytes_recursive: read(
            "blkio.bfq.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes_recursive",
        )?,
        io_serviced_recursive: read(
            "blkio.bfq.io_serviced_recursive",
            "blkio.throttle.io_serviced_recursive",
        )?,
        psi: None,
    })
}

/// `8:0 Read 5`; the line `Total 5` at the end is none of a device.
fn parse_blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let (op, value) = (words.next()?, words.next()?);
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_ranges() {
        assert_eq!(parse_list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(parse_list("\n"), [0u16; 0]);
    }

    #[test]
    fn device_lines_are_taken_and_the_sum_is_not() {
        let entries = parse_blkio("7:0 Read 4096\n7:0 Total 4096\nTotal 4096\n");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].major, entries[0].op.as_str(), entries[0].value), (7, "Read", 4096));
    }

    #[test]
    fn cpu_lines_have_a_number_in_front() {
        assert_eq!(user_and_kernel("3 50 20"), Some((50, 20)));
        assert_eq!(user_and_kernel("3 50"), None);
    }
}
