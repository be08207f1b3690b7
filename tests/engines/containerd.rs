//! containerd: a server of our own, driven by ctr.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runsig_tests::case::require_command;
use runsig_tests::runtime::{Running, finish};
use runsig_tests::{Bundle, Outcome, Runtime, harness, procs, wait};

use crate::engine::{Container, Engine, Exec, Opt, Owner, Side};
use crate::image::{self, IMAGE, Server, limit};
use crate::world;

const WITHOUT_CRI: &str = "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
pub(crate) const NAMESPACE: &str = "runsig-test";
/// Where the shim has the runtime keep its state, in a directory of the namespace.
pub(crate) const RUNTIME_ROOT: &str = "/run/containerd/runc";

/// A server with the images in it.
pub(crate) struct Containerd {
    dir: PathBuf,
    server: Server,
    tasks: Mutex<BTreeMap<String, Task>>,
}

/// ctr stays with each task: its exit status becomes that of the task, which nobody tells later.
enum Task {
    Running(Running),
    Ended(Outcome),
}

impl Containerd {
    /// For one test that is about Runsig alone.
    pub(crate) fn new() -> Containerd {
        Containerd::at(&harness::test_dir().join("containerd"))
    }

    /// With everything it keeps below `dir`.
    pub(crate) fn at(dir: &Path) -> Containerd {
        require_command("ctr");
        let server = start_server(dir, WITHOUT_CRI);
        let containerd = Containerd { dir: dir.to_path_buf(), server, tasks: Mutex::default() };
        let archive = image::archive(dir);
        containerd.call(&["images", "import", archive.to_str().expect("utf-8")]).ok();
        containerd
    }

