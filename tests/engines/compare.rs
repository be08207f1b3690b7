//! Two records of a scenario, line by line.

use std::cell::Cell;

use runsig_tests::sandbox;

use crate::differences::{DIFFERENCES, Difference};
use crate::engine::Kind;
use crate::session::Ended;

thread_local! {
    /// What the last panic of this thread said.
    pub(crate) static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// Keeps what a panic says, for the record of whose thread it was.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        // The harness shows the last words of a test that is no scenario.
        println!("{info}");
        LAST_PANIC.set(info.to_string());
    }));
}

/// `passed`, or all that is wrong.
pub(crate) fn report(kind: Kind, scenario: &str, runc: &Ended, tested: &Ended) -> String {
    keep(kind, scenario, runc, tested);
    let mut wrong = Vec::new();
    for (side, ended) in [("runc", runc), ("the runtime under test", tested)] {
        wrong.extend(ended.panic.iter().map(|text| format!("{side}: {text}")));
    }
    let unlike = differing(&runc.record, &tested.record);
    let entries: Vec<&Difference> =
        DIFFERENCES.iter().filter(|entry| entry.concerns(kind, sandbox::view(), scenario)).collect();
    let mut used = vec![false; entries.len()];
    for (sign, line) in &unlike {
        let matching = entries.iter().position(|entry| entry.explains(*sign, line));
        match matching {
            Some(index) => used[index] = true,
            None => wrong.push(format!("{sign} {line}")),
        }
    }
    let unused = entries.iter().zip(&used).filter(|(entry, used)| entry.always && !**used);
    wrong.extend(unused.map(|(entry, _)| format!("differences.rs: no longer needed: {entry:?}")));
    if wrong.is_empty() {
        return "passed".to_string();
    }
    wrong.push("the record with runc:".to_string());
    wrong.extend(runc.record.iter().map(|line| format!("    {line}")));
    wrong.join("\n")
}

/// Lines of the first only (`-`) and of the second only (`+`), in order.
fn differing(first: &[String], second: &[String]) -> Vec<(char, String)> {
    // Length of the longest common part of what begins at (i, j).
    let width = second.len() + 1;
    let mut common = vec![0usize; (first.len() + 1) * width];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            common[i * width + j] = if first[i] == second[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut unlike) = (0, 0, Vec::new());
    while i < first.len() || j < second.len() {
        if i < first.len() && j < second.len() && first[i] == second[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == second.len()
            || (i < first.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            unlike.push(('-', first[i].clone()));
            i += 1;
        } else {
            unlike.push(('+', second[j].clone()));
            j += 1;
        }
    }
    unlike
}

/// Writes both records where `RUNSIG_TEST_RECORDS` names a directory, to be looked at.
fn keep(kind: Kind, scenario: &str, runc: &Ended, tested: &Ended) {
    let Some(dir) = std::env::var_os("RUNSIG_TEST_RECORDS") else { return };
    let dir = std::path::PathBuf::from(dir);
    let _ = std::fs::create_dir_all(&dir);
    for (side, ended) in [("runc", runc), ("tested", tested)] {
        let name = format!("{}-{:?}-{scenario}.{side}", kind.name(), sandbox::view());
        let _ = std::fs::write(dir.join(name), ended.record.join("\n") + "\n");
    }
}
