//! `exec`.

use std::fs;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::harness::test_dir;
use runsig_tests::runtime::finish;
use runsig_tests::spec::drop_namespace;
use runsig_tests::{Case, Container, Outcome, cases, cgroup, json, version, wait};

use crate::calls::{Row, refused, refused_since, row, usual};
use crate::{in_state, sleeper};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "exec": bad_calls, bad_calls_of_later_versions, in_each_status, exit_code, output_passes, environment, cwd, user,
        additional_gids, capabilities, no_new_privs, no_new_privs_of_the_container, process_file, bad_process_files, detached, pid_file, terminal,
        preserved_descriptors, ignore_paused, cgroup_of_its_own, program_that_is_not_there,
        program_that_cannot_be_executed, pidfd_socket, flags_end_at_the_command, two_dashes_before_the_command, standard_input, labels_that_cannot_be;
    V1 "exec": exit_code, detached;
    Host "exec": exit_code;
];

fn rows() -> Vec<Row> {
    let mut rows = usual("exec", 255, "a minimum of 1", &["true"]);
    let bad_number = |flag: &str, value: &str| {
        let words = format!("invalid value {value:?} for flag -");
        row(&["exec", flag, value, "ID", "true"], 1, &[&words])
    };
    let twice = "controller a specified multiple times";
    rows.extend([
        row(&["exec", "ID"], 255, &["args cannot be empty"]),
        row(&["exec", "--user"], 1, &["flag needs an argument: -"]),
        bad_number("--preserve-fds", "many"),
        bad_number("--additional-gids", "crew"),
        bad_number("-g", "1.5"),
        row(
            &["exec", "--additional-gids", "-1", "ID", "true"],
            255,
            &["additional-gids must be a positive number -1"],
        ),
        row(
            &["exec", "--preserve-fds", "40", "ID", "true"],
            255,
            &["unable to stat preserved-fd ", " (of 40): "],
        ),
        row(&["exec", "--tty=maybe", "ID", "true"], 1, &["-tty: parse error"]),
        row(&["exec", "--cwd", "relative", "ID", "true"], 255, &["Cwd must be an absolute path"]),
        row(
            &["exec", "--cwd", "/runsig-test-none/dir", "ID", "true"],
            255,
            &["chdir to cwd (\"/runsig-test-none/dir\") set in config.json failed: no such file or directory"],
        ),
        row(
            &["exec", "--console-socket", "/runsig-test-none", "ID", "true"],
            255,
            &["cannot use console socket if runc will not detach or allocate tty"],
        ),
        row(
            &["exec", "--tty", "--detach", "ID", "true"],
            255,
            &["cannot allocate tty if runc will detach without setting console socket"],
        ),
        row(
            &["exec", "-t", "-d", "--console-socket", "/runsig-test-none", "ID", "true"],
            255,
            &["dial unix /runsig-test-none: connect: no such file or directory"],
        ),
        row(
            &["exec", "--process", "/runsig-test-none/file", "ID"],
            255,
            &["open /runsig-test-none/file: no such file or directory"],
        ),
        row(&["exec", "--process", "DIR", "ID"], 255, &["is a directory"]),
        row(&["exec", "--cgroup", "a", "--cgroup", "b", "ID", "true"], 255, &["--cgroup"]),
        row(&["exec", "--cgroup", "..", "ID", "true"], 255, &[" sub cgroup path"]),
        row(
            &["exec", "--pid-file", "/runsig-test-none/dir/pid", "ID", "sleep", "3000"],
            255,
            &["open /runsig-test-none/dir/.pid: no such file or directory"],
        ),
        row(
            &["exec", "--user", "someone", "ID", "true"],
            255,
            &["bad uid: strconv.Atoi: parsing \"someone\": invalid syntax"],
        )
        .since("1.4"),
        row(
            &["exec", "--user", "1:some", "ID", "true"],
            255,
            &["bad gid: strconv.Atoi: parsing \"some\": invalid syntax"],
        )
        .since("1.4"),
        row(
            &["exec", "--user", "1:", "ID", "true"],
            255,
            &["bad gid: strconv.Atoi: parsing \"\": invalid syntax"],
        )
        .since("1.4"),
        row(
            &["exec", "--cgroup", "a:x", "--cgroup", "a:y", "ID", "true"],
            255,
            &["invalid --cgroup argument(s)", twice],
        )
        .since("1.2"),
        row(
            &["exec", "--cgroup", "a", "--cgroup", "b", "ID", "true"],
            255,
            &["invalid --cgroup argument: a (missing <controller>: prefix)"],
        )
        .since("1.2"),
        row(
            &["exec", "--cgroup", ":a", "ID", "true"],
            255,
            &["invalid --cgroup argument: :a (empty <controller> prefix)"],
        )
        .since("1.2"),
        row(&["exec", "ID"], 255, &["exec args cannot be empty"]).since("1.4"),
        row(&["exec", "--pidfd-socket", "/runsig-test-none/socket", "ID", "true"], 255, &["/runsig-test-none/socket"])
            .since("1.2"),
    ]);
    rows
}

