//! `hack/register` on files of all kinds, below a directory of the test's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::runtime::{LIMIT, finish};
use runsig_tests::{Case, Outcome, Runtime, Value, cases, harness};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    Host "register": once_and_again, a_dry_run_changes_nothing, other_settings_stay,
        as_the_default, another_program, containerd_version_3, containerd_as_the_default,
        undo_after_a_change_by_hand_is_refused, undo_without_registration, files_it_cannot_read,
        containerd_files_it_cannot_add_to, a_name_that_is_taken, a_linked_file_stays_a_link, modes_are_kept,
        ended_between_keeping_and_writing, bad_calls, a_runtime_class;
];

/// Those that start Python many times.
pub const LONG_CASES: &[Case] = &[cases![Host "register": undo_restores_every_byte][0].within(180)];

/// An engine, its file and what it may hold before.
const ENGINES: &[(&str, &str, &[Option<&str>])] = &[
    ("podman", "etc/containers/containers.conf.d/50-runsig.conf", &[None]),
    ("crio", "etc/crio/crio.conf.d/10-runsig.conf", &[None]),
    (
        "docker",
        "etc/docker/daemon.json",
        &[
            None,
            Some(""),
            Some("{}"),
            Some("{\n\t\"debug\": true\n}\n\n"),
            Some("{\"runtimes\":{\"x\":{\"path\":\"/x\"}},\"log-opts\":{\"max-size\":\"1m\"}}"),
        ],
    ),
    (
        "containerd",
        "etc/containerd/config.toml",
        &[None, Some("version = 2"), Some("# mine\nversion = 2 # two\n\n\n"), Some(TABLES)],
    ),
];

/// A file of an administrator.
const TABLES: &str = r#"# What we changed and why.
version = 2
root = "/data/containerd"   # the big disk

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "our/pause:1"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      # crun, for now
      default_runtime_name = "crun" # as the others
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
        runtime_type = "io.containerd.runc.v2"
"#;

fn root() -> PathBuf {
    harness::test_dir().join("root")
}

/// `hack/register ARGS` below the test's own root.
pub(crate) fn register(args: &[&str]) -> Outcome {
    require_command("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/register");
    let mut command = Command::new(script);
    command.args(args).arg("--root").arg(root());
    if !args.contains(&"--program") && !args.contains(&"--undo") {
        command.arg("--program").arg(Runtime::path());
    }
    finish(command, LIMIT)
}

fn put(file: &str, content: Option<&str>) -> PathBuf {
    let path = root().join(file);
    let _ = fs::remove_file(&path);
    if let Some(content) = content {
        fs::create_dir_all(path.parent().expect("below the root")).expect("mkdir");
        fs::write(&path, content).expect("write");
    }
    path
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A TOML file as JSON, by the parser that Python has.
fn toml(path: &Path) -> Value {
    let mut python = Command::new("python3");
    let script = "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))";
    finish(
        {
            python.args(["-c", script]).arg(path);
            python
        },
        LIMIT,
    )
    .ok()
    .json()
}

/// Each engine with the richest file that it may find.
fn for_each_engine(check: impl Fn(&str, &Path, Option<&str>)) {
    for (engine, file, beginnings) in ENGINES {
        let beginning = *beginnings.last().expect("one at least");
        check(engine, &put(file, beginning), beginning);
    }
}

fn once_and_again() {
    for_each_engine(|engine, path, _| {
        let program = Runtime::path().display().to_string();
        register(&[engine]).ok();
        let once = text(path);
        assert!(once.contains(&program), "{engine}: {once}");
        let again = register(&[engine]).ok();
        assert!(again.stdout.contains("registered already"), "{again:#?}");
        assert_eq!(text(path), once);
        register(&[engine, "--undo"]).ok();
    });
}

fn undo_restores_every_byte() {
    for (engine, file, beginnings) in ENGINES {
        for beginning in *beginnings {
            let path = put(file, *beginning);
            register(&[engine]).ok();
            register(&[engine, "--default", "--name", "other"]).ok();
            assert_ne!(fs::read_to_string(&path).ok().as_deref(), *beginning);
            register(&[engine, "--undo"]).ok();
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), *beginning, "{engine}");
            let kept = root().join("var/lib/runsig/register");
            assert_eq!(
                fs::read_dir(kept).expect("its directory").count(),
                0,
                "nothing is kept of what is undone"
            );
        }
    }
}

