//! A user without privilege: what works without any cgroup, what a delegated one adds, which users
//! and groups can be mapped, and root inside a user namespace.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use runsig_tests::runtime::{Runtime, finish};
use runsig_tests::user::{ID, SUB_IDS, User, give, map};
use runsig_tests::{Bundle, Case, Outcome, cases, cgroup, json, require_runsig, skip, spec, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "rootless": runs_what_spec_writes, every_verb_without_a_cgroup, every_verb_in_a_delegated_cgroup,
        stops_and_waits, ids_are_mapped_by_the_helpers, without_helpers_only_oneself, groups_are_refused,
        a_cgroup_that_is_asked_for_must_be_there, cgroups_may_be_missing_only_for_the_rootless,
        root_of_a_user_namespace_may_go_without_cgroups, shared_pids_without_a_cgroup,
        shared_pids_in_a_delegated_cgroup, the_state_is_sticky;
    Host "rootless": runs_what_spec_writes, every_verb_without_a_cgroup, v1_is_enough_on_a_hybrid_host;
    V1 "rootless": every_verb_without_a_cgroup, its_creators_cgroups_are_in_sight;
];

/// A container without cgroups of its own is in its creator's, and a mount of type `cgroup` shows them.
fn its_creators_cgroups_are_in_sight() {
    let user = User::new();
    let script = "cd /sys/fs/cgroup && grep -q . pids/tasks && grep -q . memory/tasks && echo seen";
    let outcome = user.run(
        &[],
        &user.bundle(script).with(|config| {
            spec::drop_namespace(config, "cgroup");
            spec::add_mount(
                config,
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}),
            );
        }),
    );
    assert_eq!(outcome.ok().text(), "seen");
}

fn stopped(user: &User, id: &str) {
    let status = || user.call(&["state", id]).json()["status"] == "stopped";
    wait::expect("the container to end", status);
}

fn runs_what_spec_writes() {
    let user = User::new();
    let bundle = user.bundle("true");
    let mut write = user.command(user.runtime.to_str().expect("utf-8"));
    write.args(["spec", "--rootless"]).current_dir(&bundle.dir);
    finish(write, wait::SOON).ok();
    let path = bundle.dir.join("config.json");
    let text = std::fs::read_to_string(&path).expect("config.json");
    let mut config: runsig_tests::Value = serde_json::from_str(&text).expect("JSON");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "-c", "id -u; cat /proc/self/uid_map"]);
    let bundle = Bundle { config, ..bundle };
    let outcome = user.run(&[], &bundle).ok();
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &ID.to_string(), "1"], "root inside, the caller outside");
}

fn every_verb_without_a_cgroup() {
    let user = User::new();
    let bundle = user.bundle("sleep 1000");
    bundle.save();
    let id = bundle.id.as_str();
    user.call(&["create", "--bundle", bundle.dir.to_str().expect("utf-8"), id]).ok();
    assert_eq!(user.call(&["state", id]).json()["status"], "created");
    user.call(&["start", id]).ok();
    assert_eq!(user.call(&["exec", id, "id", "-u"]).ok().text(), "0");
    assert_eq!(user.call(&["list", "-q"]).ok().text(), id);
    let paused = user.call(&["pause", id]);
    assert_ne!(paused.code, 0, "nothing to freeze it with: {paused:#?}");
    assert_eq!(user.call(&["state", id]).json()["status"], "running");
    let stats = user.call(&["events", "--stats", id]).ok().json();
    assert_eq!(stats["type"], "stats");
    let limited = user.call(&["update", "--pids-limit", "20", id]);
    assert_ne!(limited.code, 0, "no cgroup to limit: {limited:#?}");
    if Runtime::kind_of(&user.runtime) == "runsig" {
        let pids = user.call(&["ps", "--format", "json", id]).ok().json();
        assert_eq!(pids[0], user.call(&["state", id]).json()["pid"], "init, found without a cgroup");
    }
    // Everybody in the PID namespace, which takes no cgroup.
    user.call(&["exec", "-d", id, "sleep", "1008"]).ok();
    wait::expect("the exec", || runsig_tests::procs::find_command("sleep 1008").is_some());
    user.call(&["kill", "--all", id, "KILL"]).ok();
    wait::expect("it ends too", || runsig_tests::procs::find_command("sleep 1008").is_none());
    stopped(&user, id);
    user.call(&["delete", id]).ok();
    assert_eq!(user.call(&["list", "-q"]).ok().text(), "");
}

