//! `ps`: the processes of a container, as the host's ps shows them.

use std::process::Command;

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::Session;
use crate::target;

pub(super) fn ps(session: &Session<'_>, args: &Args) -> Result<()> {
    let pids = target::of(&session.store.load(args.first_id()?)?).pids()?;
    if args.wants_json("table")? {
        return output::print(&(output::compact_json(&pids)? + "\n"));
    }
    let options = args.after_id()?;
    output::print(&only(&host_ps(options)?, &pids)?)
}

/// What the host's ps says, by default about every process.
fn host_ps(options: &[String]) -> Result<String> {
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef")
    } else {
        command.args(options)
    };
    let output = command.output().map_err(|error| Failure::io("exec", "ps".as_ref(), &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Go's words for how a process ended.
        let ending = output.status.to_string().replacen("exit status: ", "exit status ", 1);
        return Err(Failure::new(format!("{ending}: {}", said.trim_end())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The header, and the lines whose PID column has one of these.
fn only(listing: &str, pids: &[i32]) -> Result<String> {
    let mut lines = listing.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| Failure::new("couldn't find PID field in ps output"))?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let mut kept = String::from(header) + "\n";
    kept.extend(lines.filter(ours).flat_map(|line| [line, "\n"]));
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_container_s_lines_are_kept() {
        let listing = "UID   PID  CMD\nroot    7  a 9\nroot    9  b\nroot   11  c\n\n";
        assert_eq!(
            only(listing, &[9, 11]).unwrap_or_default(),
            "UID   PID  CMD\nroot    9  b\nroot   11  c\n"
        );
        assert!(only("USER CMD\n", &[]).is_err());
    }
}
