//! Scheduling: processor, I/O, affinity, execution domain and memory policy.
//!
//! Owns: `process.scheduler`, `process.ioPriority`, `linux.personality`, `linux.memoryPolicy`.
//! Must not: ask the kernel what it can do.

use runsig_proto::plan::Scheduler;
use runsig_sys::raw::{general as k, mempolicy as mp};

use crate::cpuset;
use crate::document;
use crate::error::{Result, SpecError};

/// <https://man7.org/linux/man-pages/man2/sched_setattr.2.html>
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];
const FIFO: u32 = 1;
const RR: u32 = 2;
const DEADLINE: u32 = 6;
const FLAGS: [(&str, u32); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", k::SCHED_FLAG_RESET_ON_FORK),
    ("SCHED_FLAG_RECLAIM", k::SCHED_FLAG_RECLAIM),
    ("SCHED_FLAG_DL_OVERRUN", k::SCHED_FLAG_DL_OVERRUN),
    ("SCHED_FLAG_KEEP_POLICY", k::SCHED_FLAG_KEEP_POLICY),
    ("SCHED_FLAG_KEEP_PARAMS", k::SCHED_FLAG_KEEP_PARAMS),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", k::SCHED_FLAG_UTIL_CLAMP_MIN),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", k::SCHED_FLAG_UTIL_CLAMP_MAX),
];
/// <https://man7.org/linux/man-pages/man2/ioprio_set.2.html>
const IO_CLASSES: [(&str, u32); 3] =
    [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
/// <https://man7.org/linux/man-pages/man2/personality.2.html>
const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];
/// <https://man7.org/linux/man-pages/man2/set_mempolicy.2.html>
pub(crate) const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", mp::MPOL_DEFAULT as u32),
    ("MPOL_PREFERRED", mp::MPOL_PREFERRED as u32),
    ("MPOL_BIND", mp::MPOL_BIND as u32),
    ("MPOL_INTERLEAVE", mp::MPOL_INTERLEAVE as u32),
    ("MPOL_LOCAL", mp::MPOL_LOCAL as u32),
    ("MPOL_PREFERRED_MANY", mp::MPOL_PREFERRED_MANY as u32),
    ("MPOL_WEIGHTED_INTERLEAVE", mp::MPOL_WEIGHTED_INTERLEAVE as u32),
];
pub(crate) const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_STATIC_NODES", mp::MPOL_F_STATIC_NODES),
    ("MPOL_F_RELATIVE_NODES", mp::MPOL_F_RELATIVE_NODES),
    ("MPOL_F_NUMA_BALANCING", mp::MPOL_F_NUMA_BALANCING),
];

fn look_up(table: &[(&str, u32)], name: &str, field: impl FnOnce() -> String) -> Result<u32> {
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, number)) => Ok(*number),
        None => Err(SpecError::value(field(), name, "is not known")),
    }
}

/// `process.scheduler`.
pub(crate) fn scheduler(given: &document::Scheduler) -> Result<Scheduler> {
    let name = given.policy.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(SpecError::rule("scheduler policy is required"));
    }
    let policy = look_up(&POLICIES, name, || "process.scheduler.policy".to_owned())?;
    let mut flags = 0;
    for (i, flag) in given.flags.iter().flatten().enumerate() {
        flags |= u64::from(look_up(&FLAGS, flag, || format!("process.scheduler.flags[{i}]"))?);
    }
    let resolved = Scheduler {
        policy,
        flags,
        nice: given.nice.unwrap_or(0),
        priority: u32::try_from(given.priority.unwrap_or(0)).map_err(|_| {
            SpecError::value(
                "process.scheduler.priority",
                given.priority.unwrap_or(0),
                "must not be negative",
            )
        })?,
        runtime: given.runtime.unwrap_or(0),
        deadline: given.deadline.unwrap_or(0),
        period: given.period.unwrap_or(0),
    };
    check(&resolved, name)?;
    Ok(resolved)
}

fn check(given: &Scheduler, name: &str) -> Result<()> {
    if !(-20..=19).contains(&given.nice) {
        return Err(SpecError::rule(format!(
            "invalid scheduler.nice: {} when scheduler.policy is {name}",
            given.nice
        )));
    }
    let real_time = matches!(given.policy, FIFO | RR);
    if given.priority != 0 && !real_time {
        return Err(SpecError::rule(
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ));
    }
    if real_time && !(1..=99).contains(&given.priority) {
        return Err(SpecError::value(
            "process.scheduler.priority",
            given.priority,
            "is not between 1 and 99",
        ));
    }
    let times = (given.runtime, given.deadline, given.period);
    if given.policy != DEADLINE && times != (0, 0, 0) {
        return Err(SpecError::rule(
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ));
    }
    if given.policy == DEADLINE {
        let period = if given.period == 0 { given.deadline } else { given.period };
        if given.runtime == 0 || given.runtime > given.deadline || given.deadline > period {
            let value = format!("{}/{}/{}", given.runtime, given.deadline, given.period);
            return Err(SpecError::value(
                "process.scheduler runtime/deadline/period",
                value,
                "SCHED_DEADLINE needs 0 < runtime <= deadline <= period",
            ));
        }
    }
    Ok(())
}

