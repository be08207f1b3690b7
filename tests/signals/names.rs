//! Every form of a signal's name, and the signal that is meant when nobody names one.

use runsig_tests::{Case, cases, wait};

use crate::world::{assert_unharmed, got, noting, refused};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "names": every_name_arrives_as_its_number, every_number_arrives, real_time_names, names_that_are_none,
        default_is_term, default_is_the_annotation, argument_beats_the_annotation,
        bad_annotation_is_named_and_nothing_sent;
    Host "names": default_is_the_annotation;
];

const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// KILL and STOP cannot be waited for.
const UNCATCHABLE: [i32; 2] = [9, 19];

/// Sends each form and demands that it arrives as that number.
fn arrive(forms: &[(String, i32)]) {
    let container = noting(&[]);
    for (count, (form, number)) in forms.iter().enumerate() {
        container.kill(form).ok();
        wait::expect(&format!("{form} to arrive"), || got(&container).len() > count);
        assert_eq!(got(&container).last(), Some(number), "{form}");
    }
}

fn every_name_arrives_as_its_number() {
    let mut forms = Vec::new();
    for (name, number) in NAMES.iter().zip(1..).filter(|(_, number)| !UNCATCHABLE.contains(number)) {
        for form in [
            (*name).to_string(),
            format!("SIG{name}"),
            name.to_lowercase(),
            format!("sig{}", name.to_lowercase()),
        ] {
            forms.push((form, number));
        }
    }
    for (alias, number) in [("CLD", 17), ("SIGPOLL", 29), ("iot", 6), ("SigTerm", 15)] {
        forms.push((alias.to_string(), number));
    }
    arrive(&forms);
}

fn every_number_arrives() {
    // 32 and 33 are the C library's own.
    let forms: Vec<_> = (1..=31)
        .chain(34..=64)
        .filter(|number| !UNCATCHABLE.contains(number))
        .map(|number| (number.to_string(), number))
        .collect();
    arrive(&forms);
}

fn real_time_names() {
    let mut forms: Vec<(String, i32)> = (0..=30).map(|n| (format!("RTMIN+{n}"), 34 + n)).collect();
    forms.extend((0..=30).map(|n| (format!("SIGRTMAX-{n}"), 64 - n)));
    forms.extend(
        [("RTMIN", 34), ("sigrtmin+3", 37), ("RTMAX", 64), ("rtmax-1", 63)]
            .map(|(form, n)| (form.to_string(), n)),
    );
    arrive(&forms);
}

fn names_that_are_none() {
    let container = noting(&[]);
    let bad = [
        "FOO",
        "SIG",
        "SIGSIGTERM",
        "TERM ",
        " TERM",
        "TERM1",
        "65",
        "999999999999999999999",
        "1.5",
        "0x9",
        "1e1",
        "+9",
        "RTMIN-1",
        "RTMIN+31",
        "RTMAX+1",
        "RTMAX-31",
        "RTMIN+",
        "RTMIN+x",
        "UNUSED",
        "TERM,KILL",
        "TÉRM",
        "\u{ff19}",
    ];
    for name in bad {
        let words = format!("unknown signal {name:?}");
        refused(container.kill(name), &[&words]);
    }
    refused(container.runtime.call(&["kill", "--all", container.id(), "FOO"]), &["unknown signal \"FOO\""]);
    refused(container.runtime.call(&["signals", container.id(), "FOO"]), &["unknown signal \"FOO\""]);
    assert_unharmed(&container);
    assert_eq!(got(&container), Vec::<i32>::new());
}

fn default_arrives(annotations: &[(&str, &str)], number: i32) {
    let container = noting(annotations);
    container.verb("kill", &[]).ok();
    wait::expect(&format!("{annotations:?}"), || got(&container) == [number]);
}

fn default_is_term() {
    default_arrives(&[], 15);
}

fn default_is_the_annotation() {
    for (text, number) in
        [("SIGQUIT", 3), ("quit", 3), ("3", 3), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("37", 37)]
    {
        default_arrives(&[(STOP_SIGNAL, text)], number);
    }
    // For `--all`, too.
    let container = noting(&[(STOP_SIGNAL, "SIGQUIT")]);
    container.verb("kill", &["--all"]).ok();
    wait::expect("QUIT", || got(&container) == [3]);
}

fn argument_beats_the_annotation() {
    let container = noting(&[(STOP_SIGNAL, "SIGQUIT")]);
    container.kill("USR1").ok();
    wait::expect("USR1", || got(&container) == [10]);
    // Nor does anybody look at a bad one then: an engine always names its signal.
    let container = noting(&[(STOP_SIGNAL, "NONSENSE")]);
    container.kill("USR1").ok();
    wait::expect("USR1", || got(&container) == [10]);
}

fn bad_annotation_is_named_and_nothing_sent() {
    for value in ["SIGNONSENSE", "99", "", "TERM QUIT"] {
        let container = noting(&[(STOP_SIGNAL, value)]);
        let words = format!("unknown signal {value:?}");
        for (verb, args) in [("kill", &[][..]), ("kill", &["--all"]), ("signals", &[]), ("stop", &[])] {
            let outcome = container.verb(verb, args);
            refused(outcome, &[STOP_SIGNAL, &words]);
        }
        assert_unharmed(&container);
        assert_eq!(got(&container), Vec::<i32>::new());
    }
}
