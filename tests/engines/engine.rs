//! What the scenarios ask of an engine, in words that all four understand.

use std::path::PathBuf;
use std::process::Command;

use runsig_tests::Outcome;

use crate::image::IMAGE;

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Podman,
    Containerd,
    Docker,
    Cri,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Kind; 4] = [Kind::Podman, Kind::Containerd, Kind::Docker, Kind::Cri];

    /// As tests are named.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Podman => "podman",
            Kind::Containerd => "containerd",
            Kind::Docker => "docker",
            Kind::Cri => "cri",
        }
    }
}

/// Which of the two runtimes a container runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Debian's runc, which says what is right.
    Runc,
    /// The runtime under test.
    Tested,
}

impl Side {
    /// Its name in the engines' configurations.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Runc => "runc",
            Side::Tested => "tested",
        }
    }
}

/// Whose containers a call is about: what one scenario makes with one runtime.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) side: Side,
    /// In front of every name, so that scenarios do not meet.
    pub(crate) prefix: String,
    /// A directory of the scenario's own, also shared with its containers.
    pub(crate) dir: PathBuf,
    /// The cgroup above all of its containers, or the slice.
    pub(crate) cgroup: String,
}

impl Owner {
    /// The name an engine gets to see.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where its cgroup is: a slice `a-b.slice` is in `a.slice`.
    pub(crate) fn cgroup_path(&self) -> String {
        let Some(name) = self.cgroup.strip_suffix(".slice") else { return self.cgroup.clone() };
        let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
        ends.map(|end| format!("/{}.slice", &name[..end])).collect()
    }
}

