//! A profile as the bundle words it, checked.
//!
//! Owns: names of actions, operators, architectures and flags. Must not: know system calls.

use std::path::PathBuf;

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp};
use serde::Deserialize;

use crate::error::{Result, SpecError};
use crate::plan::SeccompListener;

/// EPERM, which every platform numbers 1: what a call gets when the profile names no error.
const DEFAULT_ERROR: u32 = 1;
/// The data of a filter's answer has 16 bits.
const LARGEST_ERROR: u32 = 0xffff;
/// A system call has at most six arguments.
pub(super) const ARGUMENTS: usize = 6;

/// Action names.
pub(crate) const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];
/// Operator names.
pub(crate) const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];
/// Architecture names.
pub(crate) const ARCHITECTURES: [(&str, ScmpArch); 18] = [
    ("SCMP_ARCH_AARCH64", ScmpArch::Aarch64),
    ("SCMP_ARCH_ARM", ScmpArch::Arm),
    ("SCMP_ARCH_LOONGARCH64", ScmpArch::Loongarch64),
    ("SCMP_ARCH_MIPS", ScmpArch::Mips),
    ("SCMP_ARCH_MIPS64", ScmpArch::Mips64),
    ("SCMP_ARCH_MIPS64N32", ScmpArch::Mips64N32),
    ("SCMP_ARCH_MIPSEL", ScmpArch::Mipsel),
    ("SCMP_ARCH_MIPSEL64", ScmpArch::Mipsel64),
    ("SCMP_ARCH_MIPSEL64N32", ScmpArch::Mipsel64N32),
    ("SCMP_ARCH_PPC", ScmpArch::Ppc),
    ("SCMP_ARCH_PPC64", ScmpArch::Ppc64),
    ("SCMP_ARCH_PPC64LE", ScmpArch::Ppc64Le),
    ("SCMP_ARCH_RISCV64", ScmpArch::Riscv64),
    ("SCMP_ARCH_S390", ScmpArch::S390),
    ("SCMP_ARCH_S390X", ScmpArch::S390X),
    ("SCMP_ARCH_X32", ScmpArch::X32),
    ("SCMP_ARCH_X86", ScmpArch::X86),
    ("SCMP_ARCH_X86_64", ScmpArch::X8664),
];
/// Flag names and seccomp(2)'s bits. TSYNC means nothing here: the init has one thread.
/// <https://man7.org/linux/man-pages/man2/seccomp.2.html>
pub(crate) const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE),
];
/// Set when a profile has no list of flags at all, as in runc.
const SPEC_ALLOW: u32 = 1 << 2;
/// The kernel (5.19) takes it together with a listener only.
const WAIT_KILLABLE: u32 = 1 << 5;

/// `linux.seccomp` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Document {
    default_action: Option<String>,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Syscalls>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Syscalls {
    names: Option<Vec<String>>,
    action: Option<String>,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Argument {
    index: Option<u64>,
    value: Option<u64>,
    value_two: Option<u64>,
    op: Option<String>,
}

/// A checked profile.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) default: ScmpAction,
    pub(super) architectures: Vec<ScmpArch>,
    pub(super) flags: u32,
    pub(super) listener: Option<SeccompListener>,
    pub(super) rules: Vec<Rules>,
}

/// What happens to some system calls.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) names: Vec<String>,
    pub(super) action: ScmpAction,
    /// All at once; empty for always.
    pub(super) conditions: Vec<(u32, ScmpArgCompare)>,
}

impl Profile {
    /// Whether an agent is asked about some call.
    pub(super) fn notifies(&self) -> bool {
        self.rules.iter().any(|rules| rules.action == ScmpAction::Notify && !rules.names.is_empty())
    }
}

