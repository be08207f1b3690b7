//! In a PID namespace that is not the container's own: a subreaper instead of PID 1.

use runsig_tests::{Case, Container, cases, procs, spec, wait};

use crate::world::{end_by, read, resident_bundle};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "shared": it_says_so, orphans_are_reaped, all_means_the_containers_own, the_rest_is_killed_at_the_end,
        in_another_containers_namespace;
];

fn up(settings: &[(&str, &str)], script: &str) -> Container {
    let bundle =
        resident_bundle(settings, &["sh", "-c", script]).with(|config| spec::drop_namespace(config, "pid"));
    crate::world::started(bundle)
}

fn it_says_so() {
    let bundle = resident_bundle(&[], &["true"]).with(|config| spec::drop_namespace(config, "pid"));
    let container = Container::new(bundle);
    let outcome = container.create().ok();
    assert!(outcome.stderr.contains("level=warning") && outcome.stderr.contains("subreaper"), "{outcome:#?}");
    let own = Container::new(resident_bundle(&[], &["true"]));
    assert_eq!(own.create().ok().stderr, "");
}

fn orphans_are_reaped() {
    let script = "for i in $(seq 20); do sh -c 'sleep 0.05 & exit 0'; done; echo up > /up; exec sleep 1000";
    let container = up(&[], script);
    let init = container.pid().to_string();
    let children = || {
        procs::all()
            .into_iter()
            .filter(|pid| procs::status_field(*pid, "PPid").as_ref() == Some(&init))
            .count()
    };
    wait::expect("the main process only", || children() == 1);
}

const WORKERS: &str = "setsid sh -c \"trap 'echo told >> /told' USR1; \
    trap 'echo term >> /told; exit' TERM; echo up > /ready; while :; do sleep 0.02; done\" & \
    while [ ! -s /ready ]; do sleep 0.02; done; trap 'echo main >> /told' USR1; echo up > /up; \
    while :; do sleep 0.02; done";

/// Not the neighbours, whom kill(-1) would reach.
fn all_means_the_containers_own() {
    let mut stranger = std::process::Command::new("sleep").arg("1717").spawn().expect("sleep");
    let container = up(&[("forward", "all")], WORKERS);
    let _ = container.kill("USR1").ok();
    wait::expect("both", || read(&container, "/told").lines().count() >= 2);
    let told = read(&container, "/told");
    assert!(told.contains("told") && told.contains("main"), "{told}");
    let code = end_by(&container, || {
        let _ = container.kill("TERM").ok();
    });
    assert_eq!(code, 143);
    assert!(read(&container, "/told").contains("term"));
    assert!(stranger.try_wait().expect("wait").is_none(), "the neighbour lives");
    stranger.kill().expect("kill");
    let _ = stranger.wait();
}

fn the_rest_is_killed_at_the_end() {
    let script = "setsid sh -c \"trap '' TERM; echo up > /up; exec sleep 1818\" & exec sleep 1000";
    let container = up(&[("linger", "300ms")], script);
    let _ = container.wait_for_command("sleep 1818");
    let code = end_by(&container, || {
        let _ = container.kill("TERM").ok();
    });
    assert_eq!(code, 143);
    assert!(procs::find_command("sleep 1818").is_none());
}

fn in_another_containers_namespace() {
    let first = crate::world::started(runsig_tests::Bundle::script("echo up > /up; exec sleep 1900"));
    let path = format!("/proc/{}/ns/pid", first.pid());
    let script = "setsid sh -c \"trap 'echo term > /told; exit' TERM; echo up > /up; while :; do sleep 0.02; done\" & \
        exec sleep 1000";
    let bundle = resident_bundle(&[], &["sh", "-c", script])
        .with(|config| spec::set_namespace(config, "pid", Some(&path)));
    let second = crate::world::started(bundle);
    let code = end_by(&second, || {
        let _ = second.kill("TERM").ok();
    });
    assert_eq!((code, read(&second, "/told").as_str()), (143, "term\n"));
    assert_eq!(first.status(), "running");
}
