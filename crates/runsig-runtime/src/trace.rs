//! What `--debug` tells about an init's way from clone to execve.
//!
//! The phrases are those of runc's debug log, because scripts and runc's own tests look for them;
//! each is said when the step of that name has happened here.
//!
//! Owns: the phrases. Must not: do anything but tell.

use runsig_proto::InitPlan;

use crate::options::Globals;

/// The process exists, in the namespaces it was cloned into.
pub(crate) fn cloned(globals: &Globals, pid: i32, namespaces: u64) {
    globals
        .debug(|| format!("nsexec container setup: init is process {pid}, new namespaces {namespaces:#x}"));
}

/// The init has its plan and sets up the container.
pub(crate) fn planned(globals: &Globals, pid: i32, plan: &InitPlan) {
    globals.debug(|| format!("child process in init(): process {pid} has its plan"));
    if let Some(filter) = &plan.process.seccomp {
        let flags = filter.flags | if filter.notify { NEW_LISTENER } else { 0 };
        globals.debug(|| format!("seccomp filter flags: {flags}"));
    }
}

/// SECCOMP_FILTER_FLAG_NEW_LISTENER, which the init adds for a filter with a notify action.
const NEW_LISTENER: u32 = 1 << 3;

/// Everything is set up.
pub(crate) fn ready(globals: &Globals) {
    globals.debug(|| "init: closing the pipe to signal completion".to_owned());
}

/// A process of an exec is set up.
pub(crate) fn exec_ready(globals: &Globals, pid: i32) {
    globals.debug(|| format!("setns_init: about to exec in process {pid}"));
}

/// The processors an exec starts on, in 64-bit words.
pub(crate) fn affinity(globals: &Globals, pid: i32, mask: &[u64]) {
    globals.debug(|| format!("nsexec[{pid}]: affinity: {}", mask_text(mask)));
}

/// One hexadecimal number, however many words it takes.
fn mask_text(mask: &[u64]) -> String {
    let digits: String = mask.iter().rev().map(|word| format!("{word:016x}")).collect();
    let digits = digits.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_one_number() {
        for (mask, text) in [(&[][..], "0x0"), (&[3], "0x3"), (&[0, 1], "0x10000000000000000")] {
            assert_eq!(mask_text(mask), text);
        }
    }
}
