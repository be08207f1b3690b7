use super::*;
use std::string::String;

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn sh(script: &str, timeout: Option<u32>) -> Hook {
    Hook { path: c("/bin/sh"), args: vec![c("sh"), c("-c"), c(script)], env: vec![c("A=own")], timeout }
}

fn detail(hooks: &[Hook]) -> String {
    let failure = run_all(b"createContainer", hooks, &[], b"{}").unwrap_err();
    assert_eq!((failure.op, failure.errno), (Op::Hook, None));
    failure.detail.into_string().unwrap()
}

#[test]
fn state_arguments_and_environment_reach_the_hook() {
    let hook = sh(r#"read line; [ "$line" = '{"id":"h"}' ] && [ "$A" = own ] && [ -z "$B" ]"#, None);
    run_all(b"x", &[hook], &[c("B=default")], b"{\"id\":\"h\"}\n").unwrap();
}

#[test]
fn a_hook_without_an_environment_gets_the_default_one() {
    let hook = Hook { env: vec![], ..sh(r#"[ "$B" = default ]"#, Some(60)) };
    run_all(b"x", &[hook], &[c("B=default")], b"").unwrap();
}

#[test]
fn a_failing_hook_is_named_and_quoted() {
    let hooks = [sh("exit 0", None), sh("echo one; echo two >&2; exit 3", None)];
    assert_eq!(detail(&hooks), "error running createContainer hook #1: exit status 3, output: one; two");
}

#[test]
fn hooks_after_a_failing_one_do_not_run() {
    let marker = std::env::temp_dir().join(std::format!("runsig-hook-{}", std::process::id()));
    let second = sh(&std::format!("touch {}", marker.display()), None);
    detail(&[sh("exit 1", None), second]);
    assert!(!marker.exists());
}

#[test]
fn a_signal_and_a_missing_program_have_gos_words() {
    assert_eq!(detail(&[sh("kill -9 $$", None)]), "error running createContainer hook #0: signal: killed");
    let missing = Hook { path: c("/no/such"), args: vec![], env: vec![], timeout: None };
    let words = "error running createContainer hook #0: fork/exec /no/such: no such file or directory";
    assert_eq!(detail(&[missing]), words);
}

#[test]
fn a_hook_past_its_timeout_is_killed() {
    let started = process::monotonic_ns();
    let words = "error running createContainer hook #0: hook ran past specified timeout of 1.0s";
    assert_eq!(detail(&[sh("sleep 60", Some(1))]), words);
    let took = process::monotonic_ns() - started;
    assert!((1_000_000_000..20_000_000_000).contains(&took), "{took} ns");
}

#[test]
fn a_hook_that_reads_nothing_is_no_failure() {
    run_all(b"x", &[sh("exit 0", None)], &[], &vec![b' '; 1 << 20]).unwrap();
}

#[test]
fn a_hook_inherits_standard_streams_only() {
    let fd = fs::dup(BorrowedFd::from_raw(0), 40).unwrap();
    fs::set_cloexec(fd.as_fd(), false).unwrap();
    let script = std::format!("[ ! -e /proc/self/fd/{} ]", fd.raw());
    run_all(b"x", &[sh(&script, None)], &[], b"").unwrap();
}