fn bad_calls() {
    refused(&in_state("running"), &rows());
}

fn bad_calls_of_later_versions() {
    refused_since(&in_state("running"), &rows());
}

fn in_each_status() {
    let stopped = in_state("stopped");
    refused(&stopped, &[row(&["exec", "ID", "true"], 255, &["cannot exec in a stopped container"])]);
    let paused = in_state("paused");
    let words = ["cannot exec in a paused container (use --ignore-paused to override)"];
    refused(&paused, &[row(&["exec", "ID", "true"], 255, &words)]);
    let created = in_state("created");
    created.runtime.call(&["exec", created.id(), "true"]).ok();
}

fn call(container: &Container, flags: &[&str], command: &[&str]) -> Outcome {
    container.runtime.call(&[&["exec"], flags, &[container.id()], command].concat())
}

fn exit_code() {
    let container = in_state("running");
    for code in [0, 1, 42, 127, 255] {
        assert_eq!(call(&container, &[], &["sh", "-c", &format!("exit {code}")]).code, code);
    }
    assert_eq!(call(&container, &[], &["sh", "-c", "kill -KILL $$"]).code, 128 + 9);
    assert_eq!(call(&container, &[], &["sh", "-c", "kill -TERM $$"]).code, 128 + 15);
}

fn output_passes() {
    let outcome = call(&in_state("running"), &[], &["sh", "-c", "echo out; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
}

fn environment() {
    let container = in_state("running");
    let flags = ["--env", "A=1,2", "--env", "B=x=y", "--env=C=", "--env", "A=3"];
    let outcome = call(&container, &["-e", "B=x=y", "-e", "C="], &["env"]).ok();
    let lines: Vec<_> = outcome.stdout.lines().collect();
    for line in ["B=x=y", "C=", "TERM=xterm", "HOME=/root"] {
        assert!(lines.contains(&line), "{line}: {outcome:#?}");
    }
    let shown = call(&container, &flags, &["sh", "-c", "echo $A"]).ok();
    assert_eq!(shown.text(), "3");
}

fn cwd() {
    let container = in_state("running");
    assert_eq!(call(&container, &[], &["pwd"]).ok().text(), "/");
    assert_eq!(call(&container, &["--cwd", "/tmp"], &["pwd"]).ok().text(), "/tmp");
    assert_eq!(call(&container, &["--cwd", "/tmp/../etc/."], &["pwd"]).ok().text(), "/etc");
}

fn user() {
    let container = in_state("running");
    for (user, uid, gid) in [("1000", "1000", "0"), ("1000:2000", "1000", "2000"), ("0:7", "0", "7")] {
        for flag in ["--user", "-u"] {
            let outcome = call(&container, &[flag, user], &["sh", "-c", "id -u; id -g"]).ok();
            assert_eq!(outcome.text(), format!("{uid}\n{gid}"), "{user}");
        }
    }
}

fn additional_gids() {
    let container = in_state("running");
    let flags = ["--additional-gids", "100", "--additional-gids", "65534"];
    let outcome = call(&container, &flags, &["sh", "-c", "grep ^Groups /proc/self/status"]).ok();
    assert_eq!(outcome.text().split_whitespace().collect::<Vec<_>>(), ["Groups:", "100", "65534"]);
}

fn capabilities() {
    let container = in_state("running");
    let sets = |flags: &[&str]| {
        let outcome =
            call(&container, flags, &["grep", "-E", "^Cap(Eff|Bnd|Prm|Inh|Amb)", "/proc/self/status"]).ok();
        let value = |line: &str| u64::from_str_radix(line.split_whitespace().last().unwrap_or_default(), 16);
        outcome.stdout.lines().map(|line| value(line).expect("hexadecimal")).collect::<Vec<_>>()
    };
    let plain = sets(&[]);
    let (syslog, checkpoint) = (1 << 34, 1 << 40);
    let more = sets(&["--cap", "CAP_SYSLOG"]);
    // In the order of the file: inheritable, permitted, effective, bounding, ambient.
    assert_eq!(more, [plain[0], plain[1] | syslog, plain[2] | syslog, plain[3] | syslog, plain[4]]);
    let both = sets(&["-c", "CAP_SYSLOG", "-c", "CAP_CHECKPOINT_RESTORE"]);
    assert_eq!(both[3], plain[3] | syslog | checkpoint);
    // An unknown one is passed over with a warning.
    assert_eq!(sets(&["--cap", "CAP_NO_SUCH"]), plain);
}

fn no_new_privs() {
    let container =
        Container::running(sleeper().with(|config| config["process"]["noNewPrivileges"] = false.into()));
    let set = |flags: &[&str]| {
        let outcome = call(&container, flags, &["grep", "NoNewPrivs", "/proc/self/status"]).ok();
        outcome.text().ends_with('1')
    };
    assert!(
        !set(&[])
            && set(&["--no-new-privs"])
            && set(&["--no-new-privs=true"])
            && !set(&["--no-new-privs=false"])
    );
}

/// The flag overrides what the bundle says, in both directions.
fn no_new_privs_of_the_container() {
    let container = in_state("running");
    let set = |flags: &[&str]| {
        let outcome = call(&container, flags, &["grep", "NoNewPrivs", "/proc/self/status"]).ok();
        outcome.text().ends_with('1')
    };
    assert!(set(&[]) && set(&["--no-new-privs"]));
    assert!(!set(&["--no-new-privs=false"]));
}

fn file(name: &str, content: &str) -> String {
    let path = test_dir().join(name);
    fs::write(&path, content).expect("write");
    path.to_string_lossy().into_owned()
}

fn process_file() {
    let container = in_state("running");
    let process = json!({
        "terminal": false, "cwd": "/tmp", "args": ["sh", "-c", "echo $A $PWD $(id -u)"],
        "env": ["PATH=/bin", "A=b"], "user": {"uid": 1000, "gid": 1000},
    });
    let path = file("process.json", &process.to_string());
    for flag in ["--process", "-p"] {
        let outcome = container.runtime.call(&["exec", flag, &path, container.id()]).ok();
        assert_eq!(outcome.text(), "b /tmp 1000");
    }
    // The path is relative to the caller, and what else the command line says does not count.
    let mut command = container.runtime.command(&[
        "exec",
        "-p",
        "process.json",
        "--cwd",
        "/etc",
        "-e",
        "A=c",
        container.id(),
        "false",
    ]);
    command.current_dir(test_dir());
    assert_eq!(finish(command, wait::SOON).ok().text(), "b /tmp 1000");
}

fn bad_process_files() {
    let container = in_state("running");
    let rows: Vec<Row> = [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", ""),
        ("{}", "Cwd property must not be empty"),
        (r#"{"cwd": "/"}"#, "args must not be empty"),
        (r#"{"cwd": "/", "args": []}"#, "args must not be empty"),
        (r#"{"cwd": "tmp", "args": ["true"]}"#, "Cwd must be an absolute path"),
        (r#"{"cwd": "/", "args": "true"}"#, ""),
        (r#"{"cwd": "/", "args": ["true"], "user": {"uid": -1}}"#, ""),
        (r#"{"cwd": "/", "args": ["true"], "rlimits": [{"type": "RLIMIT_X"}]}"#, "RLIMIT_X"),
    ]
    .iter()
    .enumerate()
    .map(|(number, (content, words))| {
        row(
            &["exec", "--process", &file(&format!("p{number}"), content), "ID"],
            255,
            &["exec failed: ", words],
        )
    })
    .collect();
    refused(&container, &rows);
}

fn detached() {
    for flag in ["--detach", "-d"] {
        let container = in_state("running");
        let outcome = call(&container, &[flag], &["sleep", "2000"]).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        let _ = container.wait_for_command("sleep 2000");
        assert_eq!(call(&container, &[flag], &["false"]).code, 0, "nobody waits for it");
    }
}

fn pid_file() {
    let container = in_state("running");
    let path = test_dir().join("exec.pid");
    call(&container, &["--detach", "--pid-file", path.to_str().expect("utf-8")], &["sleep", "2000"]).ok();
    let pid = container.wait_for_command("sleep 2000");
    assert_eq!(fs::read_to_string(path).expect("a pid file"), pid.to_string());
}

fn terminal() {
    let container = in_state("running");
    let socket = DescriptorSocket::listen();
    let flags = ["--tty", "--detach", "--console-socket", socket.path().to_str().expect("utf-8")];
    call(&container, &flags, &["sh", "-c", "tty && echo here; sleep 2000"]).ok();
    let _ = socket.terminal().read_until("here");
}

fn preserved_descriptors() {
    let container = in_state("running");
    let script = "for n in 3 4 5; do [ -e /proc/self/fd/$n ] && echo $n; done; true";
    for (count, expected) in [("0", ""), ("1", "3"), ("2", "3\n4")] {
        let inner =
            container.runtime.command(&["exec", "--preserve-fds", count, container.id(), "sh", "-c", script]);
        let mut command = std::process::Command::new("bash");
        command.args(["-c", "exec 3</etc/passwd 4</etc/group 5</etc/hosts && exec \"$@\"", "bash"]);
        command.arg(inner.get_program()).args(inner.get_args());
        assert_eq!(finish(command, wait::SOON).ok().text(), expected, "{count}");
    }
}

fn two_dashes_before_the_command() {
    version::since("1.5", "`exec ID -- COMMAND`, where earlier versions look for a program called `--`");
    let container = in_state("running");
    let words = |args: &[&str]| call(&container, &[], args).ok().stdout;
    assert_eq!(words(&["--", "echo", "a", "--", "b"]), "a -- b\n");
    assert_eq!(words(&["echo", "--", "b"]), "-- b\n");
    let listing = container.runtime.call(&["ps", container.id(), "--", "-e", "-o", "pid,args"]).ok();
    assert!(listing.stdout.contains("sleep 1000"), "{listing:#?}");
}

fn ignore_paused() {
    version::since("1.2", "exec into a paused container, which 1.1 waits for for ever on cgroup v2");
    let container = in_state("paused");
    let inner = container.runtime.command(&["exec", "--ignore-paused", container.id(), "echo", "thawed"]);
    let running = runsig_tests::runtime::Running::start(inner);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(container.status(), "paused");
    container.verb("resume", &[]).ok();
    assert_eq!(running.finish(wait::SOON).ok().text(), "thawed");
}

fn cgroup_of_its_own() {
    version::since("1.2", "--cgroup");
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "cgroup")));
    let path = container.bundle.cgroup();
    for directory in cgroup::directories(&path) {
        fs::create_dir(directory.join("sub")).expect("mkdir");
    }
    let own = |flags: &[&str]| call(&container, flags, &["cat", "/proc/self/cgroup"]);
    assert!(own(&["--cgroup", "sub"]).ok().stdout.contains(&format!("{path}/sub\n")));
    assert!(own(&["--cgroup", "/"]).ok().stdout.contains(&format!("{path}\n")));
    own(&["--cgroup", "nowhere"]).fails(255, &["no such file or directory"]);
}

/// Engines turn these words into exit codes of their own: 127 and 126.
fn program_that_is_not_there() {
    let container = in_state("running");
    refused(
        &container,
        &[
            row(&["exec", "ID", "no-such"], 255, &["exec: \"no-such\": executable file not found in $PATH"]),
            row(
                &["exec", "ID", "/runsig-test-none"],
                255,
                &["exec: \"/runsig-test-none\": stat /runsig-test-none: no such file or directory"],
            ),
            row(&["exec", "ID", "/etc/passwd"], 255, &["exec: \"/etc/passwd\": permission denied"]),
            row(&["exec", "ID", "/etc"], 255, &["exec: \"/etc\": "]),
            row(&["exec", "ID", ""], 255, &["exec: \"\": executable file not found in $PATH"]),
            row(
                &["exec", "-d", "ID", "no-such"],
                255,
                &["exec: \"no-such\": executable file not found in $PATH"],
            ),
        ],
    );
}

/// The process has begun by then: its own standard error has the words.
fn program_that_cannot_be_executed() {
    let container = Container::running(sleeper().file("/bin/odd", "\0\0\0\0", 0o755));
    let outcome = call(&container, &[], &["/bin/odd"]);
    assert_eq!(outcome.stderr.trim_end(), "exec /bin/odd: exec format error");
    version::since("1.2", "the exit code 255, not 1");
    assert_eq!(outcome.code, 255);
}

fn pidfd_socket() {
    version::since("1.2", "--pidfd-socket");
    let container = in_state("running");
    let socket = DescriptorSocket::listen();
    call(&container, &["-d", "--pidfd-socket", socket.path().to_str().expect("utf-8")], &["sleep", "2000"])
        .ok();
    let (descriptors, bytes) = socket.receive();
    assert_eq!((descriptors.len(), bytes.as_slice()), (1, &b"setns"[..]));
}

fn flags_end_at_the_command() {
    let container = in_state("running");
    let outcome = call(&container, &[], &["echo", "--detach", "-e", "-force", "--", "--env=x"]).ok();
    assert_eq!(outcome.text(), "--detach -e -force -- --env=x");
}

fn standard_input() {
    let container = in_state("running");
    let inner = container.runtime.command(&["exec", container.id(), "cat"]);
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "echo typed | \"$@\"", "bash"]).arg(inner.get_program()).args(inner.get_args());
    assert_eq!(finish(command, wait::SOON).ok().text(), "typed");
}

fn labels_that_cannot_be() {
    if fs::exists("/sys/fs/selinux/enforce").unwrap_or_default() {
        runsig_tests::skip("SELinux is on here");
    }
    let words = ["selinux label is specified in config, but selinux is disabled or not supported"];
    refused(&in_state("running"), &[row(&["exec", "--process-label", "a_b", "ID", "true"], 255, &words)]);
}
