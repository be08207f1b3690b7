//! The command line that podman and Docker share.

use runsig_tests::Outcome;

use crate::engine::{Container, Exec, Limits, Opt, Owner, Verb};

/// The arguments of `run` for a container, beginning with that word.
pub(crate) fn run(owner: &Owner, first: &[&str], container: &Container<'_>) -> Vec<String> {
    let mut words: Vec<String> = vec!["run".to_string()];
    words.extend(first.iter().map(ToString::to_string));
    words.extend(["--name".to_string(), owner.full(container.name)]);
    let network = container.has(|option| matches!(option, Opt::HostNetwork | Opt::InPod(_)));
    if !network {
        words.push("--network=none".to_string());
    }
    words.extend(container.options.iter().map(|option| self::option(owner, option)));
    words.push(container.image.to_string());
    words.extend(container.args.iter().map(ToString::to_string));
    words
}

fn option(owner: &Owner, option: &Opt<'_>) -> String {
    match option {
        Opt::Init => "--init".to_string(),
        Opt::StopSignal(signal) => format!("--stop-signal={signal}"),
        Opt::Tty => "--tty".to_string(),
        Opt::User(user) => format!("--user={user}"),
        Opt::Group(group) => format!("--group-add={group}"),
        Opt::Workdir(dir) => format!("--workdir={dir}"),
        Opt::Env(env) => format!("--env={env}"),
        Opt::Cgroups => "--label=cgroups=shown".to_string(),
        Opt::Hostname(name) => format!("--hostname={name}"),
        Opt::ReadOnly => "--read-only".to_string(),
        Opt::Tmpfs(path, options) => format!("--tmpfs={path}:{options}"),
        Opt::Bind(from, to, options) => format!("--volume={from}:{to}:{options}"),
        Opt::CapAdd(name) => format!("--cap-add={name}"),
        Opt::CapDrop(name) => format!("--cap-drop={name}"),
        // Both have it without being asked.
        Opt::SeccompDefault => "--label=seccomp=default".to_string(),
        Opt::SeccompUnconfined => "--security-opt=seccomp=unconfined".to_string(),
        Opt::SeccompFile(file) => format!("--security-opt=seccomp={file}"),
        Opt::NoNewPrivileges => "--security-opt=no-new-privileges".to_string(),
        Opt::Privileged => "--privileged".to_string(),
        Opt::Ulimit(limit) => format!("--ulimit={limit}"),
        Opt::HostPids => "--pid=host".to_string(),
        Opt::HostIpc => "--ipc=host".to_string(),
        Opt::HostUts => "--uts=host".to_string(),
        Opt::HostNetwork => "--network=host".to_string(),
        // With --network=none it has one.
        Opt::OwnNetwork => "--label=network=own".to_string(),
        Opt::SharedPids => unimplemented!("for pods"),
        Opt::PidsOf(name) => format!("--pid=container:{}", owner.full(name)),
        Opt::InPod(name) => format!("--pod={}", owner.full(name)),
        Opt::Memory(bytes) => format!("--memory={bytes}"),
        Opt::Cpus(number) => format!("--cpus={number}"),
        Opt::Shares(shares) => format!("--cpu-shares={shares}"),
        Opt::Pids(number) => format!("--pids-limit={number}"),
        Opt::Cpuset(cpus) => format!("--cpuset-cpus={cpus}"),
        Opt::Restart(policy) => format!("--restart={policy}"),
        Opt::Device(device) => format!("--device={device}"),
        Opt::Sysctl(setting) => format!("--sysctl={setting}"),
        Opt::ShmSize(size) => format!("--shm-size={size}"),
        Opt::OomScore(score) => format!("--oom-score-adj={score}"),
        Opt::IdMap(map) => format!("--uidmap={map}"),
        Opt::Unmasked => "--security-opt=unmask=ALL".to_string(),
    }
}

/// The arguments of `exec`.
pub(crate) fn exec(owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Vec<String> {
    let mut words = vec!["exec".to_string()];
    let flags = [(how.tty, "--tty"), (how.detach, "--detach")];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_string()));
    let values = [("--user", how.user), ("--workdir", how.workdir), ("--env", how.env)];
    words.extend(values.iter().filter_map(|(flag, value)| Some(format!("{flag}={}", (*value)?))));
    words.push(owner.full(name));
    words.extend(args.iter().map(ToString::to_string));
    words
}

/// The arguments of `update`.
pub(crate) fn update(owner: &Owner, name: &str, limits: Limits<'_>) -> Vec<String> {
    let mut words = vec!["update".to_string()];
    let values = [
        ("--memory", limits.memory),
        ("--memory-swap", limits.memory),
        ("--cpu-shares", limits.shares),
        ("--cpu-quota", limits.quota),
        ("--pids-limit", limits.pids),
        ("--cpuset-cpus", limits.cpuset),
    ];
    words.extend(values.iter().filter_map(|(flag, value)| Some(format!("{flag}={}", (*value)?))));
    words.push(owner.full(name));
    words
}

/// One command for many containers.
pub(crate) fn together(
    owner: &Owner,
    verb: Verb,
    names: &[String],
    call: impl Fn(&[String]) -> Outcome,
) -> Vec<String> {
    let first: Vec<String> = match verb {
        Verb::State => ["container", "inspect", "-f", "{{.State.Status}}"].map(String::from).to_vec(),
        Verb::Stop(seconds) => vec!["stop".to_string(), "-t".to_string(), seconds.to_string()],
        Verb::Wait => vec!["wait".to_string()],
        Verb::Remove => vec!["rm".to_string()],
    };
    let words = first.into_iter().chain(names.iter().map(|name| owner.full(name)));
    let outcome = call(&words.collect::<Vec<_>>());
    let told = match verb {
        Verb::State | Verb::Wait => outcome.stdout.lines().map(str::to_string).collect(),
        Verb::Stop(_) | Verb::Remove => vec![outcome.code.to_string()],
    };
    if outcome.stderr.is_empty() { told } else { [told, vec![outcome.stderr]].concat() }
}

/// The words of a JSON object of statistics whose values are more than nothing, of those asked for.
pub(crate) fn nonzero(outcome: Outcome, fields: &[&str]) -> Outcome {
    let parsed: serde_json::Value = serde_json::from_str(outcome.text()).unwrap_or_default();
    let object = if parsed.is_array() { parsed[0].clone() } else { parsed };
    let more = |field: &&&str| {
        let text = match &object[**field] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.chars().any(|digit| ('1'..='9').contains(&digit))
    };
    let words: Vec<&str> = fields.iter().filter(more).copied().collect();
    Outcome { stdout: words.join("\n"), ..outcome }
}
