//! The options of the scenarios in the words of the CRI.

use std::path::Path;

use runsig_test_cri::messages as m;

use super::CNI;
use crate::containerd::program;
use crate::engine::{Container, Opt, Side};
use crate::{image, world};

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

/// The configuration of the plugin, with both runtimes.
pub(super) fn server(dir: &Path) -> String {
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

/// What is asked for a container; `id` knows other containers of the scenario.
pub(super) fn container(
    container: &Container<'_>,
    log: String,
    id: impl Fn(&str) -> String,
) -> m::ContainerConfig {
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
            Opt::Stdin => config.stdin = true,
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
                let target_id = id(name);
                security.namespace_options =
                    Some(m::NamespaceOption { network: NODE, pid: TARGET, ipc: POD, target_id });
            }
            Opt::InPod(_) => {
                security.namespace_options = Some(m::NamespaceOption { network: NODE, ..Default::default() });
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

/// Which namespaces are whose.
pub(super) fn namespaces(options: &[Opt<'_>]) -> m::NamespaceOption {
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