/// `process.ioPriority`: class and level.
pub(crate) fn io_priority(given: &document::IoPriority) -> Result<(u32, u32)> {
    let level = given.priority.unwrap_or(0);
    let Some(level) = u32::try_from(level).ok().filter(|level| *level <= 7) else {
        return Err(SpecError::rule(format!("invalid ioPriority.Priority: {level}")));
    };
    let name = given.class.as_deref().unwrap_or_default();
    match IO_CLASSES.iter().find(|(known, _)| *known == name) {
        Some((_, class)) => Ok((*class, level)),
        None => Err(SpecError::rule(format!("invalid ioPriority.Class: {name:?}"))),
    }
}

/// `linux.personality`; flags are warned about and ignored, as in runc.
pub(crate) fn personality(given: &document::Personality, warnings: &mut Vec<String>) -> Result<u32> {
    if let Some(flags) = given.flags.as_ref().filter(|flags| !flags.is_empty()) {
        warnings.push(format!("ignoring unsupported personality flags: {flags:?}"));
    }
    let name = given.domain.as_deref().unwrap_or_default();
    match DOMAINS.iter().find(|(known, _)| *known == name) {
        Some((_, domain)) => Ok(*domain),
        None => Err(SpecError::rule(format!("invalid personality domain {name:?}"))),
    }
}

