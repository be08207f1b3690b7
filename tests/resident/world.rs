//! What these tests share: containers with one init or another, and what their processes noted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::{Bundle, Container, Value, cgroup, json, procs, require_runsig, wait};

/// Who is PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pid1 {
    Resident,
    Tini,
    DumbInit,
    Catatonit,
}

pub(crate) const ALL: [Pid1; 4] = [Pid1::Resident, Pid1::Tini, Pid1::DumbInit, Pid1::Catatonit];
pub(crate) const PEERS: [Pid1; 3] = [Pid1::Tini, Pid1::DumbInit, Pid1::Catatonit];

impl Pid1 {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pid1::Resident => "runsig",
            Pid1::Tini => "tini",
            Pid1::DumbInit => "dumb-init",
            Pid1::Catatonit => "catatonit",
        }
    }

    /// A bundle that runs a program under this init.
    pub(crate) fn bundle(self, args: &[&str]) -> Bundle {
        require_runsig("the resident init is Runsig's own");
        if self == Pid1::Resident {
            return annotated(Bundle::new().args(args), &[("dev.runsig.init", "true")]);
        }
        let program = format!("/usr/bin/{}", self.name());
        require_command(self.name());
        let mut all = vec!["/init", "--"];
        all.extend(args);
        let bundle = Bundle::new().args(&all);
        copy(Path::new(&program), &bundle.rootfs().join("init"));
        copy_libraries(&program, &bundle.rootfs());
        bundle
    }

    /// A running container with a script that writes `/up` when it is ready.
    pub(crate) fn up(self, script: &str) -> Container {
        started(self.bundle(&["sh", "-c", script]))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("below the root")).expect("mkdir");
    fs::copy(from, to).expect("copy");
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// What `ldd` lists with a path; nothing for a static program.
fn copy_libraries(program: &str, root: &Path) {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace().filter(|w| w.starts_with('/')) {
        copy(Path::new(word), &root.join(word.trim_start_matches('/')));
    }
}

/// A bundle with annotations.
pub(crate) fn annotated(bundle: Bundle, annotations: &[(&str, &str)]) -> Bundle {
    bundle
        .with(|config| annotations.iter().for_each(|(key, value)| config["annotations"][key] = json!(value)))
}

/// Creates and starts a container and waits for `/up`.
pub(crate) fn started(bundle: Bundle) -> Container {
    let container = Container::running(bundle);
    let _ = container.wait_for_file("/up");
    container
}

/// A container with a resident init, further `dev.runsig.init.*` settings, and a script.
pub(crate) fn resident(settings: &[(&str, &str)], script: &str) -> Container {
    started(resident_bundle(settings, &["sh", "-c", script]))
}

/// The same, not yet made, for any program.
pub(crate) fn resident_bundle(settings: &[(&str, &str)], args: &[&str]) -> Bundle {
    let bundle = Pid1::Resident.bundle(args);
    bundle.with(|config| {
        for (key, value) in settings {
            config["annotations"][format!("dev.runsig.init.{key}")] = json!(value);
        }
    })
}

/// Compiles a C program into a bundle's root.
pub(crate) fn compile(bundle: &Bundle, source: &str, name: &str) {
    require_command("cc");
    let to = bundle.rootfs().join(name);
    let file = bundle.dir.join(format!("{name}.c"));
    fs::write(&file, source).expect("write");
    let status = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&to).arg(&file).status();
    assert!(status.expect("cc").success());
}

/// A file of the container's root; empty when it is not there.
pub(crate) fn read(container: &Container, path: &str) -> String {
    fs::read_to_string(container.bundle.rootfs().join(path.trim_start_matches('/'))).unwrap_or_default()
}

/// The container's processes, zombies too.
pub(crate) fn members(container: &Container) -> Vec<i32> {
    cgroup::processes(&container.bundle.cgroup())
}

/// Waits until the container has this many living processes.
pub(crate) fn expect_members(container: &Container, count: usize) {
    let living = || members(container).into_iter().filter(|pid| procs::alive(*pid)).count();
    wait::expect(&format!("{count} processes"), || living() == count);
}

/// The container's main process: the one child of its init.
pub(crate) fn main_process(container: &Container) -> i32 {
    let init = container.pid();
    let path = format!("/proc/{init}/task/{init}/children");
    let text = fs::read_to_string(path).expect("CONFIG_PROC_CHILDREN");
    text.split_whitespace().next().expect("a child").parse().expect("a number")
}

/// `signals ID SIGNAL --format json`.
pub(crate) fn rows(container: &Container, signal: &str) -> Vec<Value> {
    let rows = container.runtime.call(&["signals", "--format", "json", container.id(), signal]).ok().json();
    rows.as_array().expect("a list").clone()
}

/// Notes every signal in `/got` by its number; ends with 0 at KILL only.
pub(crate) const NOTES: &str = include_str!("programs/notes.c");
/// Counts signals; writes the counts to `/counts` and ends at TERM.
pub(crate) const COUNTS: &str = include_str!("programs/counts.c");
/// Measures how long a signal takes to PID 1 and back.
pub(crate) const ECHO: &str = include_str!("programs/echo.c");

/// The signals noted by [`NOTES`], in order.
pub(crate) fn noted(container: &Container) -> Vec<i32> {
    let text = read(container, "/got");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().expect("a number")).collect()
}

/// How the container ended, as `wait` tells; it is waited for from before its end.
pub(crate) fn end_by(container: &Container, act: impl FnOnce()) -> i32 {
    let mut command = container.runtime.command(&["wait", container.id()]);
    let waiting = runsig_tests::runtime::Running::start({
        command.stdin(std::process::Stdio::null());
        command
    });
    // The verb opens init's descriptor at once; a moment later would do as well where the kernel
    // tells the exit code of a process that is gone, which it does not for one that was reaped.
    std::thread::sleep(std::time::Duration::from_millis(60));
    act();
    waiting.finish(runsig_tests::runtime::LIMIT).code
}
