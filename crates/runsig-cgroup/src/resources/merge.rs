//! Limits with changes to them.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

/// The limits of a container after a change: what `change` gives replaces what `limits` has, the
/// rest stays. Device rules are not subject to change and stay in any case.
pub fn merge(limits: &mut LinuxResources, change: &LinuxResources) {
    if let Some(from) = change.memory() {
        memory(limits.memory_mut().get_or_insert_default(), from);
    }
    if let Some(from) = change.cpu() {
        cpu(limits.cpu_mut().get_or_insert_default(), from);
    }
    if let Some(from) = change.block_io() {
        block_io(limits.block_io_mut().get_or_insert_default(), from);
    }
    take(limits.pids_mut(), change.pids());
    take(limits.hugepage_limits_mut(), change.hugepage_limits());
    take(limits.network_mut(), change.network());
    take(limits.rdma_mut(), change.rdma());
    if let Some(from) = change.unified() {
        let files = from.iter().map(|(name, value)| (name.clone(), value.clone()));
        limits.unified_mut().get_or_insert_default().extend(files);
    }
}

fn take<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
    if from.is_some() {
        to.clone_from(from);
    }
}

fn memory(to: &mut LinuxMemory, from: &LinuxMemory) {
    to.set_limit(from.limit().or(to.limit()));
    to.set_reservation(from.reservation().or(to.reservation()));
    to.set_swap(from.swap().or(to.swap()));
    to.set_swappiness(from.swappiness().or(to.swappiness()));
    to.set_disable_oom_killer(from.disable_oom_killer().or(to.disable_oom_killer()));
    to.set_check_before_update(from.check_before_update().or(to.check_before_update()));
}

fn cpu(to: &mut LinuxCpu, from: &LinuxCpu) {
    to.set_shares(from.shares().or(to.shares()));
    to.set_quota(from.quota().or(to.quota()));
    to.set_period(from.period().or(to.period()));
    to.set_burst(from.burst().or(to.burst()));
    to.set_idle(from.idle().or(to.idle()));
    to.set_realtime_runtime(from.realtime_runtime().or(to.realtime_runtime()));
    to.set_realtime_period(from.realtime_period().or(to.realtime_period()));
    if from.cpus().is_some() {
        to.set_cpus(from.cpus().clone());
    }
    if from.mems().is_some() {
        to.set_mems(from.mems().clone());
    }
}

fn block_io(to: &mut LinuxBlockIo, from: &LinuxBlockIo) {
    to.set_weight(from.weight().or(to.weight()));
    to.set_leaf_weight(from.leaf_weight().or(to.leaf_weight()));
    if from.weight_device().is_some() {
        to.set_weight_device(from.weight_device().clone());
    }
    if from.throttle_read_bps_device().is_some() {
        to.set_throttle_read_bps_device(from.throttle_read_bps_device().clone());
    }
    if from.throttle_write_bps_device().is_some() {
        to.set_throttle_write_bps_device(from.throttle_write_bps_device().clone());
    }
    if from.throttle_read_iops_device().is_some() {
        to.set_throttle_read_iops_device(from.throttle_read_iops_device().clone());
    }
    if from.throttle_write_iops_device().is_some() {
        to.set_throttle_write_iops_device(from.throttle_write_iops_device().clone());
    }
}
