//! What only a host with systemd, cgroup v2 with every controller, AppArmor or SELinux, and all capabilities can show.
//! `hack/vm` boots one: `hack/vm vm`. Elsewhere the tests are skipped.

mod apparmor;
mod controllers;
mod delegation;
mod privileges;
mod selinux;
mod shortage;
mod updates;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        apparmor::CASES,
        controllers::CASES,
        delegation::CASES,
        privileges::CASES,
        selinux::CASES,
        shortage::CASES,
        updates::CASES,
    ])
}

/// Reads a file of the container's cgroup.
#[track_caller]
fn value(container: &runsig_tests::Container, file: &str) -> String {
    runsig_tests::cgroup::read(&container.bundle.cgroup(), file).unwrap_or_else(|| panic!("no {file}"))
}

/// A container that sleeps, with these `linux.resources`.
fn sleeper(resources: runsig_tests::Value) -> runsig_tests::Bundle {
    runsig_tests::Bundle::new()
        .args(&["sleep", "1000"])
        .with(|config| config["linux"]["resources"] = resources)
}