fn a_dry_run_changes_nothing() {
    for_each_engine(|engine, path, beginning| {
        let dry = register(&[engine, "--dry-run"]).ok();
        assert!(dry.stdout.contains("+++ ") && dry.stdout.contains("\n+"), "{dry:#?}");
        assert_eq!(fs::read_to_string(path).ok().as_deref(), beginning);
        assert!(!root().join("var").exists());
        register(&[engine]).ok();
        let registered = text(path);
        let dry = register(&[engine, "--undo", "--dry-run"]).ok();
        assert!(dry.stdout.contains("\n-"), "{dry:#?}");
        assert_eq!(text(path), registered);
        register(&[engine, "--undo"]).ok();
        fs::remove_dir_all(root().join("var")).expect("what was kept");
    });
}

fn other_settings_stay() {
    let path = put("etc/docker/daemon.json", Some("{\n  \"zeta\": 1,\n  \"alpha\": {\"b\": [1, 2.50]}\n}"));
    register(&["docker"]).ok();
    let config: Value = serde_json::from_str(&text(&path)).expect("JSON");
    assert_eq!((&config["zeta"], &config["alpha"]["b"][1]), (&1.into(), &2.5.into()));
    assert!(text(&path).starts_with("{\n  \"zeta\": 1,\n  \"alpha\""), "{}", text(&path));

    let path = put("etc/containerd/config.toml", Some(TABLES));
    register(&["containerd", "--systemd-cgroup"]).ok();
    assert!(text(&path).starts_with(TABLES), "the comments and lines of before are there, in their order");
    let runtimes = &toml(&path)["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"];
    assert_eq!(runtimes["runsig"]["options"]["SystemdCgroup"], true);
    assert_eq!(runtimes["crun"]["runtime_type"], "io.containerd.runc.v2");

    // podman replaces the list of runtimes with JSON errors: those of the administrator have to be in ours.
    put("etc/containers/containers.conf", Some("[engine]\nruntime_supports_json = [\"mine\"]\n"));
    register(&["podman"]).ok();
    let config = toml(&root().join("etc/containers/containers.conf.d/50-runsig.conf"));
    assert_eq!(config["engine"]["runtime_supports_json"], runsig_tests::json!(["mine", "runsig"]));
}

fn as_the_default() {
    for (engine, file, key) in [
        ("podman", "etc/containers/containers.conf.d/50-runsig.conf", "/engine/runtime"),
        ("crio", "etc/crio/crio.conf.d/10-runsig.conf", "/crio/runtime/default_runtime"),
    ] {
        register(&[engine]).ok();
        assert_eq!(toml(&root().join(file)).pointer(key), None);
        register(&[engine, "--default"]).ok();
        assert_eq!(toml(&root().join(file)).pointer(key), Some(&"runsig".into()));
        register(&[engine]).ok();
        assert_eq!(toml(&root().join(file)).pointer(key), None, "and not any more");
    }
    register(&["docker", "--default"]).ok();
    let config: Value = serde_json::from_str(&text(&root().join("etc/docker/daemon.json"))).expect("JSON");
    assert_eq!(config["default-runtime"], "runsig");
}

fn containerd_as_the_default() {
    const CONTAINERD: &str = "/plugins/io.containerd.grpc.v1.cri/containerd";
    for beginning in [
        "version = 2",
        TABLES,
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"native\"\n",
    ] {
        let path = put("etc/containerd/config.toml", Some(beginning));
        register(&["containerd", "--default"]).ok();
        let config = toml(&path);
        let containerd = config.pointer(CONTAINERD).expect("the section");
        assert_eq!(containerd["default_runtime_name"], "runsig", "{beginning}");
        assert!(containerd["runtimes"]["runsig"]["options"]["BinaryName"].is_string());
        register(&["containerd", "--undo"]).ok();
        assert_eq!(text(&path), beginning);
    }
    put("etc/containerd/config.toml", Some(TABLES));
    register(&["containerd", "--default"]).ok();
    let now = text(&root().join("etc/containerd/config.toml"));
    assert!(now.contains("      default_runtime_name = \"runsig\" # as the others\n"), "{now}");
    assert!(now.contains("# crun, for now"));
}

fn containerd_version_3() {
    let path = put("etc/containerd/config.toml", Some("version = 3\n"));
    register(&["containerd"]).ok();
    let config = toml(&path);
    let runtime = &config["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runsig"];
    assert_eq!(runtime["runtime_type"], "io.containerd.runc.v2");
    assert_eq!(runtime["options"]["BinaryName"], Runtime::path().to_str().expect("utf-8"));
    assert_eq!(config["version"], 3);
}

fn another_program() {
    for (engine, file, _) in ENGINES {
        register(&[engine]).ok();
        register(&[engine, "--program", "/bin/busybox"]).ok();
        let now = text(&root().join(file));
        assert!(
            now.contains("/bin/busybox") && !now.contains(Runtime::path().to_str().expect("utf-8")),
            "{now}"
        );
    }
}

