//! Containers that share PIDs: with the host, with one another, in a pod.

use crate::engine::{Container, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    V2: host_pids, host_pids_stop, pids_of_another;
    // podman makes the cgroup of a pod itself, on v2 one that refuses all devices.
    Host: host_pids_rm, pod;
];

fn family(s: &Session<'_>, first: &str) -> (String, [String; 2]) {
    let number = &s.owner.prefix[1..4];
    let sleeps = [format!("sleep {first}{number}1"), format!("sleep {first}{number}2")];
    (format!("echo ready; {} & {}", sleeps[0], sleeps[1]), sleeps)
}

fn host_pids(s: &Session<'_>) {
    let (script, sleeps) = family(s, "6");
    s.start(&Container::script("c", &script).with(Opt::HostPids));
    s.kill("c", "KILL").ok();
    s.ends(137, "c");
    sleeps.iter().for_each(|words| s.expect_no_process(words));
}

fn host_pids_stop(s: &Session<'_>) {
    let (script, sleeps) = family(s, "7");
    s.start(&Container::script("c", &script).with(Opt::HostPids));
    s.stop("c", 2);
    s.state("c");
    s.remove("c", true);
    sleeps.iter().for_each(|words| s.expect_no_process(words));
}

fn host_pids_rm(s: &Session<'_>) {
    let (script, sleeps) = family(s, "8");
    s.start(&Container::script("c", &script).with(Opt::HostPids));
    s.remove("c", true);
    sleeps.iter().for_each(|words| s.expect_no_process(words));
}

fn pids_of_another(s: &Session<'_>) {
    let (script, sleeps) = family(s, "9");
    s.start(&Container::script("first", TELLS_SIGNAL));
    s.start(&Container::script("second", &script).with(Opt::PidsOf("first")));
    s.note("seen by the first", &s.ask("first", &format!("ps -o args | grep -c '^{}'", sleeps[1])));
    s.kill("second", "KILL").ok();
    s.ends(137, "second");
    sleeps.iter().for_each(|words| s.expect_no_process(words));
    s.state("first");
    s.stop("first", 40);
    s.ends(3, "first");
}

fn pod(s: &Session<'_>) {
    s.make_pod("pod");
    s.start(&Container::script("one", TELLS_SIGNAL).with(Opt::InPod("pod")));
    let (script, sleeps) = family(s, "10");
    s.start(&Container::script("two", &script).with(Opt::InPod("pod")));
    s.note("programs", &s.ask("one", "ps -o args | grep -c '^sleep 10'"));
    for kind in ["ipc", "net", "uts", "pid"] {
        let ask = format!("readlink /proc/self/ns/{kind}");
        let same = s.ask("one", &ask) == s.ask("two", &ask);
        s.note(kind, if same { "shared" } else { "its own" });
    }
    s.stop("two", 2);
    sleeps.iter().for_each(|words| s.expect_no_process(words));
    s.state("one");
    s.stop("one", 40);
    s.ends(3, "one");
}
