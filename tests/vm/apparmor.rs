//! `process.apparmorProfile` on a kernel with AppArmor.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{finish, scratch};
use runsig_tests::spec::set_user_namespace;
use runsig_tests::{Bundle, Case, Container, cases, harness, json, needs, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "apparmor": profile_is_applied, profile_denies, profile_with_no_new_privileges, profile_in_a_user_namespace,
        init_waits_unconfined_until_start, profile_that_is_not_loaded, exec_has_the_containers_profile,
        exec_by_flag, exec_by_process_file, exec_with_a_profile_that_is_not_loaded, unconfined_by_name, complaining,
        profile_denies_mount_and_ptrace, start_container_hooks_are_bound_by_it, restored_with_another_profile;
];

/// A profile in the kernel for as long as the test runs.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    /// Loads `profile NAME FLAGS { file, ... BODY }`.
    fn load(kind: &str, flags: &str, body: &str) -> Profile {
        needs::apparmor();
        let name = format!("{}-{kind}", harness::tag());
        let text = format!(
            "profile {name} flags=({flags}) {{\n file,\n network,\n capability,\n signal,\n umount,\n {body}\n}}\n"
        );
        let profile = Profile { name, text };
        profile.parser("-r").expect("the profile is loaded");
        profile
    }

    fn deny_secret(kind: &str) -> Profile {
        Profile::load(kind, "attach_disconnected,mediate_deleted", "deny /secret rwklx,")
    }

    fn parser(&self, action: &str) -> Result<(), String> {
        let file = harness::test_dir().join("profile");
        fs::write(&file, &self.text).map_err(|error| error.to_string())?;
        let output = Command::new("/sbin/apparmor_parser").args([action, "-K"]).arg(&file).output();
        let output = output.map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(words)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = self.parser("-R");
    }
}

fn bundle(script: &str, profile: &str) -> Bundle {
    Bundle::script(script)
        .file("/secret", "secret\n", 0o644)
        .with(|config| config["process"]["apparmorProfile"] = profile.into())
}

const WHO: &str = "cat /proc/self/attr/current; cat /secret 2>&1; true";

fn denied(profile: &Profile) -> String {
    format!("{} (enforce)\ncat: can't open '/secret': Permission denied", profile.name)
}

fn restored_with_another_profile() {
    needs::criu();
    let open = Profile::load("open", "attach_disconnected", "ptrace,\n mount,");
    let deny = Profile::deny_secret("deny");
    let container = Container::new(bundle(
        "while :; do cat /proc/self/attr/current > /who; cat /secret > /read 2>&1; sleep 0.1; done",
        &open.name,
    ));
    let images = scratch("images");
    let call = |verb: &str, args: &[&str]| {
        // See tests/lifecycle/checkpoint.rs for the mode.
        let paths = ["--image-path", images.to_str().expect("utf-8"), "--manage-cgroups-mode", "ignore"];
        let all: Vec<&str> = paths.iter().chain(args).copied().collect();
        finish(container.command(verb, &all), Duration::from_secs(60)).ok()
    };
    let mut run = container.command("run", &["--detach"]);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(run.status().expect("run").success());
    let says = |file: &str, words: &str| {
        let path = container.bundle.rootfs().join(file);
        wait::expect("its words", || fs::read_to_string(&path).is_ok_and(|text| text.contains(words)));
    };
    says("who", &format!("{} (enforce)", open.name));
    says("read", "secret");
    let label = || fs::read_to_string(format!("/proc/{}/attr/current", container.pid())).expect("/proc");

    call("checkpoint", &[]);
    call("restore", &["--detach"]);
    assert_eq!(label().trim_end(), format!("{} (enforce)", open.name), "its own without the flag");

    // Not from the same images: its files have gone on.
    call("checkpoint", &[]);
    call("restore", &["--detach", "--lsm-profile", &format!("apparmor:{}", deny.name)]);
    assert_eq!(label().trim_end(), format!("{} (enforce)", deny.name));
    says("who", &format!("{} (enforce)", deny.name));
    says("read", "Permission denied");
}

fn profile_is_applied() {
    let profile = Profile::load("all", "attach_disconnected", "");
    let container = Container::new(bundle(WHO, &profile.name));
    assert_eq!(container.run().ok().text(), format!("{} (enforce)\nsecret", profile.name));
}

fn profile_denies() {
    let profile = Profile::deny_secret("deny");
    assert_eq!(Container::new(bundle(WHO, &profile.name)).run().ok().text(), denied(&profile));
}

fn profile_with_no_new_privileges() {
    let profile = Profile::deny_secret("nnp");
    for on in [true, false] {
        let container = Container::new(
            bundle(WHO, &profile.name).with(|config| config["process"]["noNewPrivileges"] = on.into()),
        );
        assert_eq!(container.run().ok().text(), denied(&profile), "no_new_privs {on}");
    }
}

