//! Where an engine shows something else with Runsig than with runc, and why that is so. An entry that
//! explains nothing fails the scenario it is for.

use runsig_tests::{Runtime, View};

use crate::engine::Kind;

/// A line that may differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// With these engines.
    pub(crate) engines: &'static [Kind],
    /// In these views of the cgroups.
    pub(crate) views: &'static [View],
    /// In these scenarios.
    pub(crate) scenarios: &'static [&'static str],
    /// `-` for a line with runc, `+` for one with Runsig; a part of it.
    pub(crate) lines: &'static [(char, &'static str)],
    /// Whether it shows each time; what depends on who is faster does not.
    pub(crate) always: bool,
    /// Why.
    #[expect(dead_code, reason = "for the reader, and in the message of an entry without use")]
    pub(crate) reason: &'static str,
}

impl Difference {
    pub(crate) fn concerns(&self, kind: Kind, view: View, scenario: &str) -> bool {
        // Another runtime under test has other differences, which nobody has explained.
        Runtime::kind_of(&Runtime::path()) == "runsig"
            && self.engines.contains(&kind)
            && self.views.contains(&view)
            && self.scenarios.contains(&scenario)
    }

    pub(crate) fn explains(&self, sign: char, line: &str) -> bool {
        self.lines.iter().any(|(of, part)| *of == sign && line.contains(part))
    }
}

const ALL: &[Kind] = &Kind::ALL;
const PODMAN: &[Kind] = &[Kind::Podman];
const SYSTEMD: &[View] = &[View::Systemd, View::Guest];
const EVERYWHERE: &[View] = &[View::V2, View::Host, View::Systemd, View::Guest];