/// Checks a profile; `None` for one that has neither a default action nor system calls.
pub(super) fn resolve(given: Document) -> Result<Option<Profile>> {
    let syscalls = given.syscalls.unwrap_or_default();
    let name = given.default_action.unwrap_or_default();
    if name.is_empty() && syscalls.is_empty() {
        return Ok(None);
    }
    let default = action(&name, given.default_errno_ret, "linux.seccomp.defaultAction")?;
    // The init could not hand over the listener: the call it needs for that would be stopped.
    if default == ScmpAction::Notify {
        return Err(SpecError::rule("SCMP_ACT_NOTIFY cannot be used as default action"));
    }
    let rules =
        syscalls.into_iter().enumerate().map(|(i, rules)| one(rules, i)).collect::<Result<Vec<_>>>()?;
    let mut profile = Profile {
        default,
        architectures: architectures(given.architectures.unwrap_or_default())?,
        flags: flags(given.flags)?,
        listener: listener(given.listener_path, given.listener_metadata)?,
        rules,
    };
    if !profile.notifies() {
        profile.flags &= !WAIT_KILLABLE;
    }
    Ok(Some(profile))
}

fn one(given: Syscalls, i: usize) -> Result<Rules> {
    let field = |part: &str| format!("linux.seccomp.syscalls[{i}].{part}");
    let action = action(given.action.as_deref().unwrap_or_default(), given.errno_ret, &field("action"))?;
    let names = given.names.unwrap_or_default();
    if names.iter().any(String::is_empty) {
        return Err(SpecError::value(field("names"), "", "empty string is not a valid syscall"));
    }
    if action == ScmpAction::Notify && names.iter().any(|name| name == "write") {
        return Err(SpecError::rule("SCMP_ACT_NOTIFY cannot be used for the write syscall"));
    }
    let conditions = given.args.iter().flatten().map(|arg| condition(arg, i)).collect::<Result<Vec<_>>>()?;
    Ok(Rules { names, action, conditions })
}

fn action(name: &str, errno: Option<u32>, field: &str) -> Result<ScmpAction> {
    let errno = errno.unwrap_or(DEFAULT_ERROR);
    let data = u16::try_from(errno);
    let data =
        data.map_err(|_| SpecError::value(field, errno, format!("errnoRet is more than {LARGEST_ERROR}")));
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(data?.into()),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(data?),
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        "SCMP_ACT_NOTIFY" => ScmpAction::Notify,
        _ => {
            return Err(SpecError::rule(format!(
                "string {name:?} is not a valid action for seccomp ({field})"
            )));
        }
    })
}

fn condition(given: &Argument, i: usize) -> Result<(u32, ScmpArgCompare)> {
    let index = given.index.unwrap_or(0);
    let index = u32::try_from(index).ok().filter(|index| (*index as usize) < ARGUMENTS).ok_or_else(|| {
        let field = format!("linux.seccomp.syscalls[{i}].args.index");
        SpecError::value(field, index, "a system call has six arguments, 0 to 5")
    })?;
    let (value, value_two) = (given.value.unwrap_or(0), given.value_two.unwrap_or(0));
    let name = given.op.as_deref().unwrap_or_default();
    let (op, datum) = match name {
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, value),
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, value),
        // `value` is the mask, `valueTwo` what is left after it.
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(value), value_two),
        _ => {
            return Err(SpecError::rule(format!(
                "string {name:?} is not a valid operator for seccomp (linux.seccomp.syscalls[{i}].args)"
            )));
        }
    };
    Ok((index, ScmpArgCompare::new(index, op, datum)))
}

fn architectures(given: Vec<String>) -> Result<Vec<ScmpArch>> {
    let known = |name: &String| ARCHITECTURES.iter().find(|(known, _)| known == name).map(|(_, arch)| *arch);
    given
        .iter()
        .map(|name| {
            known(name)
                .ok_or_else(|| SpecError::rule(format!("string {name:?} is not a valid arch for seccomp")))
        })
        .collect()
}

fn flags(given: Option<Vec<String>>) -> Result<u32> {
    let Some(given) = given else { return Ok(SPEC_ALLOW) };
    given.iter().try_fold(0, |flags, name| match FLAGS.iter().find(|(known, _)| known == name) {
        Some((_, bit)) => Ok(flags | bit),
        None => Err(SpecError::rule(format!("seccomp flag {name:?} is not known"))),
    })
}

fn listener(path: Option<String>, metadata: Option<String>) -> Result<Option<SeccompListener>> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    if path.contains('\0') {
        return Err(SpecError::value("linux.seccomp.listenerPath", path, "contains a NUL byte"));
    }
    Ok(Some(SeccompListener { path: PathBuf::from(path), metadata: metadata.unwrap_or_default() }))
}
