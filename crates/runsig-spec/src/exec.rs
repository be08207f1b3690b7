//! One more process in a running container.
//!
//! Owns: how a process.json, or words of the command line, and the container's own settings make a
//! process, as in runc. Must not: know whether the container runs.

use std::ffi::CString;
use std::path::Path;

use runsig_proto::plan;

use crate::document;
use crate::error::{Result, SpecError, one_line};
use crate::load::{LoadOptions, read};
use crate::plan::{IdMapping, Plan};
use crate::process::{self, Around};
use crate::text::cstring;
use crate::{caps, json, rootless};

/// What a process needs to know of the container it comes to.
#[derive(Debug, Clone)]
pub struct ContainerFacts<'a> {
    /// The container's own process, as it was planned.
    pub process: &'a plan::Process,
    /// Its limits.
    pub rlimits: &'a [(u32, u64, u64)],
    /// Its score.
    pub oom_score_adj: Option<i32>,
    /// `process.execCPUAffinity` of the container: initial and final.
    pub affinity: (Option<&'a [u64]>, Option<&'a [u64]>),
    /// Maps of its user namespace; empty where there are none to check.
    pub uid_mappings: &'a [IdMapping],
    /// See `uid_mappings`.
    pub gid_mappings: &'a [IdMapping],
}

impl<'a> From<&'a Plan> for ContainerFacts<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            process: &plan.init.process,
            rlimits: &plan.rlimits,
            oom_score_adj: plan.oom_score_adj,
            affinity: (plan.initial_affinity.as_deref(), plan.final_affinity.as_deref()),
            uid_mappings: &plan.uid_mappings,
            gid_mappings: &plan.gid_mappings,
        }
    }
}

/// Where the process is described.
#[derive(Debug)]
pub enum ExecSource<'a> {
    /// In a process.json.
    File(&'a Path),
    /// In the text of a process.json.
    Json(&'a [u8]),
    /// It is the container's own process, with changes.
    Container(ProcessOverrides),
}

/// Changes to the container's own process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessOverrides {
    /// Instead of its arguments.
    pub args: Vec<String>,
    /// `NAME=VALUE`, added; later values win.
    pub env: Vec<String>,
    /// Instead of its working directory.
    pub cwd: Option<String>,
    /// Instead of its user.
    pub uid: Option<u32>,
    /// Instead of its group.
    pub gid: Option<u32>,
    /// Added to its supplementary groups.
    pub additional_gids: Vec<u32>,
    /// Names of capabilities, added to its bounding, effective and permitted set, and to the
    /// ambient one where it has inheritable capabilities.
    pub capabilities: Vec<String>,
    /// Instead of its own.
    pub no_new_privileges: Option<bool>,
    /// Instead of its own.
    pub apparmor_profile: Option<String>,
    /// Instead of its own.
    pub selinux_label: Option<String>,
    /// With a terminal.
    pub tty: bool,
}

/// A process to start.
#[derive(Debug, Clone)]
pub struct ExecPlan {
    /// The init's part.
    pub process: plan::Process,
    /// (`RLIMIT_*`, soft, hard), set from the host side.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Set from the host side.
    pub oom_score_adj: Option<i32>,
    /// Mask of processors for the runtime's child before it enters the cgroup, in 64-bit words.
    pub initial_affinity: Option<Vec<u64>>,
    /// One line each, to log.
    pub warnings: Vec<String>,
}

/// Plans a process for a running container. Of `options`, only what concerns processes is looked at.
///
/// # Errors
/// [`SpecError`], in one line, for whatever is wrong with the description.
pub fn exec_process(
    container: &ContainerFacts<'_>,
    source: ExecSource<'_>,
    options: &LoadOptions<'_>,
) -> Result<ExecPlan> {
    let around = Around {
        rootless: options.rootless,
        setgroups_denied: options.setgroups_denied,
        selinux: options.selinux,
        maps: (container.uid_mappings, container.gid_mappings),
    };
    let mut plan = match source {
        ExecSource::File(path) => described(&read(path)?, container, around),
        ExecSource::Json(bytes) => described(bytes, container, around),
        ExecSource::Container(changes) => changed(changes, container, around),
    }?;
    rootless::check_groups(options.rootless, &plan.process.groups)?;
    plan.warnings = plan.warnings.into_iter().map(one_line).collect();
    Ok(plan)
}

