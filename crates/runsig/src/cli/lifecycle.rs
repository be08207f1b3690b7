//! The verbs from `create` to `delete`, and those that look at containers.

use super::{Flag, Verb, flag, format, switch, value, values};

pub(super) const CREATE: Verb = Verb {
    name: "create",
    about: "Create a container; start runs its program",
    usage: "<container-id>",
    flags: &[CREATION],
    rest: false,
};

pub(super) const START: Verb = Verb {
    name: "start",
    about: "Start the program of a created container",
    usage: "<container-id>",
    flags: &[],
    rest: false,
};

pub(super) const RUN: Verb = Verb {
    name: "run",
    about: "Create a container, start it and wait for its end",
    usage: "<container-id>",
    flags: &[
        CREATION,
        &[
            flag("detach", "Return as soon as the program runs").short('d'),
            flag("keep", "Do not delete the container when it has ended"),
            no_subreaper(),
        ],
    ],
    rest: false,
};

pub(super) const STATE: Verb = Verb {
    name: "state",
    about: "Show the state of a container",
    usage: "<container-id>",
    flags: &[],
    rest: false,
};

pub(super) const DELETE: Verb = Verb {
    name: "delete",
    about: "Delete a container and what it holds",
    usage: "<container-id>",
    flags: &[&[
        flag("force", "Kill it first if it is still running (SIGKILL)").short('f'),
        flag("regex", "The ID is a regular expression: every container it matches").short('r'),
    ]],
    rest: false,
};

pub(super) const LIST: Verb = Verb {
    name: "list",
    about: "List the containers under the root",
    usage: "",
    flags: &[&[format("table (default) or json"), flag("quiet", "Only the IDs").short('q')]],
    rest: false,
};

pub(super) const EXEC: Verb = Verb {
    name: "exec",
    about: "Run another process in a container",
    usage: "<container-id> <command> [command options] | -p process.json <container-id>",
    flags: &[&[
        console_socket(),
        pidfd_socket("Unix socket that gets a pidfd of the new process"),
        value("cwd", "DIR", "Working directory in the container"),
        values("env", "NAME=VALUE", "Set an environment variable").short('e'),
        flag("tty", "Give the process a terminal").short('t'),
        value("user", "UID[:GID]", "User and group").short('u'),
        values("additional-gids", "GID", "Add a group").short('g'),
        value("process", "FILE", "Take the process from this process.json").short('p'),
        flag("detach", "Return as soon as the process runs").short('d'),
        pid_file(),
        value("process-label", "LABEL", "SELinux label of the process"),
        value("apparmor", "PROFILE", "AppArmor profile of the process"),
        switch("no-new-privs", "Set no_new_privs"),
        values("cap", "CAP", "Add a capability").short('c'),
        preserve_fds(),
        values("cgroup", "[CONTROLLER:]PATH", "Run it in this existing cgroup below the container's"),
        flag("ignore-paused", "Run it in a paused container too"),
        value("name", "NAME", "What to call it: for kill --exec NAME"),
    ]],
    rest: true,
};

pub(super) const PS: Verb = Verb {
    name: "ps",
    about: "Show the processes of a container",
    usage: "<container-id> [ps options]",
    flags: &[&[format("table (default) or json")]],
    rest: true,
};

pub(super) const SPEC: Verb = Verb {
    name: "spec",
    about: "Write a config.json to start from",
    usage: "",
    flags: &[&[
        value("bundle", "DIR", "The bundle (default: the current directory)").short('b'),
        flag("rootless", "For a container run without root's rights"),
    ]],
    rest: false,
};

pub(super) const FEATURES: Verb = Verb {
    name: "features",
    about: "Show what this build can do, as JSON",
    usage: "",
    flags: &[],
    rest: false,
};

const CREATION: &[Flag] = &[
    value("bundle", "DIR", "The bundle (default: the current directory)").short('b'),
    value("config", "FILE", "Read this file in place of the bundle's config.json").short('f'),
    console_socket(),
    pidfd_socket("Unix socket that gets a pidfd of init"),
    pid_file(),
    no_pivot(),
    flag("no-new-keyring", "Stay in the caller's session keyring"),
    preserve_fds(),
    flag("init", "Stay as PID 1: reap, forward signals, let everybody end (dev.runsig.init)"),
];

pub(super) const fn console_socket() -> Flag {
    value("console-socket", "SOCKET", "Unix socket that gets the terminal's master descriptor")
}

const fn pidfd_socket(help: &'static str) -> Flag {
    value("pidfd-socket", "SOCKET", help)
}

pub(super) const fn pid_file() -> Flag {
    value("pid-file", "FILE", "Write the process ID to this file")
}

pub(super) const fn no_pivot() -> Flag {
    flag("no-pivot", "Do not use pivot_root (for a rootfs on the initial ramdisk)")
}

pub(super) const fn no_subreaper() -> Flag {
    flag("no-subreaper", "Do not become the reaper of the container's orphans")
}

const fn preserve_fds() -> Flag {
    value("preserve-fds", "N", "Pass N more descriptors on, from 3 ($LISTEN_FDS come first)")
}
