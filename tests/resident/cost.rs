//! What an init costs: memory, and the time a signal takes through it.

use std::fs;

use runsig_tests::{Case, Container, cases};

use crate::world::{ALL, ECHO, Pid1, compile, started};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "cost": memory_side_by_side, a_forwarded_signal_side_by_side];

/// A sum of fields of /proc/PID/smaps_rollup, in KiB.
fn smaps(pid: i32, fields: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let value = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let wanted = |line: &&str| fields.iter().any(|field| line.starts_with(&format!("{field}:")));
    text.lines().filter(wanted).filter_map(value).sum()
}

fn echoing(init: Pid1) -> Container {
    let bundle = init.bundle(&["/echo-signals"]);
    compile(&bundle, ECHO, "echo-signals");
    started(bundle)
}

/// After two thousand signals, so that everything is there that its work needs.
fn memory_side_by_side() {
    for init in ALL {
        let container = echoing(init);
        let pid = container.pid();
        let (rss, private) = (smaps(pid, &["Rss"]), smaps(pid, &["Private_Clean", "Private_Dirty"]));
        println!("REPORT: {}: RSS {rss} KiB, private {private} KiB", init.name());
        if init == Pid1::Resident {
            assert!(rss <= 400 && private <= 100, "RSS {rss} KiB, private {private} KiB");
        }
    }
}

fn a_forwarded_signal_side_by_side() {
    for init in ALL {
        let text = echoing(init).wait_for_file("/up");
        let times: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
        let added = times[0].saturating_sub(times[1]);
        println!(
            "REPORT: {}: {} us through PID 1, {} us to itself: {} us added",
            init.name(),
            times[0] / 1000,
            times[1] / 1000,
            added / 1000
        );
        if init == Pid1::Resident {
            assert!(added < 100_000, "{added} ns");
        }
    }
}
