//! Cgroups with processes in them: placing, listing, freezing, killing, removing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use runsig_cgroup::{Cgroup, Creation, Error, Host, Mode};
use support::{Scratch, Sleeper, not_in_namespace, run_in_pure_v1, run_in_pure_v2, skipped};

fn whole_life() {
    let mut scratch = Scratch::new("life");
    let cgroup = &mut scratch.0;
    assert!(cgroup.exists());
    assert!(!cgroup.populated().unwrap());
    assert!(cgroup.pids().unwrap().is_empty());
    let mut sleeper = Sleeper::inside(cgroup);
    assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
    assert!(cgroup.populated().unwrap());
    assert!(!cgroup.wait_empty(Duration::from_millis(20)).unwrap());
    cgroup.kill_all().unwrap();
    assert_eq!(sleeper.ended_by(), Some(9));
    assert!(cgroup.wait_empty(Duration::from_secs(5)).unwrap());
    cgroup.remove().unwrap();
    assert!(!cgroup.exists());
    // Again, and everything else on a cgroup that is gone.
    cgroup.remove().unwrap();
    cgroup.kill_all().unwrap();
    assert!(!cgroup.populated().unwrap());
    assert!(!cgroup.is_frozen().unwrap());
    assert!(cgroup.pids().unwrap().is_empty());
}

fn freezing() {
    let scratch = Scratch::new("freeze");
    let cgroup = &scratch.0;
    let mut sleeper = Sleeper::inside(cgroup);
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    // A visit leaves a paused container paused, and a running one running.
    let mut seen = Vec::new();
    assert_eq!(cgroup.for_each_frozen(|member| seen.push(member.pid)).unwrap(), 1);
    assert_eq!(seen, [sleeper.pid()]);
    assert!(cgroup.is_frozen().unwrap());
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    let mut frozen_inside = false;
    cgroup.for_each_frozen(|_| frozen_inside = cgroup.is_frozen().unwrap()).unwrap();
    assert!(frozen_inside);
    assert!(!cgroup.is_frozen().unwrap());
    // A frozen container is killed all the same.
    cgroup.freeze().unwrap();
    cgroup.kill_all().unwrap();
    assert_eq!(sleeper.ended_by(), Some(9));
    assert!(cgroup.wait_empty(Duration::from_secs(5)).unwrap());
}

fn a_panic_thaws() {
    let scratch = Scratch::new("panic");
    let cgroup = &scratch.0;
    let _sleeper = Sleeper::inside(cgroup);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = cgroup.for_each_frozen(|_| panic!("on purpose"));
    }));
    assert!(result.is_err());
    assert!(!cgroup.is_frozen().unwrap());
}

fn in_use() {
    let scratch = Scratch::new("used");
    let _sleeper = Sleeper::inside(&scratch.0);
    let mut second = Cgroup::new(scratch.0.paths().clone());
    let error = second.create(None).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    // The failed attempt has not harmed the first one.
    assert!(scratch.0.exists());
    assert!(scratch.0.populated().unwrap());
    let error = second.remove_within(Duration::from_millis(30)).unwrap_err();
    assert!(error.to_string().contains("device or resource busy"), "{error}");
}

fn left_over() {
    let scratch = Scratch::new("left");
    // Empty: used again.
    let mut again = Cgroup::new(scratch.0.paths().clone());
    assert_eq!(again.create(None).unwrap(), Creation::Made);
    // Empty but frozen: refused.
    scratch.0.freeze().unwrap();
    let error = again.create(None).unwrap_err();
    assert!(matches!(error, Error::Frozen), "{error}");
    assert!(scratch.0.exists());
}

fn nested() {
    let mut scratch = Scratch::new("nested");
    let roots: Vec<_> = scratch.0.paths().by_controller().into_iter().map(|(_, path)| path).collect();
    for root in &roots {
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(root.join("c")).unwrap();
    }
    let mut sleeper = Sleeper::new();
    for root in roots.iter().filter(|root| !root.ends_with("cpuset")) {
        if !root.starts_with("/sys/fs/cgroup/cpuset") {
            std::fs::write(root.join("a/b/cgroup.procs"), sleeper.pid().to_string()).unwrap();
        }
    }
    assert_eq!(scratch.0.pids().unwrap(), [sleeper.pid()]);
    assert!(scratch.0.populated().unwrap());
    let mut seen = 0;
    scratch.0.for_each_frozen(|_| seen += 1).unwrap();
    assert_eq!(seen, 1);
    scratch.0.kill_all().unwrap();
    assert_eq!(sleeper.ended_by(), Some(9));
    scratch.0.remove().unwrap();
    assert!(!scratch.0.exists());
}

