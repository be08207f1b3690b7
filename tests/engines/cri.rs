//! containerd's CRI plugin, asked as kubelet asks it: a pod for each container unless the scenario
//! makes one. Pods are on the host's network (that of the sandbox we run in) unless they need their own.

mod config;
mod streams;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runsig_test_cri::messages as m;
use runsig_test_cri::{Client, Refused};
use runsig_tests::runtime::finish;
use runsig_tests::{Outcome, Value, procs, skip, wait};

use crate::containerd::start_server;
use crate::engine::{Container, Engine, Exec, Limits, Opt, Owner, Talk};
use crate::image::{self, Server, limit};

const CNI: &str = "/usr/lib/cni";
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
        let server = start_server(dir, &config::server(dir));
        let archive = image::archive(dir);
        let mut import = std::process::Command::new("ctr");
        import.arg("--address").arg(dir.join("sock")).args(["--namespace", "k8s.io", "images", "import"]);
        import.arg(&archive);
        finish(import, limit()).ok();
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
                    namespace_options: Some(config::namespaces(options)),
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
            config: Some(config::container(container, log, |name| self.find(owner, name).id)),
            sandbox_config: Some(pod.config),
        };
        let id = self.client.create_container(request)?.container_id;
        let made = Made { id: id.clone(), pod: pod_name, log: path };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.full(container.name), made);
        self.client.start_container(m::StartContainerRequest { container_id: id }).map(drop)
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
        let ended = wait::until(limit(), || {
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

    fn exec(&self, owner: &Owner, name: &str, how: Exec<'_>, args: &[&str]) -> Outcome {
        if how.tty {
            return self.talk(owner, name, Talk::Exec { tty: true, args }, &[]);
        }
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

    fn talk(&self, owner: &Owner, name: &str, to: Talk<'_>, steps: &[(&str, &str)]) -> Outcome {
        streams::talk(&self.client, self.find(owner, name).id, to, steps)
    }

    fn rotate_log(&self, owner: &Owner, name: &str) -> String {
        let made = self.find(owner, name);
        let old = made.log.with_extension("old");
        fs::rename(&made.log, &old).expect("rename");
        let request = m::ReopenContainerLogRequest { container_id: made.id };
        self.client.reopen_container_log(request).expect("a new log");
        read_log(&old).0
    }

    fn make_pod(&self, owner: &Owner, name: &str) -> Outcome {
        nothing_said(self.run_pod(owner, name, &[Opt::SharedPids]))
    }

    fn crash(&mut self) {
        self.server.kill();
        self.server = start_server(&self.dir, &config::server(&self.dir));
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
