//! The stop engine against real processes, as root, in PID namespaces and cgroups of the tests' own.
//!
//! A test that lacks something on this machine is reported as ignored, with what it lacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broadcast;
mod identity;
mod kill;
mod prediction;
mod stop;
mod world;

use libtest_mimic::{Arguments, Trial};

/// Whether something is there.
type Check = fn() -> bool;

/// What a test needs beyond root and unshare(1).
const NEEDS: &[(&str, Check)] = &[
    ("busybox", || world::has("busybox")),
    ("python3", || world::has("python3")),
    ("tini", || world::has("tini")),
    ("dumb-init", || world::has("dumb-init")),
    ("catatonit", || world::has("catatonit")),
    ("nginx", || world::has("nginx")),
    ("prlimit", || world::has("prlimit")),
    ("setpriv", || world::has("setpriv")),
    ("user namespaces", world::has_user_namespaces),
    ("cc", || world::has("cc")),
    ("cgroup v2", || world::unified_mount().is_some()),
    ("cgroup v1", world::has_v1),
    ("ns_last_pid", || std::path::Path::new("/proc/sys/kernel/ns_last_pid").exists()),
];

fn trial(name: &str, needs: &[&str], test: fn()) -> Trial {
    let there = |need: &str| NEEDS.iter().any(|(known, check)| *known == need && check());
    let mut missing: Vec<&str> = needs.iter().copied().filter(|need| !there(need)).collect();
    if runsig_sys::process::geteuid() != 0 {
        missing.push("root");
    }
    if !world::has("unshare") {
        missing.push("unshare");
    }
    let name =
        if missing.is_empty() { name.to_owned() } else { format!("{name} (no {})", missing.join(", no ")) };
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(!missing.is_empty())
}

fn main() {
    // Started again inside a PID namespace, by a test.
    match std::env::var("RUNSIG_TEST_INSIDE").as_deref() {
        Ok("recycled") => return identity::recycled_inside(),
        Ok("few-descriptors") => return stop::few_descriptors_inside(),
        Ok("user-namespace") => return broadcast::user_namespace(),
        _ => {}
    }
    let trials = vec![
        trial("prediction::shells", &["busybox"], prediction::shells),
        trial("prediction::python_programs", &["python3"], prediction::python_programs),
        trial("prediction::threads", &["python3"], prediction::threads),
        trial("prediction::how_it_waits", &["python3"], prediction::how_it_waits),
        trial("prediction::tini", &["busybox", "tini"], prediction::tini),
        trial("prediction::dumb_init", &["busybox", "dumb-init"], prediction::dumb_init),
        trial("prediction::catatonit", &["busybox", "catatonit"], prediction::catatonit),
        trial("prediction::nginx", &["nginx"], prediction::nginx),
        trial("prediction::not_pid_1", &["busybox"], prediction::not_pid_1),
        trial("prediction::tables", &["busybox"], prediction::tables),
        trial("identity::recycled", &["ns_last_pid"], identity::recycled),
        trial("identity::zap", &["python3"], identity::zap),
        trial("identity::waiting", &["busybox"], identity::waiting),
        trial("broadcast::own_namespace", &["cc"], broadcast::own_namespace),
        trial("broadcast::shared_namespace_v2", &["cc", "cgroup v2"], broadcast::shared_v2),
        trial("broadcast::shared_namespace_v1", &["cc", "cgroup v1"], broadcast::shared_v1),
        trial("broadcast::others_only", &["busybox"], broadcast::others_only),
        trial("broadcast::stopped", &["busybox", "cgroup v2"], broadcast::stopped),
        trial("broadcast::thousand", &["python3"], broadcast::thousand),
        trial("broadcast::nested_cgroups", &["busybox", "cgroup v2"], broadcast::nested_cgroups),
        trial("broadcast::user_namespace", &["busybox"], broadcast::user_namespace),
        trial("broadcast::rootless", &["busybox", "setpriv", "user namespaces"], broadcast::rootless),
        trial("kill::default_warns", &["busybox"], kill::default_warns),
        trial("kill::policies", &["busybox"], kill::policies),
        trial("kill::single_processes", &["busybox"], kill::single_processes),
        trial("kill::paused", &["busybox", "cgroup v2"], kill::paused_v2),
        trial("kill::paused_v1", &["busybox", "cgroup v1"], kill::paused_v1),
        trial("kill::shared_kill_takes_all", &["busybox", "cgroup v2"], kill::shared_kill_takes_all),
        trial("stop::deaf_shell", &["busybox"], stop::deaf_shell),
        trial("stop::dry", &["busybox"], stop::dry),
        trial("stop::deaf_and_alone", &["busybox"], stop::deaf_and_alone),
        trial("stop::deaf_loop", &["busybox"], stop::deaf_loop),
        trial("stop::handled", &["busybox"], stop::handled),
        trial("stop::ignoring_is_killed", &["busybox"], stop::ignoring_is_killed),
        trial("stop::others_first", &["busybox"], stop::others_first),
        trial("stop::everybody", &["busybox"], stop::everybody),
        trial("stop::thousand", &["python3"], stop::thousand),
        trial("stop::few_descriptors", &["python3", "prlimit"], stop::few_descriptors),
        trial("stop::plan_without_kill", &["busybox"], stop::plan_without_kill),
        trial("stop::many", &["busybox"], stop::many),
        trial("stop::interrupted", &["busybox"], stop::interrupted),
        trial("stop::second_wins", &["busybox"], stop::second_wins),
        trial("stop::created_and_stopped", &["busybox"], stop::created_and_stopped),
        trial("stop::paused_v2", &["busybox", "cgroup v2"], stop::paused_v2),
        trial("stop::paused_v1", &["busybox", "cgroup v1"], stop::paused_v1),
        trial("stop::shared", &["busybox", "cgroup v2"], stop::shared),
        trial("stop::zapped_init", &["python3"], stop::zapped_init),
    ];
    let mut arguments = Arguments::from_args();
    // One at a time unless asked otherwise: many of them look at the clock.
    arguments.test_threads.get_or_insert(1);
    let conclusion = libtest_mimic::run(&arguments, trials);
    world::clean();
    conclusion.exit();
}
