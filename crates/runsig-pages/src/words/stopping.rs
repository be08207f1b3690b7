//! The words of the verbs that signal containers and end them.

use super::{PLAIN, STATE, Words};

pub(super) fn words(verb: &str) -> Option<Words> {
    Some(match verb {
        "kill" => KILL,
        "stop" => STOP,
        "signals" => SIGNALS,
        "wait" => WAIT,
        _ => return None,
    })
}

const CONFIG: &str = "/etc/runsig/config.toml";

const KILL: Words = Words {
    description: &[
        "Sends one signal to the container's init. Signals are numbers from 0 to 64, or names in any case with or \
         without SIG, RTMIN+N and RTMAX-N among them; 0 only looks whether init is there. Without a signal it is the \
         container's stop signal (annotation org.opencontainers.image.stopSignal), else SIGTERM.",
        "The kernel drops a signal to PID 1 of a container that has no handler for it. kill warns when that is going \
         to happen; --on-dropped says what to do instead.",
        "Where no flag says otherwise, the annotations dev.runsig.kill.on-dropped, dev.runsig.kill.scope and \
         dev.runsig.kill.rewrite of the container hold, and after them the section [kill] of the host's file.",
    ],
    exits: PLAIN,
    files: &[STATE, (CONFIG, "Section [kill]: on-dropped, scope, rewrite.")],
    examples: &[
        ("The container's own stop signal:", "runsig kill web"),
        ("Every process:", "runsig kill --all web KILL"),
        (
            "The process group of a process started by exec --name worker:",
            "runsig kill --exec worker --group web HUP",
        ),
    ],
    see: &["stop", "signals"],
};

const STOP: Words = Words {
    description: &[
        "Ends containers: sends the stop signal, waits for the end, and sends SIGKILL to what is left after ten \
         seconds. Then it tells for every process what it was sent, how it ended and when. Many containers are \
         stopped at the same time.",
        "An init that the kernel would let drop the signal is not waited for: its children get it in its place, and \
         when none is left init is killed at once. With --scope others-first everybody but init gets the signal and \
         the stage's time, and init after them, so that nobody is cut off in the middle.",
        "A plan is a list of stages, each a signal and how long it has. A plan without KILL at its end leaves alive \
         what outlives it. The plan is that of the flag, else of the annotation dev.runsig.stop.plan, else of the \
         section [stop] of the host's file.",
        "Interrupting stop does not touch the containers: it says what still runs.",
    ],
    exits: &[
        ("0", "Every container is stopped, whatever it took."),
        ("1", "Something is still alive, and is named; or a container could not be found."),
        ("130", "It was interrupted."),
    ],
    files: &[STATE, (CONFIG, "Section [stop]: plan.")],
    examples: &[
        ("With more time:", "runsig stop --timeout 30s web"),
        ("In stages:", "runsig stop --plan QUIT:20s,TERM:5s,KILL web"),
        ("Only look:", "runsig stop --dry-run web"),
        ("Everything, for programs:", "runsig stop --regex --format json '.*'"),
    ],
    see: &["kill", "signals", "wait", "delete"],
};

const SIGNALS: Words = Words {
    description: &[
        "Shows every process of a container, its PID on the host and inside, and what it would do with a signal: \
         handled, waited-for, blocked-queued, ignored, dropped, fatal, stops, continues, no-effect or ended. And what \
         stop would do with it. Nothing is sent.",
        "Without a signal it is the one that stop would send. It is a prediction from /proc: a program may change \
         its mind a moment later.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig signals web\nrunsig signals web HUP\nrunsig signals --format json web")],
    see: &["kill", "stop"],
};

const WAIT: Words = Words {
    description: &[
        "Waits for the end of a container's init, prints its exit code and exits with it. Whoever waits need not be \
         the parent of init: Linux 6.15 and later tell the code to anybody who held its pidfd.",
    ],
    exits: &[
        ("1", "The code cannot be told any more, or there is no such container."),
        ("128+N", "Signal N ended init."),
        ("others", "Init's own exit code."),
    ],
    files: &[STATE],
    examples: &[("", "runsig wait web && echo 'ended well'")],
    see: &["stop", "state"],
};
