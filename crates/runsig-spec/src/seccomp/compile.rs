//! From a checked profile to instructions, by libseccomp.
//!
//! Owns: the calls of the library. Must not: read the bundle's words.

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpFilterContext, ScmpSyscall};
use runsig_sys::fs;

use super::enosys;
use super::profile::{ARGUMENTS, Profile, Rules};
use crate::error::{Result, SpecError, one_line};

/// Bytes of one instruction, `struct sock_filter`.
pub(super) const INSTRUCTION: usize = 8;
/// BPF_MAXINSNS: more instructions the kernel does not take.
const MOST_INSTRUCTIONS: usize = 4096;
/// From so many rules on, the library's binary tree is worth its cost. (Versions up to 2.5.4 also
/// make a wrong tree of no rules at all.)
const TREE_FROM: usize = 32;

/// The program for seccomp(2): the stub for unknown calls, then the profile's rules.
pub(super) fn compile(profile: &Profile) -> Result<Vec<u8>> {
    let mut program = enosys::stub(profile);
    program.extend(rules(profile)?);
    let count = program.len() / INSTRUCTION;
    if count > MOST_INSTRUCTIONS {
        let why = format!("the filter is longer than {MOST_INSTRUCTIONS} instructions");
        return Err(SpecError::value("linux.seccomp", format!("{count} instructions"), why));
    }
    Ok(program)
}

fn rules(profile: &Profile) -> Result<Vec<u8>> {
    let mut filter = ScmpFilterContext::new(profile.default).map_err(failed("error creating filter"))?;
    for arch in &profile.architectures {
        filter.add_arch(*arch).map_err(failed("error adding architecture to seccomp filter"))?;
    }
    if profile.rules.iter().map(|rules| rules.names.len()).sum::<usize>() > TREE_FROM {
        filter.set_ctl_optimize(2).map_err(failed("error setting optimization"))?;
    }
    // no_new_privs is a matter of the bundle's.
    filter.set_ctl_nnp(false).map_err(failed("error setting no new privileges"))?;
    for rules in &profile.rules {
        add(&mut filter, rules, profile.default)?;
    }
    export(&filter)
}

/// Adds rules for each name. Calls that the library does not know are left out, as in runc: no
/// kernel of this architecture has them, or the stub answers for them.
fn add(filter: &mut ScmpFilterContext, rules: &Rules, default: ScmpAction) -> Result<()> {
    if rules.action == default {
        return Ok(());
    }
    for name in &rules.names {
        let Ok(number) = ScmpSyscall::from_name(name) else { continue };
        let doing = || format!("error adding seccomp filter rule for syscall {name}");
        let mut add = |conditions: &[ScmpArgCompare]| {
            let added = if conditions.is_empty() {
                filter.add_rule(rules.action, number)
            } else {
                filter.add_rule_conditional(rules.action, number, conditions)
            };
            added.map(drop).map_err(|error| refused(doing(), &error))
        };
        let conditions: Vec<ScmpArgCompare> = rules.conditions.iter().map(|(_, compare)| *compare).collect();
        if one_argument_twice(&rules.conditions) {
            // The library takes one condition an argument in a rule. Docker's old profiles, and so
            // runc, mean "any of these" by several.
            conditions.chunks(1).try_for_each(&mut add)?;
        } else {
            add(&conditions)?;
        }
    }
    Ok(())
}

fn one_argument_twice(conditions: &[(u32, ScmpArgCompare)]) -> bool {
    let mut seen = [false; ARGUMENTS];
    conditions
        .iter()
        .any(|(index, _)| seen.get_mut(*index as usize).is_some_and(|seen| std::mem::replace(seen, true)))
}

/// Takes the program out of the library, which only writes to descriptors.
fn export(filter: &ScmpFilterContext) -> Result<Vec<u8>> {
    let os = |errno: runsig_sys::Errno| SpecError::Seccomp {
        doing: "error reading the filter back".to_owned(),
        message: errno.to_string(),
    };
    let file = fs::memfd(c"seccomp").map_err(os)?;
    filter.export_bpf(&file).map_err(failed("error exporting BPF"))?;
    let length = fs::fstat(file.as_fd()).map_err(os)?.size;
    let mut program = vec![0; usize::try_from(length).unwrap_or(0)];
    fs::seek_to(file.as_fd(), 0).map_err(os)?;
    fs::read_exact(file.as_fd(), &mut program).map_err(os)?;
    Ok(program)
}

fn failed(doing: &'static str) -> impl Fn(SeccompError) -> SpecError {
    move |error| refused(doing.to_owned(), &error)
}

fn refused(doing: String, error: &SeccompError) -> SpecError {
    SpecError::Seccomp { doing, message: one_line(error.to_string()) }
}
