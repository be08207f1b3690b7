//! The program: arguments, environment, user, rights, limits.
//!
//! Owns: `process` (in config.json and process.json). Must not: look the program up; only the
//! container's file system knows where it is.

use std::collections::HashSet;
use std::ffi::CString;

use runsig_proto::plan;

use crate::document;
use crate::error::{Result, SpecError};
use crate::namespaces::to_host;
use crate::plan::IdMapping;
use crate::text::{cstring, cstrings, optional};
use crate::{caps, cpuset, rlimits, scheduler};

/// What runs with when the bundle does not say, as in runc.
const DEFAULT_UMASK: u32 = 0o022;

/// What a process needs to know of its container and of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The caller is not root.
    pub(crate) rootless: bool,
    /// The user namespace we run in, or the one made, lets nobody change supplementary groups.
    pub(crate) setgroups_denied: bool,
    /// The host has SELinux.
    pub(crate) selinux: bool,
    /// Maps of the container's user namespace, (user, group); empty where there are none to check.
    pub(crate) maps: (&'a [IdMapping], &'a [IdMapping]),
}

/// A process and what the runtime sets from outside.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) process: plan::Process,
    pub(crate) rlimits: Option<Vec<(u32, u64, u64)>>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) initial_affinity: Option<Vec<u64>>,
    pub(crate) final_affinity: Option<Vec<u64>>,
}

/// Resolves a process. What belongs to the container as a whole (seccomp, personality, memory
/// policy) is left empty.
pub(crate) fn resolve(
    given: document::Process,
    around: Around<'_>,
    warnings: &mut Vec<String>,
) -> Result<Resolved> {
    let cwd = cwd(given.cwd)?;
    let args = args(given.args)?;
    check_label(given.selinux_label.as_deref(), around.selinux)?;
    let user = user(given.user.unwrap_or_default(), around)?;
    let mut unknown = Vec::new();
    let capabilities = given.capabilities.as_ref().map(|sets| caps::resolve(sets, &mut unknown));
    warnings.extend(caps::warning(unknown));
    if let (Some(sets), Some(resolved)) = (&given.capabilities, &capabilities) {
        warnings.extend(caps::about_ambient(sets, resolved));
    }
    let affinity = given.exec_cpu_affinity.unwrap_or_default();
    let cpus = |list: Option<String>, field| cpuset::parse(list.as_deref().unwrap_or_default(), field);
    let process = plan::Process {
        args,
        env: environment(cstrings(given.env, "process.env")?)?,
        cwd,
        uid: user.uid,
        gid: user.gid,
        groups: user.groups,
        keep_groups: around.rootless || around.setgroups_denied,
        umask: user.umask,
        rlimits: Vec::new(),
        capabilities,
        no_new_privs: given.no_new_privileges.unwrap_or(false),
        scheduler: given.scheduler.as_ref().map(scheduler::scheduler).transpose()?,
        io_priority: given.io_priority.as_ref().map(scheduler::io_priority).transpose()?,
        affinity: None,
        memory_policy: None,
        personality: None,
        seccomp: None,
        apparmor: optional(given.apparmor_profile, "process.apparmorProfile")?,
        selinux: optional(given.selinux_label, "process.selinuxLabel")?,
        terminal: given.terminal.unwrap_or(false),
        console_size: given.console_size.map(console_size).transpose()?,
    };
    Ok(Resolved {
        process,
        rlimits: given.rlimits.as_deref().map(rlimits::resolve).transpose()?,
        oom_score_adj: given.oom_score_adj.map(oom_score_adj).transpose()?,
        initial_affinity: cpus(affinity.initial, "process.execCPUAffinity.initial")?,
        final_affinity: cpus(affinity.last, "process.execCPUAffinity.final")?,
    })
}

pub(crate) fn cwd(given: Option<String>) -> Result<CString> {
    let cwd = given.unwrap_or_default();
    if cwd.is_empty() {
        return Err(SpecError::rule("Cwd property must not be empty"));
    }
    if !cwd.starts_with('/') {
        return Err(SpecError::rule(format!("Cwd must be an absolute path (process.cwd is {cwd:?})")));
    }
    cstring(cwd, || "process.cwd")
}