    /// `ctr ARGS`.
    pub(crate) fn call<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Outcome {
        finish(self.command(args), limit())
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.dir.join("sock")).args(["--namespace", NAMESPACE]).args(args);
        command
    }

    /// A task whose program has begun; a file in the shared directory tells.
    pub(crate) fn task(&self, options: &[&str], name: &str, script: &str) -> Running {
        let dir = harness::test_dir().join("shared");
        fs::create_dir_all(&dir).expect("mkdir");
        let mount = format!("type=bind,src={},dst=/shared,options=rbind:rw", dir.display());
        let runtime = Runtime::path();
        let cgroup = format!("/{}/{name}", harness::tag());
        let script = script.replace("echo ready", &format!("echo ready > /shared/{name}"));
        let first = ["run", "--rm", "--runc-binary", runtime.to_str().expect("utf-8"), "--cpu-shares", "0"];
        let more = ["--cgroup", &cgroup, "--mount", &mount];
        let program = [IMAGE, name, "sh", "-c", &script];
        let running = Running::start(self.command(&[&first, more.as_slice(), options, &program].concat()));
        image::patiently("the program to begin", || dir.join(name).exists());
        running
    }

    /// `ctr run` with a bundle's configuration, left alone.
    pub(crate) fn run_config(&self, bundle: &Bundle) -> Running {
        let runtime = Runtime::path();
        let config = bundle.dir.join("config.json");
        let words = ["run", "--rm", "--runc-binary", runtime.to_str().expect("utf-8"), "--config"];
        let more = [config.to_str().expect("utf-8"), &bundle.id];
        Running::start(self.command(&[words.as_slice(), &more].concat()))
    }

    /// Kills the server; the shims live on.
    pub(crate) fn kill_server(&mut self) {
        self.server.kill();
    }

    /// Starts the server again.
    pub(crate) fn restart_server(&mut self) {
        self.server = start_server(&self.dir, WITHOUT_CRI);
    }

    fn run_command(&self, owner: &Owner, first: &[&str], container: &Container<'_>) -> Command {
        let runtime = program(owner.side);
        let name = owner.full(container.name);
        let with_systemd = world::cgroup_manager() == "systemd";
        let cgroup = if with_systemd {
            format!("--cgroup={}:ctr:{name}", owner.cgroup)
        } else {
            format!("--cgroup={}/{name}", owner.cgroup)
        };
        let mut words: Vec<String> = ["run", "--runc-binary", &runtime, "--cpu-shares", "0", &cgroup]
            .into_iter()
            .chain(first.iter().copied())
            .map(str::to_string)
            .collect();
        if with_systemd {
            words.push("--runc-systemd-cgroup".to_string());
        }
        words.extend(container.options.iter().flat_map(|option| self.option(owner, option)));
        words.extend(root_propagation(container));
        words.extend([container.image.to_string(), name]);
        words.extend(unhurried(&container.args));
        let command = self.command(&words);
        if container.has(|option| matches!(option, Opt::Tty)) { on_a_terminal(&command) } else { command }
    }

    fn option(&self, owner: &Owner, option: &Opt<'_>) -> Vec<String> {
        let bind = |from: &str, to: &str, options: &str| {
            let options = options.replace(',', ":");
            format!("--mount=type=bind,src={from},dst={to},options=rbind:{options}")
        };
        let one = match option {
            Opt::ReadOnly => "--read-only".to_string(),
            Opt::Tty => "--tty".to_string(),
            Opt::Tmpfs(path, options) => {
                format!("--mount=type=tmpfs,src=tmpfs,dst={path},options={}", options.replace(',', ":"))
            }
            Opt::Bind(from, to, options) => bind(from, to, options),
            Opt::CapAdd(name) => format!("--cap-add=CAP_{name}"),
            Opt::CapDrop(name) => format!("--cap-drop=CAP_{name}"),
            Opt::SeccompDefault => "--seccomp".to_string(),
            // That is how ctr starts containers when nothing is said.
            Opt::SeccompUnconfined => "--label=seccomp=unconfined".to_string(),
            Opt::OwnNetwork => "--label=network=own".to_string(),
            Opt::NoNewPrivileges => "--label=privileges=none".to_string(),
            Opt::Privileged => "--privileged".to_string(),
            Opt::Workdir(dir) => format!("--cwd={dir}"),
            Opt::Env(env) => format!("--env={env}"),
            Opt::HostPids => "--with-ns=pid:/proc/1/ns/pid".to_string(),
            Opt::HostIpc => "--with-ns=ipc:/proc/1/ns/ipc".to_string(),
            Opt::HostUts => "--with-ns=uts:/proc/1/ns/uts".to_string(),
            Opt::HostNetwork => "--net-host".to_string(),
            Opt::PidsOf(name) => {
                format!("--with-ns=pid:/proc/{}/ns/pid", self.pid(owner, name).expect("it runs"))
            }
            Opt::Memory(bytes) => format!("--memory-limit={bytes}"),
            Opt::Cpus(number) => format!("--cpus={number}"),
            Opt::Shares(shares) => format!("--cpu-shares={shares}"),
            Opt::Cgroups => "--mount=type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro".to_string(),
            Opt::Device(device) => format!("--device={device}"),
            Opt::IdMap(map) => return vec![format!("--uidmap={map}"), format!("--gidmap={map}")],
            other => unimplemented!("{other:?}: see cannot.rs"),
        };
        vec![one]
    }

    fn with_name(&self, owner: &Owner, before: &[&str], name: &str) -> Outcome {
        let name = owner.full(name);
        let mut args = before.to_vec();
        args.push(&name);
        self.call(&args)
    }

    /// PID and status.
    fn listed(&self, owner: &Owner, name: &str) -> Option<(i32, String)> {
        let list = self.call(&["tasks", "list"]);
        let name = owner.full(name);
        let mut lines = list.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let words = lines.find(|words| words.first() == Some(&name.as_str()))?;
        Some((words.get(1)?.parse().ok()?, (*words.get(2)?).to_string()))
    }

    fn pid(&self, owner: &Owner, name: &str) -> Option<i32> {
        self.listed(owner, name).map(|(pid, _)| pid)
    }

    /// How the ctr of a task ended, when it has.
    fn ended(&self, owner: &Owner, name: &str, within: Duration) -> Option<Outcome> {
        let full = owner.full(name);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tasks.remove(&full)?;
        drop(tasks);
        let (task, outcome) = match task {
            Task::Ended(outcome) => (Task::Ended(outcome.clone()), Some(outcome)),
            Task::Running(mut running) => {
                if wait::until(within, || !matches!(running.child.try_wait(), Ok(None))) {
                    let outcome = running.finish(limit());
                    (Task::Ended(outcome.clone()), Some(outcome))
                } else {
                    (Task::Running(running), None)
                }
            }
        };
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(full, task);
        outcome
    }
}

