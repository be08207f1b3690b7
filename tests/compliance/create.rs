//! `create`. What a bundle may say is the matter of `fields`, and of tests/lifecycle.

use std::fs;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::harness::test_dir;
use runsig_tests::leftovers::Before;
use runsig_tests::runtime::finish;
use runsig_tests::{Bundle, Case, Container, cases, cgroup, procs, version, wait};

use crate::calls::{Row, refused, refused_since, row};
use crate::sleeper;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "create": bad_calls, bad_calls_of_later_versions, bad_bundles, id_that_is_taken, ids, there_and_gone,
        bundle_is_the_working_directory, bundle_by_relative_path, bundle_by_a_symlink, config_by_another_name, keys_given_twice, pid_file, pid_file_by_relative_path, pid_file_that_exists,
        console_socket, pidfd_socket, preserved_descriptors, no_pivot, no_new_keyring, says_nothing;
    V1 "create": there_and_gone;
    Host "create": there_and_gone;
];

/// Rows that hold for `run` as well.
pub(crate) fn of_creation(verb: &str) -> Vec<Row> {
    let counts = format!("{verb:?} requires exactly 1 argument(s)");
    let failed = format!("{verb} failed: ");
    vec![
        row(&[verb], 1, &[&counts]),
        row(&[verb, "a", "b"], 1, &[&counts]),
        row(&[verb, "--no-such-flag", "x"], 1, &["flag provided but not defined: -no-such-flag"]),
        row(&[verb, "--bundle"], 1, &["flag needs an argument: -"]),
        row(&[verb, "--pid-file"], 1, &["flag needs an argument: -"]),
        row(&[verb, "--console-socket"], 1, &["flag needs an argument: -"]),
        row(&[verb, "--preserve-fds"], 1, &["flag needs an argument: -"]),
        row(&[verb, "--preserve-fds", "many", "x"], 1, &["invalid value \"many\" for flag -preserve-fds: "]),
        row(&[verb, "--preserve-fds", "1.5", "x"], 1, &["invalid value \"1.5\" for flag -preserve-fds: "]),
        row(
            &[verb, "--preserve-fds", "99999999999999999999", "x"],
            1,
            &["invalid value \"99999999999999999999\" for flag -preserve-fds: ", "value out of range"],
        ),
        row(&[verb, "--no-pivot=maybe", "x"], 1, &["-no-pivot: parse error"]),
        row(&[verb, "--no-new-keyring=maybe", "x"], 1, &["-no-new-keyring: parse error"]),
        row(
            &[verb, "--bundle", "/runsig-test-none/bundle", "x"],
            1,
            &[&failed, "chdir /runsig-test-none/bundle: no such file or directory"],
        ),
        row(&[verb, "--bundle", "DIR", "x"], 1, &[&failed, "JSON specification file config.json not found"]),
        row(&[verb, "--bundle", "/dev/null", "x"], 1, &[&failed, "chdir /dev/null: not a directory"]),
        row(&[verb, "x"], 1, &[&failed, "JSON specification file config.json not found"]),
    ]
}

/// Rows with a bundle that is fine.
pub(crate) fn of_creation_with(verb: &str, bundle: &str) -> Vec<Row> {
    let call = |flags: &[&str], id: &str, words: &[&str]| {
        row(&[&[verb, "--bundle", bundle], flags, &[id]].concat(), 1, words)
    };
    vec![
        call(&[], "", &["container id cannot be empty"]),
        call(&[], "../x", &["invalid container ID format"]),
        call(&[], "a/b", &["invalid container ID format"]),
        call(&[], ".", &["invalid container ID format"]),
        call(&[], "..", &["invalid container ID format"]),
        call(&[], "a b", &["invalid container ID format"]),
        call(&[], "ü", &["invalid container ID format"]),
        call(&[], "a\nb", &["invalid container ID format"]),
        call(
            &["--pid-file", "/runsig-test-none/dir/pid"],
            "x",
            &["open /runsig-test-none/dir/.pid: no such file or directory"],
        ),
        call(&["--preserve-fds", "40"], "x", &["unable to stat preserved-fd ", " (of 40): "]),
        call(
            &["--pidfd-socket", "/runsig-test-none/socket"],
            "x",
            &["/runsig-test-none/socket", "no such file or directory"],
        )
        .since("1.2"),
    ]
}

fn with_bundle() -> (Container, Vec<Row>) {
    let container = Container::new(sleeper());
    container.bundle.save();
    let rows = of_creation_with("create", container.bundle.dir.to_str().expect("utf-8"));
    (container, rows)
}

fn bad_calls() {
    let (container, mut rows) = with_bundle();
    rows.extend(of_creation("create"));
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    rows.push(row(
        &["create", "--bundle", bundle, "--console-socket", "/runsig-test-none", "x"],
        1,
        &["cannot use console socket if runc will not detach or allocate tty"],
    ));
    refused(&container, &rows);
}

