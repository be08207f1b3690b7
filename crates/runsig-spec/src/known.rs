//! What this build understands, for `features`.
//!
//! Owns: lists made from the tables the parsers use, so that they cannot disagree. All are sorted
//! unless an order means something. Must not: have lists of its own.

use runsig_sys::security;

use crate::{namespaces, options, scheduler, seccomp};

/// Hooks, in the order they run.
pub const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Mount option words.
#[must_use]
pub fn mount_options() -> Vec<String> {
    options::known()
}

/// Namespace types.
#[must_use]
pub fn namespaces() -> Vec<&'static str> {
    sorted(namespaces::TYPES.iter().map(|(name, _)| *name))
}

/// Capability names.
#[must_use]
pub fn capabilities() -> Vec<String> {
    let mut all: Vec<String> = caps::all().iter().map(ToString::to_string).collect();
    all.sort();
    all
}

/// seccomp actions.
#[must_use]
pub fn seccomp_actions() -> Vec<&'static str> {
    sorted(seccomp::ACTIONS)
}

/// seccomp operators.
#[must_use]
pub fn seccomp_operators() -> Vec<&'static str> {
    sorted(seccomp::OPERATORS)
}

/// seccomp architectures.
#[must_use]
pub fn seccomp_archs() -> Vec<&'static str> {
    sorted(seccomp::ARCHITECTURES.iter().map(|(name, _)| *name))
}

/// seccomp flags, in runc's order.
#[must_use]
pub fn seccomp_flags() -> Vec<&'static str> {
    seccomp::FLAGS.iter().map(|(name, _)| *name).collect()
}

/// seccomp flags that this kernel has, in the same order.
#[must_use]
pub fn supported_seccomp_flags() -> Vec<&'static str> {
    // With a listener, because one of them is refused without.
    let has =
        |flag: u32| security::seccomp_flags_available(flag | security::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    seccomp::FLAGS.iter().filter(|(_, flag)| has(*flag)).map(|(name, _)| *name).collect()
}

/// Memory policy modes.
#[must_use]
pub fn memory_modes() -> Vec<&'static str> {
    sorted(scheduler::MEMORY_MODES.iter().map(|(name, _)| *name))
}

/// Memory policy flags.
#[must_use]
pub fn memory_flags() -> Vec<&'static str> {
    sorted(scheduler::MEMORY_FLAGS.iter().map(|(name, _)| *name))
}

/// The version of libseccomp that is linked in.
#[must_use]
pub fn libseccomp_version() -> String {
    libseccomp::ScmpVersion::current()
        .map(|version| format!("{}.{}.{}", version.major, version.minor, version.micro))
        .unwrap_or_default()
}

fn sorted(names: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_what_engines_look_for() {
        for option in ["rro", "rbind", "idmap", "ridmap", "tmpcopyup", "nosymfollow", "rshared", "defaults"] {
            assert!(mount_options().iter().any(|known| known == option), "{option}");
        }
        assert_eq!(namespaces(), ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]);
        assert!(capabilities().len() >= 41 && capabilities().contains(&"CAP_SYS_ADMIN".to_owned()));
        assert!(supported_seccomp_flags().contains(&"SECCOMP_FILTER_FLAG_LOG"));
        assert!(libseccomp_version().starts_with("2."));
        assert!(!security::seccomp_flags_available(1 << 31), "no kernel has this flag");
    }
}
