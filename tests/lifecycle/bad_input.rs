//! Bad input: one clear line, the right exit status, nothing left behind.

use std::fs;

use runsig_tests::leftovers::Before;
use runsig_tests::spec::{add_mount, set_namespace};
use runsig_tests::{Bundle, Case, Container, Outcome, Value, cases, json, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "bad_input": no_bundle, no_config, invalid_json, empty_config, config_is_a_directory, wrong_types,
        unknown_namespace, namespace_path_that_is_not_there, missing_executable, not_executable,
        executable_is_a_directory, no_rootfs, rootfs_is_a_file, unreadable_rootfs, ids_that_are_refused,
        failing_mount, mount_point_inside_proc, executable_in_a_relative_directory, mount_source_that_is_not_there, directory_onto_a_file, hanging_hook_without_timeout_is_killed_by_delete,
        no_process, nul_in_argument, deep_nesting, huge_numbers, unknown_fields_are_passed_over, duplicate_namespace,
        unknown_verb_and_flag, terminal_without_terminal, huge_config, bad_mount_option, pid_file_nowhere;
    V1 "bad_input": failing_mount, missing_executable;
    Host "bad_input": failing_mount;
];

/// Demands that `create` (or `run`) fails with one line that has the texts, and leaves nothing.
fn refused(container: &Container, texts: &[&str]) {
    let before = Before::now(&container.runtime);
    container.bundle.save();
    check(container, &before, container.verb("create", &[]), texts);
    check(container, &before, container.verb("run", &[]), texts);
}

fn check(container: &Container, before: &Before, outcome: Outcome, texts: &[&str]) {
    assert!((1..=255).contains(&outcome.code), "should have failed: {outcome:#?}");
    if container.runtime.kind() == "runsig" {
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        let outcome = outcome.one_line();
        for text in texts {
            assert!(outcome.stderr.contains(text), "stderr should contain {text:?}: {outcome:#?}");
        }
    }
    before.assert_clean(&container.runtime, &container.bundle);
}

fn changed(change: impl FnOnce(&mut Value)) -> Container {
    Container::new(Bundle::new().with(change))
}

/// A call whose bundle is not written by the harness.
fn raw(container: &Container, bundle: &str) -> Outcome {
    container.runtime.call(&["create", "--bundle", bundle, container.id()])
}

fn no_bundle() {
    let container = changed(|_| {});
    let before = Before::now(&container.runtime);
    check(
        &container,
        &before,
        raw(&container, "/no/such/bundle"),
        &["/no/such/bundle", "no such file or directory"],
    );
}

fn no_config() {
    let container = changed(|_| {});
    let before = Before::now(&container.runtime);
    let outcome = raw(&container, container.bundle.dir.to_str().expect("utf-8"));
    check(&container, &before, outcome, &["config.json"]);
}

fn with_config(content: &[u8], texts: &[&str]) {
    let container = changed(|_| {});
    fs::write(container.bundle.dir.join("config.json"), content).expect("write");
    let before = Before::now(&container.runtime);
    check(&container, &before, raw(&container, container.bundle.dir.to_str().expect("utf-8")), texts);
}

fn invalid_json() {
    with_config(b"{\"ociVersion\": \"1.0.2\",", &["config.json"]);
    with_config(b"not json", &["config.json"]);
    with_config(b"[]", &[]);
    with_config(b"\xff\xfe\x00", &["config.json"]);
}

fn empty_config() {
    with_config(b"", &["config.json"]);
    with_config(b"{}", &[]);
}

fn config_is_a_directory() {
    let container = changed(|_| {});
    fs::create_dir(container.bundle.dir.join("config.json")).expect("mkdir");
    let before = Before::now(&container.runtime);
    let outcome = raw(&container, container.bundle.dir.to_str().expect("utf-8"));
    check(&container, &before, outcome, &["config.json", "directory"]);
}

