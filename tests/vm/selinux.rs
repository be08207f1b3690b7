//! `process.selinuxLabel` and `linux.mountLabel` on a kernel with SELinux: a guest of its own, for a kernel has either
//! this or AppArmor (`hack/vm --kernel security=selinux vm selinux::`).

use std::fs;
use std::process::Command;

use runsig_tests::leftovers::Before;
use runsig_tests::spec::{add_mount, set_user_namespace};
use runsig_tests::{Bundle, Case, Container, Outcome, cases, harness, json, needs};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "selinux": label_is_applied, label_with_no_new_privileges, label_in_a_user_namespace, init_waits_with_the_callers_label,
        labels_that_cannot_be, exec_has_the_containers_label, exec_by_flag, exec_by_process_file, exec_with_a_bad_label,
        mounts_have_their_label, context_of_one_mount, mount_labels_that_cannot_be, masked_directories_have_the_label;
];

/// What tests/vm/guest/policy.cil knows. Commas in it must survive wherever a label is passed on.
const LABEL: &str = "system_u:system_r:box_t:s0:c1,c2";
const OTHER: &str = "system_u:system_r:box_t:s0:c0";
const FILES: &str = "system_u:object_r:box_file_t:s0:c1,c2";
const UNKNOWN: &str = "system_u:system_r:no_such_t:s0";

const POLICY: &str = include_str!("guest/policy.cil");

/// The label of whoever reads it, without the NUL and line ends around it.
const WHO: &str = "tr -d '\\0\\n' < /proc/self/attr/current";

/// Loads the policy, unless an earlier test has.
fn policy() {
    needs::selinux();
    if current("self").starts_with("system_u:") {
        return;
    }
    let (text, binary) = (harness::test_dir().join("policy.cil"), harness::test_dir().join("policy"));
    fs::write(&text, POLICY).expect("write");
    let mut compiler = Command::new("secilc");
    compiler.args(["--mls", "true", "--policyvers", "33", "--filecontext", "/dev/null", "--output"]);
    let output = compiler.arg(&binary).arg(&text).output().expect("package secilc");
    assert!(output.status.success(), "{output:?}");
    // The kernel takes a policy in one write.
    fs::write("/sys/fs/selinux/load", fs::read(&binary).expect("read")).expect("the policy is loaded");
}

fn current(pid: impl std::fmt::Display) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/attr/current")).expect("/proc");
    text.trim_matches(['\0', '\n', ' ']).to_owned()
}

fn bundle(script: &str, label: &str) -> Bundle {
    policy();
    Bundle::script(script).with(|config| config["process"]["selinuxLabel"] = label.into())
}

fn sleeper() -> Container {
    Container::running(bundle("exec sleep 1000", LABEL))
}

fn label_is_applied() {
    let script = format!("{WHO}; echo; cat /proc/self/attr/exec /proc/self/attr/keycreate");
    let container = Container::new(bundle(&script, LABEL));
    // Nothing is left of what the init had set for itself.
    assert_eq!(container.run().ok().text(), LABEL);
}

fn label_with_no_new_privileges() {
    let container =
        Container::new(bundle(WHO, LABEL).with(|config| config["process"]["noNewPrivileges"] = true.into()));
    assert_eq!(container.run().ok().text(), LABEL);
}

fn label_in_a_user_namespace() {
    let container = Container::new(
        bundle(WHO, LABEL).owned_by(500_000).with(|config| set_user_namespace(config, 500_000)),
    );
    assert_eq!(container.run().ok().text(), LABEL);
}

fn init_waits_with_the_callers_label() {
    let container = Container::created(bundle("exec sleep 1000", LABEL));
    assert_eq!(current(container.pid()), current("self"));
    container.start().ok();
    let _ = container.wait_for_command("sleep 1000");
    assert_eq!(current(container.pid()), LABEL);
}

/// Refused in words that name the label, and nothing is left.
fn refused(bundle: Bundle, words: &str) {
    let container = Container::new(bundle);
    let said = container.create_refused();
    assert!(said.contains(words), "{said}");
}

