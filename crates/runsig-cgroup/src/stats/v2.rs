//! The counters of cgroup v2.

use super::{Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Pressure, Stall, Stats, Throttling};
use super::{memory, number, page_sizes, pids, text, value_of};
use crate::dir::Dir;
use crate::error::Result;

const NS_PER_US: u64 = 1000;

pub(super) fn stats(dir: &Dir) -> Result<Stats> {
    let mut stats = Stats {
        cpu: cpu(dir)?,
        memory: memory::unified(dir)?,
        pids: pids(dir)?,
        blkio: blkio(dir)?,
        ..Stats::default()
    };
    for size in page_sizes(dir) {
        let counts = hugetlb(dir, &size)?;
        stats.hugetlb.insert(size, counts);
    }
    Ok(stats)
}

fn cpu(dir: &Dir) -> Result<Cpu> {
    let stat = text(dir, "cpu.stat")?.unwrap_or_default();
    let count = |key: &str| value_of(&stat, key).unwrap_or(0);
    Ok(Cpu {
        usage: CpuUsage {
            total: count("usage_usec") * NS_PER_US,
            kernel: count("system_usec") * NS_PER_US,
            user: count("user_usec") * NS_PER_US,
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: count("throttled_usec") * NS_PER_US,
        },
        psi: pressure(dir, "cpu.pressure")?,
    })
}

fn hugetlb(dir: &Dir, size: &str) -> Result<Hugetlb> {
    let reserved = number(dir, &format!("hugetlb.{size}.rsvd.current"))?;
    let usage = match reserved {
        Some(usage) => usage,
        None => number(dir, &format!("hugetlb.{size}.current"))?.unwrap_or(0),
    };
    let events = text(dir, &format!("hugetlb.{size}.events"))?.unwrap_or_default();
    Ok(Hugetlb { usage, max: 0, failcnt: value_of(&events, "max").unwrap_or(0) })
}

fn blkio(dir: &Dir) -> Result<Blkio> {
    let stat = text(dir, "io.stat")?.unwrap_or_default();
    let mut blkio = parse_io(&stat);
    blkio.psi = pressure(dir, "io.pressure")?;
    Ok(blkio)
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`
fn parse_io(stat: &str) -> Blkio {
    let mut blkio = Blkio::default();
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let device = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                table.push(BlkioEntry { major, minor, op: op.to_owned(), value });
            }
        }
    }
    blkio
}

/// A pressure file; `None` where the kernel keeps none.
pub(super) fn pressure(dir: &Dir, file: &str) -> Result<Option<Pressure>> {
    Ok(text(dir, file)?.map(|text| parse_pressure(&text)))
}

fn parse_pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let stall = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *stall = parse_stall(words);
    }
    pressure
}

fn parse_stall<'w>(words: impl Iterator<Item = &'w str>) -> Stall {
    let mut stall = Stall::default();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let percent = || value.parse().unwrap_or(0.0);
        match key {
            "avg10" => stall.avg10 = percent(),
            "avg60" => stall.avg60 = percent(),
            "avg300" => stall.avg300 = percent(),
            "total" => stall.total = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    stall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_becomes_the_tables_of_v1() {
        let blkio =
            parse_io("8:16 rbytes=5 wbytes=0 rios=1 wios=2 dbytes=9\n(unknown) rios=1\n259:0 rios=7\n");
        let entry = |major, minor, op: &str, value| BlkioEntry { major, minor, op: op.to_owned(), value };
        assert_eq!(blkio.io_service_bytes_recursive, [entry(8, 16, "Read", 5), entry(8, 16, "Write", 0)]);
        assert_eq!(
            blkio.io_serviced_recursive,
            [entry(8, 16, "Read", 1), entry(8, 16, "Write", 2), entry(259, 0, "Read", 7)]
        );
    }

    #[test]
    fn pressure_has_two_lines() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse_pressure(text);
        assert_eq!((pressure.some.avg10, pressure.some.avg60, pressure.some.total), (1.5, 0.25, 42));
        assert_eq!(pressure.full.total, 7);
    }
}
