//! The verbs from `create` to `delete`, and those that look at containers.

use clap::{Arg, Command};

use super::{Verb, arguments, flag, format, rest, switch, value, values};

pub(super) const CREATE: Verb = Verb {
    name: "create",
    about: "Create a container; start runs its program",
    usage: "<container-id>",
    define: |command| creation(command),
};

pub(super) const START: Verb = Verb {
    name: "start",
    about: "Start the program of a created container",
    usage: "<container-id>",
    define: |command| command.arg(arguments()),
};

pub(super) const RUN: Verb = Verb {
    name: "run",
    about: "Create a container, start it and wait for its end",
    usage: "<container-id>",
    define: |command| {
        creation(command)
            .arg(flag("detach", "Return as soon as the program runs").short('d'))
            .arg(flag("keep", "Do not delete the container when it has ended"))
            .arg(no_subreaper())
    },
};

pub(super) const STATE: Verb = Verb {
    name: "state",
    about: "Show the state of a container",
    usage: "<container-id>",
    define: |command| command.arg(arguments()),
};

pub(super) const DELETE: Verb = Verb {
    name: "delete",
    about: "Delete a container and what it holds",
    usage: "<container-id>",
    define: |command| {
        command
            .arg(flag("force", "Kill it first if it is still running (SIGKILL)").short('f'))
            .arg(flag("regex", "The ID is a regular expression: every container it matches").short('r'))
            .arg(arguments())
    },
};

pub(super) const LIST: Verb = Verb {
    name: "list",
    about: "List the containers under the root",
    usage: "",
    define: |command| {
        command
            .arg(format("table (default) or json"))
            .arg(flag("quiet", "Only the IDs").short('q'))
            .arg(arguments())
    },
};

pub(super) const EXEC: Verb = Verb {
    name: "exec",
    about: "Run another process in a container",
    usage: "<container-id> <command> [command options] | -p process.json <container-id>",
    define: |command| {
        command
            .arg(console_socket())
            .arg(pidfd_socket("Unix socket that gets a pidfd of the new process"))
            .arg(value("cwd", "DIR", "Working directory in the container"))
            .arg(values("env", "NAME=VALUE", "Set an environment variable").short('e'))
            .arg(flag("tty", "Give the process a terminal").short('t'))
            .arg(value("user", "UID[:GID]", "User and group").short('u'))
            .arg(values("additional-gids", "GID", "Add a group").short('g'))
            .arg(value("process", "FILE", "Take the process from this process.json").short('p'))
            .arg(flag("detach", "Return as soon as the process runs").short('d'))
            .arg(pid_file())
            .arg(value("process-label", "LABEL", "SELinux label of the process"))
            .arg(value("apparmor", "PROFILE", "AppArmor profile of the process"))
            .arg(switch("no-new-privs", "Set no_new_privs"))
            .arg(values("cap", "CAP", "Add a capability").short('c'))
            .arg(preserve_fds())
            .arg(values(
                "cgroup",
                "[CONTROLLER:]PATH",
                "Run it in this existing cgroup below the container's",
            ))
            .arg(flag("ignore-paused", "Run it in a paused container too"))
            .arg(value("name", "NAME", "What to call it: for kill --exec NAME"))
            .arg(rest())
    },
};

pub(super) const PS: Verb = Verb {
    name: "ps",
    about: "Show the processes of a container",
    usage: "<container-id> [ps options]",
    define: |command| command.arg(format("table (default) or json")).arg(rest()),
};

pub(super) const SPEC: Verb = Verb {
    name: "spec",
    about: "Write a config.json to start from",
    usage: "",
    define: |command| {
        command
            .arg(value("bundle", "DIR", "The bundle (default: the current directory)").short('b'))
            .arg(flag("rootless", "For a container run without root's rights"))
            .arg(arguments())
    },
};

pub(super) const FEATURES: Verb = Verb {
    name: "features",
    about: "Show what this build can do, as JSON",
    usage: "",
    define: |command| command.arg(arguments()),
};

fn creation(command: Command) -> Command {
    command
        .arg(value("bundle", "DIR", "The bundle (default: the current directory)").short('b'))
        .arg(value("config", "FILE", "Read this file in place of the bundle's config.json").short('f'))
        .arg(console_socket())
        .arg(pidfd_socket("Unix socket that gets a pidfd of init"))
        .arg(pid_file())
        .arg(no_pivot())
        .arg(flag("no-new-keyring", "Stay in the caller's session keyring"))
        .arg(preserve_fds())
        .arg(flag("init", "Stay as PID 1: reap, forward signals, let everybody end (dev.runsig.init)"))
        .arg(arguments())
}

pub(super) fn console_socket() -> Arg {
    value("console-socket", "SOCKET", "Unix socket that gets the terminal's master descriptor")
}

fn pidfd_socket(help: &'static str) -> Arg {
    value("pidfd-socket", "SOCKET", help)
}

pub(super) fn pid_file() -> Arg {
    value("pid-file", "FILE", "Write the process ID to this file")
}

pub(super) fn no_pivot() -> Arg {
    flag("no-pivot", "Do not use pivot_root (for a rootfs on the initial ramdisk)")
}

pub(super) fn no_subreaper() -> Arg {
    flag("no-subreaper", "Do not become the reaper of the container's orphans")
}

fn preserve_fds() -> Arg {
    value("preserve-fds", "N", "Pass N more descriptors on, from 3 ($LISTEN_FDS come first)")
}