/// Deeper than any path can name.
fn nested_deeply() {
    let mut scratch = Scratch::new("deep");
    let roots = scratch.0.paths().by_controller();
    // One hierarchy is enough, and the one whose processes are listed.
    let (_, root) = roots.iter().find(|(name, _)| name == "devices").unwrap_or(&roots[0]);
    let mut dir = runsig_sys::OwnedFd::from(std::fs::File::open(root).unwrap());
    let name = c"a-name-of-some-length-to-reach-PATH_MAX-soon";
    for _ in 0..150 {
        runsig_sys::fs::mkdirat(dir.as_fd(), name, 0o755).unwrap();
        dir = runsig_sys::fs::openat(dir.as_fd(), name, 0, 0).unwrap();
    }
    let mut sleeper = Sleeper::new();
    let procs = runsig_sys::fs::openat(dir.as_fd(), c"cgroup.procs", 1, 0).unwrap();
    runsig_sys::fs::write_all(procs.as_fd(), sleeper.pid().to_string().as_bytes()).unwrap();
    assert_eq!(scratch.0.pids().unwrap(), [sleeper.pid()]);
    sleeper.0.kill().unwrap();
    sleeper.ended_by();
    drop((dir, procs));
    scratch.0.remove().unwrap();
    assert!(!scratch.0.exists());
}

fn parents_of_ours_go() {
    let top = support::unique("top");
    let mut one = Cgroup::new(support::paths(&format!("/{top}/mid/one")));
    let mut two = Cgroup::new(support::paths(&format!("/{top}/mid/two")));
    one.create(None).unwrap();
    two.create(None).unwrap();
    let parents: Vec<_> =
        one.paths().by_controller().iter().map(|(_, p)| p.ancestors().nth(2).unwrap().to_owned()).collect();
    one.remove().unwrap();
    assert!(two.exists(), "a parent in use stays");
    two.remove().unwrap();
    for parent in &parents {
        assert!(parent.exists(), "two did not make {parent:?} and leaves it");
    }
    one.remove().unwrap();
    for parent in &parents {
        assert!(!parent.exists(), "{parent:?} was made for one and is empty");
    }
}

fn waits_for_the_dying() {
    let mut scratch = Scratch::new("dying");
    let mut sleeper = Sleeper::inside(&scratch.0);
    let pid = sleeper.pid();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        runsig_sys::process::kill(pid, 9).unwrap();
    });
    scratch.0.remove().unwrap();
    killer.join().unwrap();
    assert_eq!(sleeper.ended_by(), Some(9));
    assert!(!scratch.0.exists());
}

/// Processes that come and go all the time.
fn forking() {
    let scratch = Scratch::new("forking");
    let script = "read go; f() { while :; do sleep 0.001 & wait $!; done; }; f & f & f & wait";
    let mut shell = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    scratch.0.add_process(shell.id() as i32).unwrap();
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(20));
        let mut alive = Vec::new();
        scratch.0.for_each_frozen(|member| alive.push(member)).unwrap();
        assert!(alive.len() >= 4, "the shell and its three loops: {alive:?}");
        assert!(alive.iter().any(|member| member.pid == shell.id() as i32));
    }
    scratch.0.kill_all().unwrap();
    assert!(!shell.wait().unwrap().success());
    assert!(scratch.0.wait_empty(Duration::from_secs(5)).unwrap(), "somebody got away");
}

macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        /// On this host as it is.
        mod here {
            $(#[test] fn $name() { if !super::skipped() { super::$name(); } })*
        }
        /// Under cgroup v1 alone.
        mod legacy {
            $(#[test] #[ignore = "run by pure_v1"] fn $name() { if !super::not_in_namespace() { super::$name(); } })*
        }
        /// Under cgroup v2 alone.
        mod unified {
            $(#[test] #[ignore = "run by pure_v2"] fn $name() { if !super::not_in_namespace() { super::$name(); } })*
        }
    };
}
everywhere!(
    whole_life,
    forking,
    freezing,
    a_panic_thaws,
    in_use,
    left_over,
    nested,
    nested_deeply,
    parents_of_ours_go,
    waits_for_the_dying
);

#[test]
fn pure_v2() {
    if !skipped() {
        run_in_pure_v2("unified::");
    }
}

#[test]
fn pure_v1() {
    if skipped() {
        return;
    }
    if Host::detect().unwrap().mode() == Mode::Hybrid {
        run_in_pure_v1("legacy::");
    } else {
        println!("skipped: needs a hybrid host to take cgroup v2 away");
    }
}