fn every_verb_in_a_delegated_cgroup() {
    let user = User::with_cgroup();
    let path = format!("{}/c", user.cgroup());
    let bundle = user.bundle("sleep 1000").with(|config| config["linux"]["cgroupsPath"] = json!(path));
    let id = bundle.id.as_str();
    user.run(&["-d"], &bundle).ok();
    assert_eq!(cgroup::processes(&path).len(), 1, "it is in its cgroup");
    user.call(&["exec", "-d", id, "sleep", "1001"]).ok();
    wait::expect("the exec in the cgroup", || cgroup::processes(&path).len() == 2);
    let pids = user.call(&["ps", "--format", "json", id]).ok().json();
    assert_eq!(pids.as_array().map(Vec::len), Some(2), "{pids}");
    user.call(&["pause", id]).ok();
    assert_eq!(user.call(&["state", id]).json()["status"], "paused");
    user.call(&["resume", id]).ok();
    assert_eq!(user.call(&["state", id]).json()["status"], "running");
    let stats = user.call(&["events", "--stats", id]).ok().json();
    assert!(stats["data"]["cpu"]["usage"]["user"].is_number(), "{stats}");
    let update = user.call(&["update", "--pids-limit", "20", id]);
    if cgroup::read(user.cgroup(), "cgroup.controllers").is_some_and(|all| all.contains("pids")) {
        update.ok();
    } else {
        assert_ne!(update.code, 0, "no such controller here");
    }
    user.call(&["kill", "--all", id, "KILL"]).ok();
    stopped(&user, id);
    user.call(&["delete", id]).ok();
    assert!(cgroup::directories(&path).is_empty(), "the cgroup goes with the container");
    let again = user.bundle("cat /proc/self/cgroup");
    let own = user.run(&[], &again).ok();
    assert!(own.stdout.contains("0::/"), "{own:#?}");
    assert_eq!(cgroup::directories(user.cgroup()).len(), 1, "the user's own sub-tree stays");
}

fn stops_and_waits() {
    require_runsig("stop, signals and wait are Runsig's own");
    for user in [User::new(), User::with_cgroup()] {
        let bundle = user.bundle("trap 'exit 7' TERM; echo ready >/tmp/ready; while :; do sleep 0.05; done");
        let id = bundle.id.as_str();
        user.run(&["-d"], &bundle).ok();
        wait::expect("the trap", || bundle.rootfs().join("tmp/ready").exists());
        assert!(user.call(&["signals", id]).ok().stdout.contains("handled"));
        user.call(&["stop", id]).ok();
        assert_eq!(user.call(&["state", id]).json()["status"], "stopped");
        user.call(&["delete", id]).ok();
    }
}

fn ids_are_mapped_by_the_helpers() {
    let user = User::new();
    let show = "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g";
    let bundle = user.bundle(show).with(|config| {
        map(config, &[(0, ID, 1), (1, SUB_IDS, 1000)]);
        config["process"]["user"] = json!({"uid": 5, "gid": 6});
    });
    let words = user.run(&[], &bundle).ok();
    let words: Vec<&str> = words.stdout.split_whitespace().collect();
    let (own, sub) = (ID.to_string(), SUB_IDS.to_string());
    let maps = ["0", &own, "1", "1", &sub, "1000"];
    assert_eq!(words, [&maps[..], &maps[..], &["5", "6"]].concat());
    let foreign = user.bundle("true").with(|config| map(config, &[(0, ID, 1), (1, 5, 10)]));
    user.run(&[], &foreign).fails(1, &["newuidmap: ", "failed to use newuid map on "]);
    assert_eq!(user.call(&["list", "-q"]).ok().text(), "");
}

fn without_helpers_only_oneself() {
    let user = User::new();
    user.lose_map_helpers();
    assert_eq!(user.run(&[], &user.bundle("id -u")).ok().text(), "0");
    let bundle = user.bundle("true").with(|config| map(config, &[(0, ID, 1), (1, SUB_IDS, 10)]));
    user.run(&[], &bundle).fails(1, &["mapping tool not present"]);
    assert_eq!(user.call(&["list", "-q"]).ok().text(), "");
}

fn groups_are_refused() {
    let user = User::new();
    let bundle = user.bundle("true").with(|config| config["process"]["user"]["additionalGids"] = json!([0]));
    let words = "cannot set any additional groups in a rootless container";
    user.run(&[], &bundle).fails(1, &[words]).one_line();
    let bundle = user.bundle("sleep 1000");
    user.run(&["-d"], &bundle).ok();
    let exec = user.call(&["exec", "--additional-gids", "0", &bundle.id, "true"]);
    assert!(exec.code != 0 && exec.stderr.contains(words), "{exec:#?}");
    user.call(&["delete", "--force", &bundle.id]).ok();
}

fn a_cgroup_that_is_asked_for_must_be_there() {
    let user = User::new();
    let path = user.bundle("true").with(|config| config["linux"]["cgroupsPath"] = json!("/no-such-place/c"));
    let words = "mkdir /sys/fs/cgroup/no-such-place: permission denied";
    user.run(&[], &path).fails(1, &["unable to apply cgroup configuration", words]);
    let limits =
        user.bundle("true").with(|config| config["linux"]["resources"] = json!({"pids": {"limit": 20}}));
    let refused = user.run(&[], &limits);
    assert_ne!(refused.code, 0, "{refused:#?}");
    assert_eq!(user.call(&["list", "-q"]).ok().text(), "");
}

