//! The verbs that freeze, measure, limit and checkpoint containers.

use super::lifecycle::{console_socket, no_pivot, no_subreaper, pid_file};
use super::{Flag, Verb, flag, value, values};

pub(super) const PAUSE: Verb = Verb {
    name: "pause",
    about: "Freeze every process of a container",
    usage: "<container-id>",
    flags: &[],
    rest: false,
};

pub(super) const RESUME: Verb = Verb {
    name: "resume",
    about: "Thaw a paused container",
    usage: "<container-id>",
    flags: &[],
    rest: false,
};

pub(super) const UPDATE: Verb = Verb {
    name: "update",
    about: "Change the limits of a container",
    usage: "<container-id>",
    flags: &[&[
        value("resources", "FILE", "JSON with the resources to change; - reads standard input").short('r'),
        value("blkio-weight", "N", "Weight of block I/O, 10 to 1000"),
        value("cpu-period", "US", "CFS period in microseconds; 0 for the default"),
        value("cpu-quota", "US", "CFS quota in microseconds of each period"),
        value("cpu-burst", "US", "CFS burst in microseconds"),
        value("cpu-share", "N", "CPU shares"),
        value("cpu-rt-period", "US", "Real-time period in microseconds; 0 for the default"),
        value("cpu-rt-runtime", "US", "Real-time limit in microseconds"),
        value("cpuset-cpus", "LIST", "CPUs to use"),
        value("cpuset-mems", "LIST", "Memory nodes to use"),
        value("kernel-memory", "BYTES", "Accepted for old callers; ignored").hide(),
        value("kernel-memory-tcp", "BYTES", "Accepted for old callers; ignored").hide(),
        value("memory", "BYTES", "Memory limit"),
        value("cpu-idle", "0|1", "SCHED_IDLE for the cgroup"),
        value("memory-reservation", "BYTES", "Soft memory limit"),
        value("memory-swap", "BYTES", "Memory and swap together; -1 for no limit"),
        value("pids-limit", "N", "How many processes there may be"),
        value("l3-cache-schema", "SCHEMA", "Intel RDT: L3 cache"),
        value("mem-bw-schema", "SCHEMA", "Intel RDT: memory bandwidth"),
    ]],
    rest: false,
};

pub(super) const EVENTS: Verb = Verb {
    name: "events",
    about: "Show what a container uses, and out-of-memory events",
    usage: "<container-id>",
    flags: &[&[
        value("interval", "DURATION", "How often (default: 5s)"),
        flag("stats", "Show the figures once"),
    ]],
    rest: false,
};

pub(super) const CHECKPOINT: Verb = Verb {
    name: "checkpoint",
    about: "Save a running container with CRIU",
    usage: "<container-id>",
    flags: &[
        CRIU,
        &[
            value("parent-path", "DIR", "Images of an earlier pre-dump, relative to --image-path"),
            flag("leave-running", "Leave the processes running"),
            flag("tcp-skip-in-flight", "Skip TCP connections that are being made"),
            flag("link-remap", "Link unlinked files back where possible"),
            value("status-fd", "FD", "CRIU writes a NUL here once lazy pages are served"),
            value("page-server", "ADDRESS:PORT", "Send the pages there"),
            flag("pre-dump", "Save memory only and leave the container running"),
        ],
    ],
    rest: false,
};

pub(super) const RESTORE: Verb = Verb {
    name: "restore",
    about: "Bring a checkpointed container back",
    usage: "<container-id>",
    flags: &[
        CRIU,
        &[
            console_socket(),
            value("bundle", "DIR", "The bundle (default: the current directory)").short('b'),
            flag("detach", "Return as soon as the program runs").short('d'),
            pid_file(),
            no_subreaper(),
            no_pivot(),
            value("lsm-profile", "TYPE:NAME", "LSM profile to restore with"),
            value("lsm-mount-context", "CONTEXT", "LSM mount context to restore with"),
        ],
    ],
    rest: false,
};

const CRIU: &[Flag] = &[
    value("image-path", "DIR", "Where CRIU's images are"),
    value("work-path", "DIR", "Where CRIU's work files and logs go"),
    flag("tcp-established", "Allow open TCP connections"),
    flag("ext-unix-sk", "Allow external unix sockets"),
    flag("shell-job", "Allow shell jobs"),
    flag("lazy-pages", "Bring pages back when they are used (userfaultfd)"),
    flag("file-locks", "Handle file locks"),
    flag("auto-dedup", "Deduplicate memory images"),
    empty_ns(),
    value("manage-cgroups-mode", "MODE", "soft (default), full, strict or ignore"),
];

const fn empty_ns() -> Flag {
    values("empty-ns", "NAMESPACE", "Make this namespace without its properties")
}
