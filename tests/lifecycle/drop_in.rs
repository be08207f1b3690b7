//! What callers of runc rely on, though no specification says so.

use std::fs;
use std::process::Command;

use runsig_tests::container::output_of;
use runsig_tests::runtime::finish;
use runsig_tests::spec::{add_mount, drop_namespace, set_namespace, set_user_namespace};
use runsig_tests::{Bundle, Case, Container, Outcome, cases, cgroup, json, procs, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "drop_in": waiting_init_holds_nothing_of_the_caller, exec_into_a_time_namespace,
        terminal_in_front_keeps_newlines, destination_below_the_rootfs, source_from_an_earlier_mount,
        kill_reaches_what_outlived_init, cpus_of_the_caller_are_not_inherited,
        host_namespace_next_to_a_new_user_namespace, filter_may_forbid_close_range,
        filter_binds_start_container_hooks, hook_death_is_told_in_words,
        create_container_hooks_start_in_the_rootfs, bind_with_an_option_follows_mount_2, frozen_cgroup_is_left_alone,
        exec_into_a_sub_cgroup, exec_follows_an_init_that_moved,
        debug_log_tells_the_steps, goes_by_the_name_it_is_called;
    V1 "drop_in": exec_into_a_sub_cgroup;
];

/// These are runc 1.2's or later; the runc to compare with may be older.
const NEW: &str = "runc does so since 1.2";

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

fn exec(container: &Container, flags: &[&str], script: &str) -> Outcome {
    let mut args = vec!["exec"];
    args.extend(flags);
    args.extend([container.id(), "sh", "-c", script]);
    container.runtime.call(&args)
}

fn waiting_init_holds_nothing_of_the_caller() {
    let container = Container::new(sleeper());
    let inner = container.command("create", &[]);
    let mut command = Command::new("bash");
    command.args(["-c", "exec 5</etc/passwd 6</ && exec \"$@\"", "bash"]);
    command.arg(inner.get_program()).args(inner.get_args());
    finish(command, wait::SOON).ok();
    let links = fs::read_dir(format!("/proc/{}/fd", container.pid())).expect("/proc");
    let targets: Vec<_> = links.flatten().filter_map(|link| fs::read_link(link.path()).ok()).collect();
    assert!(
        !targets.iter().any(|target| target.ends_with("passwd") || target.as_os_str() == "/"),
        "{targets:?}"
    );
}

fn exec_into_a_time_namespace() {
    require_runsig(NEW);
    let container = Container::running(sleeper().with(|config| {
        set_namespace(config, "time", None);
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 7_000_000, "nanosecs": 0}});
    }));
    let uptime: u64 = exec(&container, &[], "cut -d. -f1 /proc/uptime").ok().text().parse().expect("seconds");
    assert!(uptime > 7_000_000, "{uptime}");
}

fn terminal_in_front_keeps_newlines() {
    let container = Container::new(Bundle::script("echo one; echo two"));
    let inner = container.command("run", &[]);
    let config = container.bundle.dir.join("config.json");
    let text = fs::read_to_string(&config).expect("config.json");
    fs::write(&config, text.replacen("\"terminal\": false", "\"terminal\": true", 1)).expect("config.json");
    // script(1) gives us the terminal that runc insists on; the pipe shows what the runtime writes.
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| word.to_string_lossy().into())
        .collect();
    let out = container.bundle.dir.join("out");
    let line = format!("{} > {}", words.join(" "), out.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]);
    finish(command, wait::SOON).ok();
    // script sends its end of input at any time, and the terminal echoes it.
    let seen = fs::read_to_string(out).expect("output").replace("^@", "").replace("^D\u{8}\u{8}", "");
    assert!(seen.starts_with("one\ntwo\n"), "{seen:?}");
}

