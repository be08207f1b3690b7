//! The world breaks under the runtime: a full or read-only state directory, a damaged state file, a bundle or a
//! cgroup that goes away, too few descriptors, too little memory, no more processes. Whatever happens there is a clear
//! error, nothing is lost, and the next call goes on from there.

mod clock;
mod limits;
mod state_files;
mod storage;
mod vanishing;
mod world;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main(&[
        storage::CASES,
        state_files::CASES,
        vanishing::CASES,
        limits::CASES,
        clock::CASES,
    ])
}