fn bad_calls_of_later_versions() {
    let (container, rows) = with_bundle();
    refused_since(&container, &rows);
}

fn bad_bundles() {
    let container = Container::new(sleeper().with(|config| config["process"]["terminal"] = true.into()));
    container.bundle.save();
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    refused(
        &container,
        &[
            row(
                &["create", "--bundle", bundle, "x"],
                1,
                &["cannot allocate tty if runc will detach without setting console socket"],
            ),
            row(
                &["create", "--bundle", bundle, "--console-socket", "/runsig-test-none", "x"],
                1,
                &["dial unix /runsig-test-none: connect: no such file or directory"],
            ),
            row(
                &["create", "--bundle", bundle, "--console-socket", "DIR", "x"],
                1,
                &["dial unix ", ": connect: "],
            ),
        ],
    );
}

fn id_that_is_taken() {
    let first = Container::running(sleeper());
    let bundle = first.bundle.dir.to_str().expect("utf-8");
    for verb in ["create", "run"] {
        refused(
            &first,
            &[row(&[verb, "--bundle", bundle, "ID"], 1, &["container with given ID already exists"])],
        );
    }
    assert_eq!(first.status(), "running", "the first one lives on");
    assert_eq!(cgroup::processes(&first.bundle.cgroup()), [first.pid()]);
}

fn ids() {
    let long = "x".repeat(200);
    for id in ["a", "A-Z_0.9+", "0", "..a", "-x", &long] {
        let mut bundle = sleeper();
        bundle.id = id.to_owned();
        let container = Container::new(bundle);
        container.bundle.save();
        let bundle = container.bundle.dir.to_str().expect("utf-8");
        // A leading dash needs the end of the flags before it.
        container.runtime.call(&["create", "--bundle", bundle, "--", id]).ok();
        assert_eq!(container.runtime.call(&["state", "--", id]).ok().json()["id"], *id);
        container.runtime.call(&["delete", "--force", "--", id]).ok();
    }
}

