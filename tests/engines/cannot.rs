//! What an engine cannot be asked. Everything else in the list runs with every engine.

use crate::engine::Kind;

const OF_KUBELET: &[&str] =
    &["attach", "attach_to_a_terminal", "exec_conversation", "exec_on_a_terminal", "log_rotation"];

/// Engine, scenarios, and what it lacks.
pub(crate) const CANNOT: &[(Kind, &[&str], &str)] = &[
    (Kind::Podman, OF_KUBELET, "the engine keeps the streams and the log itself"),
    (Kind::Containerd, OF_KUBELET, "ctr keeps the streams itself, and no log"),
    (Kind::Docker, OF_KUBELET, "the engine keeps the streams and the log itself"),
    (Kind::Podman, &["kill_all"], "its plain kill is for PID 1; with shared PIDs its rm and stop reach all"),
    (
        Kind::Podman,
        &["update_limits"],
        "podman update came with 4.3 for some limits only, and needs v2 controllers",
    ),
    (Kind::Containerd, &["init", "init_reaps"], "ctr has no --init"),
    (Kind::Containerd, &["restart", "restart_policy", "restart_policy_always"], "ctr does not restart"),
    (
        Kind::Containerd,
        &[
            "user_and_groups",
            "groups_by_name",
            "exec_env",
            "ulimits",
            "sysctl",
            "hostname",
            "shm_size",
            "no_new_privileges",
            "bad_sysctl",
            "oom_score",
            "stop_signal_of_the_option",
            "unmasked",
            "seccomp_file",
        ],
        "ctr run has no such option",
    ),
    (Kind::Containerd, &["update_limits"], "ctr has no update"),
    (Kind::Containerd, &["pids_limit", "cpuset"], "ctr run has no such option"),
    (Kind::Docker, &["kill_all"], "its kill is for PID 1"),
    (Kind::Docker, &["user_namespace"], "a user namespace is a setting of the whole dockerd"),
    (Kind::Docker, &["unmasked"], "Docker 20.10 has only --security-opt systempaths"),
    (Kind::Docker, &["pod"], "Docker has no pods"),
    (Kind::Containerd, &["pod"], "ctr has no pods"),
    (
        Kind::Cri,
        &["init", "init_reaps", "restart", "restart_policy", "restart_policy_always"],
        "kubelet's work",
    ),
    (
        Kind::Cri,
        &[
            "stop_signal_of_the_option",
            "kill_by_name",
            "kill_by_number",
            "kill_real_time",
            "kill_unknown",
            "kill_a_stopped",
            "kill_dropped",
            "kill_all",
            "kill_kill",
            "host_pids",
            "pids_of_another",
            "client_killed",
        ],
        "CRI stops, and sends no other signal",
    ),
    (
        Kind::Cri,
        &[
            "pause_and_unpause",
            "pause_twice",
            "stop_while_paused",
            "kill_while_paused",
            "rm_while_paused",
            "exec_while_paused",
            "pause_a_stopped",
        ],
        "CRI does not pause",
    ),
    (
        Kind::Cri,
        &["exec_user", "exec_directory", "exec_env", "exec_detached", "capabilities_of_a_user"],
        "exec has no such options",
    ),
    (
        Kind::Cri,
        &[
            "top",
            "rm_of_a_running",
            "groups_by_name",
            "ulimits",
            "shm_size",
            "user_namespace",
            "pids_limit",
            "read_only_with_tmpfs",
            "tmpfs_options",
        ],
        "CRI has no such field, or removes what runs as well",
    ),
];

/// Whether a scenario is in an engine's list.
pub(crate) fn can(kind: Kind, scenario: &str) -> bool {
    !CANNOT.iter().any(|(of, scenarios, _)| *of == kind && scenarios.contains(&scenario))
}
