//! Flag, annotations and the host's file; what is wrong in them.

use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, cases, host_config};

use crate::world::{Pid1, annotated, resident_bundle};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "settings":
    bad_values_are_refused, the_hosts_file, bad_values_in_the_hosts_file, without_a_wish_nothing_is_different];

/// `2` with a resident init, `1` without.
const OWN_NUMBER: &[&str] = &["sh", "-c", "echo $$"];

fn number(bundle: Bundle) -> String {
    Container::new(bundle).run().ok().text().to_string()
}

fn refused(bundle: Bundle, words: &[&str]) {
    let container = Container::new(bundle);
    let before = Before::now(&container.runtime);
    for verb in ["create", "run"] {
        let mut outcome = container.verb(verb, &[]);
        outcome.stderr = outcome.stderr.replace("\\\"", "\"");
        let _ = outcome.fails(1, words).one_line();
    }
    before.assert_clean(&container.runtime, &container.bundle);
}

fn bad_values_are_refused() {
    for (key, value, problem) in [
        ("forward", "everyone", "must be child, group or all"),
        ("rewrite", "TERM", "is not SIGNAL=SIGNAL"),
        ("rewrite", "TERM=NOPE", "unknown signal"),
        ("rewrite", "KILL=TERM", "never reaches an init"),
        ("linger", "soon", "not a time"),
        ("linger", "-2s", "not a time"),
        ("linger", "999999999999h", "longer than 30 days"),
        ("exit-remap", "143=256", "no exit code"),
        ("exit-remap", "143", "is not CODE=CODE"),
    ] {
        let origin = format!("annotation dev.runsig.init.{key}: \"{value}\"");
        refused(resident_bundle(&[(key, value)], &["true"]), &[&origin, problem]);
    }
    let yes = annotated(Bundle::new(), &[("dev.runsig.init", "yes")]);
    runsig_tests::require_runsig("the settings are Runsig's own");
    refused(yes, &["annotation dev.runsig.init: \"yes\": must be true or false"]);
    let stop = [("org.opencontainers.image.stopSignal", "SIGNONE")];
    refused(annotated(Pid1::Resident.bundle(&["true"]), &stop), &["stopSignal", "SIGNONE"]);
}

fn the_hosts_file() {
    runsig_tests::require_runsig("the settings are Runsig's own");
    host_config::write("[init]\nenabled = true\nexit-remap = \"7=0\"\n");
    assert_eq!(number(Bundle::new().args(OWN_NUMBER)), "2");
    assert_eq!(Container::new(Bundle::script("exit 7")).run().code, 0);
    assert_eq!(number(annotated(Bundle::new().args(OWN_NUMBER), &[("dev.runsig.init", "false")])), "1");
    let own = [("exit-remap", "8=0")];
    assert_eq!(Container::new(resident_bundle(&own, &["sh", "-c", "exit 7"])).run().code, 7);
    host_config::write("[init]\nforward = \"all\"\n");
    assert_eq!(number(Bundle::new().args(OWN_NUMBER)), "1", "how is not whether");
}

fn bad_values_in_the_hosts_file() {
    runsig_tests::require_runsig("the settings are Runsig's own");
    host_config::write("[init]\nenabled = true\nlinger = \"soon\"\n");
    refused(Bundle::new(), &["/etc/runsig/config.toml: init.linger: \"soon\": not a time"]);
    host_config::write("[init]\nenable = true\n");
    refused(Bundle::new(), &["/etc/runsig/config.toml: line 2: ", "enable"]);
    // A container that says what it wants does not depend on the file.
    assert_eq!(number(annotated(Bundle::new().args(OWN_NUMBER), &[("dev.runsig.init", "false")])), "1");
}

fn without_a_wish_nothing_is_different() {
    runsig_tests::require_runsig("the settings are Runsig's own");
    assert_eq!(number(Bundle::new().args(OWN_NUMBER)), "1");
    assert_eq!(number(annotated(Bundle::new().args(OWN_NUMBER), &[("dev.runsig.init.linger", "soon")])), "1");
}
