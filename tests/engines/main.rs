//! podman, containerd and Docker with the runtime under test, beside runc: a list of scenarios that
//! every engine plays with both, and what only Runsig has.

mod beyond;
mod cannot;

mod compare;
mod containerd;
mod cri;
mod differences;
mod docker;
mod docker_like;
mod engine;
mod image;
mod midcreate;
mod podman;
mod recovery;
mod resident;
mod rootless;
mod scenarios;
mod session;
mod stopping;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use runsig_tests::service::{self, Answer};
use runsig_tests::{Case, View, harness, needs};

use crate::engine::Kind;
use crate::scenarios::Scenario;

/// For one scenario with both runtimes.
const LIMIT: Duration = Duration::from_secs(600);

/// What the guest of hack/vm plays: its processors are emulated.
const IN_THE_GUEST: &[&str] = &[
    "output_and_code",
    "exec_output_and_code",
    "stop_signal_of_the_image",
    "kill_kill",
    "pause_and_unpause",
    "memory_limit",
];

/// What is played where systemd makes the cgroups: the whole life, on this machine.
const WITH_SYSTEMD: &[&str] = &[
    "scope",
    "output_and_code",
    "exec_output_and_code",
    "stop_signal_of_the_image",
    "stop_of_a_shell",
    "kill_kill",
    "pause_and_unpause",
    "rm_force",
    "host_pids_stop",
    "host_pids_rm",
];

/// And in the guest: what its systemd has to have controllers for.
const WITH_THE_GUESTS_SYSTEMD: &[&str] = &[
    "scope",
    "stop_signal_of_the_image",
    "pause_and_unpause",
    "memory_limit",
    "cpu_limits",
    "out_of_memory",
];

/// Engine, scenario, and why the guest is no place for it.
const NOT_IN_THE_GUEST: &[(Kind, &str, &str)] = &[
    (Kind::Containerd, "memory_limit", "without a cgroup namespace ctr's containers see all of cgroup v2"),
    (Kind::Containerd, "cpu_limits", "the same"),
    (Kind::Cri, "out_of_memory", "whether containerd hears of it before the end is chance, with runc too"),
];

/// Where each engine runs, in each view of the cgroups.
const WORLDS: &[Case] = &[
    world_case("podman", View::V2, || world::serve(Kind::Podman)),
    world_case("podman", View::Host, || world::serve(Kind::Podman)),
    world_case("containerd", View::V2, || world::serve(Kind::Containerd)),
    world_case("containerd", View::Host, || world::serve(Kind::Containerd)),
    world_case("docker", View::V2, || world::serve(Kind::Docker)),
    world_case("docker", View::Host, || world::serve(Kind::Docker)),
    // A pod's sandbox always has a limit: v2 alone, without controllers, cannot run it.
    world_case("cri", View::Host, || world::serve(Kind::Cri)),
    // systemd makes the cgroups: one of the test's own, which has no controllers, or that of the guest.
    world_case("podman", View::Systemd, || world::serve(Kind::Podman)),
    world_case("containerd", View::Systemd, || world::serve(Kind::Containerd)),
    world_case("docker", View::Systemd, || world::serve(Kind::Docker)),
    world_case("podman", View::Guest, || world::serve(Kind::Podman)),
    world_case("containerd", View::Guest, || world::serve(Kind::Containerd)),
    world_case("cri", View::Guest, || world::serve(Kind::Cri)),
];

const fn world_case(name: &'static str, view: View, body: fn()) -> Case {
    Case { name, view, limit: Duration::from_secs(180), body }
}

fn main() -> ExitCode {
    harness::main_with(
        &[
            stopping::CASES,
            resident::CASES,
            recovery::CASES,
            midcreate::CASES,
            rootless::CASES,
            beyond::CASES,
        ],
        WORLDS,
        trials,
    )
}

/// Every scenario with every engine that can play it.
fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for world in WORLDS {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == world.name).expect("an engine");
        let mine = scenarios::all().filter(|scenario| is_played(kind, world.view, scenario));
        for scenario in mine.filter(|scenario| cannot::can(kind, scenario.name)) {
            let name =
                format!("{}::{}@{}", world.name, scenario.name, format!("{:?}", world.view).to_lowercase());
            trials.push(Trial::ignorable_test(name, move || play(world, scenario.name)));
        }
    }
    trials
}

/// Whether a view is where a scenario is played.
fn is_played(kind: Kind, view: View, scenario: &Scenario) -> bool {
    match view {
        View::Systemd => WITH_SYSTEMD.contains(&scenario.name),
        View::Guest => {
            let left_out = |(engine, name, _): &(Kind, &str, &str)| *engine == kind && *name == scenario.name;
            WITH_THE_GUESTS_SYSTEMD.contains(&scenario.name) && !NOT_IN_THE_GUEST.iter().any(left_out)
        }
        _ if needs::in_guest() && !IN_THE_GUEST.contains(&scenario.name) => false,
        // Where the host has v2 alone, one view has everything that systemd is not needed for.
        _ if runsig_tests::cgroup::is_pure_v2() => {
            view == View::Host && !scenario.views.contains(&View::Systemd)
        }
        _ => {
            scenario.views.contains(&view) || (kind == Kind::Cri && !scenario.views.contains(&View::Systemd))
        }
    }
}

fn play(world: &Case, scenario: &str) -> Result<Completion, Failed> {
    match service::ask(world, scenario, LIMIT) {
        Answer::Text(text) if text == "passed" => Ok(Completion::Completed),
        Answer::Text(text) | Answer::Failed(text) => Err(text.into()),
        Answer::Skipped(why) => Ok(Completion::ignored_with(why)),
    }
}
