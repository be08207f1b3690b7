//! `--systemd-cgroup` for a user without privilege, called from inside and from outside of the tree that is
//! the user's: a login session is outside, so that only systemd can move a process in.

use std::fs;
use std::path::PathBuf;

use runsig_tests::login::{From, Login};
use runsig_tests::runtime::{LIMIT, Outcome, finish};
use runsig_tests::{Bundle, Case, Value, cases, cgroup, json, needs, procs, require_runsig, user, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    Systemd "systemd_rootless": every_verb_from_anywhere, execs_below, goes_without_a_bus,
        goes_without_the_systems_bus, root_of_a_user_namespace, a_refused_start_leaves_nothing,
        a_refused_stop_keeps_nothing, its_systemd_may_restart;
    Guest "systemd_rootless": every_verb_from_anywhere, execs_below, execs_where_init_is, limits_from_outside;
];

const EVERYWHERE: [From; 3] = [From::Own, From::Session, From::Root];

/// A container of a user who has logged in.
struct Own {
    login: Login,
    bundle: Bundle,
}

impl Own {
    fn new() -> Own {
        let login = Login::new();
        let bundle = login.user.bundle("while :; do sleep 1; done");
        Own { login, bundle }
    }

    fn id(&self) -> &str {
        &self.bundle.id
    }

    fn unit(&self) -> String {
        format!("runc-{}.scope", self.id())
    }

    fn cgroup(&self) -> String {
        format!("{}/user.slice/{}", self.login.cgroup(), self.unit())
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/sys/fs/cgroup{}", self.cgroup()))
    }

    fn create(&self, from: From) -> Outcome {
        self.bundle.save();
        let dir = self.bundle.dir.to_str().expect("utf-8");
        self.login.call(from, &["--systemd-cgroup", "create", "--bundle", dir, self.id()])
    }

    /// With a container that was created and started from the user's own tree.
    fn running() -> Own {
        let own = Own::new();
        own.run();
        own
    }

    fn run(&self) {
        self.create(From::Own).ok();
        self.verb(From::Own, "start", &[]).ok();
    }

    fn verb(&self, from: From, verb: &str, args: &[&str]) -> Outcome {
        self.login.call(from, &[&[verb], args, &[self.id()]].concat())
    }

    /// `exec --detach`; `number` is the sleeper's, to find it by.
    fn exec(&self, from: From, options: &[&str], number: u32) -> Outcome {
        let number = number.to_string();
        let words: [&[&str]; 4] = [&["exec", "--detach"], options, &[self.id()], &["sleep", &number]];
        self.login.call(from, &words.concat())
    }

    /// As [`Own::exec`], which has to work: the cgroup that the process is in.
    #[track_caller]
    fn exec_place(&self, from: From, options: &[&str], number: u32) -> String {
        self.exec(from, options, number).ok();
        place(sleeper(number))
    }

    fn pid(&self) -> i32 {
        let pid = self.verb(From::Own, "state", &[]).ok().json()["pid"].as_i64().expect("a pid");
        i32::try_from(pid).expect("a pid")
    }

    fn status(&self) -> Value {
        self.verb(From::Own, "state", &[]).ok().json()["status"].clone()
    }

    #[track_caller]
    fn assert_gone(&self) {
        let loaded = || self.login.property(&self.unit(), "LoadState") == "loaded";
        wait::expect("the unit is gone", || !loaded());
        assert!(!self.directory().exists());
        assert_eq!(self.login.call(From::Own, &["list", "-q"]).ok().text(), "");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.verb(From::Own, "delete", &["--force"]);
    }
}

fn sleeper(number: u32) -> i32 {
    let words = format!("sleep {number}");
    wait::some(&words, || procs::find_command(&words))
}

fn place(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc");
    text.lines().find_map(|line| line.strip_prefix("0::")).expect("cgroup v2").to_owned()
}

fn every_verb_from_anywhere() {
    let own = Own::new();
    for from in EVERYWHERE {
        own.create(from).ok();
        assert_eq!(place(own.pid()), own.cgroup(), "{from:?}");
        assert_eq!(own.login.property(&own.unit(), "ActiveState"), "active");
        own.verb(from, "start", &[]).ok();
        assert_eq!(own.exec_place(from, &[], 2001), own.cgroup(), "{from:?}");
        let listed = own.verb(from, "ps", &["--format", "json"]).ok().json();
        let listed = listed.as_array().expect("a list").clone();
        assert!(listed.contains(&json!(own.pid())) && listed.contains(&json!(sleeper(2001))), "{listed:?}");
        own.verb(from, "pause", &[]).ok();
        assert_eq!(own.status(), "paused");
        own.verb(from, "resume", &[]).ok();
        assert_eq!(own.status(), "running");
        own.login.call(from, &["kill", own.id(), "KILL"]).ok();
        wait::expect("its end", || own.status() == "stopped");
        own.verb(from, "delete", &[]).ok();
        own.assert_gone();
    }
}

