//! Where systemd makes the cgroups: the scopes it is asked for, and that none is left.

use std::process::Command;

use runsig_tests::cgroup;

use crate::engine::Container;
use crate::image::{TELLS_SIGNAL, patiently};
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![Systemd: scope];

/// What a unit is asked to be. Not what follows from the machine, such as its accounting.
const PROPERTIES: &str = "--property=Slice,Description,Delegate,DefaultDependencies,CollectMode,KillMode,SendSIGHUP,\
    ActiveState,MemoryMax,MemoryLow,CPUWeight,CPUQuotaPerSecUSec,TasksMax,AllowedCPUs,TimeoutStopUSec,OOMPolicy";

fn scope(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let scopes = scopes(s);
    assert!(!scopes.is_empty(), "no scope in {}", s.owner.cgroup_path());
    for unit in &scopes {
        s.note("scope", unit);
        s.note("is", &properties(unit));
    }
    s.stop("c", 40);
    s.ends(3, "c");
    s.remove("c", true);
    let loaded = |unit: &String| properties(unit).contains("ActiveState=active");
    patiently("systemd to forget the scopes", || !scopes.iter().any(loaded));
}

/// The scopes in the scenario's slice, those of podman's own watchers excepted.
fn scopes(s: &Session<'_>) -> Vec<String> {
    let names = cgroup::below(&s.owner.cgroup_path()).into_iter();
    let names = names.filter_map(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()));
    let mut scopes: Vec<String> =
        names.filter(|name| name.ends_with(".scope") && !name.contains("conmon")).collect();
    // Their names are the engine's, and different each time: what they are asked to be orders them.
    scopes.sort_by_cached_key(|unit| {
        let all = properties(unit);
        all.lines().filter(|line| !line.starts_with("Description=")).collect::<String>()
    });
    scopes
}

fn properties(unit: &str) -> String {
    let output =
        Command::new("systemctl").args(["show", PROPERTIES, "--", unit]).output().expect("systemctl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
