//! What operators do with Runsig: register it with an engine, and take that back.

mod engines;
mod register;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[register::CASES, register::LONG_CASES, engines::CASES])
}