/// ctr opens its ends of the pipes in the background, and gives that up when the task has ended: on a busy
/// machine it loses what a program that ends at once has written, with every runtime (docs/engines.md has the
/// counts). So scripts begin a little later.
fn unhurried(args: &[&str]) -> Vec<String> {
    let slowly = |script: &str| format!("sleep 0.2; {script}");
    match args {
        ["sh", "-c", script] => vec!["sh".to_string(), "-c".to_string(), slowly(script)],
        other => other.iter().map(ToString::to_string).collect(),
    }
}

/// What propagates out of or into a container needs a root that does.
fn root_propagation(container: &Container<'_>) -> Option<String> {
    container.options.iter().find_map(|option| match option {
        Opt::Bind(_, _, "rshared") => Some("--rootfs-propagation=shared".to_string()),
        Opt::Bind(_, _, "rslave") => Some("--rootfs-propagation=slave".to_string()),
        _ => None,
    })
}

/// The program of a runtime.
pub(crate) fn program(side: Side) -> String {
    match side {
        Side::Runc => {
            let runc = runsig_tests::runtime::find_in_path("runc").expect("checked at the start");
            runc.to_string_lossy().into_owned()
        }
        Side::Tested => Runtime::path().to_string_lossy().into_owned(),
    }
}

/// Starts containerd with everything it keeps below `dir`, and waits for its socket.
pub(crate) fn start_server(dir: &Path, more: &str) -> Server {
    require_command("containerd");
    fs::create_dir_all(dir).expect("mkdir");
    let config = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n{more}\
         [grpc]\naddress = \"{0}/sock\"\n",
        dir.display()
    );
    fs::write(dir.join("config.toml"), config).expect("write");
    let log = dir.join("log");
    let _ = fs::remove_file(dir.join("sock"));
    let server = Server::start(Command::new("containerd").arg("--config").arg(dir.join("config.toml")), &log);
    image::wait_for_socket(&dir.join("sock"), &log);
    let up = || {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(dir.join("sock")).args(["version"]);
        finish(command, limit()).code == 0
    };
    image::patiently("containerd to answer", up);
    server
}

/// ctr wants a terminal of its own for `-t`.
fn on_a_terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<String> =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &quoted.join(" "), "/dev/null"]);
    script
}

/// Waits for the end of a task and returns its exit status.
pub(crate) fn end(task: Running) -> i32 {
    task.finish(limit()).code
}

impl Engine for Containerd {
    fn run(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        finish(self.run_command(owner, &["--rm"], container), limit())
    }

    fn start(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        let mut running = Running::start(self.run_command(owner, &[], container));
        let mut seen = false;
        image::patiently("ctr to start the task or to fail", || {
            seen = self.listed(owner, container.name).is_some_and(|(_, status)| status != "CREATED");
            seen || !matches!(running.child.try_wait(), Ok(None))
        });
        let nothing =
            Outcome { command: String::new(), code: 0, stdout: String::new(), stderr: String::new() };
        let (task, outcome) = if seen {
            (Task::Running(running), nothing)
        } else {
            let outcome = running.finish(limit());
            let failed = outcome.stderr.contains("ctr: ");
            (Task::Ended(outcome.clone()), if failed { outcome } else { nothing })
        };
        let name = owner.full(container.name);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(name, task);
        outcome
    }

    fn logs(&self, owner: &Owner, name: &str) -> Outcome {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.get(&owner.full(name)).expect("a task that was started") {
            Task::Ended(outcome) => Outcome { code: 0, ..outcome.clone() },
            Task::Running(running) => Outcome {
                command: "logs".to_string(),
                code: 0,
                stdout: running.stdout(),
                stderr: String::new(),
            },
        }
    }

