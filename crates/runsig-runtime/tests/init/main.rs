//! The real init program, from plan to exec: what it answers, what it executes,
//! and how it ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod confinement;
mod container;
mod harness;
mod resident;
mod waiting;

use harness::{Init, c, failure, is_root, outcome, plan, script};
use runsig_proto::plan::{Hook, Kind};
use runsig_proto::{FromInit, Op};
use runsig_sys::process::{CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUTS, ExitStatus};
use runsig_sys::{Errno, fs, net, term};

#[test]
fn the_program_runs_and_its_exit_code_is_the_inits() {
    assert_eq!(outcome(script("exit 7")), ExitStatus::Exited(7));
    assert_eq!(
        outcome(plan(&["/bin/sh", "-c", "kill -9 $$"])),
        ExitStatus::Killed { signal: 9, core: false }
    );
}

#[test]
fn a_program_that_is_not_there_fails_before_ready() {
    let find = |name: &str| failure(plan(&[name]));
    assert_eq!(find("no-such"), (Op::FindExecutable, "no-such".into(), Errno::ENOENT.raw()));
    assert_eq!(find("/no/such"), (Op::FindExecutable, "/no/such".into(), Errno::ENOENT.raw()));
    assert_eq!(find("/etc"), (Op::FindExecutable, "/etc".into(), Errno::EACCES.raw()));
    assert_eq!(find("/etc/passwd"), (Op::FindExecutable, "/etc/passwd".into(), Errno::EACCES.raw()));
    let mut no_path = script("exit 0");
    no_path.process.env.clear();
    assert_eq!(failure(no_path), (Op::FindExecutable, "sh".into(), Errno::ENOENT.raw()));
}

#[test]
fn a_file_that_is_no_program_fails_after_go() {
    let file = temporary("not-a-program", "\u{1}\u{2}");
    let init = Init::ready(plan(&[&file.0]));
    init.go(b"");
    assert_eq!(init.next(), None, "the container has started, and its standard error has the words");
    assert_eq!(init.end(), ExitStatus::Exited(255));
}

#[test]
fn environment_working_directory_and_umask_are_the_plans() {
    let mut plan = script(r#"[ "$A $HOME $(pwd) $(umask)" = "b $WANTED /usr 0027" ]"#);
    let home = std::process::Command::new("sh")
        .args(["-c", "getent passwd $(id -u) | cut -d: -f6"])
        .output()
        .unwrap();
    let home = String::from_utf8(home.stdout).unwrap();
    plan.process.env.extend([c("A=b"), c(&format!("WANTED={}", home.trim()))]);
    plan.process.cwd = c("/usr");
    plan.process.umask = 0o027;
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn a_missing_working_directory_is_a_failure() {
    let mut plan = script("exit 0");
    plan.process.cwd = c("/no/such/directory");
    assert_eq!(failure(plan), (Op::Cwd, "/no/such/directory".into(), Errno::ENOENT.raw()));
}

#[test]
fn preserved_descriptors_are_the_only_ones_that_reach_the_program() {
    let (keep, other) = (fs::memfd_data(c"keep").unwrap(), fs::memfd_data(c"other").unwrap());
    // The container's descriptors come first: 3, then whatever was opened by accident.
    let (keep, other) = (fs::dup(keep.as_fd(), 50).unwrap(), fs::dup(other.as_fd(), 60).unwrap());
    let test = format!("[ -e /proc/self/fd/{} ] && [ ! -e /proc/self/fd/{} ]", keep.raw(), other.raw());
    let mut plan = script(&test);
    plan.fds.preserve = keep.raw().unsigned_abs() - 3 + 1;
    let init = Init::start(plan, 0, &[keep.raw(), other.raw()]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(0)));
}

#[test]
fn hooks_get_the_state_of_the_go_before_them() {
    let mut plan = script("exit 4");
    let hook = |state: &str| Hook {
        path: c("/bin/sh"),
        args: vec![c("sh"), c("-c"), c(&format!("read line; [ \"$line\" = '{state}' ]"))],
        env: vec![],
        timeout: Some(20),
    };
    plan.kind = Kind::Create;
    plan.runtime_hooks = true;
    plan.create_container = vec![hook("creating")];
    plan.start_container = vec![hook("created")];
    let init = Init::start(plan, 0, &[]);
    assert_eq!(init.next(), Some(FromInit::Hooks));
    init.go(b"creating\n");
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"created\n");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(4)));
}

#[test]
fn a_failing_hook_ends_the_init() {
    let mut plan = script("exit 0");
    let args = vec![c("sh"), c("-c"), c("exit 9")];
    plan.start_container = vec![Hook { path: c("/bin/sh"), args, env: vec![], timeout: None }];
    let init = Init::ready(plan);
    init.go(b"{}");
    // The words are on the container's standard error.
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(255)));
}

#[test]
fn new_namespaces_take_names_and_time_offsets() {
    if !is_root() {
        return;
    }
    let mut plan = script(
        r#"[ "$(uname -n)" = boxed ] && [ "$(cat /proc/self/cgroup | cut -d: -f3 | sort -u)" = / ] &&
           grep -Eq '^boottime +[67][0-9]{2} ' /proc/self/timens_offsets &&
           [ "$(readlink /proc/self/ns/time)" = "$(readlink /proc/self/ns/time_for_children)" ]"#,
    );
    plan.kind = Kind::Create;
    plan.hostname = Some(c("boxed"));
    plan.namespaces.unshare = CLONE_NEWCGROUP | CLONE_NEWTIME | CLONE_NEWUTS;
    plan.namespaces.time_offsets = b"boottime 777 0\nmonotonic 5 0\n".to_vec();
    assert_eq!(outcome(plan), ExitStatus::Exited(0));
}

#[test]
fn a_terminal_is_the_programs_and_its_master_ours() {
    if !is_root() {
        return;
    }
    let (ours, theirs) = net::socketpair().unwrap();
    let mut plan =
        script(r#"[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && [ "$(stty size)" = "33 44" ] && : > /dev/tty"#);
    plan.process.terminal = true;
    plan.process.console_size = Some((33, 44));
    plan.fds.console = theirs.raw();
    let init = Init::start(plan, 0, &[theirs.raw()]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    let (mut name, mut fds) = ([0; 64], [const { None }; 1]);
    let len = net::recv_with_fds(ours.as_fd(), &mut name, &mut fds).unwrap();
    assert_eq!(&name[..len], b"/dev/ptmx");
    let master = fds[0].take().unwrap();
    assert_eq!(term::size(master.as_fd()), Ok((33, 44)));
    init.go(b"");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(0)));
}

#[test]
fn a_runtime_that_is_gone_ends_the_init() {
    let mut init = Init::ready(script("exit 0"));
    init.sync = None;
    assert_eq!(init.end(), ExitStatus::Exited(128 + 13), "telling nobody raises SIGPIPE");
}

#[test]
fn nonsense_instead_of_a_plan_is_refused() {
    let mut plan = script("exit 0");
    plan.process.args.clear();
    assert_eq!(failure(plan), (Op::Plan, String::new(), Errno::EINVAL.raw()));
}

/// A file that is removed at the end.
struct Temporary(String);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn temporary(name: &str, content: &str) -> Temporary {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("runsig-init-{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Temporary(path.to_str().unwrap().to_owned())
}
