//! The table: medians, ratios to each peer, and what it was measured on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::call::Peer;
use crate::rows::{Row, Sample};

/// Rows collected so far.
pub(crate) struct Table {
    names: Vec<String>,
    versions: Vec<String>,
    lines: Vec<String>,
    holds: bool,
}

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

impl Table {
    /// A table of these runtimes; the last one is compared with each of the others.
    pub(crate) fn new(peers: &[Peer]) -> Table {
        Table {
            names: peers.iter().map(|peer| peer.name.clone()).collect(),
            versions: peers.iter().map(|peer| peer.version.clone()).collect(),
            lines: Vec::new(),
            holds: true,
        }
    }

    /// Whether every target was measured, and holds.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// Adds the figures of a row.
    pub(crate) fn add(&mut self, row: &Row, samples: Vec<Result<Vec<Sample>, String>>) {
        let medians: Vec<Option<Sample>> =
            samples.into_iter().map(|list| list.ok().and_then(|list| medians(&list))).collect();
        let mut line = format!("| {}, {} |", row.name, row.unit);
        for sample in &medians {
            let _ = write!(line, " {} |", cell(*sample, |value| figure(value, row.unit)));
        }
        let own = medians.last().copied().flatten();
        for peer in &medians[..medians.len().saturating_sub(1)] {
            let ratio = own.zip(*peer).map(|(own, peer)| Sample {
                value: own.value / peer.value,
                cpu: own.cpu.zip(peer.cpu).map(|(own, peer)| own / peer),
            });
            let _ = write!(line, " {} |", cell(ratio, |ratio| format!("{ratio:.2}x")));
        }
        let of_peer = |peer: &str| *medians.get(self.names.iter().position(|name| name == peer)?)?;
        let (verdict, holds) = row.target.verdict(own, of_peer);
        self.holds &= holds == Some(true);
        let _ = write!(line, " {verdict} |");
        self.lines.push(line);
    }

    /// The table as Markdown, with the machine named.
    pub(crate) fn markdown(&self) -> String {
        let last = self.names.last().cloned().unwrap_or_default();
        let mut head = "| |".to_string();
        for name in &self.names {
            let _ = write!(head, " {name} |");
        }
        for name in &self.names[..self.names.len().saturating_sub(1)] {
            let _ = write!(head, " {last} / {name} |");
        }
        head.push_str(" target |");
        let rule = "|---".repeat(head.matches('|').count() - 1) + "|";
        format!("{}\n\n{head}\n{rule}\n{}\n", self.machine(), self.lines.join("\n"))
    }

    fn machine(&self) -> String {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        let cpu = read("/proc/cpuinfo");
        let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
        let release = read("/proc/sys/kernel/osrelease");
        let kernel: Vec<&str> = release.split(['.', '-']).take(2).collect();
        let release = read("/etc/os-release");
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default();
        format!(
            "Medians of ms or KiB (in brackets: user and system time), taken in turns with pauses, cgroup v2, default \
             spec with a cgroup namespace, on a machine of {cores} cores, Linux {}, {}; {}.",
            kernel.join("."),
            system.trim_matches('"'),
            self.versions.join(", ")
        )
    }
}

fn medians(samples: &[Sample]) -> Option<Sample> {
    let value = median(samples.iter().map(|sample| sample.value).collect())?;
    Some(Sample { value, cpu: median(samples.iter().filter_map(|sample| sample.cpu).collect()) })
}

/// A figure with its CPU time in brackets.
fn cell(sample: Option<Sample>, show: impl Fn(f64) -> String) -> String {
    match sample {
        None => "-".to_string(),
        Some(Sample { value, cpu: None }) => show(value),
        Some(Sample { value, cpu: Some(cpu) }) => format!("{} ({})", show(value), show(cpu)),
    }
}

fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    let upper = *samples.get(middle)?;
    if samples.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*samples.get(middle - 1)?, upper))
}

fn figure(value: f64, unit: &str) -> String {
    if unit == "KiB" || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Puts the table between the markers of a document; some rows alone in the place of those of their names.
pub(crate) fn update(file: &Path, table: &str, some: bool) -> Result<(), String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| fail(&error))?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| fail(&"no begin marker"))?;
    let (old, after) = rest.split_once(END).ok_or_else(|| fail(&"no end marker"))?;
    let table = if some { merged(old.trim_start(), table) } else { table.to_string() };
    fs::write(file, format!("{before}{BEGIN}\n{table}{END}{after}")).map_err(|error| fail(&error))
}

/// The old table with the rows of the new one.
fn merged(old: &str, new: &str) -> String {
    let name = |line: &str| line.split('|').nth(1).map(|name| name.trim().to_string());
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| |");
    let of_name = |line: &str| new.lines().filter(is_row).find(|row| name(row) == name(line));
    let mut lines: Vec<&str> =
        old.lines().map(|line| if is_row(&line) { of_name(line).unwrap_or(line) } else { line }).collect();
    let unknown = |line: &&str| old.lines().filter(is_row).all(|row| name(row) != name(line));
    lines.extend(new.lines().filter(is_row).filter(unknown));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{figure, median, merged};

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn some_rows_take_the_places_of_theirs() {
        let old = "Medians.\n\n| | crun |\n|---|---|\n| state, ms | 4 |\n| kill, ms | 5 |\n";
        let new = "Medians.\n\n| | crun |\n|---|---|\n| kill, ms | 6 |\n| ps, ms | 7 |\n";
        let both = "Medians.\n\n| | crun |\n|---|---|\n| state, ms | 4 |\n| kill, ms | 6 |\n| ps, ms | 7 |\n";
        assert_eq!(merged(old, new), both);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(figure(1.234, "ms"), "1.23");
        assert_eq!(figure(123.4, "ms"), "123");
        assert_eq!(figure(1560.0, "KiB"), "1560");
    }
}