fn cgroups_may_be_missing_only_for_the_rootless() {
    let user = User::new();
    let run = |value: &str| {
        let bundle = user.bundle("echo ran");
        bundle.save();
        let dir = bundle.dir.to_str().expect("utf-8");
        user.call(&["--rootless", value, "run", "--bundle", dir, &bundle.id])
    };
    for value in ["auto", "true"] {
        assert_eq!(run(value).ok().text(), "ran", "{value}");
    }
    run("false").fails(1, &["permission denied"]);
    run("perhaps").fails(1, &["perhaps"]);
}

/// As the runtime of rootless podman: root, of a user namespace that the user has made.
fn in_user_namespace(user: &User, args: &[&str]) -> Outcome {
    let mut command = user.command("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(&user.runtime).args(args);
    finish(command, wait::SOON)
}

fn root_of_a_user_namespace_may_go_without_cgroups() {
    let user = User::new();
    let bundle = Bundle::script("id -u; cat /proc/self/uid_map").owned_by(ID).with(|config| {
        let rootless = user.bundle("true").config;
        config["mounts"] = rootless["mounts"].clone();
        config["linux"] = rootless["linux"].clone();
        spec::drop_namespace(config, "user");
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
        // To make one while our own is the host's has failed once.
        spec::set_namespace(config, "network", None);
    });
    bundle.save();
    let (dir, id) = (bundle.dir.to_str().expect("utf-8"), bundle.id.as_str());
    let outcome = in_user_namespace(&user, &["run", "--bundle", dir, id]).ok();
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &ID.to_string(), "1"], "{outcome:#?}");
    let strict = in_user_namespace(&user, &["--rootless", "false", "run", "--bundle", dir, id]);
    strict.fails(1, &["permission denied"]);
}

/// The host's /proc, for without a PID namespace of its own a user may not mount one.
fn share_pids(bundle: Bundle) -> Bundle {
    bundle.with(|config| {
        spec::drop_namespace(config, "pid");
        config["mounts"][0] = json!({"destination": "/proc", "type": "none", "source": "/proc",
            "options": ["rbind", "nosuid", "nodev", "noexec"]});
        // Of the host's /proc a user cannot cover anything.
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    })
}

fn shared_pids_without_a_cgroup() {
    let user = User::new();
    let bundle = share_pids(user.bundle("sleep 1002 & exec sleep 1003"));
    let id = bundle.id.as_str();
    let started = user.run(&["-d"], &bundle).ok();
    if Runtime::kind_of(&user.runtime) == "runsig" {
        assert!(started.stderr.contains("Such configuration is strongly discouraged"), "{started:#?}");
    }
    wait::expect("both", || runsig_tests::procs::find_command("sleep 1003").is_some());
    user.call(&["kill", id, "KILL"]).ok();
    stopped(&user, id);
    user.call(&["delete", id]).ok();
}

fn shared_pids_in_a_delegated_cgroup() {
    let user = User::with_cgroup();
    let path = format!("{}/c", user.cgroup());
    let bundle = share_pids(user.bundle("sleep 1004 & exec sleep 1005"))
        .with(|config| config["linux"]["cgroupsPath"] = json!(path));
    let id = bundle.id.as_str();
    user.run(&["-d"], &bundle).ok();
    wait::expect("both", || cgroup::processes(&path).len() == 2);
    user.call(&["kill", "--all", id, "CONT"]).ok();
    user.call(&["kill", "--all", id, "KILL"]).ok();
    wait::expect("nobody left", || cgroup::processes(&path).is_empty());
    stopped(&user, id);
    user.call(&["delete", id]).ok();
}

fn the_state_is_sticky() {
    let user = User::new();
    let bundle = user.bundle("sleep 1000");
    user.run(&["-d"], &bundle).ok();
    let name = Runtime::kind_of(&user.runtime);
    let root = user.home.join("run").join(name);
    let mode = std::fs::metadata(&root).expect("the root").permissions().mode();
    assert_eq!(mode & 0o7777, 0o1700, "nobody prunes it, nobody reads it");
    assert!(root.join(&bundle.id).join("state.json").exists());
    user.call(&["delete", "--force", &bundle.id]).ok();
    let gone = user.home.join("gone");
    give(&user.home);
    let mut command: Command = user.command(user.runtime.to_str().expect("utf-8"));
    command.env("XDG_RUNTIME_DIR", gone.join("run")).args(["list", "-q"]);
    assert_eq!(finish(command, wait::SOON).ok().text(), "");
    assert!(Path::new(&gone).exists(), "it is made");
}

/// The v1 hierarchies are the user's, the v2 one beside them is not: runc passes over that.
fn v1_is_enough_on_a_hybrid_host() {
    if cgroup::is_pure_v2() {
        skip("no cgroup v1 here");
    }
    let user = User::new();
    let tag = runsig_tests::harness::tag();
    for root in cgroup::hierarchies().iter().filter(|root| !root.join("cgroup.controllers").exists()) {
        let dir = root.join(&tag);
        std::fs::create_dir_all(&dir).expect("mkdir");
        give(&dir);
    }
    let path = format!("/{tag}/c");
    let bundle = user.bundle("echo ran").with(|config| config["linux"]["cgroupsPath"] = json!(path));
    assert_eq!(user.run(&[], &bundle).ok().text(), "ran");
}