    fn wait(&self, owner: &Owner, name: &str) -> Outcome {
        let outcome = self.ended(owner, name, limit()).expect("its end");
        Outcome {
            command: "wait".to_string(),
            code: 0,
            stdout: outcome.code.to_string(),
            stderr: String::new(),
        }
    }

    fn peek(&self, owner: &Owner, name: &str) -> String {
        self.logs(owner, name).stdout
    }

    fn state(&self, owner: &Owner, name: &str) -> String {
        self.listed(owner, name).map_or("gone".to_string(), |(_, status)| status)
    }

    fn exec(&self, owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let id = format!("e{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let mut words = vec!["tasks", "exec", "--exec-id", &id];
        words.extend(how.tty.then_some("--tty"));
        words.extend(how.detach.then_some("--detach"));
        words.extend(how.user.iter().flat_map(|user| ["--user", user]));
        words.extend(how.workdir.iter().flat_map(|dir| ["--cwd", dir]));
        let name = owner.full(name);
        words.push(&name);
        let program = unhurried(args);
        words.extend(program.iter().map(String::as_str));
        let command = self.command(&words);
        finish(if how.tty { on_a_terminal(&command) } else { command }, limit())
    }

    /// What clients of containerd do: the image's signal, some time, KILL.
    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        let outcome = self.with_name(owner, &["tasks", "kill"], name);
        if self.ended(owner, name, Duration::from_secs(seconds.into())).is_none() {
            let killed = self.with_name(owner, &["tasks", "kill", "-s", "KILL"], name);
            let _ = self.ended(owner, name, limit());
            return killed;
        }
        outcome
    }

    fn remove(&self, owner: &Owner, name: &str, force: bool) -> Outcome {
        let task = if self.listed(owner, name).is_some() {
            let before: &[&str] = if force { &["tasks", "delete", "--force"] } else { &["tasks", "delete"] };
            Some(self.with_name(owner, before, name))
        } else {
            None
        };
        if let Some(outcome) = task.filter(|outcome| !force && outcome.code != 0) {
            return outcome;
        }
        // The ctr that ran it deletes the task too, and one of the two comes late.
        let _ = self.ended(owner, name, limit());
        self.with_name(owner, &["containers", "delete"], name)
    }

    fn clear(&self, owner: &Owner, names: &[String]) {
        for name in names {
            let _ = self.remove(owner, name, true);
        }
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| !name.starts_with(&owner.prefix));
    }

    fn stop_command(&self, owner: &Owner, name: &str, _seconds: u32) -> Option<Command> {
        Some(self.command(&["tasks", "kill", &owner.full(name)]))
    }

    fn crash(&mut self) {
        self.kill_server();
        self.restart_server();
    }

    fn kill(&self, owner: &Owner, name: &str, signal: &str) -> Outcome {
        self.with_name(owner, &["tasks", "kill", "-s", signal], name)
    }

    fn kill_all(&self, owner: &Owner, name: &str, signal: &str) -> Outcome {
        self.with_name(owner, &["tasks", "kill", "--all", "-s", signal], name)
    }

    fn pause(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["tasks", "pause"], name)
    }

    fn unpause(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["tasks", "resume"], name)
    }

    fn stats(&self, owner: &Owner, name: &str) -> Outcome {
        let outcome = self.with_name(owner, &["tasks", "metrics"], name);
        let more = |line: &&str| line.split_whitespace().nth(1).is_some_and(|value| value != "0");
        let kept: Vec<&str> = outcome.stdout.lines().filter(more).collect();
        let words: Vec<&str> = kept.iter().filter_map(|line| line.split_whitespace().next()).collect();
        Outcome { stdout: words.join("\n"), ..outcome }
    }

    fn top(&self, owner: &Owner, name: &str) -> Outcome {
        self.with_name(owner, &["tasks", "ps"], name)
    }

    fn shim(&self, owner: &Owner, name: &str) -> i32 {
        let pid = self.pid(owner, name).expect("it runs");
        procs::status_field(pid, "PPid").and_then(|text| text.parse().ok()).expect("the shim's PID")
    }
}