fn args(given: Option<Vec<String>>) -> Result<Vec<CString>> {
    let args = cstrings(given, "process.args")?;
    if args.is_empty() { Err(SpecError::rule("args must not be empty")) } else { Ok(args) }
}

/// Refuses a label that nothing could apply.
pub(crate) fn check_label(label: Option<&str>, selinux: bool) -> Result<()> {
    if label.is_some_and(|label| !label.is_empty()) && !selinux {
        return Err(SpecError::rule(
            "selinux label is specified in config, but selinux is disabled or not supported",
        ));
    }
    Ok(())
}

/// Checks the variables and keeps the last value of each, as runc does.
pub(crate) fn environment(given: Vec<CString>) -> Result<Vec<CString>> {
    let mut seen = HashSet::with_capacity(given.len());
    let mut keep = Vec::with_capacity(given.len());
    for variable in given.iter().rev() {
        let bytes = variable.as_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            let value = variable.to_string_lossy();
            return Err(SpecError::rule(format!("invalid environment variable: missing '=' in {value:?}")));
        };
        if at == 0 {
            return Err(SpecError::rule("invalid environment variable: name cannot be empty"));
        }
        keep.push(seen.insert(bytes.get(..at).unwrap_or_default()));
    }
    keep.reverse();
    drop(seen);
    Ok(given.into_iter().zip(keep).filter_map(|(variable, keep)| keep.then_some(variable)).collect())
}

struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    umask: u32,
}

fn user(given: document::User, around: Around<'_>) -> Result<User> {
    let user = User {
        uid: given.uid.unwrap_or(0),
        gid: given.gid.unwrap_or(0),
        groups: given.additional_gids.unwrap_or_default(),
        umask: given.umask.unwrap_or(DEFAULT_UMASK),
    };
    if user.umask > 0o777 {
        return Err(SpecError::value("process.user.umask", user.umask, "is no file mode"));
    }
    check_user(user.uid, user.gid, &user.groups, around)?;
    Ok(user)
}

/// Refuses users and groups that the container's user namespace does not have.
pub(crate) fn check_user(uid: u32, gid: u32, groups: &[u32], around: Around<'_>) -> Result<()> {
    // -1 means "leave it alone" to the system calls: the program would keep root's rights.
    if uid == u32::MAX || gid == u32::MAX || groups.contains(&u32::MAX) {
        return Err(SpecError::value("process.user", u32::MAX, "is no user or group"));
    }
    let (uids, gids) = around.maps;
    if !uids.is_empty() && to_host(uids, uid).is_none() {
        return Err(SpecError::rule(format!("cannot setuid to unmapped uid {uid} in user namespace")));
    }
    if !gids.is_empty() && to_host(gids, gid).is_none() {
        return Err(SpecError::rule(format!("cannot setgid to unmapped gid {gid} in user namespace")));
    }
    Ok(())
}

fn console_size(given: oci_spec::runtime::Box) -> Result<(u16, u16)> {
    let side = |value: u64, name: &str| {
        u16::try_from(value)
            .map_err(|_| SpecError::value(format!("process.consoleSize.{name}"), value, "is more than 65535"))
    };
    Ok((side(given.height(), "height")?, side(given.width(), "width")?))
}