/// `linux.memoryPolicy`: mode with flags, and nodes.
pub(crate) fn memory_policy(given: &document::MemoryPolicy) -> Result<(u32, Vec<u64>)> {
    let name = given.mode.as_deref().unwrap_or_default();
    let Some((_, mode)) = MEMORY_MODES.iter().find(|(known, _)| *known == name) else {
        return Err(SpecError::rule(format!("invalid memory policy mode {name:?}")));
    };
    let nodes = cpuset::parse(
        given.nodes.as_deref().unwrap_or_default(),
        "memory policy nodes (linux.memoryPolicy.nodes)",
    )?;
    let nodes = nodes.unwrap_or_default();
    let mut flags = 0;
    for flag in given.flags.iter().flatten() {
        match MEMORY_FLAGS.iter().find(|(known, _)| known == flag) {
            Some((_, bit)) => flags |= bit,
            None => return Err(SpecError::rule(format!("invalid memory policy flag {flag:?}"))),
        }
    }
    let count: u32 = nodes.iter().map(|word| word.count_ones()).sum();
    match name {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if count > 0 => {
            Err(SpecError::rule(format!("memory policy mode requires 0 nodes but got {count}")))
        }
        "MPOL_DEFAULT" | "MPOL_LOCAL" | "MPOL_PREFERRED" => Ok((mode | flags, nodes)),
        _ if count == 0 => Err(SpecError::rule("memory policy mode requires at least one node but got 0")),
        _ => Ok((mode | flags, nodes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(json: &str) -> Result<Scheduler> {
        scheduler(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn schedulers() {
        let plain =
            Scheduler { policy: 0, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0 };
        for (json, want) in [
            (r#"{"policy":"SCHED_OTHER","nice":-20}"#, Scheduler { nice: -20, ..plain.clone() }),
            (
                r#"{"policy":"SCHED_FIFO","priority":99}"#,
                Scheduler { policy: 1, priority: 99, ..plain.clone() },
            ),
            (
                r#"{"policy":"SCHED_RR","priority":1,"flags":["SCHED_FLAG_RESET_ON_FORK"]}"#,
                Scheduler { policy: 2, priority: 1, flags: 1, ..plain.clone() },
            ),
            (r#"{"policy":"SCHED_BATCH","nice":19}"#, Scheduler { policy: 3, nice: 19, ..plain.clone() }),
            (r#"{"policy":"SCHED_IDLE"}"#, Scheduler { policy: 5, ..plain.clone() }),
            (
                r#"{"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3,"flags":["SCHED_FLAG_DL_OVERRUN","SCHED_FLAG_RECLAIM"]}"#,
                Scheduler { policy: 6, runtime: 1, deadline: 2, period: 3, flags: 6, ..plain.clone() },
            ),
        ] {
            assert_eq!(from(json), Ok(want), "{json}");
        }
        for (json, words) in [
            ("{}", "scheduler policy is required"),
            (r#"{"policy":"FIFO"}"#, "invalid process.scheduler.policy \"FIFO\""),
            (
                r#"{"policy":"SCHED_OTHER","nice":20}"#,
                "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER",
            ),
            (r#"{"policy":"SCHED_OTHER","priority":1}"#, "scheduler.priority can only be specified"),
            (r#"{"policy":"SCHED_FIFO"}"#, "process.scheduler.priority \"0\""),
            (r#"{"policy":"SCHED_FIFO","priority":100}"#, "process.scheduler.priority \"100\""),
            (r#"{"policy":"SCHED_FIFO","priority":-1}"#, "process.scheduler.priority \"-1\""),
            (r#"{"policy":"SCHED_OTHER","runtime":1}"#, "runtime/deadline/period can only"),
            (r#"{"policy":"SCHED_DEADLINE","runtime":3,"deadline":2}"#, "0 < runtime <= deadline"),
            (r#"{"policy":"SCHED_DEADLINE"}"#, "0 < runtime <= deadline"),
            (r#"{"policy":"SCHED_OTHER","flags":["RESET"]}"#, "process.scheduler.flags[0] \"RESET\""),
        ] {
            let error = from(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn io_priorities() {
        let from = |json: &str| io_priority(&serde_json::from_str(json).unwrap());
        assert_eq!(from(r#"{"class":"IOPRIO_CLASS_RT","priority":7}"#), Ok((1, 7)));
        assert_eq!(from(r#"{"class":"IOPRIO_CLASS_IDLE"}"#), Ok((3, 0)));
        for (json, words) in [
            (r#"{"class":"IOPRIO_CLASS_BE","priority":8}"#, "invalid ioPriority.Priority: 8"),
            (r#"{"class":"IOPRIO_CLASS_BE","priority":-1}"#, "invalid ioPriority.Priority: -1"),
            (r#"{"class":"BE"}"#, "invalid ioPriority.Class: \"BE\""),
            ("{}", "invalid ioPriority.Class: \"\""),
        ] {
            assert_eq!(from(json).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn personalities() {
        let from = |json: &str, warnings: &mut Vec<String>| {
            personality(&serde_json::from_str(json).unwrap(), warnings)
        };
        let mut warnings = vec![];
        assert_eq!(from(r#"{"domain":"LINUX32","flags":[]}"#, &mut warnings), Ok(8));
        assert_eq!(warnings.len(), 0);
        assert_eq!(from(r#"{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}"#, &mut warnings), Ok(0));
        assert_eq!(warnings.len(), 1);
        assert!(from(r#"{"domain":"linux"}"#, &mut warnings).unwrap_err().to_string().contains("\"linux\""));
    }

    #[test]
    fn memory_policies() {
        let from = |json: &str| memory_policy(&serde_json::from_str(json).unwrap());
        for (json, want) in [
            (r#"{"mode":"MPOL_DEFAULT"}"#, (0, vec![])),
            (r#"{"mode":"MPOL_PREFERRED"}"#, (1, vec![])),
            (r#"{"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]}"#, (2 | 1 << 15, vec![3])),
            (r#"{"mode":"MPOL_INTERLEAVE","nodes":"1"}"#, (3, vec![2])),
            (r#"{"mode":"MPOL_LOCAL"}"#, (4, vec![])),
            (
                r#"{"mode":"MPOL_PREFERRED_MANY","nodes":"0","flags":["MPOL_F_RELATIVE_NODES","MPOL_F_NUMA_BALANCING"]}"#,
                (5 | 1 << 14 | 1 << 13, vec![1]),
            ),
            (r#"{"mode":"MPOL_WEIGHTED_INTERLEAVE","nodes":"64"}"#, (6, vec![0, 1])),
        ] {
            assert_eq!(from(json), Ok(want), "{json}");
        }
        for (json, words) in [
            ("{}", "invalid memory policy mode \"\""),
            (r#"{"mode":"BIND"}"#, "invalid memory policy mode \"BIND\""),
            (r#"{"mode":"MPOL_LOCAL","nodes":"0-2"}"#, "requires 0 nodes but got 3"),
            (r#"{"mode":"MPOL_BIND"}"#, "requires at least one node"),
            (
                r#"{"mode":"MPOL_BIND","nodes":"x"}"#,
                "invalid memory policy nodes (linux.memoryPolicy.nodes) \"x\"",
            ),
            (r#"{"mode":"MPOL_BIND","nodes":"0","flags":["F"]}"#, "invalid memory policy flag \"F\""),
        ] {
            let error = from(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
