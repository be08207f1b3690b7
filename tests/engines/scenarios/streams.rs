//! Conversations with running programs, and logs that are rotated, as kubelet has them.

use crate::engine::{Container, Exec, Opt, Talk};
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] =
    list![Host: attach, attach_to_a_terminal, exec_conversation, exec_on_a_terminal, log_rotation];

/// Answers each line. The size of a terminal is told in its own time; that it is told shows.
const ANSWERS: &str = "echo ready; while read line; do echo got $line; \
    if test -t 0; then until test \"$(stty size 2>/dev/null)\" = '40 100'; do sleep 0.05; done; echo sized; fi; \
    case $line in end*) echo bye; exit 4; esac; done";

fn attach(s: &Session<'_>) {
    s.start(&Container::script("c", ANSWERS).with(Opt::Stdin));
    let to = Talk::Attach { tty: false };
    let outcome = s.talk("c", to, &[("one\n", "got one"), ("two\n", "got two")]);
    assert!(outcome.stdout.contains("got one\ngot two"), "{outcome:#?}");
    // Whoever comes later talks to the same program.
    s.talk("c", to, &[("end\n", "bye")]);
    s.ends(4, "c");
    s.logs("c");
}

fn attach_to_a_terminal(s: &Session<'_>) {
    s.start(&Container::script("c", ANSWERS).with(Opt::Stdin).with(Opt::Tty));
    let outcome = s.talk("c", Talk::Attach { tty: true }, &[("one\n", "sized"), ("end\n", "bye")]);
    assert!(outcome.stdout.contains("sized"), "{outcome:#?}");
    s.ends(4, "c");
}

fn exec_conversation(s: &Session<'_>) {
    s.start(&Container::script("c", "echo ready; sleep 1000"));
    let script = format!("echo heard >&2; {ANSWERS}");
    let to = Talk::Exec { tty: false, args: &["sh", "-c", &script] };
    let outcome = s.talk("c", to, &[("one\n", "got one"), ("end\n", "bye")]);
    assert_eq!(outcome.code, 4, "{outcome:#?}");
    assert!(outcome.stderr.contains("heard"), "{outcome:#?}");
}

fn exec_on_a_terminal(s: &Session<'_>) {
    s.start(&Container::script("c", "echo ready; sleep 1000"));
    let to = Talk::Exec { tty: true, args: &["sh", "-c", ANSWERS] };
    let outcome = s.talk("c", to, &[("one\n", "sized"), ("end\n", "bye")]);
    assert_eq!(outcome.code, 4, "{outcome:#?}");
    assert!(outcome.stdout.contains("sized"), "{outcome:#?}");
    // The terminal's interrupt reaches the program in the foreground.
    let to = Talk::Exec {
        tty: true,
        args: &["sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done"],
    };
    let outcome = s.talk("c", to, &[("", "ready"), ("\u{3}", "^C")]);
    assert_eq!(outcome.code, 9, "{outcome:#?}");
}

fn log_rotation(s: &Session<'_>) {
    let script = "echo ready; i=0; while ! test -e /tmp/stop; do i=$((i+1)); echo line $i; sleep 0.05; done; \
        echo last; exit 3";
    s.start(&Container::script("c", script));
    let mut text = s.rotate_log("c");
    s.ask("c", "sleep 0.3; touch /tmp/stop");
    s.engine().wait(&s.owner, "c");
    let new = s.engine().logs(&s.owner, "c").stdout;
    assert!(new.starts_with("line ") && new.ends_with("last\n"), "the new log: {new}");
    text.push_str(&new);
    let numbers: Vec<usize> =
        text.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "nothing lost, nothing twice");
    s.exec("c", Exec::default(), &["true"]);
}