/// All of them.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        engines: ALL,
        views: EVERYWHERE,
        always: true,
        scenarios: &["surroundings", "exec_is_confined"],
        lines: &[('-', "SigIgn:\t0000000080000000"), ('+', "SigIgn:\t0000000000000000")],
        reason: "signal 32 is ignored by the Go runtime of runc, and its program inherits that; Runsig ignores nothing",
    },
    Difference {
        engines: ALL,
        views: EVERYWHERE,
        always: true,
        scenarios: &["surroundings"],
        lines: &[('-', "tmpfs tmpfs ro"), ('+', "tmpfs tmpfs ro,size=4k,nr_inodes=1")],
        reason: "the tmpfs over a masked directory has no room, as in newer runc",
    },
    Difference {
        engines: &[Kind::Containerd, Kind::Docker, Kind::Cri],
        views: EVERYWHERE,
        always: true,
        scenarios: &["bad_mount"],
        lines: &[('-', "via /proc/self/fd"), ('+', "at \"/etc/passwd\": not a directory")],
        reason: "the same errno and the same advice by the engine; Runsig has no descriptor to name",
    },
    Difference {
        engines: ALL,
        views: EVERYWHERE,
        always: true,
        scenarios: &["bad_sysctl"],
        lines: &[
            ('-', "write /proc/sys/kernel/msgmax: invalid argument"),
            ('+', "failed to write sysctl kernel/msgmax"),
        ],
        reason: "the words of newer runc, and what it was about",
    },
    Difference {
        engines: &[Kind::Containerd, Kind::Cri],
        views: EVERYWHERE,
        always: true,
        scenarios: &["bad_directory"],
        lines: &[('-', "mkdir /etc/passwd: not a directory"), ('+', "chdir to cwd")],
        reason: "runc tries to make the directory first; the errno is the same",
    },
    Difference {
        engines: &[Kind::Podman, Kind::Docker],
        views: EVERYWHERE,
        always: true,
        scenarios: &["ulimits"],
        lines: &[('-', "error setting rlimits for ready process"), ('+', "error setting rlimit type 7")],
        reason: "the process sets its limits itself, before it gives up its privileges: no parent has to",
    },
    Difference {
        engines: &[Kind::Podman, Kind::Docker],
        views: EVERYWHERE,
        always: true,
        scenarios: &["oom_score"],
        lines: &[
            ('-', "can't get final child's PID from pipe: EOF"),
            ('+', "oom_score_adj: permission denied"),
            ('-', "run lower: exit 12"),
            ('+', "run lower: exit 12"),
        ],
        reason: "runc's stage 0 dies without a word; Runsig names the file, and engines make 126 of permission denied",
    },
    Difference {
        engines: &[Kind::Docker],
        views: EVERYWHERE,
        always: true,
        scenarios: &["privileged"],
        lines: &[('-', "unable to apply caps"), ('+', "during container init: unable to apply caps")],
        reason: "the words of newer runc; where the machine has all capabilities nobody sees them",
    },
    Difference {
        engines: &[Kind::Containerd],
        views: EVERYWHERE,
        always: true,
        scenarios: &["kill_unknown"],
        lines: &[('-', "unable to signal init: invalid argument"), ('+', "unknown signal \"99\"")],
        reason: "99 is no signal; Runsig does not have to ask the kernel for that",
    },
    Difference {
        engines: &[Kind::Cri],
        views: &[View::Host],
        always: true,
        scenarios: &["cpuset"],
        lines: &[
            ('-', "unable to start container process: unable to apply cgroup configuration"),
            ('+', "create failed: unable to apply cgroup configuration"),
        ],
        reason: "no process was to be started yet: Runsig sets the limits first",
    },
    Difference {
        engines: &[Kind::Cri],
        views: &[View::Host],
        always: true,
        scenarios: &["update_limits"],
        lines: &[
            ('-', "failed to write \"99\""),
            ('+', "unable to apply cgroup configuration: failed to write \"99\""),
        ],
        reason: "the same file and errno; Runsig says what it was doing",
    },
    Difference {
        engines: &[Kind::Docker],
        views: EVERYWHERE,
        always: true,
        scenarios: &["user_and_groups", "groups_by_name"],
        lines: &[('-', "2000(crew)"), ('+', "2000(crew),2000(crew)")],
        reason: "Docker names a group twice, and the kernel is told so, as by newer runc; 1.1 took the second one out",
    },
    Difference {
        engines: PODMAN,
        views: EVERYWHERE,
        always: true,
        scenarios: &["kill_dropped", "stop_of_a_shell"],
        lines: &[('+', "has no handler for SIG")],
        reason: "Runsig warns that the kernel will drop the signal, and podman shows warnings",
    },
    Difference {
        engines: PODMAN,
        views: EVERYWHERE,
        always: false,
        scenarios: &["host_pids", "host_pids_stop", "host_pids_rm", "pids_of_another", "pod"],
        lines: &[('-', "left behind: cgroup"), ('-', "Failed to remove cgroup (will retry)")],
        reason: "with runc the cgroup of a container with shared PIDs outlives it; with Runsig it does not",
    },
    Difference {
        engines: ALL,
        views: &[View::Guest],
        always: false,
        scenarios: &["cpu_limits"],
        lines: &[('-', "cpu.weight "), ('+', "cpu.weight ")],
        reason: "shares become a weight as in newer runc: 1024 is 100",
    },
    Difference {
        engines: PODMAN,
        views: SYSTEMD,
        always: false,
        scenarios: &["host_pids_stop", "host_pids_rm"],
        lines: &[
            ('-', ".scope/cgroup.freeze: no such file or directory"),
            ('-', "msg=\"lstat /sys/fs/cgroup"),
        ],
        reason: "runc warns that systemd has removed the scope before it: that is as it should be",
    },
    Difference {
        engines: &[Kind::Cri],
        views: EVERYWHERE,
        always: true,
        scenarios: &["surroundings"],
        lines: &[('-', "/dev/shm rw,nosuid,nodev,noexec"), ('+', "/dev/shm rw,relatime")],
        reason: "the plugin binds it with `rw`: since 1.2 runc takes that, too, as all the attributes that are wanted",
    },
    Difference {
        engines: &[Kind::Cri, Kind::Docker, Kind::Podman],
        views: &[View::Host],
        always: true,
        scenarios: &["surroundings", "unmasked"],
        lines: &[('-', "/sys/fs/cgroup rw,"), ('+', "/sys/fs/cgroup ro,")],
        reason: "cgroup v1 mounted read-only: Runsig makes the tmpfs above the hierarchies read-only, too",
    },
];