fn labels_that_cannot_be() {
    for label in [UNKNOWN, "nonsense", "system_u:system_r:box_t:s0:c9"] {
        let container = Container::new(bundle("true", label));
        let before = Before::now(&container.runtime);
        let outcome = container.run();
        assert_ne!(outcome.code, 0, "{outcome:#?}");
        assert!(outcome.stderr.contains("invalid argument"), "{outcome:#?}");
        container.delete_force().ok();
        before.assert_clean(&container.runtime, &container.bundle);
    }
}

fn exec(container: &Container, flags: &[&str]) -> Outcome {
    let mut arguments = vec!["exec"];
    arguments.extend(flags);
    arguments.extend([container.id(), "sh", "-c", WHO]);
    container.runtime.call(&arguments)
}

fn exec_has_the_containers_label() {
    assert_eq!(exec(&sleeper(), &[]).ok().text(), LABEL);
}

fn exec_by_flag() {
    let container = sleeper();
    assert_eq!(exec(&container, &["--process-label", OTHER]).ok().text(), OTHER);
    assert_eq!(current(container.pid()), LABEL, "the container keeps its own");
}

fn exec_by_process_file() {
    let container = sleeper();
    let mut process = container.bundle.config["process"].clone();
    process["args"] = json!(["sh", "-c", WHO]);
    process["selinuxLabel"] = OTHER.into();
    let file = container.bundle.dir.join("process.json");
    fs::write(&file, process.to_string()).expect("write");
    let arguments = ["exec", "--process", file.to_str().expect("utf-8"), container.id()];
    assert_eq!(container.runtime.call(&arguments).ok().text(), OTHER);
}

fn exec_with_a_bad_label() {
    let container = sleeper();
    let outcome = exec(&container, &["--process-label", UNKNOWN]);
    outcome.fails(255, &["invalid argument"]);
    container.expect_status("running");
}

/// The label that a mount of the container shows, or that the file system's root has.
fn label_of(container: &Container, path: &str) -> String {
    let path = format!("/proc/{}/root{path}", container.pid());
    let output = Command::new("stat").args(["--format", "%C", &path]).output().expect("stat");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn mounts_have_their_label() {
    let container = Container::running(bundle("exec sleep 1000", LABEL).with(|config| {
        config["linux"]["mountLabel"] = FILES.into();
        add_mount(config, json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}));
        add_mount(
            config,
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}),
        );
    }));
    // mqueue knows no option for it and is labelled by hand; proc and sysfs have labels of their own.
    for path in ["/dev", "/dev/null", "/dev/mqueue", "/tmp"] {
        assert_eq!(label_of(&container, path), FILES, "{path}");
    }
    assert_eq!(label_of(&container, "/proc"), "system_u:object_r:host_t:s0");
    let made = exec(&container, &[]).ok().text().to_owned();
    assert_eq!(made, LABEL);
}

/// A mount's own option, as mount(8) has it: quotes protect the comma.
fn context_of_one_mount() {
    let option = format!("context=\"{FILES}\"");
    let container = Container::running(bundle("exec sleep 1000", LABEL).with(|config| {
        let mount =
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", option]});
        add_mount(config, mount);
    }));
    assert_eq!(label_of(&container, "/tmp"), FILES);
    assert_ne!(label_of(&container, "/dev"), FILES);
}

fn mount_labels_that_cannot_be() {
    for label in [UNKNOWN, "nonsense"] {
        refused(
            bundle("true", LABEL).with(|config| config["linux"]["mountLabel"] = label.into()),
            "error mounting",
        );
    }
}

fn masked_directories_have_the_label() {
    let container = Container::running(bundle("exec sleep 1000", LABEL).with(|config| {
        config["linux"]["mountLabel"] = FILES.into();
        config["linux"]["maskedPaths"] = json!(["/proc/fs"]);
    }));
    assert_eq!(label_of(&container, "/proc/fs"), FILES);
}