fn there_and_gone() {
    let container = Container::new(sleeper());
    let before = Before::now(&container.runtime);
    container.create().ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
    let _ = container.wait_for_command("sleep 1000");
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn bundle_is_the_working_directory() {
    let container = Container::new(sleeper());
    container.bundle.save();
    let mut command = container.runtime.command(&["create", container.id()]);
    command.current_dir(&container.bundle.dir);
    finish(command, wait::SOON).ok();
    assert_eq!(container.state()["bundle"], container.bundle.dir.to_str().expect("utf-8"));
}

fn bundle_by_relative_path() {
    for flag in ["--bundle", "-b"] {
        let container = Container::new(sleeper());
        container.bundle.save();
        let name = container.bundle.dir.file_name().expect("a name").to_string_lossy().into_owned();
        let mut command =
            container.runtime.command(&["create", flag, &format!("./x/../{name}/."), container.id()]);
        fs::create_dir_all(test_dir().join("x")).expect("mkdir");
        command.current_dir(test_dir());
        finish(command, wait::SOON).ok();
        assert_eq!(container.state()["bundle"], container.bundle.dir.to_str().expect("utf-8"));
    }
}

/// It is entered, so what is told of it later is where it is.
fn bundle_by_a_symlink() {
    let container = Container::new(sleeper());
    container.bundle.save();
    let link = test_dir().join("link");
    std::os::unix::fs::symlink(&container.bundle.dir, &link).expect("symlink");
    container.runtime.call(&["create", "--bundle", link.to_str().expect("utf-8"), container.id()]).ok();
    assert_eq!(container.state()["bundle"], container.bundle.dir.to_str().expect("utf-8"));
}

/// crun's flag: relative to the caller, not to the bundle, which then needs no config.json.
fn config_by_another_name() {
    let container = Container::new(Bundle::script("echo by another name"));
    if container.runtime.kind() == "runc" {
        runsig_tests::skip("crun's flag");
    }
    for flag in ["--config", "-f"] {
        container.bundle.save();
        fs::rename(container.bundle.dir.join("config.json"), test_dir().join("other.json")).expect("rename");
        let mut command = container.runtime.command(&["run", flag, "other.json", "--bundle"]);
        command.arg(&container.bundle.dir).arg(container.id()).current_dir(test_dir());
        assert_eq!(finish(command, wait::SOON).ok().text(), "by another name");
    }
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    let missing =
        container.runtime.call(&["create", "--bundle", bundle, "--config", "/runsig-test-none", "x"]);
    missing.fails(1, &["/runsig-test-none"]);
}

/// Go's parser takes the last value, makes one object of two, and stops at the end of the outermost.
fn keys_given_twice() {
    let container = Container::new(Bundle::script("hostname; pwd"));
    let path = container.bundle.dir.join("config.json");
    container.bundle.save();
    let config = fs::read_to_string(&path).expect("config.json");
    let (head, _) = config.trim_end().rsplit_once('}').expect("an object");
    let twice = r#", "hostname": "first", "process": {"cwd": "/bin"}, "hostname": "last"} and more"#;
    fs::write(&path, format!("{head}{twice}")).expect("config.json");
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    let seen = container.runtime.call(&["run", "--bundle", bundle, container.id()]);
    assert_eq!(seen.ok().text(), "last\n/bin");
}

fn pid_file() {
    let container = Container::new(sleeper());
    let file = test_dir().join("pid");
    container.verb("create", &["--pid-file", file.to_str().expect("utf-8")]).ok();
    assert_eq!(fs::read_to_string(&file).expect("a pid file"), container.pid().to_string());
    assert!(!test_dir().join(".pid").exists());
}

/// It is relative to where the caller is, not to the bundle.
fn pid_file_by_relative_path() {
    let container = Container::new(sleeper());
    let mut command = container.command("create", &["--pid-file", "here.pid"]);
    command.current_dir(test_dir());
    finish(command, wait::SOON).ok();
    assert_eq!(
        fs::read_to_string(test_dir().join("here.pid")).expect("a pid file"),
        container.pid().to_string()
    );
}

fn pid_file_that_exists() {
    let container = Container::new(sleeper());
    let file = test_dir().join("pid");
    fs::write(&file, "an old one, longer than a number").expect("write");
    container.verb("create", &["--pid-file", file.to_str().expect("utf-8")]).ok();
    assert_eq!(fs::read_to_string(&file).expect("a pid file"), container.pid().to_string());
}

fn console_socket() {
    let container = Container::new(
        Bundle::script("echo hello; sleep 1000").with(|config| config["process"]["terminal"] = true.into()),
    );
    let socket = DescriptorSocket::listen();
    container.verb("create", &["--console-socket", socket.path().to_str().expect("utf-8")]).ok();
    let mut terminal = socket.terminal();
    container.start().ok();
    let _ = terminal.read_until("hello");
}

fn pidfd_socket() {
    version::since("1.2", "--pidfd-socket");
    let container = Container::new(sleeper());
    let socket = DescriptorSocket::listen();
    container.verb("create", &["--pidfd-socket", socket.path().to_str().expect("utf-8")]).ok();
    let (descriptors, bytes) = socket.receive();
    assert_eq!((descriptors.len(), bytes.as_slice()), (1, &b"standard"[..]));
}

fn preserved_descriptors() {
    let script = "for n in 0 1 2 3 4 5 6; do [ -e /proc/self/fd/$n ] && echo $n; done; true";
    for (flags, expected) in [
        (&[][..], "0\n1\n2"),
        (&["--preserve-fds", "0"], "0\n1\n2"),
        (&["--preserve-fds", "1"], "0\n1\n2\n3"),
        (&["--preserve-fds", "2"], "0\n1\n2\n3\n4"),
        (&["--preserve-fds", "-1"], "0\n1\n2"),
    ] {
        let container = Container::new(Bundle::script(script));
        let inner = container.command("run", flags);
        let mut command = std::process::Command::new("bash");
        command.args(["-c", "exec 3</etc/passwd 4</etc/group 5</etc/hosts && exec \"$@\"", "bash"]);
        command.arg(inner.get_program()).args(inner.get_args());
        let outcome = finish(command, wait::SOON).ok();
        // The shell's own look at /proc/self is a child with one more, above all.
        assert_eq!(outcome.text(), expected, "{flags:?}");
    }
}

fn no_pivot() {
    let container = Container::new(Bundle::new().args(&["echo", "ran"]));
    assert_eq!(container.verb("run", &["--no-pivot"]).ok().text(), "ran");
    let shared =
        Container::new(sleeper().with(|config| config["linux"]["rootfsPropagation"] = "private".into()));
    let before = Before::now(&shared.runtime);
    shared
        .verb("create", &["--no-pivot"])
        .fails(1, &["rootfsPropagation of [r]private is not safe without pivot_root"]);
    before.assert_clean(&shared.runtime, &shared.bundle);
}

fn no_new_keyring() {
    let keyring = |flags: &[&str]| {
        let container = Container::new(sleeper());
        container.verb("create", flags).ok();
        container.start().ok();
        let _ = container.wait_for_command("sleep 1000");
        procs::alive(container.pid())
    };
    assert!(keyring(&["--no-new-keyring"]) && keyring(&[]));
}

fn says_nothing() {
    let outcome = Container::new(sleeper()).create().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}
