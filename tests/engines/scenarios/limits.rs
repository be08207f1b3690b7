//! Controllers: limits, their update, statistics, out of memory. They need a host that has them.

use crate::engine::{Container, Limits, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Host: memory_limit, cpu_limits, pids_limit, cpuset, update_limits, stats, out_of_memory;
];

/// The limits a container finds for itself, on cgroup v1 and on v2.
const LIMITS: &str = "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max memory/memory.soft_limit_in_bytes \
    memory.low cpu/cpu.shares cpu.weight cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max pids/pids.max pids.max \
    cpuset/cpuset.cpus cpuset.cpus cpuset/cpuset.mems cpuset.mems; do test -e $f && echo $f $(cat $f); done; true";
const MEMORY: &str = "67108864";

fn memory_limit(s: &Session<'_>) {
    let outcome = s.run_to(0, &Container::script("c", LIMITS).with(Opt::Memory(MEMORY)).with(Opt::Cgroups));
    assert!(outcome.stdout.contains(MEMORY), "{outcome:#?}");
}

fn cpu_limits(s: &Session<'_>) {
    let container = Container::script("c", LIMITS).with(Opt::Cpus("0.5")).with(Opt::Cgroups);
    s.run_to(0, &container);
    s.run_to(0, &Container::script("shares", LIMITS).with(Opt::Shares("512")).with(Opt::Cgroups));
}

fn pids_limit(s: &Session<'_>) {
    s.run_to(0, &Container::script("limits", LIMITS).with(Opt::Pids("12")));
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 1 & done; echo not reached";
    let outcome = s.run(&Container::script("c", script).with(Opt::Pids("12")));
    assert!(!outcome.stdout.contains("not reached"), "{outcome:#?}");
}

fn cpuset(s: &Session<'_>) {
    let script = format!("{LIMITS}; grep Cpus_allowed_list /proc/self/status");
    s.run_to(0, &Container::script("c", &script).with(Opt::Cpuset("1")));
    s.run(&Container::script("missing", &script).with(Opt::Cpuset("99")));
}

fn update_limits(s: &Session<'_>) {
    let container = Container::script("c", TELLS_SIGNAL).with(Opt::Memory(MEMORY));
    s.start(&container);
    s.note("before", &s.ask("c", LIMITS));
    s.update("c", Limits { memory: Some("134217728"), ..Limits::default() });
    s.update("c", Limits { shares: Some("256"), quota: Some("25000"), ..Limits::default() });
    s.note("after", &s.ask("c", LIMITS));
    s.update("c", Limits { pids: Some("50"), ..Limits::default() });
    s.update("c", Limits { cpuset: Some("0"), ..Limits::default() });
    s.note("at last", &s.ask("c", LIMITS));
    // Less than it uses.
    s.update("c", Limits { memory: Some("6291456"), ..Limits::default() });
    s.update("c", Limits { cpuset: Some("99"), ..Limits::default() });
    s.stop("c", 40);
    s.ends(3, "c");
}

fn stats(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL).with(Opt::Memory(MEMORY)));
    let outcome = s.stats("c");
    assert!(outcome.code == 0 && !outcome.stdout.is_empty(), "{outcome:#?}");
}

fn out_of_memory(s: &Session<'_>) {
    // Without a limit it would end with 0: it never takes more than its buffer.
    let script = "echo ready; exec dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null";
    s.start(&Container::script("c", script).with(Opt::Memory(MEMORY)));
    s.ends(137, "c");
    s.state("c");
    // A child's death is not the container's.
    let script = "dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null; echo $?; echo ready; exit 5";
    s.start(&Container::script("child", script).with(Opt::Memory(MEMORY)));
    s.ends(5, "child");
    s.logs("child");
    s.state("child");
}