fn oom_score_adj(given: i64) -> Result<i32> {
    i32::try_from(given)
        .ok()
        .filter(|value| (-1000..=1000).contains(value))
        .ok_or_else(|| SpecError::value("process.oomScoreAdj", given, "is not between -1000 and 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: [IdMapping; 1] = [IdMapping { container: 0, host: 1000, size: 10 }];

    fn around(maps: &[IdMapping]) -> Around<'_> {
        Around { rootless: false, setgroups_denied: false, selinux: false, maps: (maps, maps) }
    }

    fn with(more: &str, around: Around<'_>) -> Result<Resolved> {
        let json = format!(r#"{{"cwd":"/","args":["a"]{more}}}"#);
        resolve(serde_json::from_str(&json).unwrap(), around, &mut Vec::new())
    }

    #[test]
    fn defaults_are_runcs() {
        let process = with("", around(&[])).unwrap().process;
        assert_eq!((process.uid, process.gid, process.umask), (0, 0, 0o022));
        assert_eq!((process.capabilities, process.no_new_privs, process.terminal), (None, false, false));
        assert!(process.env.is_empty() && process.groups.is_empty() && !process.keep_groups);
    }

    #[test]
    fn later_variables_win_and_keep_their_place() {
        let env = |list: &[&str]| -> Result<Vec<String>> {
            let list = list.iter().map(|v| CString::new(*v).unwrap()).collect();
            Ok(environment(list)?.iter().map(|v| v.to_string_lossy().into_owned()).collect())
        };
        assert_eq!(env(&["A=1", "B=2", "A=3", "C==", "D="]).unwrap(), ["B=2", "A=3", "C==", "D="]);
        assert_eq!(env(&[]).unwrap(), Vec::<String>::new());
        assert!(env(&["A"]).unwrap_err().to_string().contains("missing '=' in \"A\""));
        assert!(env(&["=A"]).unwrap_err().to_string().contains("name cannot be empty"));
    }

    #[test]
    fn users_have_to_exist_in_the_user_namespace() {
        assert!(with(r#","user":{"uid":9,"gid":9}"#, around(&MAPS)).is_ok());
        for (user, words) in [
            (r#"{"uid":10}"#, "cannot setuid to unmapped uid 10 in user namespace"),
            (r#"{"gid":10}"#, "cannot setgid to unmapped gid 10 in user namespace"),
        ] {
            let json = format!(r#","user":{user}"#);
            assert_eq!(with(&json, around(&MAPS)).unwrap_err().to_string(), words);
            assert!(with(&json, around(&[])).is_ok(), "without maps there is nothing to check");
        }
    }

    #[test]
    fn groups_are_left_alone_where_they_cannot_be_set() {
        for (rootless, denied, keep) in [(false, false, false), (true, false, true), (false, true, true)] {
            let around = Around { rootless, setgroups_denied: denied, ..around(&[]) };
            assert_eq!(with("", around).unwrap().process.keep_groups, keep);
        }
    }

    #[test]
    fn labels_need_selinux() {
        let selinux = Around { selinux: true, ..around(&[]) };
        let label = r#","selinuxLabel":"system_u:system_r:container_t:s0""#;
        assert!(with(label, selinux).unwrap().process.selinux.is_some());
        assert!(with(label, around(&[])).is_err());
        assert_eq!(with(r#","selinuxLabel":"""#, around(&[])).unwrap().process.selinux, None);
    }

    #[test]
    fn wrong_values_are_named() {
        for (more, words) in [
            (r#","user":{"umask":512}"#, "invalid process.user.umask \"512\""),
            (r#","user":{"uid":4294967295}"#, "invalid process.user"),
            (r#","user":{"additionalGids":[4294967295]}"#, "invalid process.user"),
            (r#","consoleSize":{"height":65536,"width":1}"#, "invalid process.consoleSize.height \"65536\""),
            (r#","consoleSize":{"height":1,"width":99999}"#, "invalid process.consoleSize.width"),
            (r#","oomScoreAdj":1001"#, "invalid process.oomScoreAdj \"1001\""),
            (r#","oomScoreAdj":-9999999999"#, "invalid process.oomScoreAdj"),
            (r#","execCPUAffinity":{"initial":"x"}"#, "invalid process.execCPUAffinity.initial \"x\""),
            (r#","execCPUAffinity":{"final":"3-1"}"#, "invalid process.execCPUAffinity.final \"3-1\""),
            (",\"env\":[\"A=1\",\"B=\\u0000\"]", "invalid process.env[1]"),
            (",\"apparmorProfile\":\"\\u0000\"", "invalid process.apparmorProfile"),
        ] {
            let error = with(more, around(&[])).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
