//! The verbs that freeze, measure, limit and checkpoint containers.

use clap::{Arg, Command};

use super::lifecycle::{console_socket, no_pivot, no_subreaper, pid_file};
use super::{Verb, arguments, flag, value, values};

pub(super) const PAUSE: Verb = Verb {
    name: "pause",
    about: "Freeze every process of a container",
    usage: "<container-id>",
    define: |command| command.arg(arguments()),
};

pub(super) const RESUME: Verb = Verb {
    name: "resume",
    about: "Thaw a paused container",
    usage: "<container-id>",
    define: |command| command.arg(arguments()),
};

pub(super) const UPDATE: Verb = Verb {
    name: "update",
    about: "Change the limits of a container",
    usage: "<container-id>",
    define: |command| {
        command
            .arg(
                value("resources", "FILE", "JSON with the resources to change; - reads standard input")
                    .short('r'),
            )
            .arg(value("blkio-weight", "N", "Weight of block I/O, 10 to 1000"))
            .arg(value("cpu-period", "US", "CFS period in microseconds; 0 for the default"))
            .arg(value("cpu-quota", "US", "CFS quota in microseconds of each period"))
            .arg(value("cpu-burst", "US", "CFS burst in microseconds"))
            .arg(value("cpu-share", "N", "CPU shares"))
            .arg(value("cpu-rt-period", "US", "Real-time period in microseconds; 0 for the default"))
            .arg(value("cpu-rt-runtime", "US", "Real-time limit in microseconds"))
            .arg(value("cpuset-cpus", "LIST", "CPUs to use"))
            .arg(value("cpuset-mems", "LIST", "Memory nodes to use"))
            .arg(value("kernel-memory", "BYTES", "Accepted for old callers; ignored").hide(true))
            .arg(value("kernel-memory-tcp", "BYTES", "Accepted for old callers; ignored").hide(true))
            .arg(value("memory", "BYTES", "Memory limit"))
            .arg(value("cpu-idle", "0|1", "SCHED_IDLE for the cgroup"))
            .arg(value("memory-reservation", "BYTES", "Soft memory limit"))
            .arg(value("memory-swap", "BYTES", "Memory and swap together; -1 for no limit"))
            .arg(value("pids-limit", "N", "How many processes there may be"))
            .arg(value("l3-cache-schema", "SCHEMA", "Intel RDT: L3 cache"))
            .arg(value("mem-bw-schema", "SCHEMA", "Intel RDT: memory bandwidth"))
            .arg(arguments())
    },
};

pub(super) const EVENTS: Verb = Verb {
    name: "events",
    about: "Show what a container uses, and out-of-memory events",
    usage: "<container-id>",
    define: |command| {
        command
            .arg(value("interval", "DURATION", "How often (default: 5s)"))
            .arg(flag("stats", "Show the figures once"))
            .arg(arguments())
    },
};

pub(super) const CHECKPOINT: Verb = Verb {
    name: "checkpoint",
    about: "Save a running container with CRIU",
    usage: "<container-id>",
    define: |command| {
        criu(command)
            .arg(value("parent-path", "DIR", "Images of an earlier pre-dump, relative to --image-path"))
            .arg(flag("leave-running", "Leave the processes running"))
            .arg(flag("tcp-skip-in-flight", "Skip TCP connections that are being made"))
            .arg(flag("link-remap", "Link unlinked files back where possible"))
            .arg(value("status-fd", "FD", "CRIU writes a NUL here once lazy pages are served"))
            .arg(value("page-server", "ADDRESS:PORT", "Send the pages there"))
            .arg(flag("pre-dump", "Save memory only and leave the container running"))
            .arg(arguments())
    },
};

pub(super) const RESTORE: Verb = Verb {
    name: "restore",
    about: "Bring a checkpointed container back",
    usage: "<container-id>",
    define: |command| {
        criu(command)
            .arg(console_socket())
            .arg(value("bundle", "DIR", "The bundle (default: the current directory)").short('b'))
            .arg(flag("detach", "Return as soon as the program runs").short('d'))
            .arg(pid_file())
            .arg(no_subreaper())
            .arg(no_pivot())
            .arg(value("lsm-profile", "TYPE:NAME", "LSM profile to restore with"))
            .arg(value("lsm-mount-context", "CONTEXT", "LSM mount context to restore with"))
            .arg(arguments())
    },
};

fn criu(command: Command) -> Command {
    command
        .arg(value("image-path", "DIR", "Where CRIU's images are"))
        .arg(value("work-path", "DIR", "Where CRIU's work files and logs go"))
        .arg(flag("tcp-established", "Allow open TCP connections"))
        .arg(flag("ext-unix-sk", "Allow external unix sockets"))
        .arg(flag("shell-job", "Allow shell jobs"))
        .arg(flag("lazy-pages", "Bring pages back when they are used (userfaultfd)"))
        .arg(flag("file-locks", "Handle file locks"))
        .arg(flag("auto-dedup", "Deduplicate memory images"))
        .arg(empty_ns())
        .arg(value("manage-cgroups-mode", "MODE", "soft (default), full, strict or ignore"))
}

fn empty_ns() -> Arg {
    values("empty-ns", "NAMESPACE", "Make this namespace without its properties")
}