fn destination_below_the_rootfs() {
    let bundle = Bundle::script("grep -c ' /mnt/x ' /proc/self/mounts");
    let destination = bundle.rootfs().join("mnt/x");
    let container = Container::new(bundle.with(|config| {
        add_mount(config, json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
    }));
    assert_eq!(container.run().ok().text(), "1");
}

fn source_from_an_earlier_mount() {
    for user_namespace in [false, true] {
        let bundle = Bundle::script("cat /seen/file").directory("seen").directory("mnt");
        let bundle = if user_namespace { bundle.owned_by(100_000) } else { bundle };
        let source = bundle.dir.join("source");
        fs::create_dir_all(source.join("below")).expect("mkdir");
        fs::write(source.join("below/file"), "here\n").expect("write");
        let inside = bundle.rootfs().join("mnt/below");
        let container = Container::new(bundle.with(|config| {
            add_mount(config, json!({"destination": "/mnt", "source": source, "options": ["bind"]}));
            add_mount(config, json!({"destination": "/seen", "source": inside, "options": ["bind"]}));
            if user_namespace {
                set_user_namespace(config, 100_000);
            }
        }));
        if user_namespace && container.runtime.kind() != "runsig" {
            return;
        }
        assert_eq!(container.run().ok().text(), "here", "user namespace: {user_namespace}");
    }
}

fn kill_reaches_what_outlived_init() {
    require_runsig(NEW);
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "pid")));
    container.runtime.call(&["exec", "--detach", container.id(), "sleep", "2000"]).ok();
    let other = container.wait_for_command("sleep 2000");
    container.kill("KILL").ok();
    wait::expect("the end of the other process", || !procs::alive(other));
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "pid")));
    container.runtime.call(&["exec", "--detach", container.id(), "sleep", "3000"]).ok();
    let other = container.wait_for_command("sleep 3000");
    Command::new("kill").args(["-9", &container.pid().to_string()]).status().expect("kill");
    container.expect_status("stopped");
    assert!(procs::alive(other));
    container.kill("KILL").ok();
    wait::expect("the end of the other process", || !procs::alive(other));
    container.kill("KILL").fails(1, &["container not running"]);
}

fn cpus_of_the_caller_are_not_inherited() {
    require_runsig(NEW);
    let allowed = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).expect("a list").to_owned()
    };
    if allowed("self").ends_with("\t0") {
        runsig_tests::skip("only one CPU");
    }
    let container = Container::new(sleeper());
    let bound = |inner: Command| {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(inner.get_program()).args(inner.get_args());
        finish(command, wait::SOON)
    };
    bound(container.command("create", &[])).ok();
    container.start().ok();
    assert_eq!(allowed(&container.pid().to_string()), allowed("self"));
    let seen = bound(container.runtime.command(&[
        "exec",
        container.id(),
        "grep",
        "Cpus_allowed_list",
        "/proc/self/status",
    ]));
    assert_eq!(seen.ok().text(), allowed("self"));
}

fn host_namespace_next_to_a_new_user_namespace() {
    let owner = Container::running(sleeper());
    let path = format!("/proc/{}/ns/net", owner.pid());
    let bundle = sleeper().owned_by(100_000).with(|config| {
        set_user_namespace(config, 100_000);
        set_namespace(config, "network", Some(&path));
        // sysfs shows the network, so the user namespace would have to own that.
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| mount["destination"].as_str().is_some_and(|path| !path.starts_with("/sys")));
        config["linux"]["maskedPaths"] = json!([]);
    });
    let container = Container::running(bundle);
    assert_eq!(procs::namespace(container.pid(), "net"), procs::namespace(owner.pid(), "net"));
    assert_ne!(procs::namespace(container.pid(), "user"), procs::namespace(1, "user"));
}

/// A filter that allows all but some calls.
fn all_but(names: &[&str], action: &str) -> runsig_tests::Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": action}]})
}

fn filter_may_forbid_close_range() {
    require_runsig(NEW);
    for no_new_privileges in [false, true] {
        let said = output_of("echo ran", |config| {
            config["process"]["noNewPrivileges"] = no_new_privileges.into();
            let names =
                ["close_range", "fsopen", "fsconfig", "openat2", "open_tree", "move_mount", "mount_setattr"];
            config["linux"]["seccomp"] = all_but(&names, "SCMP_ACT_ERRNO");
        });
        assert_eq!(said, "ran", "no_new_privs: {no_new_privileges}");
    }
}

