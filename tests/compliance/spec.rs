//! `spec`.

use std::fs;
use std::path::PathBuf;

use runsig_tests::harness::test_dir;
use runsig_tests::runtime::{finish, scratch};
use runsig_tests::{Bundle, Case, Container, Outcome, Value, cases, json, wait};

use crate::calls::{refused, row};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "spec": bad_calls, writes_a_config, does_not_overwrite, rootless, bundle,
    what_it_writes_runs];

fn bad_calls() {
    let container = Container::new(Bundle::new());
    refused(
        &container,
        &[
            row(&["spec", "more"], 1, &["\"spec\" requires exactly 0 argument(s)"]),
            row(&["spec", "--no-such-flag"], 1, &["flag provided but not defined: -no-such-flag"]),
            row(&["spec", "--bundle"], 1, &["flag needs an argument: -"]),
            row(
                &["spec", "--bundle", "/runsig-test-none/dir"],
                1,
                &["chdir /runsig-test-none/dir: no such file or directory"],
            ),
            row(&["spec", "-b", "/dev/null"], 1, &["chdir /dev/null: not a directory"]),
            row(&["spec", "--rootless=maybe"], 1, &["-rootless: parse error"]),
        ],
    );
}

fn spec(args: &[&str]) -> (Outcome, PathBuf) {
    let container = Container::new(Bundle::new());
    let dir = scratch("spec");
    fs::create_dir(&dir).expect("mkdir");
    let mut command = container.runtime.command(&["spec"]);
    command.args(args).current_dir(&dir);
    (finish(command, wait::SOON), dir.join("config.json"))
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

fn namespaces(config: &Value) -> Vec<&str> {
    let list = config["linux"]["namespaces"].as_array().expect("a list");
    list.iter().filter_map(|entry| entry["type"].as_str()).filter(|kind| *kind != "cgroup").collect()
}

fn writes_a_config() {
    let (outcome, path) = spec(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""));
    let text = fs::read_to_string(&path).expect("written");
    assert!(text.starts_with("{\n\t\"ociVersion\": \"1.") && text.ends_with("\n}"), "{text}");
    let config = read(&path);
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["cwd"], "/");
    assert_eq!(config["process"]["noNewPrivileges"], true);
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    // Each runtime's own name.
    assert_eq!(config["hostname"], Container::new(Bundle::new()).runtime.kind());
    assert_eq!(namespaces(&config), ["pid", "network", "ipc", "uts", "mount"]);
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(config["process"]["capabilities"][set], capabilities, "{set}");
    }
    let mounts = config["mounts"].as_array().expect("a list").iter();
    let destinations: Vec<_> = mounts.filter_map(|mount| mount["destination"].as_str()).collect();
    let expected = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    assert_eq!(destinations, expected);
}

fn does_not_overwrite() {
    let (first, path) = spec(&[]);
    first.ok();
    let dir = path.parent().expect("a directory").to_str().expect("utf-8");
    fs::write(&path, "mine").expect("write");
    let words = ["File config.json exists. Remove it first"];
    refused(&Container::new(Bundle::new()), &[row(&["spec", "--bundle", dir], 1, &words)]);
    assert_eq!(fs::read_to_string(&path).expect("there"), "mine");
}

fn rootless() {
    let (outcome, path) = spec(&["--rootless"]);
    outcome.ok();
    let config = read(&path);
    assert_eq!(namespaces(&config), ["pid", "ipc", "uts", "mount", "user"]);
    for map in ["uidMappings", "gidMappings"] {
        assert_eq!(config["linux"][map], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    }
}

fn bundle() {
    for flag in ["--bundle", "-b"] {
        let dir = scratch("bundle");
        fs::create_dir(&dir).expect("mkdir");
        Container::new(Bundle::new()).runtime.call(&["spec", flag, dir.to_str().expect("utf-8")]).ok();
        assert!(dir.join("config.json").exists() && !test_dir().join("config.json").exists());
    }
}

fn what_it_writes_runs() {
    let container = Container::new(Bundle::new());
    let dir = container.bundle.dir.to_str().expect("utf-8").to_owned();
    container.runtime.call(&["spec", "--bundle", &dir]).ok();
    let mut config = read(&container.bundle.dir.join("config.json"));
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["echo", "by the book"]);
    config["linux"]["cgroupsPath"] = container.bundle.cgroup().into();
    if container.runtime.kind() == "crun" {
        config["linux"].as_object_mut().expect("an object").remove("resources");
    }
    fs::write(container.bundle.dir.join("config.json"), config.to_string()).expect("write");
    let outcome = container.runtime.call(&["run", "--bundle", &dir, container.id()]).ok();
    assert_eq!(outcome.text(), "by the book");
}
