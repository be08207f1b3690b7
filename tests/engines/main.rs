//! podman, containerd and Docker with the runtime under test: each test starts the engine it needs
//! on private roots and sockets; it ends with the test's PID namespace.

mod containerd;
mod docker;
mod image;
mod podman;
mod resident;
mod rootless;
mod stopping;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        podman::CASES,
        containerd::CASES,
        docker::CASES,
        stopping::CASES,
        resident::CASES,
        rootless::CASES,
    ])
}
