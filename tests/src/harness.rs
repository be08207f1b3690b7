//! Runs the tests: a libtest-like front, and behind it one sandboxed process a test.

use std::fs::{self, File};
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::sys::signal::{SigSet, Signal};

use crate::case::{Case, Skipped, View};
use crate::runtime::Runtime;
use crate::{booted, cgroup, needs, sandbox};

const STAGE: &str = "RUNSIG_TEST_STAGE";
const CASE: &str = "RUNSIG_TEST_CASE";
const DIR: &str = "RUNSIG_TEST_DIR";
pub(crate) const SKIPPED: u8 = 77;

/// The `main` of a test binary whose tests say what runc does: what another runtime than runc or Runsig does
/// otherwise is told, and is no failure.
pub fn main_against_runc(areas: &[&[Case]]) -> ExitCode {
    let kind = Runtime::kind_of(&Runtime::path());
    run_all(areas, !["runc", "runsig"].contains(&&*kind), &[], Vec::new)
}

/// The `main` of every other test binary.
pub fn main(areas: &[&[Case]]) -> ExitCode {
    run_all(areas, false, &[], Vec::new)
}

/// As [`main`], with `services`, which are no tests but are started by the tests that `trials` makes
/// ([`crate::service`]).
pub fn main_with(areas: &[&[Case]], services: &[Case], trials: impl FnOnce() -> Vec<Trial>) -> ExitCode {
    run_all(areas, false, services, trials)
}

fn run_all(
    areas: &[&[Case]],
    tolerant: bool,
    services: &[Case],
    trials: impl FnOnce() -> Vec<Trial>,
) -> ExitCode {
    if let Some(code) = crate::fake_criu::main_as_criu() {
        return code;
    }
    let cases: Vec<Case> = areas.iter().flat_map(|area| area.iter().copied()).collect();
    let Ok(stage) = std::env::var(STAGE) else { return front(cases, tolerant, trials()) };
    let name = std::env::var(CASE).unwrap_or_default();
    let Some(case) = cases.iter().chain(services).find(|case| case.full_name() == name) else {
        eprintln!("no test named {name}");
        return ExitCode::FAILURE;
    };
    let has_systemd = matches!(case.view, View::Systemd | View::SystemdHybrid);
    match stage.as_str() {
        "outside" if case.view == View::Guest => sandbox::enter_mounts(|| next_stage("body")),
        "outside" if has_systemd => booted::outside(next_stage("boot")),
        "boot" => booted::boot(next_stage("booted")),
        "booted" => booted::booted(next_stage("body")),
        "outside" => outside(),
        "init" => {
            interruptions().thread_unblock().expect("sigprocmask");
            sandbox::be_init(|| next_stage("body"))
        }
        _ => body(case),
    }
}

/// The directory that belongs to the running test, removed after it.
#[must_use]
pub fn test_dir() -> PathBuf {
    PathBuf::from(std::env::var_os(DIR).expect("only tests have a directory"))
}

/// A name no other test uses now: part of cgroup paths and ids.
#[must_use]
pub fn tag() -> String {
    test_dir().file_name().expect("made by us").to_string_lossy().into_owned()
}

fn front(cases: Vec<Case>, tolerant: bool, more: Vec<Trial>) -> ExitCode {
    let arguments = Arguments::from_args();
    let judged = move |case: &Case| match run(case) {
        Err(failed) if tolerant => Ok(Completion::ignored_with(difference(&failed))),
        result => result,
    };
    let trials = cases.into_iter().map(|case| Trial::ignorable_test(case.full_name(), move || judged(&case)));
    let conclusion = libtest_mimic::run(&arguments, trials.chain(more).collect());
    crate::service::end_all();
    let _ = fs::remove_dir(run_dir());
    conclusion.exit_code()
}

/// A failure as the difference it shows, in one line.
fn difference(failed: &Failed) -> String {
    let text = failed.message().unwrap_or("no message");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("exit "));
    let line: String = lines.collect::<Vec<_>>().join(" | ").chars().take(400).collect();
    format!("differs from runc: {line}")
}

