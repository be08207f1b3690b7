//! The resident init (`dev.runsig.init`) against real containers, and side by side with the inits
//! that engines mount into a container: tini, dumb-init, catatonit.

mod confinement;
mod cost;
mod forwarding;
mod life;
mod lingering;
mod reaping;
mod settings;
mod shared;
mod storms;
mod verbs;
mod world;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        confinement::CASES,
        cost::CASES,
        forwarding::CASES,
        life::CASES,
        lingering::CASES,
        reaping::CASES,
        settings::CASES,
        shared::CASES,
        storms::CASES,
        verbs::CASES,
    ])
}
