//! The command line that podman and Docker share.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use runsig_tests::Outcome;
use runsig_tests::runtime::finish;

use crate::engine::{Container, Engine, Exec, Limits, Opt, Owner, Verb};
use crate::image::limit;

/// The engine's identifiers of started containers, by their names.
pub(crate) type Ids = Mutex<BTreeMap<String, String>>;

/// What one of the two does in its own way. All else is the same [`Engine`].
pub(crate) trait DockerLike: Sync {
    /// The words after `rm` that remove a running container at once.
    const AT_ONCE: &'static [&'static str];
    /// The words after `top NAME`.
    const COLUMNS: &'static [&'static str];
    /// How `stats` writes JSON, and the values to look at.
    const STATISTICS: (&'static str, &'static [&'static str]);

    /// The client with arguments, not yet started.
    fn client(&self, owner: &Owner, args: &[String]) -> Command;
    /// The options of `run` that say who makes the container, and where its cgroup is.
    fn belonging(&self, owner: &Owner, container: &Container<'_>) -> Vec<String>;
    fn ids(&self) -> &Ids;
    /// Where a container's output is kept.
    fn log(&self, id: &str) -> PathBuf;
    /// The process that watches a container.
    fn watcher(&self, owner: &Owner, name: &str) -> i32;
    /// Removes containers, if they are there, and what is around them.
    fn remove_all(&self, owner: &Owner, names: &[String]);
    fn pod(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    fn crash_server(&mut self) {
        unimplemented!("see cannot.rs")
    }

    /// Runs the client to its end.
    fn ask(&self, owner: &Owner, args: &[String]) -> Outcome {
        finish(self.client(owner, args), limit())
    }

    /// A command about one container.
    fn about(&self, owner: &Owner, before: &[&str], name: &str) -> Outcome {
        self.ask(owner, &naming(owner, before, name))
    }

    /// `inspect` with a template.
    fn inspect(&self, owner: &Owner, name: &str, format: &str) -> String {
        let outcome = self.about(owner, &["container", "inspect", "-f", format], name);
        if outcome.code == 0 { outcome.text().to_string() } else { "gone".to_string() }
    }
}

fn naming(owner: &Owner, before: &[&str], name: &str) -> Vec<String> {
    before.iter().map(ToString::to_string).chain([owner.full(name)]).collect()
}

impl<T: DockerLike> Engine for T {
    fn run(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        let belonging = self.belonging(owner, container);
        self.ask(owner, &run(owner, "--rm", belonging, container))
    }

    fn start(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        let belonging = self.belonging(owner, container);
        let outcome = self.ask(owner, &run(owner, "--detach", belonging, container));
        let mut ids = self.ids().lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(owner.full(container.name), outcome.text().to_string());
        outcome
    }

    fn logs(&self, owner: &Owner, name: &str) -> Outcome {
        self.about(owner, &["logs"], name)
    }

    fn wait(&self, owner: &Owner, name: &str) -> Outcome {
        self.about(owner, &["wait"], name)
    }

    fn state(&self, owner: &Owner, name: &str) -> String {
        let format =
            "{{.State.Status}} {{.State.ExitCode}} oom={{.State.OOMKilled}} restarts={{.RestartCount}}";
        self.inspect(owner, name, format)
    }

    fn exec(&self, owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome {
        self.ask(owner, &exec(owner, name, how, args))
    }

    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        self.about(owner, &["stop", "-t", &seconds.to_string()], name)
    }

    fn remove(&self, owner: &Owner, name: &str, force: bool) -> Outcome {
        let how = if force { T::AT_ONCE } else { &[] };
        self.about(owner, &[&["rm"], how].concat(), name)
    }

    fn clear(&self, owner: &Owner, names: &[String]) {
        self.remove_all(owner, names);
    }

    fn peek(&self, owner: &Owner, name: &str) -> String {
        let ids = self.ids().lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = ids.get(&owner.full(name)) else { return String::new() };
        fs::read_to_string(self.log(id)).unwrap_or_default()
    }

    fn together(&self, owner: &Owner, verb: Verb, names: &[String]) -> Vec<String> {
        together(owner, verb, names, |args| self.ask(owner, args))
    }

    fn stop_command(&self, owner: &Owner, name: &str, seconds: u32) -> Option<Command> {
        Some(self.client(owner, &naming(owner, &["stop", "-t", &seconds.to_string()], name)))
    }

    fn crash(&mut self) {
        self.crash_server();
    }

    fn kill(&self, owner: &Owner, name: &str, signal: &str) -> Outcome {
        self.about(owner, &["kill", "-s", signal], name)
    }

    fn pause(&self, owner: &Owner, name: &str) -> Outcome {
        self.about(owner, &["pause"], name)
    }

    fn unpause(&self, owner: &Owner, name: &str) -> Outcome {
        self.about(owner, &["unpause"], name)
    }

    fn restart(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        self.about(owner, &["restart", "-t", &seconds.to_string()], name)
    }

    fn update(&self, owner: &Owner, name: &str, limits: Limits<'_>) -> Outcome {
        self.ask(owner, &update(owner, name, limits))
    }

    fn stats(&self, owner: &Owner, name: &str) -> Outcome {
        let (format, values) = T::STATISTICS;
        nonzero(self.about(owner, &["stats", "--no-stream", "--format", format], name), values)
    }

    fn top(&self, owner: &Owner, name: &str) -> Outcome {
        let columns = T::COLUMNS.iter().map(ToString::to_string);
        let words: Vec<String> = naming(owner, &["top"], name).into_iter().chain(columns).collect();
        self.ask(owner, &words)
    }

    fn make_pod(&self, owner: &Owner, name: &str) -> Outcome {
        self.pod(owner, name)
    }

    fn shim(&self, owner: &Owner, name: &str) -> i32 {
        self.watcher(owner, name)
    }
}

/// The arguments of `run` for a container, beginning with that word.
fn run(owner: &Owner, first: &str, belonging: Vec<String>, container: &Container<'_>) -> Vec<String> {
    let mut words = vec!["run".to_string(), first.to_string()];
    words.extend(belonging);
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
        Opt::Stdin => "--interactive".to_string(),
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
fn exec(owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Vec<String> {
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
fn update(owner: &Owner, name: &str, limits: Limits<'_>) -> Vec<String> {
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
fn together(owner: &Owner, verb: Verb, names: &[String], call: impl Fn(&[String]) -> Outcome) -> Vec<String> {
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
fn nonzero(outcome: Outcome, fields: &[&str]) -> Outcome {
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