/// The process of a process.json. What it leaves open, and what no process decides for itself,
/// comes from the container.
fn described(bytes: &[u8], container: &ContainerFacts<'_>, around: Around<'_>) -> Result<ExecPlan> {
    let own = container.process;
    let given: Option<document::Process> = json::parse(bytes, &json::Room::new(), "process.json")?;
    let given = given.ok_or_else(|| SpecError::rule("process property must not be empty"))?;
    let umask = given.user.as_ref().and_then(|user| user.umask);
    let mut warnings = Vec::new();
    let resolved = process::resolve(given, around, &mut warnings)?;
    let given = resolved.process;
    let cpus = |given: Option<Vec<u64>>, own: Option<&[u64]>| given.or_else(|| own.map(<[u64]>::to_vec));
    let process = plan::Process {
        umask: umask.map_or(own.umask, |_| given.umask),
        capabilities: given.capabilities.or_else(|| own.capabilities.clone()),
        scheduler: given.scheduler.or_else(|| own.scheduler.clone()),
        io_priority: given.io_priority.or(own.io_priority),
        affinity: cpus(resolved.final_affinity, container.affinity.1),
        memory_policy: own.memory_policy.clone(),
        personality: own.personality,
        seccomp: own.seccomp.clone(),
        apparmor: given.apparmor.or_else(|| own.apparmor.clone()),
        selinux: given.selinux.or_else(|| own.selinux.clone()),
        ..given
    };
    Ok(ExecPlan {
        process,
        rlimits: resolved.rlimits.unwrap_or_default(),
        oom_score_adj: resolved.oom_score_adj.or(container.oom_score_adj),
        initial_affinity: cpus(resolved.initial_affinity, container.affinity.0),
        warnings,
    })
}

/// The container's own process with changes.
fn changed(
    changes: ProcessOverrides,
    container: &ContainerFacts<'_>,
    around: Around<'_>,
) -> Result<ExecPlan> {
    let mut warnings = Vec::new();
    let mut process = container.process.clone();
    process.args = words(changes.args, "args")?;
    if process.args.is_empty() {
        return Err(SpecError::rule("exec args cannot be empty"));
    }
    process.env.extend(words(changes.env, "env")?);
    process.env = process::environment(process.env)?;
    if let Some(cwd) = changes.cwd.filter(|cwd| !cwd.is_empty()) {
        process.cwd = process::cwd(Some(cwd))?;
    }
    process.uid = changes.uid.unwrap_or(process.uid);
    process.gid = changes.gid.unwrap_or(process.gid);
    process.groups.extend(changes.additional_gids);
    process::check_user(process.uid, process.gid, &process.groups, around)?;
    if let Some(sets) = &mut process.capabilities {
        add_capabilities(sets, &changes.capabilities, &mut warnings);
    }
    process.no_new_privs = changes.no_new_privileges.unwrap_or(process.no_new_privs);
    process::check_label(changes.selinux_label.as_deref(), around.selinux)?;
    replace(&mut process.apparmor, changes.apparmor_profile, "apparmor")?;
    replace(&mut process.selinux, changes.selinux_label, "process-label")?;
    process.terminal = changes.tty;
    process.affinity = container.affinity.1.map(<[u64]>::to_vec);
    Ok(ExecPlan {
        process,
        rlimits: container.rlimits.to_vec(),
        oom_score_adj: container.oom_score_adj,
        initial_affinity: container.affinity.0.map(<[u64]>::to_vec),
        warnings,
    })
}

fn words(given: Vec<String>, what: &str) -> Result<Vec<CString>> {
    given.into_iter().map(|word| cstring(word, || what)).collect()
}

fn replace(own: &mut Option<CString>, given: Option<String>, what: &str) -> Result<()> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        *own = Some(cstring(given, || what)?);
    }
    Ok(())
}

