//! The sandbox in which one engine runs for all of its scenarios: its own network, its own /run, and
//! cgroups in which an engine may make what directories it likes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use runsig_tests::case::require_command;
use runsig_tests::{View, harness, needs, sandbox, service, skip};

use crate::compare;
use crate::containerd::Containerd;
use crate::cri::Cri;
use crate::docker::Docker;
use crate::engine::{Engine, Kind, Owner, Side};
use crate::podman::Podman;
use crate::scenarios;
use crate::session::{Ended, Session};

/// Who makes the cgroups: systemd where the view has one, the runtimes themselves elsewhere.
pub(crate) fn cgroup_manager() -> &'static str {
    match sandbox::view() {
        View::Guest | View::Systemd | View::SystemdHybrid => "systemd",
        View::Host | View::V1 | View::V2 => "cgroupfs",
    }
}

/// The body of each world: answers `scenario` with what is wrong about it, or `passed`.
pub(crate) fn serve(kind: Kind) {
    require_command("runc");
    if cgroup_manager() == "systemd" {
        needs::systemd();
    }
    set_up();
    let engine = start(kind);
    let engine = engine.as_ref();
    compare::catch_panics();
    service::serve(move |name| match scenarios::find(name) {
        Some(scenario) => {
            let (runc, tested) = std::thread::scope(|scope| {
                let side = |side| scope.spawn(move || play(engine, scenario, side));
                let (runc, tested) = (side(Side::Runc), side(Side::Tested));
                (runc.join().expect("caught"), tested.join().expect("caught"))
            });
            compare::report(kind, scenario.name, &runc, &tested)
        }
        None => format!("no scenario named {name}"),
    });
}

/// Starts an engine.
pub(crate) fn start(kind: Kind) -> Box<dyn Engine> {
    let dir = harness::test_dir().join("e");
    match kind {
        Kind::Podman => Box::new(Podman::at(&dir)),
        Kind::Containerd => Box::new(Containerd::at(&dir)),
        Kind::Docker => Box::new(Docker::at(&dir)),
        Kind::Cri => Box::new(Cri::at(&dir)),
    }
}

/// Plays a scenario with one runtime.
fn play(engine: &dyn Engine, scenario: &scenarios::Scenario, side: Side) -> Ended {
    Session::new(engine, owner(side)).play(scenario.body)
}

/// Someone new, with a directory and a cgroup.
pub(crate) fn owner(side: Side) -> Owner {
    static COUNT: AtomicU32 = AtomicU32::new(100);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = harness::test_dir().join(format!("s{number}"));
    fs::create_dir_all(&dir).expect("mkdir");
    let cgroup = match cgroup_manager() {
        "systemd" => format!("{}-s{number}.slice", harness::tag().replace('-', "_")),
        _ => format!("/{}/s{number}", harness::tag()),
    };
    Owner { side, prefix: format!("s{number}-"), dir, cgroup }
}

pub(crate) fn set_up() {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        skip(format!("no network namespace of its own here: {error}"));
    }
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(status.is_ok_and(|status| status.success()), "ip link set lo up");
    own_run();
    own_cgroup_directory();
}

/// Engines and runtimes keep their state in /run.
fn own_run() {
    let none: Option<&str> = None;
    let buses: Vec<&str> =
        ["/run/systemd", "/run/dbus"].into_iter().filter(|path| Path::new(path).exists()).collect();
    let kept = harness::test_dir().join("run");
    for path in &buses {
        let at = kept.join(path.trim_start_matches("/run/"));
        fs::create_dir_all(&at).expect("mkdir");
        mount(Some(*path), &at, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).expect("bind");
    }
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).expect("a /run of our own");
    for path in &buses {
        fs::create_dir_all(path).expect("mkdir");
        let from = kept.join(path.trim_start_matches("/run/"));
        mount(Some(&from), *path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).expect("bind");
    }
    fs::create_dir_all("/run/lock").expect("mkdir");
}

/// Where v1 controllers are mounted, podman makes plain directories for those that are not. In a
/// /sys/fs/cgroup of our own they end with the sandbox.
fn own_cgroup_directory() {
    let top = Path::new("/sys/fs/cgroup");
    if runsig_tests::cgroup::is_pure_v2() {
        return;
    }
    let none: Option<&str> = None;
    let hierarchies = runsig_tests::cgroup::hierarchies();
    let kept = harness::test_dir().join("cgroup");
    let name = |path: &Path| path.file_name().expect("a hierarchy's name").to_owned();
    for path in &hierarchies {
        let at = kept.join(name(path));
        fs::create_dir_all(&at).expect("mkdir");
        mount(Some(path), &at, none, MsFlags::MS_BIND, none).expect("bind");
    }
    mount(Some("tmpfs"), top, Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs");
    for path in &hierarchies {
        fs::create_dir_all(path).expect("mkdir");
        mount(Some(&kept.join(name(path))), path, none, MsFlags::MS_MOVE, none).expect("move");
    }
}
