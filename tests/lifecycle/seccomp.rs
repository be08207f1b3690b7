//! Seccomp: every action, arguments, flags, and an agent that answers.

use std::fs;
use std::os::fd::AsRawFd as _;

use libseccomp::{ScmpNotifReq, ScmpNotifResp};
use runsig_tests::console::DescriptorSocket;
use runsig_tests::leftovers::Before;
use runsig_tests::{Bundle, Case, Container, Value, cases, json, procs, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "seccomp":
    errno_of_a_rule, default_errno, kill_process, trap, log_lets_it_pass, filter_that_refuses_even_the_end,
    argument_decides, masked_argument, unknown_system_call_is_ignored, unknown_action_is_refused,
    without_no_new_privileges, notify_is_answered, notify_without_listener_is_refused, filter_is_on_in_status,
    log_and_spec_flags, big_profile];

fn seccomp(default: &str, rules: &Value) -> Value {
    json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"], "syscalls": rules})
}

fn bundle(script: &str, default: &str, rules: &Value) -> Bundle {
    Bundle::script(script).with(|config| config["linux"]["seccomp"] = seccomp(default, rules))
}

fn run(script: &str, default: &str, rules: &Value) -> runsig_tests::Outcome {
    Container::new(bundle(script, default, rules)).run()
}

fn mkdir_rule(action: &str) -> Value {
    json!([{"names": ["mkdir", "mkdirat"], "action": action}])
}

fn errno_of_a_rule() {
    let rule = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]);
    let outcome = run("mkdir /x 2>&1; true", "SCMP_ACT_ALLOW", &rule).ok();
    assert!(outcome.stdout.contains("No space left on device"), "{outcome:#?}");
}

fn default_errno() {
    let outcome = run("mkdir /x 2>&1; true", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_ERRNO")).ok();
    assert!(outcome.stdout.contains("Operation not permitted"), "{outcome:#?}");
}

fn kill_process() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"] {
        let outcome = run("mkdir /x; echo $?", "SCMP_ACT_ALLOW", &mkdir_rule(action)).ok();
        assert_eq!(outcome.text(), (128 + 31).to_string(), "{action}");
    }
}

