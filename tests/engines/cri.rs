//! containerd's CRI plugin, asked as kubelet asks it: a pod for each container unless the scenario
//! makes one. Pods are on the host's network (that of the sandbox we run in) unless they need their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runsig_test_cri::messages as m;
use runsig_test_cri::{Client, Refused};
use runsig_tests::runtime::finish;
use runsig_tests::{Outcome, Value, procs, skip, wait};

use crate::containerd::{program, start_server};
use crate::engine::{Container, Engine, Exec, Limits, Opt, Owner, Side};
use crate::image::{self, LIMIT, Server};
use crate::world;

const CNI: &str = "/usr/lib/cni";
/// What kubelet asks for: containerd masks nothing by itself.
const MASKED: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Namespaces of the pod, of the container, of the node, of another container.
const POD: i32 = 0;
const CONTAINER: i32 = 1;
const NODE: i32 = 2;
const TARGET: i32 = 3;

/// A server with the images in it, and what was made there.
pub(crate) struct Cri {
    dir: PathBuf,
    client: Client,
    made: Mutex<BTreeMap<String, Made>>,
    pods: Mutex<BTreeMap<String, Pod>>,
    server: Server,
}

#[derive(Clone, Debug)]
struct Made {
    id: String,
    /// Its pod's name, as the engine has it.
    pod: String,
    log: PathBuf,
}

#[derive(Clone, Debug)]
struct Pod {
    id: String,
    config: m::PodSandboxConfig,
}

