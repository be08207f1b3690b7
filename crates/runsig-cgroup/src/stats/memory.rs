//! `memory.stat` and the counters next to it.

use std::collections::BTreeMap;

use super::{Memory, MemoryEntry, number, pairs, text, v2};
use crate::dir::Dir;
use crate::error::Result;

fn raw(dir: &Dir) -> Result<BTreeMap<String, u64>> {
    let stat = text(dir, "memory.stat")?.unwrap_or_default();
    Ok(pairs(&stat).map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn unified(dir: &Dir) -> Result<Memory> {
    let raw = raw(dir)?;
    let usage = unified_entry(dir, "memory")?;
    let mut swap = unified_entry(dir, "memory.swap")?;
    // v1 counts both together, and knows no peak of the sum on v2.
    swap.usage += usage.usage;
    if swap.limit != u64::MAX {
        swap.limit = swap.limit.saturating_add(usage.limit);
    }
    swap.max = 0;
    let cache = raw.get("file").copied().unwrap_or(0);
    Ok(Memory { cache, usage, swap, raw, psi: v2::pressure(dir, "memory.pressure")?, ..Memory::default() })
}

fn unified_entry(dir: &Dir, name: &str) -> Result<MemoryEntry> {
    let read = |what: &str| number(dir, &format!("{name}.{what}"));
    let Some(usage) = read("current")? else { return Ok(MemoryEntry::default()) };
    // The peak is told since 5.19 (memory) and 6.5 (swap).
    Ok(MemoryEntry { limit: read("max")?.unwrap_or(0), usage, max: read("peak")?.unwrap_or(0), failcnt: 0 })
}

pub(super) fn legacy(dir: &Dir) -> Result<Memory> {
    let raw = raw(dir)?;
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: legacy_entry(dir, "memory")?,
        swap: legacy_entry(dir, "memory.memsw")?,
        kernel: legacy_entry(dir, "memory.kmem")?,
        kernel_tcp: legacy_entry(dir, "memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

fn legacy_entry(dir: &Dir, name: &str) -> Result<MemoryEntry> {
    let read = |what: &str| Ok::<_, crate::Error>(number(dir, &format!("{name}.{what}"))?.unwrap_or(0));
    Ok(MemoryEntry {
        limit: read("limit_in_bytes")?,
        usage: read("usage_in_bytes")?,
        max: read("max_usage_in_bytes")?,
        failcnt: read("failcnt")?,
    })
}