/// The path is made clean before systemd sees it, which takes no other.
fn execs_below() {
    let own = Own::running();
    let sub = own.directory().join("sub");
    fs::create_dir(&sub).expect("mkdir");
    user::give(&sub);
    let below = format!("{}/sub", own.cgroup());
    let mut number = 2100;
    for from in EVERYWHERE {
        for (option, expected) in
            [("sub", &below), ("/sub", &below), ("sub/", &below), ("x/../sub", &below), ("/", &own.cgroup())]
        {
            // runc leaves a process of the rootless where it is when systemd does not take the path.
            if ["sub", "/"].contains(&option) || own.login.user.runtime.ends_with("runsig") {
                number += 1;
                assert_eq!(
                    &own.exec_place(from, &["--cgroup", option], number),
                    expected,
                    "{from:?} {option}"
                );
            }
        }
        own.exec(from, &["--cgroup", "../x"], 2200).fails(255, &["bad sub cgroup path: ../x"]);
    }
    require_runsig("runc lets it run outside of any cgroup of the container's");
    for from in EVERYWHERE {
        let missing = own.exec(from, &["--cgroup", "missing"], 2201).fails(255, &["missing"]);
        assert!(missing.stderr.contains("no such file or directory"), "{missing:?}");
    }
    assert_eq!(procs::find_command("sleep 2201"), None);
}

/// A cgroup whose controllers are for those below takes no processes: who execs follows init then.
fn execs_where_init_is() {
    require_runsig("runc tries a cgroup it may not enter, and lets the process run outside");
    needs::controllers(&["memory"]);
    let own = Own::running();
    let inner = own.directory().join("inner");
    fs::create_dir(&inner).expect("mkdir");
    user::give(&inner);
    let processes = cgroup::processes(&own.cgroup());
    for pid in &processes {
        // One that has just ended is no matter.
        let _ = fs::write(inner.join("cgroup.procs"), pid.to_string());
    }
    // Memory is of whole processes.
    fs::write(own.directory().join("cgroup.subtree_control"), "+memory").expect("for those below");
    let expected = format!("{}/inner", own.cgroup());
    assert_eq!(place(own.pid()), expected);
    for (from, number) in EVERYWHERE.into_iter().zip(2300..) {
        assert_eq!(own.exec_place(from, &[], number), expected, "{from:?}");
    }
}

/// Who has no way to systemd runs in the caller's cgroup, as with runc, and is told so.
fn goes_without_a_bus() {
    let own = Own::running();
    let root = own.login.user.home.join("run").join(own.login.user.runtime.file_name().expect("a name"));
    let call = |args: &[&str]| {
        let mut command = own.login.command(From::Session, own.login.user.runtime.to_str().expect("utf-8"));
        command.env_remove("XDG_RUNTIME_DIR").arg("--root").arg(&root).args(args);
        finish(command, LIMIT)
    };
    let outcome = call(&["exec", "--detach", own.id(), "sleep", "2400"]).ok();
    assert!(!place(sleeper(2400)).starts_with(&own.login.cgroup()), "outside");
    for verb in ["pause", "resume"] {
        call(&[verb, own.id()]).ok();
    }
    let no_bus = "could not detect DBUS_SESSION_BUS_ADDRESS from the environment";
    call(&["update", "--pids-limit", "5", own.id()])
        .fails(1, &["unable to set unit properties: failed to connect to dbus", no_bus]);
    let dir = own.bundle.dir.to_str().expect("utf-8");
    call(&["--systemd-cgroup", "create", "--bundle", dir, "other"])
        .fails(1, &["failed to connect to dbus", no_bus]);
    call(&["delete", "--force", own.id()]).ok();
    own.assert_gone();
    require_runsig("runc does not tell, and ignores --cgroup then");
    assert!(outcome.stderr.contains("the process stays in its caller's cgroup"), "{outcome:?}");
    own.run();
    call(&["exec", "--cgroup", "/", own.id(), "true"]).fails(255, &["failed to connect to dbus"]);
}

/// The user's systemd has to ask that of the host over it.
fn goes_without_the_systems_bus() {
    let own = Own::running();
    own.login.lose_system_bus();
    own.exec(From::Session, &[], 2500).ok();
    assert!(!place(sleeper(2500)).starts_with(&own.login.cgroup()), "outside");
    own.verb(From::Session, "delete", &["--force"]).ok();
    own.assert_gone();
    let words = format!("error creating systemd unit `{}`: got `failed`", own.unit());
    let refused = own.create(From::Session).fails(1, &[&words]);
    assert!(!refused.stderr.contains("connection"), "it was heard: {refused:?}");
    own.assert_gone();
    own.create(From::Own).ok();
}