fn wrong_types() {
    refused(&changed(|config| config["process"]["args"] = "true".into()), &["config.json"]);
    refused(&changed(|config| config["linux"] = json!([1])), &["config.json"]);
    refused(&changed(|config| config["process"]["user"]["uid"] = json!(-1)), &[]);
}

fn unknown_namespace() {
    refused(&changed(|config| set_namespace(config, "flavour", None)), &["flavour"]);
}

fn duplicate_namespace() {
    let container = changed(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "pid"}));
    });
    if container.runtime.kind() == "runsig" {
        refused(&container, &["pid"]);
    }
}

fn namespace_path_that_is_not_there() {
    refused(
        &changed(|config| set_namespace(config, "network", Some("/no/such/ns"))),
        &["/no/such/ns", "no such file"],
    );
}

fn missing_executable() {
    let container = changed(|config| config["process"]["args"] = json!(["no-such-program"]));
    refused(&container, &["no-such-program", "executable file not found in $PATH"]);
    let container = changed(|config| config["process"]["args"] = json!(["/no/such/program"]));
    refused(&container, &["stat /no/such/program: no such file or directory"]);
}

fn not_executable() {
    let bundle = Bundle::new().file("/plain", "text", 0o644).args(&["/plain"]);
    refused(&Container::new(bundle), &["/plain", "permission denied"]);
}

fn executable_is_a_directory() {
    refused(&Container::new(Bundle::new().args(&["/etc"])), &["/etc"]);
}

fn no_rootfs() {
    refused(&changed(|config| config["root"]["path"] = "not-there".into()), &["not-there"]);
}

fn rootfs_is_a_file() {
    let container = changed(|config| config["root"]["path"] = "file".into());
    fs::write(container.bundle.dir.join("file"), "").expect("write");
    refused(&container, &["file", "not a directory"]);
}

fn unreadable_rootfs() {
    // Root reads everything; a mapped root does not.
    use std::os::unix::fs::PermissionsExt as _;
    let container = changed(|config| runsig_tests::spec::set_user_namespace(config, 500_000));
    fs::set_permissions(container.bundle.rootfs(), fs::Permissions::from_mode(0o700)).expect("chmod");
    refused(&container, &["permission denied"]);
}

fn ids_that_are_refused() {
    for id in ["../x", "a/b", "..", ".", "/", "", "a b", "ü", "a\nb", "a\u{0}"] {
        let mut bundle = Bundle::new();
        bundle.id = id.replace('\u{0}', "");
        if id.ends_with('\u{0}') {
            continue;
        }
        let container = Container::new(bundle);
        if container.runtime.kind() != "runsig" && id != "../x" && id != "a/b" {
            continue;
        }
        let before = Before::now(&container.runtime);
        container.bundle.save();
        for verb in ["create", "run"] {
            check(&container, &before, container.verb(verb, &[]), &["container"]);
        }
        if container.runtime.kind() == "runsig" {
            for verb in ["start", "state", "delete"] {
                let outcome = container.verb(verb, &[]);
                assert_eq!(outcome.code, 1, "{outcome:#?}");
            }
        }
    }
}

fn failing_mount() {
    let container = changed(|config| {
        add_mount(config, json!({"destination": "/mnt", "type": "no-such-fs", "source": "none"}));
    });
    refused(&container, &["/mnt", "no such device"]);
}

fn mount_point_inside_proc() {
    let mount =
        json!({"destination": "/proc/version", "type": "bind", "source": "/etc/passwd", "options": ["bind"]});
    refused(
        &changed(|config| add_mount(config, mount)),
        &["create mountpoint for /proc/version mount: ", "cannot be mounted because it is inside /proc"],
    );
}

/// PATH may have such a directory; what is found in it is not run.
fn executable_in_a_relative_directory() {
    let container = Container::new(Bundle::new().args(&["sh"]).with(|config| {
        config["process"]["env"] = json!(["PATH=/nowhere:bin"]);
    }));
    refused(&container, &["sh", ": cannot run executable found relative to current directory"]);
}