impl Cri {
    /// With everything it keeps below `dir`.
    pub(crate) fn at(dir: &Path) -> Cri {
        if !Path::new(CNI).join("ptp").exists() {
            skip("containernetworking-plugins is not installed");
        }
        fs::create_dir_all(dir.join("cni")).expect("mkdir");
        let network = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp",
            "ipam": {"type": "host-local", "dataDir": "DIR/ipam", "subnet": "10.99.0.0/16"}}]}"#;
        fs::write(dir.join("cni/10-pods.conflist"), network.replace("DIR", &dir.to_string_lossy()))
            .expect("write");
        let server = start_server(dir, &configuration(dir));
        let archive = image::archive(dir);
        let mut import = std::process::Command::new("ctr");
        import.arg("--address").arg(dir.join("sock")).args(["--namespace", "k8s.io", "images", "import"]);
        import.arg(&archive);
        finish(import, LIMIT).ok();
        let client = Client::connect(&dir.join("sock")).expect("a connection");
        let cri =
            Cri { dir: dir.to_path_buf(), client, made: Mutex::default(), pods: Mutex::default(), server };
        image::patiently("the runtime to be ready", || cri.is_ready());
        cri
    }

    fn is_ready(&self) -> bool {
        let status =
            self.client.status(m::StatusRequest { verbose: false }).ok().and_then(|answer| answer.status);
        status
            .is_some_and(|status| !status.conditions.is_empty() && status.conditions.iter().all(|c| c.status))
    }

    fn pod_config(&self, owner: &Owner, name: &str, options: &[Opt<'_>]) -> m::PodSandboxConfig {
        let logs = self.dir.join("logs").join(owner.full(name));
        fs::create_dir_all(&logs).expect("mkdir");
        let sysctls = options.iter().filter_map(|option| match option {
            Opt::Sysctl(setting) => setting.split_once('=').map(|(k, v)| (k.to_string(), v.to_string())),
            _ => None,
        });
        let hostname = options.iter().find_map(|option| match option {
            Opt::Hostname(name) => Some((*name).to_string()),
            _ => None,
        });
        m::PodSandboxConfig {
            metadata: Some(m::PodSandboxMetadata {
                name: owner.full(name),
                uid: owner.full(name),
                namespace: "tests".to_string(),
                attempt: 0,
            }),
            hostname: hostname.unwrap_or_default(),
            log_directory: logs.to_string_lossy().into_owned(),
            linux: Some(m::LinuxPodSandboxConfig {
                cgroup_parent: owner.cgroup.clone(),
                security_context: Some(m::LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces(options)),
                    privileged: options.iter().any(|option| matches!(option, Opt::Privileged)),
                    seccomp: None,
                }),
                sysctls: sysctls.collect(),
            }),
            ..Default::default()
        }
    }

    fn run_pod(&self, owner: &Owner, name: &str, options: &[Opt<'_>]) -> Result<Pod, Refused> {
        let config = self.pod_config(owner, name, options);
        let request = m::RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: owner.side.name().to_string(),
        };
        let id = self.client.run_pod_sandbox(request)?.pod_sandbox_id;
        let pod = Pod { id, config };
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.full(name), pod.clone());
        Ok(pod)
    }

    /// The pod of a container: that of another, one of the scenario, or one of its own.
    fn pod_for(&self, owner: &Owner, container: &Container<'_>) -> Result<(String, Pod), Refused> {
        let existing = container.options.iter().find_map(|option| match option {
            Opt::InPod(name) => Some(owner.full(name)),
            Opt::PidsOf(name) => Some(self.find(owner, name).pod),
            _ => None,
        });
        match existing {
            Some(name) => {
                let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
                let pod = pods.get(&name).expect("a pod of the scenario").clone();
                Ok((name, pod))
            }
            None => {
                Ok((owner.full(container.name), self.run_pod(owner, container.name, &container.options)?))
            }
        }
    }

    fn create_and_start(&self, owner: &Owner, container: &Container<'_>) -> Result<(), Refused> {
        let (pod_name, pod) = self.pod_for(owner, container)?;
        let log = format!("{}.log", container.name);
        let path = Path::new(&pod.config.log_directory).join(&log);
        let request = m::CreateContainerRequest {
            pod_sandbox_id: pod.id,
            config: Some(self.container_config(owner, container, log)),
            sandbox_config: Some(pod.config),
        };
        let id = self.client.create_container(request)?.container_id;
        let made = Made { id: id.clone(), pod: pod_name, log: path };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.full(container.name), made);
        self.client.start_container(m::StartContainerRequest { container_id: id }).map(drop)
    }

    fn container_config(&self, owner: &Owner, container: &Container<'_>, log: String) -> m::ContainerConfig {
        let mut config = m::ContainerConfig {
            metadata: Some(m::ContainerMetadata { name: container.name.to_string(), attempt: 0 }),
            image: Some(m::ImageSpec { image: container.image.to_string() }),
            command: container.args.iter().map(ToString::to_string).collect(),
            log_path: log,
            ..Default::default()
        };
        let mut resources = m::LinuxContainerResources::default();
        let mut security = m::LinuxContainerSecurityContext {
            namespace_options: Some(namespaces(&container.options)),
            masked_paths: MASKED.map(String::from).to_vec(),
            readonly_paths: READ_ONLY.map(String::from).to_vec(),
            ..Default::default()
        };
        let mut capability = m::Capability::default();
        for option in &container.options {
            match option {
                Opt::Tty => config.tty = true,
                Opt::Workdir(dir) => config.working_dir = (*dir).to_string(),
                Opt::Env(env) => config.envs.extend(
                    env.split_once('=')
                        .map(|(key, value)| m::KeyValue { key: key.to_string(), value: value.to_string() }),
                ),
                Opt::Bind(from, to, options) => config.mounts.push(bind(from, to, options)),
                Opt::Device(path) => config.devices.push(m::Device {
                    container_path: (*path).to_string(),
                    host_path: (*path).to_string(),
                    permissions: "rwm".to_string(),
                }),
                Opt::CapAdd(name) => capability.add_capabilities.push((*name).to_string()),
                Opt::CapDrop(name) => capability.drop_capabilities.push((*name).to_string()),
                Opt::PidsOf(name) => {
                    let target_id = self.find(owner, name).id;
                    security.namespace_options =
                        Some(m::NamespaceOption { network: NODE, pid: TARGET, ipc: POD, target_id });
                }
                Opt::InPod(_) => {
                    security.namespace_options =
                        Some(m::NamespaceOption { network: NODE, ..Default::default() });
                }
                other => {
                    let known = limit(&mut resources, other) || restrict(&mut security, other);
                    assert!(known || of_the_pod(other), "{other:?}: see cannot.rs");
                }
            }
        }
        security.capabilities = Some(capability);
        config.linux =
            Some(m::LinuxContainerConfig { resources: Some(resources), security_context: Some(security) });
        config
    }

    fn find(&self, owner: &Owner, name: &str) -> Made {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(&owner.full(name)).cloned().unwrap_or(Made {
            id: owner.full(name),
            pod: String::new(),
            log: PathBuf::new(),
        })
    }

    fn status(&self, owner: &Owner, name: &str) -> Result<m::ContainerStatus, Refused> {
        let request = m::ContainerStatusRequest { container_id: self.find(owner, name).id, verbose: false };
        self.client.container_status(request).map(|answer| answer.status.unwrap_or_default())
    }

    /// Waits until it has exited.
    fn end(&self, owner: &Owner, name: &str) -> Result<i32, Refused> {
        let mut last = self.status(owner, name)?;
        let ended = wait::until(LIMIT, || {
            if last.state == 2 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
            last = self.status(owner, name).unwrap_or_default();
            false
        });
        assert!(ended, "{name} does not end: {last:?}");
        Ok(last.exit_code)
    }

    fn remove_pod(&self, name: &str) {
        let pod = self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(Pod { id, .. }) = pod {
            let _ = self.client.stop_pod_sandbox(m::StopPodSandboxRequest { pod_sandbox_id: id.clone() });
            let _ = self.client.remove_pod_sandbox(m::RemovePodSandboxRequest { pod_sandbox_id: id });
        }
    }
}