fn undo_after_a_change_by_hand_is_refused() {
    for (engine, file, _) in ENGINES {
        register(&[engine]).ok();
        let path = root().join(file);
        let by_hand = text(&path).replace("runsig", "renamed");
        fs::write(&path, &by_hand).expect("write");
        for call in [&[engine, "--undo"][..], &[*engine]] {
            register(call).fails(1, &["was changed since", file]).one_line();
            assert_eq!(text(&path), by_hand);
        }
    }
}

fn undo_without_registration() {
    for (engine, file, _) in ENGINES {
        let path = put(file, Some("by hand"));
        let outcome = register(&[engine, "--undo"]).ok();
        assert!(outcome.stdout.contains("not registered"), "{outcome:#?}");
        assert_eq!(text(&path), "by hand");
    }
}

fn refused(engine: &str, path: &Path, content: &[u8], why: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(path, content).expect("write");
    register(&[engine]).fails(1, &[why, path.to_str().expect("utf-8"), "nothing was changed"]).one_line();
    assert_eq!(fs::read(path).expect("read"), content);
}

fn files_it_cannot_read() {
    let docker = root().join("etc/docker/daemon.json");
    for (content, why) in [
        (&b"{"[..], "not JSON"),
        (b"[]", "not an object"),
        (b"{\"runtimes\": []}", "not an object"),
        (b"{\"debug\": true, \"debug\": false}", "debug is there twice"),
        (b"\xff\xfe", "not UTF-8"),
    ] {
        refused("docker", &docker, content, why);
    }
    let containerd = root().join("etc/containerd/config.toml");
    refused("containerd", &containerd, b"version = = 2", "not TOML");
    refused("containerd", &containerd, b"version = 2\n\xff", "not UTF-8");
    fs::remove_file(&containerd).expect("rm");
    fs::create_dir(&containerd).expect("mkdir");
    register(&["containerd"]).fails(1, &["is a directory"]).one_line();
}

fn containerd_files_it_cannot_add_to() {
    let path = root().join("etc/containerd/config.toml");
    for (content, why) in [
        ("", "version 1"),
        ("version = 1\n", "version 1"),
        ("version = 9\n", "version 9"),
        ("version = 2\nplugins = {}\n", "not TOML"),
        (
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd = { runtimes = {} }\n",
            "not TOML",
        ),
    ] {
        refused("containerd", &path, content.as_bytes(), why);
    }
}

fn a_name_that_is_taken() {
    let runtimes = "{\"runtimes\": {\"runsig\": {\"path\": \"/else\"}}}";
    refused("docker", &root().join("etc/docker/daemon.json"), runtimes.as_bytes(), "another runtime");
    let entry = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runsig]\n";
    refused("containerd", &root().join("etc/containerd/config.toml"), entry.as_bytes(), "a runtime 'runsig'");
}

fn a_linked_file_stays_a_link() {
    let path = root().join("etc/docker/daemon.json");
    let real = put("srv/daemon.json", Some("{}"));
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    symlink(&real, &path).expect("symlink");
    register(&["docker"]).ok();
    assert!(path.symlink_metadata().expect("there").is_symlink());
    assert!(text(&real).contains("runsig"));
    register(&["docker", "--undo"]).ok();
    assert_eq!(text(&real), "{}");
}

fn modes_are_kept() {
    let path = put("etc/docker/daemon.json", Some("{}"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    register(&["docker"]).ok();
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    register(&["docker", "--undo"]).ok();
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
}

/// The note of what was is there, the change is not: as before, and both ways go on from there.
fn ended_between_keeping_and_writing() {
    for (engine, file, beginnings) in ENGINES {
        let beginning = *beginnings.last().expect("one at least");
        let path = put(file, beginning);
        for after in [&[engine, "--undo"][..], &[*engine]] {
            register(&[engine]).ok();
            put(file, beginning);
            register(after).ok();
        }
        assert!(text(&path).contains("runsig"));
        register(&[engine, "--undo"]).ok();
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), beginning, "{engine}");
    }
}

fn bad_calls() {
    register(&["docker", "--program", "/no/such"]).fails(1, &["/no/such: not a program"]).one_line();
    register(&["docker", "--name", "a b"]).fails(1, &["--name 'a b'"]).one_line();
    let _ = register(&["lxc"]).fails(2, &["invalid choice: 'lxc'"]);
    assert!(!root().join("etc").exists());
}

fn a_runtime_class() {
    let manifest = register(&["kubernetes"]).ok();
    let wanted =
        "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: { name: runsig }\nhandler: runsig\n";
    assert_eq!(manifest.stdout, wanted);
    // The page that people copy from says the same.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/stopping.md");
    assert!(text(&page).contains(wanted));
}