fn trap() {
    let outcome = run("mkdir /x; echo $?", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_TRAP")).ok();
    assert_eq!(outcome.text(), (128 + 31).to_string());
}

fn log_lets_it_pass() {
    let outcome = run("mkdir /x && echo made", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_LOG")).ok();
    assert_eq!(outcome.text(), "made");
}

/// A list of what is allowed that nobody finished. The init cannot execute the program, nor say so, nor end.
fn filter_that_refuses_even_the_end() {
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"] {
        let container = Container::new(bundle("true", action, &json!([])));
        let before = Before::now(&container.runtime);
        let outcome = container.run();
        assert!(outcome.code > 0, "{action}: it ends, and not well: {outcome:#?}");
        before.assert_clean(&container.runtime, &container.bundle);
    }
}

fn argument_decides() {
    // kill(pid, 0) passes, kill(pid, 10) does not.
    let rule = json!([{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
        "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]);
    let outcome =
        run("kill -0 $$ && echo probe; kill -10 $$ 2>/dev/null || echo refused", "SCMP_ACT_ALLOW", &rule)
            .ok();
    assert_eq!(outcome.text(), "probe\nrefused");
}

fn masked_argument() {
    // The set-user-ID bit in the mode of chmod.
    let setuid = |index: u32| json!([{"index": index, "value": 0o4000, "valueTwo": 0o4000, "op": "SCMP_CMP_MASKED_EQ"}]);
    let rule = json!([
        {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": setuid(1)},
        {"names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": setuid(2)}
    ]);
    let script = "touch /f; chmod 755 /f && echo plain; chmod 4755 /f 2>/dev/null || echo refused";
    assert_eq!(run(script, "SCMP_ACT_ALLOW", &rule).ok().text(), "plain\nrefused");
}

fn unknown_system_call_is_ignored() {
    let rule = json!([{"names": ["no_such_call", "mkdir"], "action": "SCMP_ACT_ERRNO"}]);
    assert_eq!(run("echo fine", "SCMP_ACT_ALLOW", &rule).ok().text(), "fine");
}

fn unknown_action_is_refused() {
    let outcome = run("true", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_EXPLODE"));
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.contains("SCMP_ACT_EXPLODE"), "{outcome:#?}");
}

fn without_no_new_privileges() {
    let container = Container::new(
        bundle("mkdir /x 2>&1; true", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_ERRNO"))
            .with(|config| config["process"]["noNewPrivileges"] = false.into()),
    );
    let outcome = container.run().ok();
    assert!(outcome.stdout.contains("Operation not permitted"), "{outcome:#?}");
}

fn filter_is_on_in_status() {
    let outcome = run(
        "grep -E '^Seccomp(_filters)?:' /proc/self/status",
        "SCMP_ACT_ALLOW",
        &mkdir_rule("SCMP_ACT_ERRNO"),
    )
    .ok();
    assert_eq!(outcome.text(), "Seccomp:\t2\nSeccomp_filters:\t1");
}

fn log_and_spec_flags() {
    require_runsig("flags came to runc in 1.2, and crun 1.8 cannot set SPEC_ALLOW here");
    let container =
        Container::new(bundle("echo fine", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_ERRNO")).with(|config| {
            config["linux"]["seccomp"]["flags"] =
                json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
        }));
    assert_eq!(container.run().ok().text(), "fine");
}

fn big_profile() {
    // As engines have them: one rule of hundreds of names, and a refusing default with another errno.
    let text = fs::read_to_string("/usr/share/containers/seccomp.json");
    let Ok(text) = text else {
        runsig_tests::skip("package golang-github-containers-common is not installed")
    };
    let engine: Value = serde_json::from_str(&text).expect("JSON");
    let mut names = Vec::new();
    for rule in engine["syscalls"].as_array().expect("rules") {
        if rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].as_array().is_none_or(Vec::is_empty) {
            names.extend(rule["names"].as_array().expect("names").iter().cloned());
        }
    }
    let outcome =
        run("echo fine", "SCMP_ACT_ERRNO", &json!([{"names": names, "action": "SCMP_ACT_ALLOW"}])).ok();
    assert_eq!(outcome.text(), "fine");
}

fn notify_is_answered() {
    let agent = DescriptorSocket::listen();
    let path = agent.path().to_str().expect("utf-8").to_string();
    let rules = mkdir_rule("SCMP_ACT_NOTIFY");
    let container = Container::new(
        bundle("mkdir /x 2>&1; echo done; sleep 1000", "SCMP_ACT_ALLOW", &rules).with(|config| {
            config["linux"]["seccomp"]["listenerPath"] = path.into();
            config["linux"]["seccomp"]["listenerMetadata"] = "some metadata".into();
        }),
    );
    container.create().ok();
    let out = container.bundle.rootfs().join("x");
    let start = runsig_tests::runtime::Running::start(container.command("start", &[]));
    let (fds, message) = agent.receive();
    let state: Value = serde_json::from_slice(&message).expect("the container process state");
    assert_eq!(state["metadata"], "some metadata");
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["state"]["id"], container.id());
    let pid = state["pid"].as_i64().expect("a pid");
    assert!(procs::alive(i32::try_from(pid).expect("a pid")), "{state}");
    let listener = fds.first().expect("the filter's descriptor").as_raw_fd();
    let request = ScmpNotifReq::receive(listener).expect("a notification");
    let refuse =
        ScmpNotifResp::new_error(request.id, -nix::libc::ENOSPC, libseccomp::ScmpNotifRespFlags::empty());
    refuse.respond(listener).expect("answered");
    start.finish(wait::SOON).ok();
    assert!(!out.exists());
}

fn notify_without_listener_is_refused() {
    require_runsig("runc and crun word it each in its way");
    let outcome = run("true", "SCMP_ACT_ALLOW", &mkdir_rule("SCMP_ACT_NOTIFY"));
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stderr.contains("listenerPath"), "{outcome:#?}");
}
