//! Signals that arrive, stops that end well, and the truth about what is still alive: the stop verbs
//! of the binary against real containers and real programs.

mod bad_input;
mod broadcast;
mod foreground;
mod identity;
mod names;
mod policies;
mod prediction;
mod stop;
mod stop_many;
mod stop_report;
mod strangers;
mod targets;
mod threads;
mod wait;
mod world;
mod zap;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        bad_input::CASES,
        broadcast::CASES,
        foreground::CASES,
        identity::CASES,
        names::CASES,
        policies::CASES,
        prediction::CASES,
        stop::CASES,
        stop_many::CASES,
        stop_report::CASES,
        strangers::CASES,
        targets::CASES,
        threads::CASES,
        wait::CASES,
        zap::CASES,
    ])
}