/// As podman calls it for a user.
fn root_of_a_user_namespace() {
    runsig_tests::case::require_command("unshare");
    let own = Own::new();
    let mut bundle = own.login.user.bundle("while :; do sleep 1; done");
    user::map(&mut bundle.config, &[(0, 0, 1)]);
    bundle.save();
    let script = "set -e; $R --systemd-cgroup create --bundle $B $ID; $R start $ID; \
        $R exec --detach $ID sleep 2600; $R exec --detach --cgroup / $ID sleep 2601; $R pause $ID; $R resume $ID; \
        for n in 2600 2601; do grep ^0:: /proc/$(pgrep -fx \"sleep $n\")/cgroup; done; \
        $R delete --force $ID; $R list -q";
    for from in EVERYWHERE {
        let mut command = own.login.command(from, "unshare");
        command.args(["--map-root-user", "sh", "-c", script]);
        command.env("R", &own.login.user.runtime).env("B", &bundle.dir).env("ID", &bundle.id);
        let expected = format!("0::{}/user.slice/runc-{}.scope", own.login.cgroup(), bundle.id);
        let outcome = finish(command, LIMIT).ok();
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), [&expected, &expected], "{from:?}");
    }
}

/// Root of a user namespace without a bus of a user's asks the host's systemd, which refuses everything.
fn a_refused_start_leaves_nothing() {
    runsig_tests::case::require_command("unshare");
    let own = Own::new();
    let mut bundle = own.login.user.bundle("true");
    user::map(&mut bundle.config, &[(0, 0, 1)]);
    bundle.save();
    for _ in 0..2 {
        let mut command = own.login.command(From::Session, "unshare");
        command
            .arg("--map-root-user")
            .arg(&own.login.user.runtime)
            .arg("--root")
            .arg(own.login.user.home.join("run/r"));
        command.args(["--systemd-cgroup", "create", "--bundle"]).arg(&bundle.dir).arg(&bundle.id);
        command.env_remove("XDG_RUNTIME_DIR");
        let _ = finish(command, LIMIT).fails(1, &["unable to start unit", "authentication required"]);
    }
    let left: Vec<_> =
        fs::read_dir(own.login.user.home.join("run/r")).map(Iterator::collect).unwrap_or_default();
    assert!(left.iter().flatten().all(|entry| entry.file_name() != *bundle.id), "{left:?}");
}

/// A unit whose cgroup is gone goes by itself, and one of the same name may come at once.
fn a_refused_stop_keeps_nothing() {
    require_runsig("runc leaves that to how long it takes itself");
    let own = Own::new();
    let root = own.login.user.home.join("run").join(own.login.user.runtime.file_name().expect("a name"));
    for _ in 0..5 {
        own.create(From::Own).ok();
        let mut command = own.login.command(From::Own, own.login.user.runtime.to_str().expect("utf-8"));
        command.env_remove("XDG_RUNTIME_DIR").arg("--root").arg(&root).args(["delete", "--force", own.id()]);
        finish(command, LIMIT).ok();
    }
}

fn its_systemd_may_restart() {
    require_runsig("runc is on the bus, which does not restart, and fails while systemd is away");
    let own = Own::new();
    let mut command = own.login.command(From::Own, "sh");
    command.args(["-c", "while :; do systemctl --user daemon-reexec; sleep 0.2; done"]);
    let restarts = runsig_tests::runtime::Running::start(command);
    for from in EVERYWHERE.into_iter().cycle().take(9) {
        own.create(from).ok();
        own.verb(from, "start", &[]).ok();
        assert_eq!(own.exec_place(from, &[], 2700), own.cgroup(), "{from:?}");
        own.verb(from, "delete", &["--force"]).ok();
    }
    drop(restarts);
}

fn limits_from_outside() {
    needs::controllers(&["memory", "pids"]);
    let mut own = Own::new();
    own.bundle.config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 42}});
    let file = |name: &str| cgroup::read(&own.cgroup(), name);
    for from in EVERYWHERE {
        own.create(from).ok();
        assert_eq!(file("memory.max").as_deref(), Some("67108864"), "{from:?}");
        own.verb(from, "update", &["--memory", "32M", "--pids-limit", "7"]).ok();
        assert_eq!(file("memory.max").as_deref(), Some("33554432"), "{from:?}");
        assert_eq!(file("pids.max").as_deref(), Some("7"), "{from:?}");
        assert_eq!(own.login.property(&own.unit(), "MemoryMax"), "33554432");
        assert_eq!(own.login.property(&own.unit(), "TasksMax"), "7");
        own.verb(from, "delete", &["--force"]).ok();
    }
}
