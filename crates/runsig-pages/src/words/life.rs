//! The words of the verbs from `create` to `delete`, and of those that look at containers.

use super::{PLAIN, STATE, Words};

pub(super) fn words(verb: &str) -> Option<Words> {
    Some(match verb {
        "create" => CREATE,
        "start" => START,
        "run" => RUN,
        "state" => SHOW_STATE,
        "delete" => DELETE,
        "list" => LIST,
        "exec" => EXEC,
        "ps" => PS,
        "spec" => SPEC,
        "features" => FEATURES,
        _ => return None,
    })
}

const CREATE: Words = Words {
    description: &[
        "Makes a container from a bundle: namespaces, cgroup, mounts, limits. Its first process is there and waits; \
         the program of config.json does not run before start.",
        "With --init, the annotation dev.runsig.init=true or [init] enabled = true in the host's file, PID 1 of the \
         container is a small program of Runsig's own that stays. It reaps orphans, hands signals on, and lets the \
         other processes end before it ends. The annotations dev.runsig.init.forward, .rewrite, .linger and \
         .exit-remap set what it does.",
    ],
    exits: PLAIN,
    files: &[
        STATE,
        ("/etc/runsig/config.toml", "Section [init]: the resident init, for containers without annotations."),
    ],
    examples: &[
        ("As an engine does it:", "runsig create --bundle /b --pid-file /b/pid web\nrunsig start web"),
        (
            "With a terminal, whose master goes to a program that listens on a socket:",
            "runsig create --bundle /b --console-socket /b/console.sock web",
        ),
    ],
    see: &["start", "run", "delete"],
};

const START: Words = Words {
    description: &["Lets the waiting first process of a created container run the program of config.json."],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig start web")],
    see: &["create", "run"],
};

const RUN: Words = Words {
    description: &[
        "create and start in one call. In the foreground it hands every signal on to the container, waits for the \
         end of the program, deletes the container and returns the program's exit code.",
        "With --detach it returns as soon as the program runs. A container with a terminal then needs \
         --console-socket.",
    ],
    exits: &[
        ("1", "The container could not be made or started."),
        ("128+N", "Signal N ended the program."),
        ("others", "The program's own exit code."),
    ],
    files: &[STATE],
    examples: &[
        ("In the foreground:", "runsig run --bundle /b web"),
        ("In the background:", "runsig run --detach --bundle /b --pid-file /run/web.pid web"),
    ],
    see: &["create", "start", "stop"],
};

const SHOW_STATE: Words = Words {
    description: &[
        "Prints the state of a container as JSON: id, pid, status, bundle, rootfs, created, annotations, owner. \
         status is created, running, paused or stopped. The pid of a stopped one is 0.",
        "While init has exited and the kernel still keeps it, the field exiting names the processes in the way.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("The PID of init, by jq(1):", "runsig state web | jq .pid")],
    see: &["list", "ps"],
};

const DELETE: Words = Words {
    description: &[
        "Removes what a stopped container has left: its cgroup, its state, intelRdt groups. poststop hooks run.",
        "With --force a container that is still running is killed first, and one that does not exist is no error. \
         It never says that a container is gone while its init is there: when something keeps init from ending, \
         it waits ten seconds and then names it.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[
        ("", "runsig delete web"),
        ("Everything whose ID begins with test-:", "runsig delete --force --regex '^test-'"),
    ],
    see: &["stop", "kill"],
};

const LIST: Words = Words {
    description: &[
        "Prints one line for each container under the root: ID, PID, status, bundle, time of creation, owner. A \
         container whose state cannot be read is a warning, and the others are listed.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[
        ("What Docker runs with it:", "runsig --root /run/docker/runtime-runc/moby list"),
        ("For programs:", "runsig list --format json\nrunsig list --quiet"),
    ],
    see: &["state", "ps"],
};

const EXEC: Words = Words {
    description: &[
        "Runs another process in a running container: in its namespaces, its cgroup and its root, with the user and \
         rights that flags or the process.json give it. Everything after the ID belongs to the command.",
        "With --name the process can be reached by kill --exec NAME.",
    ],
    exits: &[
        ("255", "The process could not be run."),
        ("128+N", "Signal N ended the process."),
        ("others", "The process's own exit code; 0 with --detach."),
    ],
    files: &[STATE],
    examples: &[
        ("A shell:", "runsig exec -t web sh"),
        ("As another user, in another directory:", "runsig exec --user 1000:1000 --cwd /srv web ls -l"),
        (
            "From a file, in the background:",
            "runsig exec --process p.json --detach --pid-file /run/p.pid web",
        ),
    ],
    see: &["ps", "kill"],
};

const PS: Words = Words {
    description: &[
        "Prints the processes of a container: the lines of ps(1) that are about them, or their PIDs as JSON. Further \
         arguments are those of ps; without any they are -ef.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig ps web\nrunsig ps web -o pid,rss,args\nrunsig ps --format json web")],
    see: &["signals", "state"],
};

const SPEC: Words = Words {
    description: &[
        "Writes a config.json to start from into the bundle: a shell with a terminal, in all namespaces, with few \
         capabilities. It does not replace one that is there.",
    ],
    exits: PLAIN,
    files: &[("BUNDLE/config.json", "What is written.")],
    examples: &[
        ("", "runsig spec --bundle /b"),
        ("For a container that a user without root's rights runs:", "runsig spec --rootless"),
    ],
    see: &["create", "run"],
};

const FEATURES: Words = Words {
    description: &[
        "Prints what this build can do, as JSON in the form of features.md of the OCI runtime specification: \
         versions, hooks, mount options, namespaces, capabilities, cgroups, seccomp.",
    ],
    exits: PLAIN,
    files: &[],
    examples: &[("Does it know seccomp's flags?", "runsig features | jq .linux.seccomp.knownFlags")],
    see: &["spec"],
};