fn hook_that(script: &str) -> runsig_tests::Value {
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
}

fn filter_binds_start_container_hooks() {
    require_runsig(NEW);
    let container = Container::new(Bundle::new().with(|config| {
        config["linux"]["seccomp"] = all_but(&["mkdir", "mkdirat"], "SCMP_ACT_KILL");
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
        config["hooks"] = json!({"startContainer": hook_that("mkdir /dev/shm/foo")});
    }));
    container.run().fails(255, &["error running startContainer hook", "signal: bad system call"]);
}

fn create_container_hooks_start_in_the_rootfs() {
    let container = Container::new(Bundle::new().args(&["cat", "/by-hook"]).with(|config| {
        config["hooks"] = json!({"createContainer": hook_that("pwd > by-hook")});
    }));
    let rootfs = container.bundle.rootfs();
    assert_eq!(container.run().ok().text(), rootfs.to_str().expect("utf-8"));
}

fn bind_with_an_option_follows_mount_2() {
    let flags = |options: &[&str]| {
        let bundle = Bundle::script("grep ' /mnt ' /proc/self/mounts | cut -d' ' -f4").directory("mnt");
        let source = bundle.dir.join("source");
        fs::create_dir(&source).expect("mkdir");
        for words in ["-t tmpfs tmpfs", "-o remount,bind,noexec,nosymfollow,noatime,nodiratime"] {
            let status = Command::new("mount").args(words.split(' ')).arg(&source).status();
            assert!(status.expect("mount").success(), "{words}");
        }
        let container = Container::new(bundle.with(|config| {
            add_mount(config, json!({"destination": "/mnt", "source": source, "options": options}));
        }));
        let seen = container.run().ok().text().to_owned();
        let has = |word: &str| seen.split(',').any(|flag| flag == word);
        ["noexec", "nosymfollow", "noatime", "nodiratime", "relatime"].map(has)
    };
    let (kept, gone) = (true, false);
    assert_eq!(flags(&["bind"]), [kept, kept, kept, kept, false]);
    assert_eq!(flags(&["bind", "dev"]), [gone, gone, kept, kept, false]);
    assert_eq!(flags(&["bind", "atime"]), [gone, gone, kept, kept, false]);
    assert_eq!(flags(&["bind", "relatime"]), [gone, gone, gone, gone, true]);
    assert_eq!(flags(&["bind", "nodiratime"]), [gone, gone, gone, true, true]);
}

fn hook_death_is_told_in_words() {
    for kind in ["createRuntime", "createContainer"] {
        let container = Container::new(Bundle::new().with(|config| {
            config["hooks"] = json!({kind: hook_that("kill -TERM $$")});
        }));
        container.run().fails(1, &["signal: terminated"]);
    }
}

fn frozen_cgroup_is_left_alone() {
    let container = Container::new(sleeper());
    let frozen =
        std::path::Path::new("/sys/fs/cgroup").join(container.bundle.cgroup().trim_start_matches('/'));
    fs::create_dir_all(&frozen).expect("mkdir");
    fs::write(frozen.join("cgroup.freeze"), "1").expect("freeze");
    for _ in 0..2 {
        container.create().fails(1, &["container's cgroup unexpectedly frozen"]);
        assert!(frozen.is_dir(), "it is not ours");
    }
    fs::write(frozen.join("cgroup.freeze"), "0").expect("thaw");
}

