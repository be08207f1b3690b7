//! A user without privilege, with the configuration that `spec --rootless` writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use runsig_tests::case::require_command;
use runsig_tests::runtime::{Runtime, finish};
use runsig_tests::{Bundle, Case, Outcome, cases, harness, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "rootless": runs, lives_and_dies];

const NOBODY: &str = "65534";

/// Runs a script as nobody, in a bundle of its own, with the runtime as `$R`.
fn as_nobody(script: &str) -> Outcome {
    require_command("setpriv");
    let bundle = Bundle::new();
    let dir = harness::test_dir();
    let runtime = dir.join("runtime");
    fs::copy(Runtime::path(), &runtime).expect("copy the runtime");
    for path in [&dir, &runtime] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let chown = Command::new("chown").args(["-R", NOBODY]).arg(&bundle.dir).status();
    assert!(chown.expect("chown").success());
    let set_up = "mkdir -p run && $R spec --rootless && \
        sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sh\", \"-c\", \"id -u; exec sleep 0\"/' config.json";
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c"])
        .arg(format!("{set_up} && {script}"))
        .current_dir(&bundle.dir)
        .env("R", &runtime)
        .env("XDG_RUNTIME_DIR", bundle.dir.join("run"))
        .env("HOME", &bundle.dir);
    finish(command, wait::SOON)
}

fn runs() {
    assert_eq!(as_nobody("$R run r").ok().text(), "0", "root inside");
}

fn lives_and_dies() {
    let script = "sed -i 's/sleep [^\"]*/sleep 100/' config.json && $R run -d r </dev/null >out 2>&1 && \
        $R exec r id -u && $R kill r KILL && \
        for i in 1 2 3 4 5 6 7 8 9; do $R delete r 2>err && break; sleep 0.1; done; $R list -q; echo end";
    assert_eq!(as_nobody(script).ok().text(), "0\nend");
}
