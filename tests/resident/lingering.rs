//! The end: what happens to the others when the main process has ended.

use std::time::{Duration, Instant};

use runsig_tests::{Case, Container, cases, procs, wait};

use crate::world::{ALL, Pid1, end_by, expect_members, read, resident};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "lingering": grandchildren_in_sessions_of_their_own_side_by_side, stubborn_ones_get_the_time_and_no_more,
        zero_ends_at_once, nobody_left_ends_at_once, the_stop_signal_of_the_image, exec_processes_are_told,
        told_once_with_forward_all, a_shell_in_front_stops_at_once_side_by_side;
    Host "lingering": grandchildren_in_sessions_of_their_own_side_by_side;
];

/// A worker in a session of its own that needs a moment to put its things away.
const WORKER: &str = "setsid sh -c \"trap 'sleep 0.2; echo tidy > /tidy; exit 0' TERM; echo up > /up; \
    while :; do sleep 0.02; done\" & exec sleep 1000";

fn stop(container: &Container) -> (i32, Duration) {
    let began = Instant::now();
    let code = end_by(container, || {
        let _ = container.kill("TERM").ok();
    });
    // The waiter needs a moment to be there before the signal goes out.
    (code, began.elapsed().saturating_sub(Duration::from_millis(60)))
}

/// tini #180: with the others, what is not in the child's own group is zapped with SIGKILL.
fn grandchildren_in_sessions_of_their_own_side_by_side() {
    for init in ALL {
        let container = init.up(WORKER);
        let (code, took) = stop(&container);
        assert_eq!(code, 143, "{}", init.name());
        let tidy = !read(&container, "/tidy").is_empty();
        println!("REPORT: {}: tidy {tidy}, {} ms", init.name(), took.as_millis());
        assert_eq!(tidy, init == Pid1::Resident, "{}", init.name());
    }
}

fn stubborn_ones_get_the_time_and_no_more() {
    let script =
        "setsid sh -c \"trap '' TERM; echo up > /up; while :; do sleep 0.02; done\" & exec sleep 1000";
    let container = resident(&[("linger", "500ms")], script);
    let (code, took) = stop(&container);
    assert_eq!(code, 143);
    assert!((Duration::from_millis(450)..Duration::from_secs(3)).contains(&took), "{took:?}");
    expect_members(&container, 0);
}

fn zero_ends_at_once() {
    let container = resident(&[("linger", "0")], WORKER);
    let (code, took) = stop(&container);
    assert_eq!((code, read(&container, "/tidy").as_str()), (143, ""));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

fn nobody_left_ends_at_once() {
    let container = resident(&[("linger", "1h")], "echo up > /up; exec sleep 1000");
    let (code, took) = stop(&container);
    assert_eq!(code, 143);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// The others get what a `stop` would send, also when the program ends by itself.
fn the_stop_signal_of_the_image() {
    let script = "setsid sh -c \"trap 'echo user > /told; exit' USR1; trap 'echo term > /told; exit' TERM; \
        echo up > /ready; while :; do sleep 0.02; done\" & \
        while [ ! -s /ready ]; do sleep 0.02; done; echo up > /up; exit 4";
    let bundle = Pid1::Resident.bundle(&["sh", "-c", script]);
    let bundle = crate::world::annotated(bundle, &[("org.opencontainers.image.stopSignal", "SIGUSR1")]);
    let container = Container::new(bundle);
    assert_eq!(container.run().code, 4);
    assert_eq!(read(&container, "/told"), "user\n");
}

fn exec_processes_are_told() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let script = "trap 'echo told > /told; exit 0' TERM; echo up > /exec; while :; do sleep 0.02; done";
    let exec = ["exec", "--detach", container.id(), "sh", "-c", script];
    let _ = container.runtime.call(&exec).ok();
    let _ = container.wait_for_file("/exec");
    let (code, took) = stop(&container);
    assert_eq!((code, read(&container, "/told").as_str()), (143, "told\n"));
    assert!(took < Duration::from_secs(2), "it has ended before the time was over: {took:?}");
}

/// Who has had the signal a moment ago is not sent it again when the program ends by it.
fn told_once_with_forward_all() {
    let script = "setsid sh -c \"trap 'echo told >> /told' TERM; echo up > /up; while :; do sleep 0.02; done\" & \
        exec sleep 1000";
    let container = resident(&[("forward", "all"), ("linger", "400ms")], script);
    let (code, _) = stop(&container);
    assert_eq!((code, read(&container, "/told").as_str()), (143, "told\n"));
}

/// `sh -c "program; something"`: a shell that hands nothing on. Whoever is PID 1, it does not matter
/// to the shell, which ends at once; only the resident init tells the program.
fn a_shell_in_front_stops_at_once_side_by_side() {
    let script =
        "sh -c \"trap 'echo told > /told; exit 0' TERM; echo up > /up; while :; do sleep 0.02; done\"; true";
    for init in ALL {
        let container = init.up(script);
        expect_members(&container, 4);
        let (code, took) = stop(&container);
        let told = !read(&container, "/told").is_empty();
        println!("REPORT: {}: program told {told}, {} ms", init.name(), took.as_millis());
        assert_eq!(code, 143, "{}", init.name());
        assert!(took < Duration::from_millis(1000), "{}: {took:?}", init.name());
        let tells = matches!(init, Pid1::Resident | Pid1::DumbInit);
        if tells {
            // dumb-init signals the group but does not wait for it: told or zapped, as it happens.
            assert!(told || init == Pid1::DumbInit);
        } else {
            assert!(!told, "{}", init.name());
        }
        wait::expect("nobody is left", || procs::find_command("sleep 0.02").is_none());
    }
}