/// Waits for the sandbox. When whoever started this was killed, nobody else is left to clean up.
fn outside() -> ExitCode {
    // A Ctrl-C is for everybody in front of the terminal: this one has work left then.
    interruptions().thread_block().expect("sigprocmask");
    let parent = nix::unistd::getppid();
    let code = sandbox::enter_namespaces(|| next_stage("init"));
    if nix::unistd::getppid() != parent {
        // The sandbox's own has no entry for us, and the sweep looks for our mounts.
        let _ = nix::mount::umount2("/proc", nix::mount::MntFlags::MNT_DETACH);
        clean_up(&test_dir());
        let _ = test_dir().parent().map(fs::remove_dir);
    }
    code
}

fn interruptions() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

fn next_stage(stage: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(STAGE, stage);
    command
}

/// The way into the sandbox. A caller's ignored signals (QUIT and INT, for jobs in the background of
/// a shell) would be inherited down to the containers: `env` makes them default.
fn first_stage() -> Command {
    let own = fs::read_link("/proc/self/exe").expect("/proc");
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(own).env(STAGE, "outside");
    command
}

fn run(case: &Case) -> Result<Completion, Failed> {
    let dir = make_test_dir();
    let log = dir.join("output");
    let result = run_in(case, &dir, &log);
    let output = fs::read_to_string(&log).unwrap_or_default();
    clean_up(&dir);
    for line in output.lines().filter_map(|line| line.strip_prefix("REPORT: ")) {
        eprintln!("{}: {line}", case.full_name());
    }
    match result {
        Ok(Some(0)) => Ok(Completion::Completed),
        Ok(Some(code)) if code == i32::from(SKIPPED) => {
            let why =
                output.lines().rev().find_map(|line| line.strip_prefix("SKIP: ")).unwrap_or("no reason");
            Ok(Completion::ignored_with(why))
        }
        Ok(code) => Err(format!("exit {code:?}\n{output}").into()),
        Err(problem) => Err(format!("{problem}\n{output}").into()),
    }
}

/// Removes the directory of a test and its cgroups.
pub(crate) fn clean_up(dir: &Path) {
    cgroup::sweep(&dir.file_name().unwrap_or_default().to_string_lossy());
    let _ = fs::remove_dir_all(dir);
}

pub(crate) fn make_test_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = run_dir().join(format!("runsig-test-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory for the test");
    dir
}

/// Holds the directories of all tests of this run.
fn run_dir() -> PathBuf {
    std::env::temp_dir().join(format!("oci-{}", std::process::id()))
}

/// Starts a case in its sandbox; all it says goes to `log`.
pub(crate) fn spawn(case: &Case, dir: &Path, log: &Path, stdin: Stdio) -> std::io::Result<Child> {
    let output = File::create(log)?;
    let both = output.try_clone()?;
    first_stage()
        .env(CASE, case.full_name())
        .env(DIR, dir)
        .env("RUNSIG_TEST_VIEW", format!("{:?}", case.view))
        .stdin(stdin)
        .stdout(output)
        .stderr(both)
        .spawn()
}

fn run_in(case: &Case, dir: &Path, log: &Path) -> Result<Option<i32>, String> {
    let mut child = spawn(case, dir, log, Stdio::null()).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + case.limit * needs::patience();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.code());
        }
        if Instant::now() > deadline {
            // PID 1 of the sandbox has this one as its parent-death signal's source.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("still running after {:?}", case.limit));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn body(case: &Case) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        if !info.payload().is::<Skipped>() {
            let _ = writeln!(std::io::stderr(), "{info}");
        }
    }));
    match catch_unwind(case.body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(payload) => match payload.downcast_ref::<Skipped>() {
            Some(Skipped(why)) => {
                println!("SKIP: {why}");
                ExitCode::from(SKIPPED)
            }
            None => ExitCode::FAILURE,
        },
    }
}
