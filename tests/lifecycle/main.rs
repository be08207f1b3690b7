//! One container's life, verb by verb and setting by setting, against any runtime (`RUNTIME=runc`).

mod bad_input;
mod cgroups;
mod checkpoint;
mod criu;
mod descriptors;
mod drop_in;
mod fields;
mod hooks;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod resources;
mod rootfs;
mod rootless;
mod safety;
mod sd_notify;
mod seccomp;
mod systemd;
mod systemd_rootless;
mod terminal;
mod userns;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        bad_input::CASES,
        cgroups::CASES,
        checkpoint::CASES,
        criu::CASES,
        descriptors::CASES,
        fields::CASES,
        drop_in::CASES,
        hooks::CASES,
        mounts::CASES,
        namespaces::CASES,
        net_devices::CASES,
        process::CASES,
        resources::CASES,
        rootfs::CASES,
        rootless::CASES,
        safety::CASES,
        sd_notify::CASES,
        seccomp::CASES,
        systemd::CASES,
        systemd_rootless::CASES,
        terminal::CASES,
        userns::CASES,
    ])
}
