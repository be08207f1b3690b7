//! The engine's server killed while containers run and one is being stopped: what it finds when it is
//! started again, with runc and with the runtime under test.

use std::time::Duration;

use runsig_tests::case::require_command;
use runsig_tests::runtime::Running;
use runsig_tests::{Case, cases};

use crate::compare;
use crate::engine::{Container, Engine, Exec, Kind, Owner, Side};
use crate::image::TELLS_SIGNAL;
use crate::session::{Ended, Session};
use crate::world;

/// The tests of this file.
pub const CASES: &[Case] = &[SERVERS[0].within(300), SERVERS[1].within(300), SERVERS[2].within(300)];
const SERVERS: &[Case] = cases![V2 "recovery": containerd, docker; Host "recovery": cri];

fn containerd() {
    server_killed(Kind::Containerd);
}

fn docker() {
    server_killed(Kind::Docker);
}

fn cri() {
    server_killed(Kind::Cri);
}

fn server_killed(kind: Kind) {
    require_command("runc");
    world::set_up();
    compare::catch_panics();
    let mut engine = world::start(kind);
    let owners = [Side::Runc, Side::Tested].map(world::owner);
    for owner in &owners {
        begin(&*engine, owner);
    }
    std::thread::sleep(Duration::from_secs(1));
    engine.crash();
    let play = |owner: &Owner| Session::new(&*engine, owner.clone()).play(after);
    let [runc, tested]: [Ended; 2] = [play(&owners[0]), play(&owners[1])];
    let report = compare::report(kind, "server_killed", &runc, &tested);
    drop(engine);
    assert_eq!(report, "passed");
}

/// Two containers; one of them is being stopped, and ignores it.
fn begin(engine: &dyn Engine, owner: &Owner) {
    let session = Session::new(engine, owner.clone());
    session.start(&Container::script("c", TELLS_SIGNAL));
    session.start(&Container::script("deaf", "trap '' TERM QUIT; echo ready; while :; do sleep 0.1; done"));
    if let Some(command) = engine.stop_command(owner, "deaf", 60) {
        let _ = Running::start(command);
    }
}

fn after(s: &Session<'_>) {
    for name in ["c", "deaf"] {
        s.will_remove(name);
    }
    // Docker stops what it finds; the others find it running.
    let state = s.state("c").to_lowercase();
    s.state("deaf");
    if state.contains("running") {
        s.exec("c", Exec::default(), &["echo", "inside"]);
        s.stop("c", 40);
        s.expect_ended("c");
        s.state("c");
    }
    s.remove("c", true);
    s.remove("deaf", true);
    s.run_to(6, &Container::script("again", "exit 6"));
}