/// Something about a container that is not the default.
#[derive(Clone, Debug)]
pub(crate) enum Opt<'a> {
    Init,
    /// Its standard input stays open.
    Stdin,
    StopSignal(&'a str),
    Tty,
    User(&'a str),
    Group(&'a str),
    Workdir(&'a str),
    Env(&'a str),
    Hostname(&'a str),
    ReadOnly,
    Tmpfs(&'a str, &'a str),
    /// From, to, comma-separated options.
    Bind(&'a str, &'a str, &'a str),
    CapAdd(&'a str),
    CapDrop(&'a str),
    SeccompDefault,
    SeccompUnconfined,
    /// A profile in Docker's format.
    SeccompFile(&'a str),
    NoNewPrivileges,
    Privileged,
    Ulimit(&'a str),
    /// The cgroups are mounted; all engines but ctr do that without being asked.
    Cgroups,
    HostPids,
    HostIpc,
    HostUts,
    HostNetwork,
    /// A network of the pod's own.
    OwnNetwork,
    /// Of a pod: its containers see one another's processes.
    SharedPids,
    /// The PID namespace of another container of the scenario.
    PidsOf(&'a str),
    /// In a pod of the scenario.
    InPod(&'a str),
    Memory(&'a str),
    Cpus(&'a str),
    Shares(&'a str),
    Pids(&'a str),
    Cpuset(&'a str),
    Restart(&'a str),
    Device(&'a str),
    Sysctl(&'a str),
    ShmSize(&'a str),
    OomScore(&'a str),
    IdMap(&'a str),
    Unmasked,
}

/// A container to be made.
#[derive(Clone, Debug)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) args: Vec<&'a str>,
    pub(crate) options: Vec<Opt<'a>>,
}

impl<'a> Container<'a> {
    /// A container that runs a program.
    pub(crate) fn program(name: &'a str, args: &[&'a str]) -> Container<'a> {
        Container { name, image: IMAGE, args: args.to_vec(), options: Vec::new() }
    }

    /// A container whose PID 1 is a shell with a script.
    pub(crate) fn script(name: &'a str, script: &'a str) -> Container<'a> {
        Container::program(name, &["sh", "-c", script])
    }

    pub(crate) fn with(mut self, option: Opt<'a>) -> Container<'a> {
        self.options.push(option);
        self
    }

    pub(crate) fn image(mut self, image: &'a str) -> Container<'a> {
        self.image = image;
        self
    }

    /// Whether an option is one of the kind that `is` tells.
    pub(crate) fn has(&self, is: impl Fn(&Opt<'_>) -> bool) -> bool {
        self.options.iter().any(is)
    }
}

/// How a program is executed in a container.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exec<'a> {
    pub(crate) tty: bool,
    pub(crate) detach: bool,
    pub(crate) user: Option<&'a str>,
    pub(crate) workdir: Option<&'a str>,
    pub(crate) env: Option<&'a str>,
}

/// With whom to talk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Talk<'a> {
    /// The container's own program.
    Attach { tty: bool },
    /// Another one, from its beginning to its end.
    Exec { tty: bool, args: &'a [&'a str] },
}

/// New limits for `update`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits<'a> {
    /// Bytes.
    pub(crate) memory: Option<&'a str>,
    pub(crate) shares: Option<&'a str>,
    /// Microseconds in 100 ms.
    pub(crate) quota: Option<&'a str>,
    pub(crate) pids: Option<&'a str>,
    pub(crate) cpuset: Option<&'a str>,
}

/// What many containers can be asked at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    State,
    Stop(u32),
    Wait,
    Remove,
}

/// An engine that runs. Each call is one command of the engine, or as few as do it.
pub(crate) trait Engine: Sync {
    /// Runs a container to its end, and removes it.
    fn run(&self, owner: &Owner, container: &Container<'_>) -> Outcome;
    /// Starts a container and leaves it.
    fn start(&self, owner: &Owner, container: &Container<'_>) -> Outcome;
    /// What its program has written.
    fn logs(&self, owner: &Owner, name: &str) -> Outcome;
    /// Waits for its end; its exit code in the text.
    fn wait(&self, owner: &Owner, name: &str) -> Outcome;
    /// Its state as the engine tells it.
    fn state(&self, owner: &Owner, name: &str) -> String;
    fn exec(&self, owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome;
    /// The engine's way to stop, KILL after so many seconds.
    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome;
    fn remove(&self, owner: &Owner, name: &str, force: bool) -> Outcome;
    /// Removes what the scenario has left of these containers.
    fn clear(&self, owner: &Owner, names: &[String]);
    /// What a started container's program has written so far, read where the engine keeps it.
    fn peek(&self, owner: &Owner, name: &str) -> String;

    /// As many calls with one name each, in one command where the engine has that.
    fn together(&self, owner: &Owner, verb: Verb, names: &[String]) -> Vec<String> {
        let one = |name: &String| match verb {
            Verb::State => self.state(owner, name),
            Verb::Stop(seconds) => self.stop(owner, name, seconds).code.to_string(),
            Verb::Wait => self.wait(owner, name).text().to_string(),
            Verb::Remove => self.remove(owner, name, false).code.to_string(),
        };
        names.iter().map(one).collect()
    }

    fn kill(&self, _owner: &Owner, _name: &str, _signal: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// To every process of the container.
    fn kill_all(&self, _owner: &Owner, _name: &str, _signal: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    fn pause(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    fn unpause(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    fn restart(&self, _owner: &Owner, _name: &str, _seconds: u32) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    fn update(&self, _owner: &Owner, _name: &str, _limits: Limits<'_>) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// Which statistics are more than nothing: one word a line.
    fn stats(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// The processes, as the engine lists them.
    fn top(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// The command of `stop`, to be left alone; None where stopping is more than one.
    fn stop_command(&self, _owner: &Owner, _name: &str, _seconds: u32) -> Option<Command> {
        None
    }
    /// Kills the engine's server and starts it again.
    fn crash(&mut self) {
        unimplemented!("see cannot.rs")
    }
    /// Whether many containers rather go into one pod.
    fn gathers(&self) -> bool {
        false
    }
    /// Writes each line and waits for the words that answer it. A terminal is 100 columns wide and 40 rows high.
    fn talk(&self, _owner: &Owner, _name: &str, _to: Talk<'_>, _steps: &[(&str, &str)]) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// Moves a container's log away and has a new one begun; the old one's text.
    fn rotate_log(&self, _owner: &Owner, _name: &str) -> String {
        unimplemented!("see cannot.rs")
    }
    fn make_pod(&self, _owner: &Owner, _name: &str) -> Outcome {
        unimplemented!("see cannot.rs")
    }
    /// The process that watches a container: the one to kill when the engine's part of it is to fail.
    fn shim(&self, _owner: &Owner, _name: &str) -> i32 {
        unimplemented!("see cannot.rs")
    }
}
