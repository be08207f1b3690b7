//! The verbs that signal containers and end them.

use super::{Verb, flag, format, value};

pub(super) const KILL: Verb = Verb {
    name: "kill",
    about: "Send a signal (default: the container's stop signal, else SIGTERM) to init",
    usage: "<container-id> [signal]",
    flags: &[&[
        flag("all", "Send it to every process of the container").short('a'),
        flag("regex", "The ID is a regular expression: every container it matches").short('r'),
        value("exec", "NAME|PID", "Send it to this process of the container instead"),
        flag("group", "With --exec: send it to that process's group"),
        value("scope", "WHO", "Who gets it: init (default) or all"),
        value("on-dropped", "WHAT", "When init would drop it: warn (default), forward or kill"),
        value("rewrite", "SIG=SIG,...", "Send another signal in its place, for instance TERM=QUIT"),
    ]],
    rest: false,
};

pub(super) const STOP: Verb = Verb {
    name: "stop",
    about: "Stop containers: signal, wait, and kill what is left",
    usage: "<container-id>...",
    flags: &[&[
        value("timeout", "DURATION", "How long the stop signal has before SIGKILL (default: 10s)").short('t'),
        value("plan", "SIG:DURATION,...", "The stages, for instance TERM:10s,INT:5s,KILL"),
        value("scope", "WHO", "Who gets the signals: init (default), all or others-first"),
        value("on-dropped", "WHAT", "When init would drop the signal: forward (default), kill or warn"),
        flag("dry-run", "Show what would be done, and do nothing"),
        flag("regex", "The IDs are regular expressions").short('r'),
        format("text (default) or json"),
        flag("quiet", "No live line, no report").short('q'),
    ]],
    rest: false,
};

pub(super) const SIGNALS: Verb = Verb {
    name: "signals",
    about: "Show what each process of a container would do with a signal",
    usage: "<container-id> [signal]",
    flags: &[&[format("table (default) or json")]],
    rest: false,
};

pub(super) const WAIT: Verb = Verb {
    name: "wait",
    about: "Wait for a container's end; print and return its exit code",
    usage: "<container-id>",
    flags: &[],
    rest: false,
};
