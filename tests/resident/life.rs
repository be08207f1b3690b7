//! From the start to the exit code: what others see of a container is the same with a resident init.

use std::io::Read as _;
use std::process::Stdio;

use runsig_tests::{Bundle, Case, Container, cases, wait};

use crate::world::{ALL, Pid1, resident_bundle};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "life": exit_codes_side_by_side, exit_codes_are_replaced, a_missing_program, a_file_that_is_no_program,
        a_file_that_is_no_program_after_start, readers_see_the_end_of_closed_streams, hooks_run_once,
        descriptors_of_socket_activation, the_flag_is_enough, a_created_container_ends_by_a_signal, detached_run;
    Host "life": exit_codes_side_by_side;
];

/// A program's code, and 128+n for a signal, whoever is PID 1.
fn exit_codes_side_by_side() {
    for init in ALL {
        for (script, code) in
            [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]
        {
            let outcome = Container::new(init.bundle(&["sh", "-c", script])).run();
            assert_eq!(outcome.code, code, "{}: {script}: {outcome:#?}", init.name());
        }
    }
}

fn exit_codes_are_replaced() {
    let run = |script: &str| {
        Container::new(resident_bundle(&[("exit-remap", "143=0,0=3")], &["sh", "-c", script])).run().code
    };
    assert_eq!([run("kill -15 $$"), run("exit 0"), run("exit 5"), run("exit 143")], [0, 3, 5, 0]);
}

/// Code and words of `run`, with the container's own name left out.
fn words(bundle: Bundle) -> (i32, String) {
    let container = Container::new(bundle);
    let outcome = container.run();
    let text = outcome.stderr.split("msg=").last().unwrap_or_default().replace(container.id(), "ID");
    (outcome.code, text)
}

fn a_missing_program() {
    for args in [&["no-such-program"][..], &["/no/such/program"], &["/etc/passwd"], &["/etc"]] {
        let (with, without) = (words(resident_bundle(&[], args)), words(Bundle::new().args(args)));
        assert_eq!(with, without);
        assert!(with.0 != 0 && with.1.contains("exec"), "{with:?}");
        let container = Container::new(resident_bundle(&[], args));
        let _ = container.create().fails(1, &["exec"]);
        assert!(container.status().contains("does not exist"), "nothing is left behind");
    }
}

fn not_a_program(bundle: Bundle) -> Bundle {
    bundle.file("/odd", "\u{1}\u{2}\u{3}", 0o755)
}

fn a_file_that_is_no_program() {
    let with = words(not_a_program(resident_bundle(&[], &["/odd"])));
    assert_eq!(with, words(not_a_program(Bundle::new().args(&["/odd"]))));
    assert!(with.1.contains("exec /odd: exec format error"), "{with:?}");
}

/// After `start` nobody listens any more: the words go to the container's standard error.
fn a_file_that_is_no_program_after_start() {
    let tell = |bundle: Bundle| {
        let container = Container::new(not_a_program(bundle));
        let mut command = container.command("create", &[]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("create");
        assert!(child.wait().expect("create").success());
        let code = crate::world::end_by(&container, || {
            let _ = container.start().ok();
        });
        let mut text = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("read");
        (code, text)
    };
    let with = tell(resident_bundle(&[], &["/odd"]));
    assert_eq!(with, tell(Bundle::new().args(&["/odd"])));
    assert_eq!(with, (255, "exec /odd: exec format error\n".to_string()));
}

/// The init keeps no stream of the container open.
fn readers_see_the_end_of_closed_streams() {
    let script = "echo last; exec </dev/null >/dev/null 2>&1; sleep 1000";
    let container = Container::new(resident_bundle(&[], &["sh", "-c", script]));
    let mut command = container.command("create", &[]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("create");
    assert!(child.wait().expect("create").success());
    let _ = container.start().ok();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("read");
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("read");
    assert_eq!((out.as_str(), err.as_str(), container.status().as_str()), ("last\n", "", "running"));
}

fn hooks_run_once() {
    let bundle = resident_bundle(&[], &["sh", "-c", "echo program >> /log"]).with(|config| {
        let hook = |word: &str| {
            runsig_tests::json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("echo {word} >> /log")]}])
        };
        config["hooks"] = runsig_tests::json!({"startContainer": hook("start")});
    });
    let container = Container::new(bundle);
    let _ = container.run().ok();
    assert_eq!(crate::world::read(&container, "/log"), "start\nprogram\n");
}

/// They are for the process whose number LISTEN_PID tells.
fn descriptors_of_socket_activation() {
    let script = "[ $LISTEN_PID = $$ ] && [ $LISTEN_FDS = 1 ] && readlink /proc/$$/fd/3";
    let container = Container::new(resident_bundle(&[], &["sh", "-c", script]));
    let run = container.command("run", &[]);
    let mut line: Vec<_> = run.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    line.insert(0, run.get_program().to_string_lossy().into_owned());
    let outer = format!("exec 3</etc/hostname; LISTEN_PID=$$ LISTEN_FDS=1 exec {}", line.join(" "));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &outer]);
    let outcome = runsig_tests::runtime::finish(command, runsig_tests::runtime::LIMIT).ok();
    assert!(outcome.stdout.contains("hostname"), "{outcome:#?}");
}

fn the_flag_is_enough() {
    runsig_tests::require_runsig("the flag is Runsig's own");
    let bundle = Bundle::script("tr '\\0' ' ' < /proc/1/comm; echo; echo $$");
    let outcome = Container::new(bundle).verb("run", &["--init"]).ok();
    assert!(outcome.stdout.ends_with("\n2\n"), "the program is the second process: {outcome:#?}");
}

fn a_created_container_ends_by_a_signal() {
    let container = Container::created(Pid1::Resident.bundle(&["sleep", "1000"]));
    assert_eq!(container.status(), "created");
    let code = crate::world::end_by(&container, || {
        let _ = container.kill("TERM").ok();
    });
    assert_eq!(code, 143);
    wait::expect("its end", || container.status() == "stopped");
}

fn detached_run() {
    let container = Container::new(resident_bundle(&[], &["sleep", "1000"]));
    let _ = container.verb("run", &["--detach"]).ok();
    assert_eq!(container.status(), "running");
    let odd = Container::new(not_a_program(resident_bundle(&[], &["/odd"])));
    // As with runc: the container was started, and what goes wrong then is told on its own standard error.
    let outcome = odd.verb("run", &["--detach"]).ok();
    assert!(outcome.stderr.contains("exec format error"), "{outcome:#?}");
    wait::expect("its end", || odd.status() == "stopped");
}
