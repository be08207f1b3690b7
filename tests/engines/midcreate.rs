//! containerd and its shims killed while the runtime creates containers: what is left goes with the runtime's own
//! `delete --force`, or with containerd when it is started again. `RUNTIME=runc` tells how runc does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runsig_tests::{Bundle, Case, Runtime, cases, cgroup, harness, json, needs, procs, wait};

use crate::containerd::{Containerd, NAMESPACE, RUNTIME_ROOT};
use crate::world;

/// The tests of this file.
pub const CASES: &[Case] = &[ALL[0].within(300), ALL[1].within(300), ALL[2].within(300), ALL[3].within(300)];
const ALL: &[Case] = cases![V2 "killed_mid_create": before_the_program_is_told, with_prestart, with_create_runtime, with_create_container];

/// As early as it gets: the runtime's process is there, and no more is known.
fn before_the_program_is_told() {
    strike(None);
}

fn with_prestart() {
    strike(Some("prestart"));
}

fn with_create_runtime() {
    strike(Some("createRuntime"));
}

fn with_create_container() {
    strike(Some("createContainer"));
}

/// A container whose creation takes until its hook has ended, which is never.
struct Slow {
    bundle: Bundle,
    /// Written by the hook when it begins.
    mark: PathBuf,
}

impl Slow {
    fn new(hook: Option<&str>) -> Slow {
        let bundle = Bundle::script("exit 6");
        let (mark, root) = (bundle.dir.join("mark"), bundle.rootfs());
        let script = format!("echo > {}; exec sleep 1000", mark.display());
        let bundle = bundle.with(|config| {
            config["root"]["path"] = json!(root);
            if let Some(hook) = hook {
                config["hooks"] = json!({hook: [{"path": "/bin/busybox", "args": ["sh", "-c", script]}]});
            }
        });
        bundle.save();
        Slow { bundle, mark }
    }

    fn id(&self) -> &str {
        &self.bundle.id
    }

    /// Whatever ran for it: the runtime's calls, and the container's first process.
    fn processes(&self) -> Vec<i32> {
        let runtime = Runtime::path().to_string_lossy().into_owned();
        let calls = procs::all().into_iter().filter(|pid| {
            let line = procs::command_line(*pid);
            procs::alive(*pid) && line.starts_with(&runtime) && line.contains(self.id())
        });
        calls.chain(cgroup::processes(&self.bundle.cgroup())).collect()
    }

    /// Processes, cgroups and state that are there.
    fn left(&self) -> Vec<String> {
        let state = Path::new(RUNTIME_ROOT).join(NAMESPACE).join(self.id());
        let processes = self.processes().into_iter().map(procs::command_line);
        let cgroups = cgroup::directories(&self.bundle.cgroup());
        let paths = cgroups.into_iter().chain(state.exists().then_some(state));
        processes.chain(paths.map(|path| path.display().to_string())).collect()
    }

    #[track_caller]
    fn expect_gone(&self) {
        let gone = wait::until(Duration::from_secs(30) * needs::patience(), || {
            std::thread::sleep(Duration::from_millis(20));
            self.left().is_empty()
        });
        assert!(gone, "left of {}: {:#?}", self.id(), self.left());
    }
}

fn strike(hook: Option<&str>) {
    world::set_up();
    let mut containerd = Containerd::new();
    let slow = [Slow::new(hook), Slow::new(hook)];
    let calls: Vec<_> = slow.iter().map(|one| containerd.run_config(&one.bundle)).collect();
    for one in &slow {
        let begun = || if hook.is_some() { one.mark.exists() } else { !one.processes().is_empty() };
        assert!(wait::until(crate::image::limit(), begun), "create never began");
    }
    containerd.kill_server();
    for one in &slow {
        let killed = kill_shims(one.id());
        // Without a hook the container may have come to its end, and its shim with it.
        assert!(killed > 0 || hook.is_none(), "no shim of {}", one.id());
    }
    drop(calls);
    end_hooks();

    // By hand.
    let root = format!("{RUNTIME_ROOT}/{NAMESPACE}");
    let runtime = Runtime { program: Runtime::path(), root: root.into(), flags: Vec::new() };
    runtime.call(&["delete", "--force", slow[0].id()]).ok();
    slow[0].expect_gone();

    // By containerd, which finds the bundles of both.
    containerd.restart_server();
    for one in &slow {
        one.expect_gone();
        containerd.call(&["containers", "delete", one.id()]).ok();
    }

    // The name is free.
    let again = Slow { bundle: clean(&slow[0].bundle), mark: PathBuf::new() };
    let outcome = containerd.run_config(&again.bundle).finish(crate::image::limit());
    assert_eq!(outcome.code, 6, "{outcome:#?}");
    again.expect_gone();
    assert!(cgroup::below(&format!("/{}", harness::tag())).is_empty());
}

/// The same container without hooks.
fn clean(bundle: &Bundle) -> Bundle {
    let mut config = bundle.config.clone();
    config.as_object_mut().expect("an object").remove("hooks");
    let again = Bundle { dir: bundle.dir.clone(), id: bundle.id.clone(), config };
    again.save();
    again
}

/// How many there were.
fn kill_shims(id: &str) -> usize {
    let of_it = |line: &str| line.contains("containerd-shim") && line.contains(&format!("-id {id} "));
    let shims: Vec<i32> = procs::all().into_iter().filter(|pid| of_it(&procs::command_line(*pid))).collect();
    for pid in &shims {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    shims.len()
}

/// Hooks outlive the runtime that started them, and are nobody's.
fn end_hooks() {
    while let Some(pid) = procs::find_command("sleep 1000").filter(|pid| procs::alive(*pid)) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
