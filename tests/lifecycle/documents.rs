//! What the runtime says of itself: spec, features, version.

use std::fs;

use runsig_tests::runtime::finish;
use runsig_tests::{Bundle, Case, Container, cases, harness, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "documents":
    spec_writes_a_config, spec_does_not_overwrite, spec_rootless, spec_bundle, written_spec_runs, features, version,
    help_names_the_verbs, systemd_cgroup_needs_systemd];

fn spec(args: &[&str]) -> (runsig_tests::Outcome, std::path::PathBuf) {
    let container = Container::new(Bundle::new());
    let dir = harness::test_dir().join("spec");
    fs::create_dir_all(&dir).expect("mkdir");
    let mut command = container.runtime.command(&["spec"]);
    command.args(args).current_dir(&dir);
    (finish(command, wait::SOON), dir.join("config.json"))
}

fn read(path: &std::path::Path) -> runsig_tests::Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

fn spec_writes_a_config() {
    let (outcome, path) = spec(&[]);
    let _ = outcome.ok();
    let config = read(&path);
    assert_eq!(config["process"]["args"], runsig_tests::json!(["sh"]));
    assert_eq!(config["root"]["path"], "rootfs");
    assert!(
        config["linux"]["namespaces"].as_array().expect("a list").iter().any(|entry| entry["type"] == "pid")
    );
}

fn spec_does_not_overwrite() {
    let (first, _) = spec(&[]);
    let _ = first.ok();
    let (second, _) = spec(&[]);
    let _ = second.fails(1, &["exist"]);
}

fn spec_rootless() {
    let (outcome, path) = spec(&["--rootless"]);
    let _ = outcome.ok();
    let config = read(&path);
    assert!(
        config["linux"]["namespaces"].as_array().expect("a list").iter().any(|entry| entry["type"] == "user")
    );
    assert!(config["linux"]["uidMappings"].is_array());
}

fn spec_bundle() {
    let container = Container::new(Bundle::new());
    let dir = container.bundle.dir.to_str().expect("utf-8");
    container.runtime.call(&["spec", "--bundle", dir]).ok();
    assert!(container.bundle.dir.join("config.json").exists());
}

fn written_spec_runs() {
    let container = Container::new(Bundle::new());
    let dir = container.bundle.dir.to_str().expect("utf-8").to_string();
    container.runtime.call(&["spec", "--bundle", &dir]).ok();
    let mut config = read(&container.bundle.dir.join("config.json"));
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = runsig_tests::json!(["echo", "by the book"]);
    config["linux"]["cgroupsPath"] = container.bundle.cgroup().into();
    if container.runtime.kind() == "crun" {
        config["linux"].as_object_mut().expect("an object").remove("resources");
    }
    fs::write(container.bundle.dir.join("config.json"), config.to_string()).expect("write");
    let outcome = container.runtime.call(&["run", "--bundle", &dir, container.id()]).ok();
    assert_eq!(outcome.text(), "by the book");
}

fn features() {
    let container = Container::new(Bundle::new());
    if container.runtime.kind() == "crun" {
        runsig_tests::skip("crun 1.8 has no features verb");
    }
    let features = container.runtime.call(&["features"]).ok().json();
    assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string(), "{features}");
    let list = |value: &runsig_tests::Value| -> Vec<String> {
        let entries = value.as_array().cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry.as_str().map(str::to_string)).collect()
    };
    let namespaces = list(&features["linux"]["namespaces"]);
    for kind in ["pid", "mount", "user", "network", "ipc", "uts", "cgroup"] {
        assert!(namespaces.iter().any(|found| found == kind), "{kind} in {namespaces:?}");
    }
    let options = list(&features["mountOptions"]);
    for option in ["ro", "rbind", "rslave", "noexec"] {
        assert!(options.iter().any(|found| found == option), "{option}");
    }
    assert!(list(&features["hooks"]).len() == 6);
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

fn version() {
    let container = Container::new(Bundle::new());
    let outcome = container.runtime.call(&["--version"]).ok();
    let first = outcome.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with(&format!("{} version ", container.runtime.kind())), "{outcome:#?}");
    assert!(outcome.stdout.contains("spec: 1."), "{outcome:#?}");
}

fn help_names_the_verbs() {
    let container = Container::new(Bundle::new());
    let outcome = container.runtime.call(&["--help"]).ok();
    for verb in ["create", "start", "state", "kill", "delete", "run", "list", "spec"] {
        assert!(outcome.stdout.contains(verb), "{verb}: {outcome:#?}");
    }
}

fn systemd_cgroup_needs_systemd() {
    if std::path::Path::new("/run/systemd/system").is_dir() {
        runsig_tests::skip("systemd runs this host");
    }
    let container = Container::new(Bundle::new());
    container.bundle.save();
    let dir = container.bundle.dir.to_str().expect("utf-8");
    let outcome = container.runtime.call(&["--systemd-cgroup", "create", "--bundle", dir, container.id()]);
    let _ = outcome.fails(1, &["systemd not running on this host, cannot use systemd cgroups manager"]);
    assert!(container.runtime.call(&["state", container.id()]).code != 0, "nothing was made");
}
