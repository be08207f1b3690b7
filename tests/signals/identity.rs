//! Never a stranger: a process that got the number of a container's init is left alone.

use std::process::{Child, Command};

use runsig_tests::{Bundle, Case, Container, Value, cases, json, procs, require_runsig, skip, wait};

use crate::world::{DEAF, exec, up};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "identity": newcomer_with_inits_number, newcomer_with_a_created_inits_number, newcomer_with_an_execs_number,
        numbers_of_another_boot;
    Host "identity": newcomer_with_inits_number;
];

/// A `sleep` that has this number. The sandbox is a PID namespace of its own, where few others make
/// processes; a few tries are enough.
fn newcomer(pid: i32) -> Child {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    for _ in 0..50 {
        if let Err(error) = std::fs::write(LAST, (pid - 1).to_string()) {
            skip(format!("{LAST}: {error}"));
        }
        let mut child = Command::new("sleep").arg("3000").spawn().expect("sleep");
        if i32::try_from(child.id()) == Ok(pid) {
            return child;
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    panic!("the number {pid} was not given again");
}

/// Every verb that could reach or describe the wrong process.
fn left_alone(container: &Container, mut newcomer: Child) {
    for _ in 0..2 {
        let state = container.state();
        assert_eq!((state["status"].as_str(), state["pid"].as_i64()), (Some("stopped"), Some(0)), "{state}");
        for signal in ["TERM", "KILL", "0"] {
            let _ = container.kill(signal).fails(1, &["container not running"]).one_line();
            container.runtime.call(&["kill", "--all", container.id(), signal]).ok();
        }
        for value in ["forward", "kill"] {
            let args = ["kill", "--on-dropped", value, "--scope", "init", container.id(), "TERM"];
            let _ = container.runtime.call(&args).fails(1, &["container not running"]);
        }
        container.verb("stop", &["--timeout", "1s"]).ok();
        assert_eq!(container.verb("signals", &["--format", "json"]).ok().text(), "[]");
        assert_ne!(container.verb("pause", &[]).code, 0);
    }
    let list = container.runtime.call(&["list", "--format", "json"]).ok().json();
    assert_eq!((&list[0]["status"], &list[0]["pid"]), (&"stopped".into(), &0.into()), "{list}");
    container.delete_force().ok();
    let _ = container.delete().fails(1, &["container does not exist"]);
    assert!(newcomer.try_wait().expect("wait").is_none(), "the newcomer was hit");
    newcomer.kill().expect("kill");
    newcomer.wait().expect("wait");
}

/// Ends init and waits until its number is free.
fn end(container: &Container, pid: i32) {
    // Start times count in ticks of ten milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(30));
    container.kill("KILL").ok();
    wait::expect("init to be reaped", || procs::state(pid).is_none());
}

fn newcomer_with_inits_number() {
    let container = up(DEAF);
    let pid = container.pid();
    end(&container, pid);
    left_alone(&container, newcomer(pid));
}

fn newcomer_with_a_created_inits_number() {
    require_runsig("its verbs are called");
    let container = Container::created(Bundle::script(DEAF));
    let pid = container.pid();
    end(&container, pid);
    let newcomer = newcomer(pid);
    let _ = container.start().fails(1, &["cannot start a container that has stopped"]);
    left_alone(&container, newcomer);
}

fn newcomer_with_an_execs_number() {
    let container = up(DEAF);
    let pid = exec(&container, &["sleep", "2020"]);
    container.runtime.call(&["kill", "--exec", &pid.to_string(), container.id(), "KILL"]).ok();
    wait::expect("it to be reaped", || procs::state(pid).is_none());
    let mut newcomer = newcomer(pid);
    for group in [&["--group"][..], &[]] {
        let number = pid.to_string();
        let mut args = vec!["kill", "--exec", &number, container.id(), "KILL"];
        args.extend(group);
        let words = format!("process {pid} is not in container");
        let _ = container.runtime.call(&args).fails(1, &[&words]);
    }
    assert!(newcomer.try_wait().expect("wait").is_none(), "the newcomer was hit");
    newcomer.kill().expect("kill");
    newcomer.wait().expect("wait");
}

/// A state directory on a disk outlives the machine's boot; then the same number comes with the same inode.
fn numbers_of_another_boot() {
    let container = up(DEAF);
    let pid = container.pid();
    let file = container.runtime.root.join(container.id()).join("state.json");
    let kept = std::fs::read(&file).expect("state.json");
    let state: Value = serde_json::from_slice(&kept).expect("JSON");
    for change in [("boot", json!(1)), ("start_time", json!(1))] {
        let mut other = state.clone();
        other["init"][change.0] = change.1;
        if change.0 == "start_time" {
            // As written before boots were written down.
            other["init"].as_object_mut().expect("an object").remove("boot");
        }
        std::fs::write(&file, other.to_string()).expect("write");
        assert_eq!(container.status(), "stopped");
        let table = container.runtime.call(&["list"]).ok();
        let row: Vec<&str> = table.stdout.lines().last().unwrap_or_default().split_whitespace().collect();
        assert_eq!(row.get(1..3), Some(&["0", "stopped"][..]), "{table:#?}");
        let _ = container.kill("KILL").fails(1, &["container not running"]).one_line();
        container.runtime.call(&["kill", "--all", container.id(), "KILL"]).ok();
        container.verb("stop", &[]).ok();
        assert!(procs::alive(pid), "{} was believed", change.0);
    }
    std::fs::write(&file, kept).expect("write");
    assert_eq!(container.pid(), pid);
}
