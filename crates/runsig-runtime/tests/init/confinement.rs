//! Users, capabilities, filters: what the program may do.

use runsig_proto::plan::{Capabilities, InitPlan, Scheduler, Seccomp};
use runsig_proto::{FromInit, Op};
use runsig_sys::process::{self, ExitStatus};
use runsig_sys::{Errno, raw};

use crate::harness::{Init, c, failure, is_root, outcome, script};

const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;

fn status_line(name: &str, value: u64) -> String {
    format!("grep -q '^{name}:.{value:016x}$' /proc/self/status")
}

fn capabilities(all: u64) -> Capabilities {
    Capabilities { bounding: all, effective: all, permitted: all, inheritable: 0, ambient: 0 }
}

#[test]
fn the_program_has_the_plans_user_and_groups() {
    if !is_root() {
        return;
    }
    let mut plan = script(r#"[ "$(id -u) $(id -g) $(id -G)" = "1234 2345 2345 5 6" ] && [ "$HOME" = / ]"#);
    plan.process.uid = 1234;
    plan.process.gid = 2345;
    plan.process.groups = vec![5, 6];
    plan.process.keep_groups = false;
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn roots_capabilities_are_the_plans() {
    if !is_root() {
        return;
    }
    let wanted = KILL | NET_BIND_SERVICE;
    let lines = ["CapBnd", "CapEff", "CapPrm"].map(|name| status_line(name, wanted));
    let mut plan = script(&lines.join(" && "));
    plan.process.capabilities = Some(capabilities(wanted));
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn another_user_keeps_ambient_capabilities_only() {
    if !is_root() {
        return;
    }
    let lines = [
        status_line("CapBnd", KILL | NET_BIND_SERVICE),
        status_line("CapEff", NET_BIND_SERVICE),
        status_line("CapAmb", NET_BIND_SERVICE),
    ];
    let mut plan = script(&lines.join(" && "));
    plan.process.uid = 1234;
    let sets = capabilities(KILL | NET_BIND_SERVICE);
    // KILL is ambient but not inheritable: it cannot be raised and is left out.
    plan.process.capabilities =
        Some(Capabilities { inheritable: NET_BIND_SERVICE, ambient: KILL | NET_BIND_SERVICE, ..sets });
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn no_capability_is_given_that_we_do_not_have() {
    if !is_root() {
        return;
    }
    let have = process::capget().unwrap().permitted;
    // Numbers beyond the kernel's last one are dropped by it, so only real ones can be missing.
    let Some(missing) = (0..40).find(|cap| have & (1 << cap) == 0) else {
        eprintln!("skipped: this machine lacks no capability");
        return;
    };
    let mut plan = script("exit 0");
    plan.process.capabilities = Some(capabilities(have | 1 << missing));
    assert_eq!(failure(plan), (Op::Capabilities, String::new(), Errno::EPERM.raw()));
}

#[test]
fn no_new_privileges_and_the_scheduler_reach_the_program() {
    let mut plan = script("grep -q '^NoNewPrivs:.1$' /proc/self/status && [ \"$(nice)\" = 7 ]");
    plan.process.no_new_privs = true;
    plan.process.scheduler =
        Some(Scheduler { policy: 0, flags: 0, nice: 7, priority: 0, runtime: 0, deadline: 0, period: 0 });
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn affinity_and_a_bad_personality() {
    let mut plan = script("grep -q '^Cpus_allowed_list:.0$' /proc/self/status");
    plan.process.affinity = Some(vec![1]);
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
    let mut plan = script("exit 0");
    plan.process.scheduler =
        Some(Scheduler { policy: 77, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0 });
    assert_eq!(failure(plan), (Op::Scheduler, String::new(), Errno::EINVAL.raw()));
}

/// A filter that answers one system call with `action` and allows every other.
fn filter(number: u32, action: u32) -> Seccomp {
    const LOAD_NUMBER: (u16, u8, u8, u32) = (0x20, 0, 0, 0);
    const ALLOW: u32 = 0x7fff_0000;
    let program = [LOAD_NUMBER, (0x15, 0, 1, number), (0x06, 0, 0, action), (0x06, 0, 0, ALLOW)];
    let bytes = program
        .iter()
        .flat_map(|(code, jt, jf, k)| [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()].concat());
    Seccomp { flags: 0, program: bytes.collect(), notify: false }
}

const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;

fn filtered(text: &str, seccomp: Seccomp, no_new_privs: bool) -> InitPlan {
    let mut plan = script(text);
    plan.process.seccomp = Some(seccomp);
    plan.process.no_new_privs = no_new_privs;
    plan
}

#[test]
fn a_filter_is_in_force_with_and_without_no_new_privileges() {
    let no_uname = || filter(raw::general::__NR_uname, ERRNO | 1);
    assert_eq!(outcome(filtered("! uname", no_uname(), true)), ExitStatus::Exited(0));
    if is_root() {
        assert_eq!(outcome(filtered("! uname", no_uname(), false)), ExitStatus::Exited(0));
    }
}

#[test]
fn a_late_filter_need_not_allow_what_the_init_does_itself() {
    // close_range and getcwd are ours alone on the way; the shell uses neither before its script ends.
    for number in
        [raw::general::__NR_close_range, raw::general::__NR_faccessat2, raw::general::__NR_setresuid]
    {
        assert_eq!(outcome(filtered("exit 3", filter(number, ERRNO | 1), true)), ExitStatus::Exited(3));
    }
}

#[test]
fn hooks_run_under_an_early_filter_that_knows_no_clone3() {
    if !is_root() {
        return;
    }
    let enosys = ERRNO | Errno::ENOSYS.raw().unsigned_abs();
    let mut plan = filtered("exit 3", filter(raw::general::__NR_clone3, enosys), false);
    let args = vec![c("true")];
    plan.start_container =
        vec![runsig_proto::plan::Hook { path: c("/bin/true"), args, env: vec![], timeout: None }];
    assert_eq!(outcome(plan), ExitStatus::Exited(3));
}

#[test]
fn a_broken_filter_is_a_failure() {
    if is_root() {
        let seccomp = Seccomp { flags: 0, program: vec![0xff; 8], notify: false };
        assert_eq!(
            failure(filtered("exit 0", seccomp, false)),
            (Op::Seccomp, String::new(), Errno::EINVAL.raw())
        );
    }
}

#[test]
fn a_listener_reaches_the_runtime_before_ready() {
    for no_new_privs in [true, false] {
        if !no_new_privs && !is_root() {
            continue;
        }
        let seccomp = Seccomp { notify: true, ..filter(raw::general::__NR_uname, USER_NOTIF) };
        let init = Init::start(filtered("exit 6", seccomp, no_new_privs), 0, &[]);
        let message = init.next();
        let Some(FromInit::SeccompListener { fd }) = message else { panic!("{message:?}") };
        let listener = process::pidfd_getfd(init.child.pidfd.as_fd(), fd).unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.raw())).unwrap();
        assert_eq!(link.to_str(), Some("anon_inode:seccomp notify"));
        init.go(b"");
        assert_eq!(init.next(), Some(FromInit::Ready));
        init.go(b"");
        assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(6)));
    }
}
