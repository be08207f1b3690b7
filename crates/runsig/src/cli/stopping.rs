//! The verbs that signal containers and end them.

use super::{Verb, arguments, flag, format, value};

pub(super) const KILL: Verb = Verb {
    name: "kill",
    about: "Send a signal (default: the container's stop signal, else SIGTERM) to init",
    usage: "<container-id> [signal]",
    define: |command| {
        command
            .arg(flag("all", "Send it to every process of the container").short('a'))
            .arg(flag("regex", "The ID is a regular expression: every container it matches").short('r'))
            .arg(value("exec", "NAME|PID", "Send it to this process of the container instead"))
            .arg(flag("group", "With --exec: send it to that process's group"))
            .arg(value("scope", "WHO", "Who gets it: init (default) or all"))
            .arg(value("on-dropped", "WHAT", "When init would drop it: warn (default), forward or kill"))
            .arg(value("rewrite", "SIG=SIG,...", "Send another signal in its place, for instance TERM=QUIT"))
            .arg(arguments())
    },
};

pub(super) const STOP: Verb = Verb {
    name: "stop",
    about: "Stop containers: signal, wait, and kill what is left",
    usage: "<container-id>...",
    define: |command| {
        command
            .arg(
                value("timeout", "DURATION", "How long the stop signal has before SIGKILL (default: 10s)")
                    .short('t'),
            )
            .arg(value("plan", "SIG:DURATION,...", "The stages, for instance TERM:10s,INT:5s,KILL"))
            .arg(value("scope", "WHO", "Who gets the signals: init (default), all or others-first"))
            .arg(value(
                "on-dropped",
                "WHAT",
                "When init would drop the signal: forward (default), kill or warn",
            ))
            .arg(flag("dry-run", "Show what would be done, and do nothing"))
            .arg(flag("regex", "The IDs are regular expressions").short('r'))
            .arg(format("text (default) or json"))
            .arg(flag("quiet", "No live line, no report").short('q'))
            .arg(arguments())
    },
};

pub(super) const SIGNALS: Verb = Verb {
    name: "signals",
    about: "Show what each process of a container would do with a signal",
    usage: "<container-id> [signal]",
    define: |command| command.arg(format("table (default) or json")).arg(arguments()),
};

pub(super) const WAIT: Verb = Verb {
    name: "wait",
    about: "Wait for a container's end; print and return its exit code",
    usage: "<container-id>",
    define: |command| command.arg(arguments()),
};