fn profile_in_a_user_namespace() {
    let profile = Profile::deny_secret("user");
    let container = Container::new(
        bundle(WHO, &profile.name).owned_by(500_000).with(|config| set_user_namespace(config, 500_000)),
    );
    assert_eq!(container.run().ok().text(), denied(&profile));
}

fn current(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/attr/current")).expect("/proc").trim().to_string()
}

fn init_waits_unconfined_until_start() {
    let profile = Profile::deny_secret("wait");
    let container = Container::created(bundle("exec sleep 1000", &profile.name));
    assert_eq!(current(container.pid()), "unconfined");
    container.start().ok();
    let _ = container.wait_for_command("sleep 1000");
    assert_eq!(current(container.pid()), format!("{} (enforce)", profile.name));
}

fn profile_that_is_not_loaded() {
    needs::apparmor();
    for name in ["no-such-profile", "two words"] {
        let container = Container::new(bundle("true", name));
        let before = Before::now(&container.runtime);
        let outcome = container.run();
        assert_ne!(outcome.code, 0, "{outcome:#?}");
        assert!(outcome.stderr.contains("apparmor") && outcome.stderr.contains(name), "{outcome:#?}");
        container.delete_force().ok();
        before.assert_clean(&container.runtime, &container.bundle);
    }
}

fn exec(container: &Container, flags: &[&str]) -> runsig_tests::Outcome {
    let mut arguments = vec!["exec"];
    arguments.extend(flags);
    arguments.extend([container.id(), "sh", "-c", WHO]);
    container.runtime.call(&arguments)
}

fn exec_has_the_containers_profile() {
    let profile = Profile::deny_secret("own");
    let container = Container::running(bundle("exec sleep 1000", &profile.name));
    assert_eq!(exec(&container, &[]).ok().text(), denied(&profile));
}

fn exec_by_flag() {
    let (own, other) = (Profile::load("own", "attach_disconnected", ""), Profile::deny_secret("other"));
    let container = Container::running(bundle("exec sleep 1000", &own.name));
    assert_eq!(exec(&container, &["--apparmor", &other.name]).ok().text(), denied(&other));
    assert!(current(container.pid()).starts_with(&own.name), "the container keeps its own");
}

fn exec_by_process_file() {
    let (own, other) = (Profile::load("own", "attach_disconnected", ""), Profile::deny_secret("other"));
    let container = Container::running(bundle("exec sleep 1000", &own.name));
    let mut process = container.bundle.config["process"].clone();
    process["args"] = json!(["sh", "-c", WHO]);
    process["apparmorProfile"] = other.name.clone().into();
    let file = container.bundle.dir.join("process.json");
    fs::write(&file, process.to_string()).expect("write");
    let arguments = ["exec", "--process", file.to_str().expect("utf-8"), container.id()];
    assert_eq!(container.runtime.call(&arguments).ok().text(), denied(&other));
}

fn exec_with_a_profile_that_is_not_loaded() {
    let own = Profile::deny_secret("own");
    let container = Container::running(bundle("exec sleep 1000", &own.name));
    let outcome = exec(&container, &["--apparmor", "no-such-profile"]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.contains("no-such-profile"), "{outcome:#?}");
    assert_eq!(outcome.stdout, "");
    container.expect_status("running");
}

fn unconfined_by_name() {
    needs::apparmor();
    let container = Container::new(bundle(WHO, "unconfined"));
    assert_eq!(container.run().ok().text(), "unconfined\nsecret");
}

fn complaining() {
    let profile = Profile::load("complain", "complain,attach_disconnected", "");
    let container = Container::new(bundle(WHO, &profile.name));
    assert_eq!(container.run().ok().text(), format!("{} (complain)\nsecret", profile.name));
}

fn profile_denies_mount_and_ptrace() {
    let profile = Profile::load("mount", "attach_disconnected", "deny mount,\n deny ptrace,");
    let container =
        Container::new(bundle("mount -t tmpfs none /tmp 2>&1; echo $?", &profile.name).with(|config| {
            runsig_tests::spec::set_capabilities(config, &["CAP_SYS_ADMIN"]);
        }));
    let outcome = container.run().ok();
    assert!(outcome.stdout.contains("denied") && !outcome.stdout.ends_with("0\n"), "{outcome:#?}");
}

/// Such a hook is started by the init, whose next program the profile is for: as in runc.
fn start_container_hooks_are_bound_by_it() {
    let profile = Profile::deny_secret("hook");
    let container = Container::new(bundle(WHO, &profile.name).with(|config| {
        config["hooks"] = json!({"startContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/attr/current > /seen"]}
        ]});
    }));
    let rootfs = container.bundle.rootfs();
    assert_eq!(container.run().ok().text(), denied(&profile));
    let seen = fs::read_to_string(rootfs.join("seen")).expect("the hook ran");
    assert_eq!(seen.trim(), format!("{} (enforce)", profile.name));
}