fn mount_source_that_is_not_there() {
    let container = changed(|config| {
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
        );
    });
    refused(&container, &["/no/such/source", "no such file or directory"]);
}

fn directory_onto_a_file() {
    let bind = |source: &str, destination: &str| {
        let mount =
            json!({"destination": destination, "type": "bind", "source": source, "options": ["bind"]});
        changed(|config| add_mount(config, mount))
    };
    refused(&bind("/usr", "/etc/passwd"), &["/etc/passwd", "not a directory"]);
    refused(&bind("/etc/passwd", "/tmp"), &["/tmp", "not a directory"]);
}

fn bad_mount_option() {
    let container = changed(|config| {
        add_mount(
            config,
            json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["size=lots"]}),
        );
    });
    refused(&container, &["/mnt", "invalid argument"]);
}

/// A hook that hangs holds `create` for ever; another caller's `delete --force` still cleans up.
fn hanging_hook_without_timeout_is_killed_by_delete() {
    let container = changed(|config| {
        config["hooks"]["createRuntime"] = json!([{"path": "/bin/sleep", "args": ["sleep", "30.5"]}]);
    });
    require_runsig("runc and crun leave the hook and its caller alone");
    let before = Before::now(&container.runtime);
    let mut create = runsig_tests::runtime::Running::start(container.command("create", &[]));
    let hook = container.wait_for_command("sleep 30.5");
    create.child.kill().expect("kill");
    let _ = create.finish(wait::SOON);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(hook), nix::sys::signal::Signal::SIGKILL)
        .expect("kill");
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn no_process() {
    let container = changed(|config| {
        config.as_object_mut().expect("an object").remove("process");
    });
    let before = Before::now(&container.runtime);
    let outcome = container.run();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn nul_in_argument() {
    require_runsig("the peers cut such words short");
    refused(&changed(|config| config["process"]["args"] = json!(["true", "a\u{0}b"])), &[]);
    refused(&changed(|config| config["process"]["cwd"] = "/a\u{0}b".into()), &[]);
}

fn deep_nesting() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    with_config(format!("{{\"ociVersion\": \"1.0.2\", \"x\": {deep}}}").as_bytes(), &[]);
}

fn huge_numbers() {
    refused(&changed(|config| config["process"]["user"]["uid"] = json!(1e30)), &[]);
    refused(&changed(|config| config["process"]["oomScoreAdj"] = json!(99999)), &[]);
}

fn huge_config() {
    require_runsig("the peers read on");
    let mut text = String::from("{\"ociVersion\": \"1.0.2\", \"x\": \"");
    text.push_str(&"y".repeat(100 << 20));
    text.push_str("\"}");
    with_config(text.as_bytes(), &[]);
}

fn unknown_fields_are_passed_over() {
    let container = changed(|config| {
        config["flavour"] = json!({"strange": [1, 2, 3]});
        config["linux"]["flavour"] = json!(true);
        config["process"]["flavour"] = Value::Null;
    });
    container.run().ok();
}

fn unknown_verb_and_flag() {
    let container = changed(|_| {});
    for args in [&["no-such-verb"][..], &["create", "--no-such-flag", "x"], &["state"], &["kill"]] {
        let outcome = container.runtime.call(args);
        assert_ne!(outcome.code, 0, "{outcome:#?}");
        assert!(!outcome.stderr.is_empty() || !outcome.stdout.is_empty(), "{outcome:#?}");
    }
}

fn terminal_without_terminal() {
    // `run` in the foreground takes a terminal from its caller, who has none here.
    let container = changed(|config| config["process"]["terminal"] = true.into());
    let before = Before::now(&container.runtime);
    let outcome = container.verb("run", &["--detach"]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    before.assert_clean(&container.runtime, &container.bundle);
}

fn pid_file_nowhere() {
    let container = changed(|_| {});
    let before = Before::now(&container.runtime);
    let outcome = container.verb("create", &["--pid-file", "/no/such/dir/pid"]);
    check(&container, &before, outcome, &["/no/such/dir/", "no such file or directory"]);
}