fn add_capabilities(sets: &mut plan::Capabilities, names: &[String], warnings: &mut Vec<String>) {
    let (known, unknown): (Vec<_>, Vec<_>) = names.iter().partition(|name| caps::bit(name).is_some());
    let mask = known.iter().filter_map(|name| caps::bit(name)).fold(0, |mask, bit| mask | bit);
    sets.bounding |= mask;
    sets.effective |= mask;
    sets.permitted |= mask;
    // A capability is ambient only while it is inheritable; runc tries it just for those who have any.
    if sets.inheritable != 0 {
        sets.ambient |= mask;
    }
    warnings.extend(caps::warning(unknown.into_iter().cloned().collect()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_json;

    const CONTAINER: &str = r#"{"ociVersion":"1.0.0","root":{"path":"rootfs"},"process":{"cwd":"/home","args":["main"],
        "terminal":true,"env":["A=1","B=2"],"user":{"uid":5,"gid":6,"umask":63,"additionalGids":[7]},
        "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"permitted":["CAP_KILL"],"ambient":[]},
        "rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":2}],"noNewPrivileges":true,"apparmorProfile":"aa",
        "oomScoreAdj":10,"ioPriority":{"class":"IOPRIO_CLASS_IDLE"},"execCPUAffinity":{"initial":"0","final":"1"}},
        "linux":{"personality":{"domain":"LINUX32"},"seccomp":{"defaultAction":"SCMP_ACT_LOG"}}}"#;

    fn container() -> Plan {
        from_json(CONTAINER.as_bytes(), Path::new("/b"), &LoadOptions::new("c")).unwrap()
    }

    fn exec(source: ExecSource<'_>) -> Result<ExecPlan> {
        let plan = container();
        assert!(
            plan.init.process.affinity.is_none(),
            "execCPUAffinity is not for the container's own process"
        );
        exec_process(&ContainerFacts::from(&plan), source, &LoadOptions::new("c"))
    }

    fn changes() -> ProcessOverrides {
        ProcessOverrides { args: vec!["ls".into()], ..Default::default() }
    }

    #[test]
    fn without_changes_it_is_the_containers_process() {
        let (own, exec) = (container().init.process, exec(ExecSource::Container(changes())).unwrap());
        let want =
            plan::Process { args: vec![c"ls".to_owned()], terminal: false, affinity: Some(vec![2]), ..own };
        assert_eq!(exec.process, want);
        assert_eq!((exec.rlimits, exec.oom_score_adj), (vec![(4, 1, 2)], Some(10)));
        assert_eq!(exec.initial_affinity, Some(vec![1]));
    }

    #[test]
    fn every_change_is_made() {
        let changes = ProcessOverrides {
            env: vec!["B=3".into(), "C=4".into()],
            cwd: Some("/tmp".into()),
            uid: Some(50),
            gid: Some(60),
            additional_gids: vec![70],
            capabilities: vec!["CAP_CHOWN".into(), "CAP_WHAT".into()],
            no_new_privileges: Some(false),
            apparmor_profile: Some("other".into()),
            tty: true,
            ..changes()
        };
        let exec = exec(ExecSource::Container(changes)).unwrap();
        let process = exec.process;
        assert_eq!(process.env, [c"A=1".to_owned(), c"B=3".to_owned(), c"C=4".to_owned()]);
        assert_eq!((process.cwd.as_c_str(), process.uid, process.gid), (c"/tmp", 50, 60));
        assert_eq!((process.groups, process.umask), (vec![7, 70], 63));
        let caps = process.capabilities.unwrap();
        assert_eq!((caps.bounding, caps.effective, caps.permitted), (0x21, 0x21, 0x21));
        assert_eq!((caps.inheritable, caps.ambient), (0, 0), "no inheritable ones, so no ambient ones");
        assert_eq!(exec.warnings, [r#"ignoring unknown or unavailable capabilities: ["CAP_WHAT"]"#]);
        assert!(!process.no_new_privs && process.terminal);
        assert_eq!(process.apparmor.as_deref(), Some(c"other"));
    }

    #[test]
    fn only_root_chooses_groups() {
        let words = "cannot set any additional groups in a rootless container";
        let options = LoadOptions { rootless: true, ..LoadOptions::new("c") };
        let plan = container();
        let facts = ContainerFacts::from(&plan);
        let error = exec_process(&facts, ExecSource::Container(changes()), &options).unwrap_err();
        assert_eq!(error.to_string(), words);
        let without = ExecSource::Json(br#"{"args":["a"],"cwd":"/"}"#);
        assert!(exec_process(&facts, without, &options).is_ok());

        let config = r#"{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","args":["a"],"user":
            {"additionalGids":[0]}},"linux":{"namespaces":[{"type":"user"},{"type":"mount"}],
            "uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}]}}"#;
        assert_eq!(from_json(config.as_bytes(), Path::new("/b"), &options).unwrap_err().to_string(), words);
        assert!(from_json(config.as_bytes(), Path::new("/b"), &LoadOptions::new("c")).is_ok());
    }

    #[test]
    fn ambient_capabilities_follow_inheritable_ones() {
        let mut plan = container();
        plan.init.process.capabilities.as_mut().unwrap().inheritable = 1 << 5;
        let source =
            ExecSource::Container(ProcessOverrides { capabilities: vec!["CAP_CHOWN".into()], ..changes() });
        let exec = exec_process(&ContainerFacts::from(&plan), source, &LoadOptions::new("c")).unwrap();
        assert_eq!(exec.process.capabilities.unwrap().ambient, 1);
    }

    #[test]
    fn a_process_file_decides_what_it_says_and_the_container_the_rest() {
        let json = r#"{"args":["a","b"],"cwd":"/","user":{"uid":1}}"#;
        let small = exec(ExecSource::Json(json.as_bytes())).unwrap();
        let own = container().init.process;
        assert_eq!((small.process.uid, small.process.gid, small.process.groups.len()), (1, 0, 0));
        assert_eq!(small.process.env, Vec::<CString>::new());
        assert!(!small.process.no_new_privs && !small.process.terminal, "these default to no");
        assert_eq!(small.process.capabilities, own.capabilities);
        assert_eq!((small.process.umask, small.process.apparmor.as_deref()), (63, Some(c"aa")));
        assert_eq!((&small.process.seccomp, small.process.personality), (&own.seccomp, Some(8)));
        assert_eq!((small.process.io_priority, small.process.affinity), (Some((3, 0)), Some(vec![2])));
        assert_eq!((small.rlimits, small.oom_score_adj), (vec![], Some(10)));

        let json = r#"{"args":["a"],"cwd":"/","user":{"umask":7},"capabilities":{},"apparmorProfile":"x","terminal":true,
            "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":2},"execCPUAffinity":{"final":"2"},"oomScoreAdj":0,
            "rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":1}]}"#;
        let full = exec(ExecSource::Json(json.as_bytes())).unwrap();
        assert_eq!(full.process.capabilities.unwrap().bounding, 0);
        assert_eq!((full.process.umask, full.process.apparmor.as_deref()), (7, Some(c"x")));
        assert_eq!((full.process.io_priority, full.process.affinity), (Some((2, 2)), Some(vec![4])));
        assert_eq!((full.rlimits, full.oom_score_adj), (vec![(0, 1, 1)], Some(0)));
        assert!(full.process.terminal);
    }

    #[test]
    fn wrong_descriptions_are_named() {
        for (json, words) in [
            ("", "process.json: EOF while parsing"),
            ("null", "process property must not be empty"),
            ("{}", "Cwd property must not be empty"),
            (r#"{"cwd":"a","args":["a"]}"#, "Cwd must be an absolute path"),
            (r#"{"cwd":"/","args":[]}"#, "args must not be empty"),
            (r#"{"cwd":"/","args":["a"],"user":{"uid":"x"}}"#, "process.json: user.uid: invalid type"),
        ] {
            let error = exec(ExecSource::Json(json.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for (changes, words) in [
            (ProcessOverrides::default(), "exec args cannot be empty"),
            (ProcessOverrides { cwd: Some("x".into()), ..changes() }, "Cwd must be an absolute path"),
            (ProcessOverrides { env: vec!["x".into()], ..changes() }, "missing '='"),
            (ProcessOverrides { env: vec!["=x".into()], ..changes() }, "name cannot be empty"),
            (ProcessOverrides { uid: Some(u32::MAX), ..changes() }, "is no user or group"),
            (ProcessOverrides { selinux_label: Some("l".into()), ..changes() }, "selinux is disabled"),
            (ProcessOverrides { args: vec!["a\0".into()], ..changes() }, "invalid args"),
        ] {
            let error = exec(ExecSource::Container(changes)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = exec(ExecSource::File(Path::new("/nonexistent"))).unwrap_err().to_string();
        assert_eq!(error, "open /nonexistent: no such file or directory");
    }
}
