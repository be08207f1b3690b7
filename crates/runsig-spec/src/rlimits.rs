//! Resource limits by name.
//!
//! Owns: `process.rlimits`. Must not: know what the caller may raise; the kernel says so.

use runsig_sys::raw::general as k;

use crate::document::Rlimit;
use crate::error::{Result, SpecError};

/// `RLIMIT_*` names, in the order of their numbers.
pub(crate) const NAMES: [(&str, u32); 16] = [
    ("RLIMIT_CPU", k::RLIMIT_CPU),
    ("RLIMIT_FSIZE", k::RLIMIT_FSIZE),
    ("RLIMIT_DATA", k::RLIMIT_DATA),
    ("RLIMIT_STACK", k::RLIMIT_STACK),
    ("RLIMIT_CORE", k::RLIMIT_CORE),
    ("RLIMIT_RSS", k::RLIMIT_RSS),
    ("RLIMIT_NPROC", k::RLIMIT_NPROC),
    ("RLIMIT_NOFILE", k::RLIMIT_NOFILE),
    ("RLIMIT_MEMLOCK", k::RLIMIT_MEMLOCK),
    ("RLIMIT_AS", k::RLIMIT_AS),
    ("RLIMIT_LOCKS", k::RLIMIT_LOCKS),
    ("RLIMIT_SIGPENDING", k::RLIMIT_SIGPENDING),
    ("RLIMIT_MSGQUEUE", k::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", k::RLIMIT_NICE),
    ("RLIMIT_RTPRIO", k::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", k::RLIMIT_RTTIME),
];

/// (`RLIMIT_*`, soft, hard) of each entry.
pub(crate) fn resolve(limits: &[Rlimit]) -> Result<Vec<(u32, u64, u64)>> {
    let mut resolved: Vec<(u32, u64, u64)> = Vec::with_capacity(limits.len());
    for (i, limit) in limits.iter().enumerate() {
        let name = limit.typ.as_deref().unwrap_or_default();
        let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Err(SpecError::rule(format!("wrong rlimit value: {name:?} (process.rlimits[{i}].type)")));
        };
        if resolved.iter().any(|(known, ..)| known == number) {
            return Err(SpecError::value(format!("process.rlimits[{i}].type"), name, "given more than once"));
        }
        let (soft, hard) = (limit.soft.unwrap_or(0), limit.hard.unwrap_or(0));
        if soft > hard {
            let why = format!("the soft limit is above the hard limit {hard}");
            return Err(SpecError::value(format!("process.rlimits[{i}].soft"), soft, why));
        }
        resolved.push((*number, soft, hard));
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, soft: u64, hard: u64) -> Rlimit {
        Rlimit { typ: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) }
    }

    #[test]
    fn every_name_has_its_number() {
        for (i, (name, number)) in NAMES.iter().enumerate() {
            assert_eq!(*number as usize, i, "{name}: the table is in the kernel's order");
            assert_eq!(resolve(&[limit(name, 1, 2)]), Ok(vec![(*number, 1, 2)]));
        }
        assert_eq!(resolve(&[limit("RLIMIT_CORE", 0, u64::MAX)]), Ok(vec![(4, 0, u64::MAX)]));
    }

    #[test]
    fn wrong_limits_are_named() {
        for (limits, words) in [
            (vec![limit("RLIMIT_FOO", 1, 2)], "RLIMIT_FOO"),
            (vec![limit("nofile", 1, 2)], "wrong rlimit value: \"nofile\""),
            (vec![Rlimit::default()], "process.rlimits[0].type"),
            (vec![limit("RLIMIT_AS", 1, 2), limit("RLIMIT_AS", 1, 2)], "process.rlimits[1].type"),
            (vec![limit("RLIMIT_AS", 3, 2)], "process.rlimits[0].soft"),
        ] {
            let error = resolve(&limits).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
