//! The controllers with a file or two: pids, hugetlb, rdma, net_cls, net_prio.

use oci_spec::runtime::{LinuxRdma, LinuxResources};

use super::knobs::{Knobs, is_missing};
use crate::error::Result;

pub(super) fn pids_is_set(r: &LinuxResources) -> bool {
    r.pids().is_some()
}

/// The same on v1 and v2. A negative number is no limit; 0 becomes 1, as systemd would have it.
pub(super) fn pids<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    let Some(pids) = r.pids() else { return Ok(()) };
    let value = match pids.limit() {
        ..0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    };
    knobs()?.write("pids.max", &value)
}

pub(super) fn hugetlb_is_set(r: &LinuxResources) -> bool {
    r.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty())
}

/// The limit of use and, where the kernel has it (5.7), the one of reservations.
pub(super) fn hugetlb<'a>(
    r: &LinuxResources,
    suffix: &str,
    knobs: impl FnOnce() -> Result<Knobs<'a>>,
) -> Result<()> {
    let Some(limits) = r.hugepage_limits().as_ref().filter(|limits| !limits.is_empty()) else {
        return Ok(());
    };
    let knobs = knobs()?;
    let mut reservations = true;
    for limit in limits {
        let size = limit.page_size();
        knobs.write_number(&format!("hugetlb.{size}{suffix}"), limit.limit())?;
        if reservations {
            match knobs.write_number(&format!("hugetlb.{size}.rsvd{suffix}"), limit.limit()) {
                Err(error) if is_missing(&error) => reservations = false,
                other => other?,
            }
        }
    }
    Ok(())
}

/// The same on v1 and v2: a line a device.
pub(super) fn rdma<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    let Some(devices) = r.rdma().as_ref().filter(|devices| !devices.is_empty()) else { return Ok(()) };
    let knobs = knobs()?;
    let mut lines: Vec<String> = devices.iter().map(|(name, limits)| rdma_line(name, limits)).collect();
    lines.sort_unstable();
    lines.iter().try_for_each(|line| knobs.write("rdma.max", line))
}

fn rdma_line(name: &str, limits: &LinuxRdma) -> String {
    let handles = limits.hca_handles().map(|n| format!(" hca_handle={n}")).unwrap_or_default();
    let objects = limits.hca_objects().map(|n| format!(" hca_object={n}")).unwrap_or_default();
    format!("{name}{handles}{objects}")
}

/// v1 only; v2 leaves it to eBPF.
pub(super) fn network_class<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    match r.network().as_ref().and_then(|network| network.class_id()) {
        None | Some(0) => Ok(()),
        Some(class) => knobs()?.write_number("net_cls.classid", class),
    }
}

/// v1 only.
pub(super) fn network_priorities<'a>(
    r: &LinuxResources,
    knobs: impl FnOnce() -> Result<Knobs<'a>>,
) -> Result<()> {
    let priorities = r.network().as_ref().and_then(|network| network.priorities().as_ref());
    let Some(priorities) = priorities.filter(|list| !list.is_empty()) else { return Ok(()) };
    let knobs = knobs()?;
    priorities.iter().try_for_each(|entry| {
        knobs.write("net_prio.ifpriomap", &format!("{} {}", entry.name(), entry.priority()))
    })
}
