//! The runtime under test, called as engines call it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::test_dir;

/// No verb takes longer than this; a test that says otherwise passes its own limit.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What one call gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Exit status; 128+n for death by signal n; -1 for a call that did not end in time.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Demands exit 0.
    #[track_caller]
    pub fn ok(self) -> Outcome {
        assert!(self.code == 0, "should have succeeded: {self:#?}");
        self
    }

    /// Demands a failure with this exit status and one line of error that contains each text.
    #[track_caller]
    pub fn fails(self, code: i32, texts: &[&str]) -> Outcome {
        assert!(self.code == code, "should have exited {code}: {self:#?}");
        for text in texts {
            assert!(self.stderr.contains(text), "stderr should contain {text:?}: {self:#?}");
        }
        self
    }

    /// Demands that stderr is exactly one line.
    #[track_caller]
    pub fn one_line(self) -> Outcome {
        assert!(self.stderr.trim_end().lines().count() == 1, "one line of error: {self:#?}");
        self
    }

    /// Standard output without the last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim_end()
    }

    /// Standard output as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}: {self:#?}"))
    }
}

/// A runtime with a root directory of its own.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The program.
    pub program: PathBuf,
    /// `--root`.
    pub root: PathBuf,
    /// Global flags of the verbs that make containers; the others have to do without.
    pub flags: Vec<String>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    /// The runtime named by `RUNTIME`, else the release build of Runsig.
    #[must_use]
    pub fn new() -> Runtime {
        let root = test_dir().join("state");
        fs::create_dir_all(&root).expect("mkdir");
        Runtime { program: Runtime::path(), root, flags: Vec::new() }
    }

    /// Where the runtime under test is.
    #[must_use]
    pub fn path() -> PathBuf {
        if let Some(name) = std::env::var_os("RUNTIME") {
            let name = PathBuf::from(name);
            let found = if name.components().count() > 1 { fs::canonicalize(&name).ok() } else { None };
            return found.or_else(|| find_in_path(&name.to_string_lossy())).expect("RUNTIME names a program");
        }
        built_runsig().expect("no runsig: build it with hack/build, or set RUNTIME")
    }

    /// `runsig`, `runc`, `crun`: the program's name.
    #[must_use]
    pub fn kind_of(program: &Path) -> String {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        name.split(['-', '.']).next().unwrap_or_default().to_string()
    }

    /// The kind of this runtime.
    #[must_use]
    pub fn kind(&self) -> String {
        Runtime::kind_of(&self.program)
    }

    /// A call, not yet started: `runtime --root R ARGS`.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        if matches!(args.first(), Some(&("create" | "run"))) {
            command.args(&self.flags);
        }
        command.args(args);
        command
    }

    /// Calls the runtime.
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Outcome {
        finish(self.command(args), LIMIT)
    }
}

/// Runs a command to its end and collects what it says. Output goes to files, for a pipe would
/// stay open as long as the container that inherits it.
#[must_use]
pub fn finish(command: Command, limit: Duration) -> Outcome {
    Running::start(command).finish(limit)
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
    line: String,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Starts a command.
    #[must_use]
    pub fn start(mut command: Command) -> Running {
        let line = format!("{command:?}");
        let (out, err) = (scratch("stdout"), scratch("stderr"));
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).expect("output file"));
        command.stderr(File::create(&err).expect("error file"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Running { child, line, out, err }
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.out)
    }

    /// Waits for its end; kills it when that takes too long.
    #[must_use]
    pub fn finish(mut self, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit * crate::needs::patience();
        let mut pause = Duration::from_micros(200);
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break -1;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        Outcome { command: self.line, code, stdout: read_lossy(&self.out), stderr: read_lossy(&self.err) }
    }
}

/// A fresh path in the test's directory.
#[must_use]
pub fn scratch(kind: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    test_dir().join(format!("{kind}.{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Looks a program up in PATH and the directories of system programs.
#[must_use]
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    path.split(':').map(|dir| Path::new(dir).join(name)).find(is_program)
}

/// The last release build, for whatever C library, beside this test program: its own is
/// `<target>/<triple>/<profile>/deps/NAME`.
fn built_runsig() -> Option<PathBuf> {
    let own = fs::read_link("/proc/self/exe").ok()?;
    let target_directory = own.ancestors().nth(4)?;
    let built =
        fs::read_dir(target_directory).ok()?.flatten().map(|entry| entry.path().join("release/runsig"));
    built
        .max_by_key(|program| fs::metadata(program).and_then(|file| file.modified()).ok())
        .filter(|program| program.exists())
}