fn exec_into_a_sub_cgroup() {
    require_runsig(NEW);
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "cgroup")));
    let path = container.bundle.cgroup();
    for directory in cgroup::directories(&path) {
        let sub = directory.join("sub");
        fs::create_dir(&sub).expect("mkdir");
        // On v1 nobody enters a cpuset before it has both.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !cgroup::is_pure_v2()
                && let Ok(list) = fs::read_to_string(directory.join(file))
            {
                fs::write(sub.join(file), list).expect(file);
            }
        }
    }
    let own = |flags: &[&str]| exec(&container, flags, "cat /proc/self/cgroup");
    own(&["--cgroup", ".."]).fails(255, &["bad sub cgroup path"]);
    own(&["--cgroup", "nowhere"]).fails(255, &[" adding pid ", "no such file or directory"]);
    let sub = own(&["--cgroup", "sub"]).ok();
    assert!(sub.stdout.contains(&format!("{path}/sub\n")), "{}", sub.stdout);
    let top = own(&["--cgroup", "/"]).ok();
    assert!(top.stdout.contains(&format!("{path}\n")) && !top.stdout.contains("/sub"), "{}", top.stdout);
    if cgroup::is_pure_v2() {
        return;
    }
    own(&["--cgroup", "whatever:/"]).fails(255, &["unknown controller"]);
    let one = own(&["--cgroup", "pids:sub"]).ok();
    assert!(one.stdout.contains(&format!(":pids:{path}/sub\n")), "{}", one.stdout);
    assert_eq!(one.stdout.matches("/sub\n").count(), 1, "{}", one.stdout);
}

fn exec_follows_an_init_that_moved() {
    let container = Container::running(sleeper().with(|config| drop_namespace(config, "cgroup")));
    let own = std::path::Path::new("/sys/fs/cgroup").join(container.bundle.cgroup().trim_start_matches('/'));
    let other = own.with_extension("other");
    fs::create_dir(&other).expect("mkdir");
    fs::write(other.join("cgroup.procs"), container.pid().to_string()).expect("move");
    fs::remove_dir(&own).expect("rmdir");
    if container.runtime.kind() == "runsig" {
        let seen = exec(&container, &[], "grep ^0:: /proc/self/cgroup").ok();
        assert!(seen.text().ends_with(".other"), "{seen:#?}");
    }
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete_force().ok();
    wait::expect("the other cgroup to be empty", || fs::remove_dir(&other).is_ok());
}

fn debug_log_tells_the_steps() {
    require_runsig(NEW);
    let container = Container::new(sleeper().with(|config| {
        let syscalls = [json!({"names": ["acct"], "action": "SCMP_ACT_ERRNO"})];
        let flags = ["SECCOMP_FILTER_FLAG_LOG"];
        config["linux"]["seccomp"] =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": syscalls});
        config["process"]["execCPUAffinity"] = json!({"initial": "0"});
    }));
    let verb = |container: &Container, args: &[&str]| {
        container.bundle.save();
        let log = container.bundle.dir.join("log");
        let all = [&["--debug", "--log", log.to_str().expect("utf-8")], args].concat();
        container.runtime.call(&all).ok();
        let text = fs::read_to_string(&log).expect("a log");
        fs::remove_file(log).expect("rm");
        text
    };
    let dir = container.bundle.dir.to_str().expect("utf-8").to_owned();
    let id = container.id().to_owned();
    let made = verb(&container, &["run", "-d", "--bundle", &dir, &id]);
    let seccomp = "\"seccomp filter flags: 2\"";
    for step in [
        "nsexec container setup",
        "child process in init()",
        seccomp,
        "init: closing the pipe to signal completion",
    ] {
        assert!(made.contains(step), "{step}: {made}");
    }
    let exec = verb(&container, &["exec", &id, "true"]);
    for step in
        ["nsexec container setup", "child process in init()", ": affinity: 0x1", "setns_init: about to exec"]
    {
        assert!(exec.contains(step), "{step}: {exec}");
    }
}

fn goes_by_the_name_it_is_called() {
    require_runsig("the name is Runsig's own matter");
    let container = Container::new(Bundle::new().args(&["no-such-program"]));
    container.verb("run", &[]).fails(1, &["runsig run failed: "]);
    let link = container.bundle.dir.join("runc");
    std::os::unix::fs::symlink(&container.runtime.program, &link).expect("symlink");
    let inner = container.command("run", &[]);
    let mut command = Command::new(link);
    command.args(inner.get_args());
    finish(command, wait::SOON).fails(1, &["runc run failed: "]);
}