fn configuration(dir: &Path) -> String {
    let plugin = "plugins.\"io.containerd.grpc.v1.cri\"";
    let systemd = world::cgroup_manager() == "systemd";
    let runtimes: String = [Side::Runc, Side::Tested]
        .map(|side| {
            let name = side.name();
            format!(
                "[{plugin}.containerd.runtimes.{name}]\nruntime_type = \"io.containerd.runc.v2\"\n\
                 [{plugin}.containerd.runtimes.{name}.options]\nBinaryName = \"{}\"\nSystemdCgroup = {systemd}\n",
                program(side)
            )
        })
        .concat();
    format!(
        "[{plugin}]\nsandbox_image = \"{}\"\nrestrict_oom_score_adj = true\n\
         [{plugin}.containerd]\ndefault_runtime_name = \"runc\"\n{runtimes}\
         [{plugin}.cni]\nbin_dir = \"{CNI}\"\nconf_dir = \"{}/cni\"\n",
        image::PAUSE,
        dir.display()
    )
}

fn namespaces(options: &[Opt<'_>]) -> m::NamespaceOption {
    let has = |is: fn(&Opt<'_>) -> bool| options.iter().any(is);
    let own_network = has(|option| matches!(option, Opt::Hostname(_) | Opt::Sysctl(_) | Opt::OwnNetwork));
    m::NamespaceOption {
        network: if own_network { POD } else { NODE },
        pid: match options.iter().find(|option| matches!(option, Opt::HostPids | Opt::SharedPids)) {
            Some(Opt::HostPids) => NODE,
            Some(_) => POD,
            None => CONTAINER,
        },
        ipc: if has(|option| matches!(option, Opt::HostIpc)) { NODE } else { POD },
        target_id: String::new(),
    }
}

fn bind(from: &str, to: &str, options: &str) -> m::Mount {
    let propagation = match options {
        "rslave" => 1,
        "rshared" => 2,
        _ => 0,
    };
    m::Mount {
        container_path: to.to_string(),
        host_path: from.to_string(),
        readonly: options == "ro",
        propagation,
    }
}

/// Sets a limit; false for an option that is none.
fn limit(resources: &mut m::LinuxContainerResources, option: &Opt<'_>) -> bool {
    let number = |text: &str| text.parse().expect("a number");
    match option {
        Opt::Memory(bytes) => resources.memory_limit_in_bytes = number(bytes),
        Opt::Cpus("0.5") => (resources.cpu_quota, resources.cpu_period) = (50_000, 100_000),
        Opt::Shares(shares) => resources.cpu_shares = number(shares),
        Opt::Cpuset(cpus) => resources.cpuset_cpus = (*cpus).to_string(),
        Opt::OomScore(score) => resources.oom_score_adj = number(score),
        _ => return false,
    }
    true
}

/// Says what a container may do; false for an option that is about something else.
fn restrict(security: &mut m::LinuxContainerSecurityContext, option: &Opt<'_>) -> bool {
    let number = |text: &str| text.parse().ok().map(|value| m::Int64Value { value });
    match option {
        Opt::User(user) => {
            let (user, group) = user.split_once(':').unwrap_or((user, ""));
            security.run_as_user = number(user);
            security.run_as_group = number(group);
            if security.run_as_user.is_none() {
                security.run_as_username = user.to_string();
            }
        }
        Opt::Group(group) => security.supplemental_groups.extend(group.parse::<i64>()),
        Opt::ReadOnly => security.readonly_rootfs = true,
        Opt::Privileged => security.privileged = true,
        Opt::NoNewPrivileges => security.no_new_privs = true,
        Opt::SeccompDefault => security.seccomp = Some(m::SecurityProfile::default()),
        Opt::SeccompUnconfined => {
            security.seccomp = Some(m::SecurityProfile { profile_type: 1, ..Default::default() });
        }
        Opt::SeccompFile(file) => {
            security.seccomp =
                Some(m::SecurityProfile { profile_type: 2, localhost_ref: (*file).to_string() });
        }
        Opt::Unmasked => {
            security.masked_paths.clear();
            security.readonly_paths.clear();
        }
        _ => return false,
    }
    true
}

/// Whether the pod's configuration has it.
fn of_the_pod(option: &Opt<'_>) -> bool {
    matches!(
        option,
        Opt::Cgroups
            | Opt::HostPids
            | Opt::HostIpc
            | Opt::HostUts
            | Opt::HostNetwork
            | Opt::Hostname(_)
            | Opt::Sysctl(_)
            | Opt::OwnNetwork
    )
}

/// The program's output out of a log in CRI's format: time, stream, whether the line is whole, text.
fn read_log(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (mut out, mut err) = (String::new(), String::new());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ').skip(1);
        let (stream, whole, text) = (words.next(), words.next(), words.next().unwrap_or_default());
        let to = if stream == Some("stderr") { &mut err } else { &mut out };
        to.push_str(text);
        if whole == Some("F") {
            to.push('\n');
        }
    }
    (out, err)
}

fn outcome(result: Result<(i32, String, String), Refused>) -> Outcome {
    let command = String::new();
    match result {
        Ok((code, stdout, stderr)) => Outcome { command, code, stdout, stderr },
        Err(Refused { code, message }) => {
            Outcome { command, code: 1, stdout: String::new(), stderr: format!("{code}: {message}") }
        }
    }
}

fn nothing_said<T>(result: Result<T, Refused>) -> Outcome {
    outcome(result.map(|_| (0, String::new(), String::new())))
}

impl Engine for Cri {
    fn run(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        let result = self.create_and_start(owner, container).and_then(|()| self.end(owner, container.name));
        let made = self.find(owner, container.name);
        let (out, err) = read_log(&made.log);
        self.clear(owner, &[container.name.to_string()]);
        outcome(result.map(|code| (code, out, err)))
    }

    fn start(&self, owner: &Owner, container: &Container<'_>) -> Outcome {
        nothing_said(self.create_and_start(owner, container))
    }

    fn logs(&self, owner: &Owner, name: &str) -> Outcome {
        let (out, err) = read_log(&self.find(owner, name).log);
        outcome(Ok((0, out, err)))
    }

    fn peek(&self, owner: &Owner, name: &str) -> String {
        read_log(&self.find(owner, name).log).0
    }

    fn wait(&self, owner: &Owner, name: &str) -> Outcome {
        outcome(self.end(owner, name).map(|code| (0, code.to_string(), String::new())))
    }

    fn state(&self, owner: &Owner, name: &str) -> String {
        match self.status(owner, name) {
            Ok(status) => {
                let words = ["created", "running", "exited"];
                let word = usize::try_from(status.state).ok().and_then(|index| words.get(index));
                let word = word.unwrap_or(&"unknown");
                format!("{word} {} {} {}", status.exit_code, status.reason, status.message)
            }
            Err(Refused { code, .. }) => format!("gone ({code})"),
        }
    }

    fn exec(&self, owner: &Owner, name: &str, _how: Exec<'_>, args: &[&str]) -> Outcome {
        let request = m::ExecSyncRequest {
            container_id: self.find(owner, name).id,
            cmd: args.iter().map(ToString::to_string).collect(),
            timeout: 60,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let result = self.client.exec_sync(request);
        outcome(result.map(|answer| (answer.exit_code, text(answer.stdout), text(answer.stderr))))
    }

    fn stop(&self, owner: &Owner, name: &str, seconds: u32) -> Outcome {
        let container_id = self.find(owner, name).id;
        let request = m::StopContainerRequest { container_id, timeout: seconds.into() };
        nothing_said(self.client.stop_container(request))
    }

    fn remove(&self, owner: &Owner, name: &str, _force: bool) -> Outcome {
        let made = self.find(owner, name);
        let result = self.client.remove_container(m::RemoveContainerRequest { container_id: made.id });
        if made.pod == owner.full(name) {
            self.remove_pod(&made.pod);
        }
        nothing_said(result)
    }

    fn clear(&self, owner: &Owner, _names: &[String]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|name, _| !name.starts_with(&owner.prefix));
        drop(made);
        let pods: Vec<String> = {
            let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            pods.keys().filter(|name| name.starts_with(&owner.prefix)).cloned().collect()
        };
        pods.iter().for_each(|name| self.remove_pod(name));
    }

    fn update(&self, owner: &Owner, name: &str, limits: Limits<'_>) -> Outcome {
        let number = |text: Option<&str>| text.map_or(0, |text| text.parse().expect("a number"));
        let linux = m::LinuxContainerResources {
            memory_limit_in_bytes: number(limits.memory),
            cpu_shares: number(limits.shares),
            cpu_quota: number(limits.quota),
            cpuset_cpus: limits.cpuset.unwrap_or_default().to_string(),
            ..Default::default()
        };
        let container_id = self.find(owner, name).id;
        let request = m::UpdateContainerResourcesRequest { container_id, linux: Some(linux) };
        nothing_said(self.client.update_container_resources(request))
    }

    fn stats(&self, owner: &Owner, name: &str) -> Outcome {
        let request = m::ContainerStatsRequest { container_id: self.find(owner, name).id };
        let result = self.client.container_stats(request).map(|answer| {
            let stats = answer.stats.unwrap_or_default();
            let memory = stats.memory.unwrap_or_default();
            let cpu = stats.cpu.unwrap_or_default();
            let values = [
                ("cpu", cpu.usage_core_nano_seconds),
                ("working set", memory.working_set_bytes),
                ("usage", memory.usage_bytes),
            ];
            let more =
                values.into_iter().filter(|(_, value)| value.as_ref().is_some_and(|value| value.value > 0));
            (0, more.map(|(name, _)| name).collect::<Vec<_>>().join("\n"), String::new())
        });
        outcome(result)
    }

    fn make_pod(&self, owner: &Owner, name: &str) -> Outcome {
        nothing_said(self.run_pod(owner, name, &[Opt::SharedPids]))
    }

    fn crash(&mut self) {
        self.server.kill();
        self.server = start_server(&self.dir, &configuration(&self.dir));
        self.client = Client::connect(&self.dir.join("sock")).expect("a connection");
        image::patiently("the runtime to be ready", || self.is_ready());
    }

    fn gathers(&self) -> bool {
        true
    }

    fn shim(&self, owner: &Owner, name: &str) -> i32 {
        let request = m::ContainerStatusRequest { container_id: self.find(owner, name).id, verbose: true };
        let info = self.client.container_status(request).expect("a status").info;
        let info: Value = serde_json::from_str(info.get("info").map_or("", String::as_str)).expect("JSON");
        let pid = info["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a PID");
        procs::status_field(pid, "PPid").and_then(|text| text.parse().ok()).expect("the shim's PID")
    }
}
