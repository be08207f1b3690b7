//! What a stop did, for people.

use std::fmt::Write;

use runsig_signal::stop::{ContainerReport, DryRun, Outcome, ProcessReport, Report};

use crate::output;
use crate::verbs::signals::printable;

/// The plan, and what its first stage would do to each process.
pub(super) fn dry_text(dry: &DryRun) -> String {
    if !dry.running && dry.processes.is_empty() {
        return format!("{}: is stopped already\n", dry.id);
    }
    let paused = if dry.paused { " (paused: thawed after the first signal)" } else { "" };
    let mut text = format!("{}: {}{paused}\n", dry.id, dry.stages);
    let signal = dry.stages.stages().first().map(|stage| stage.signal.to_string()).unwrap_or_default();
    let rows: Vec<_> = dry.processes.iter().map(crate::verbs::signals::cells).collect();
    text.push_str(&output::table(["PID", "INSIDE", &signal, "FIRST STAGE", "COMMAND"], &rows));
    text
}

/// A line for each container, and below it one for each process.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for container in &report.containers {
        let _ = writeln!(text, "{}: {}", container.id, outcome(container));
        for note in &container.notes {
            let _ = writeln!(text, "  note: {}", printable(note));
        }
        for process in &container.processes {
            let _ = writeln!(text, "  {}", line(process));
        }
        if container.unwatched > 0 {
            let _ = writeln!(text, "  and {} more that could not be watched", container.unwatched);
        }
    }
    text
}

fn outcome(container: &ContainerReport) -> String {
    let took = time(container.took_ms);
    match &container.outcome {
        Outcome::Stopped => match container.exit_code {
            Some(code) => format!("stopped after {took}, exit code {code}"),
            None => format!("stopped after {took}, exit code unknown"),
        },
        Outcome::AlreadyStopped => "was stopped already".to_owned(),
        Outcome::StillRunning { cause: None } => format!("still running after {took}"),
        Outcome::StillRunning { cause: Some(cause) } => format!("still running after {took}: {cause}"),
        Outcome::Interrupted => format!("still running, interrupted after {took}"),
        Outcome::Failed { error } => format!("failed after {took}: {error}"),
    }
}

fn line(process: &ProcessReport) -> String {
    let inside = process.inside.map(|pid| format!(" ({pid} inside)")).unwrap_or_default();
    let end = match (process.end, process.after_ms) {
        (None, _) => "alive".to_owned(),
        (Some(end), None) => end.to_string(),
        (Some(end), Some(after)) => format!("{end} after {}", time(after)),
    };
    let sent: Vec<_> =
        process.sent.iter().map(|sent| format!("{} at {}", sent.signal, time(sent.at_ms))).collect();
    let sent = if sent.is_empty() { "no signal".to_owned() } else { sent.join(", ") };
    format!("PID {}{inside}: {sent}: {end}: {}", process.pid, printable(&process.command))
}

fn time(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{:02} s", ms / 1000, ms % 1000 / 10) }
}

/// One line that says what is not stopped, and why.
pub(super) fn failure(report: &Report) -> String {
    let lines: Vec<_> = report.containers.iter().filter_map(not_stopped).collect();
    lines.join("; ")
}

fn not_stopped(container: &ContainerReport) -> Option<String> {
    let id = &container.id;
    let alive: Vec<_> = container
        .alive()
        .map(|process| format!("PID {} ({})", process.pid, printable(&process.command)))
        .collect();
    let alive = if alive.is_empty() { String::new() } else { format!(": alive: {}", alive.join(", ")) };
    match &container.outcome {
        Outcome::Stopped | Outcome::AlreadyStopped => None,
        Outcome::StillRunning { cause: None } => Some(format!("container {id:?} still running{alive}")),
        Outcome::StillRunning { cause: Some(cause) } => {
            Some(format!("container {id:?} still running: {cause}{alive}"))
        }
        Outcome::Interrupted => Some(format!("interrupted: container {id:?} still running{alive}")),
        Outcome::Failed { error } => Some(format!("container {id:?}: {error}{alive}")),
    }
}

#[cfg(test)]
mod tests {
    use runsig_signal::Signal;
    use runsig_signal::stop::{End, Sent};

    use super::*;

    fn process(pid: i32, sent: Vec<Sent>, end: Option<End>) -> ProcessReport {
        ProcessReport {
            pid,
            inside: Some(pid - 6),
            init: pid == 7,
            command: "sh\n-c".into(),
            sent,
            end,
            after_ms: end.map(|_| 1234),
        }
    }

    fn report(outcome: Outcome, processes: Vec<ProcessReport>) -> Report {
        Report {
            containers: vec![ContainerReport {
                id: "c".into(),
                outcome,
                exit_code: Some(7),
                took_ms: 12,
                notes: vec!["a note".into()],
                processes,
                unwatched: 0,
            }],
        }
    }

    #[test]
    fn a_stop_is_told_process_by_process() {
        let sent = vec![Sent { signal: Signal::QUIT, at_ms: 0 }];
        let processes =
            vec![process(7, sent, Some(End::Exited { code: 7 })), process(8, vec![], Some(End::Zapped))];
        let report = report(Outcome::Stopped, processes);
        assert_eq!(
            text(&report),
            "c: stopped after 12 ms, exit code 7\n  note: a note\n  \
             PID 7 (1 inside): SIGQUIT at 0 ms: exited 7 after 1.23 s: sh?-c\n  \
             PID 8 (2 inside): no signal: zapped when init ended after 1.23 s: sh?-c\n"
        );
        assert_eq!(failure(&report), "");
    }

    #[test]
    fn whoever_lives_is_named() {
        let report = report(Outcome::Interrupted, vec![process(7, vec![], None)]);
        assert_eq!(failure(&report), "interrupted: container \"c\" still running: alive: PID 7 (sh?-c)");
    }
}
