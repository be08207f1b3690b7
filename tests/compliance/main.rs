//! What every verb of runc does with its arguments: flags, output, exit codes, words. One file a verb.
//!
//! The tests are written from runc's main branch and run against Runsig and against an installed runc
//! (`RUNTIME=runc`), so that our reading of runc is tested too. What is newer than that runc counts as skipped, with
//! the version that has it. Where Runsig differs on purpose, the row or the test says why. Against any other runtime
//! (`RUNTIME=crun`, `RUNTIME=/path`) differences are listed and counted as skipped: runc is the reference.

mod calls;
mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod field_table;
mod field_types;
mod fields;
mod flags;
mod globals;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;

fn main() -> std::process::ExitCode {
    runsig_tests::harness::main_against_runc(&[
        checkpoint::CASES,
        create::CASES,
        delete::CASES,
        events::CASES,
        exec::CASES,
        features::CASES,
        field_types::CASES,
        fields::CASES,
        flags::CASES,
        globals::CASES,
        kill::CASES,
        list::CASES,
        pause::CASES,
        ps::CASES,
        run::CASES,
        spec::CASES,
        start::CASES,
        state::CASES,
        update::CASES,
    ])
}

/// A bundle whose program does not end.
fn sleeper() -> runsig_tests::Bundle {
    runsig_tests::Bundle::new().args(&["sleep", "1000"])
}

/// A container that is created, running, paused or stopped.
fn in_state(status: &str) -> runsig_tests::Container {
    let container = runsig_tests::Container::created(sleeper());
    if status != "created" {
        container.start().ok();
        let _ = container.wait_for_command("sleep 1000");
    }
    match status {
        "paused" => drop(container.verb("pause", &[]).ok()),
        "stopped" => drop(container.kill("KILL").ok()),
        _ => {}
    }
    container.expect_status(status);
    container
}
