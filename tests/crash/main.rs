//! Kills the runtime at every system call of a verb in turn, and demands that `delete --force`
//! leaves nothing behind and the id can be used again.

mod strikes;
mod tracer;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[strikes::CASES])
}
