//! The words of the verbs that freeze, measure, limit and checkpoint containers.

use super::{PLAIN, STATE, Words};

pub(super) fn words(verb: &str) -> Option<Words> {
    Some(match verb {
        "pause" => PAUSE,
        "resume" => RESUME,
        "update" => UPDATE,
        "events" => EVENTS,
        "checkpoint" => CHECKPOINT,
        "restore" => RESTORE,
        _ => return None,
    })
}

const PAUSE: Words = Words {
    description: &["Freezes every process of a running container, by its cgroup, until resume."],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig pause web")],
    see: &["resume", "stop"],
};

const RESUME: Words = Words {
    description: &["Lets the processes of a paused container go on."],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig resume web")],
    see: &["pause"],
};

const UPDATE: Words = Words {
    description: &[
        "Changes the limits of a container that is there, by flags or by a JSON document with the form of \
         linux.resources of config.json. With --resources the other flags do not count. What is not mentioned stays \
         as it is. Sizes may have a unit: 512M, 1.5g.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[
        ("", "runsig update --memory 512M --pids-limit 100 web"),
        ("From a document:", "echo '{\"cpu\": {\"quota\": 50000}}' | runsig update --resources - web"),
    ],
    see: &["events"],
};

const EVENTS: Words = Words {
    description: &[
        "Prints one line of JSON for each event: what the container uses, at every interval, and when it ran out of \
         memory. It ends with the container.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[
        ("Once:", "runsig events --stats web"),
        ("Again and again:", "runsig events --interval 1s web"),
    ],
    see: &["update", "ps"],
};

const CHECKPOINT: Words = Words {
    description: &[
        "Saves the processes of a running container into files, by criu(8), so that restore can bring them back, on \
         another machine too. The container ends unless --leave-running or --pre-dump is given.",
    ],
    exits: PLAIN,
    files: &[STATE],
    examples: &[("", "runsig checkpoint --image-path /var/lib/images/web web")],
    see: &["restore"],
};

const RESTORE: Words = Words {
    description: &["Makes a container from a bundle and the files that checkpoint wrote, by criu(8)."],
    exits: &[
        ("1", "The container could not be restored."),
        ("others", "As those of runsig-run(8); 0 with --detach."),
    ],
    files: &[STATE],
    examples: &[("", "runsig restore --detach --image-path /var/lib/images/web --bundle /b web")],
    see: &["checkpoint", "run"],
};
