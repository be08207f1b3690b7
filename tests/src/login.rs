//! A user who has logged in: a systemd of their own (as user@.service is) with its bus, and places outside of it.
//!
//! Owns: the units for that, in a world where systemd runs ([`crate::View::Systemd`], or the guest), and
//! calling programs as the user from a place. Must not: know containers.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::case::require_command;
use crate::harness::tag;
use crate::runtime::{LIMIT, Outcome, finish};
use crate::user::{ID, NAME, User, give};
use crate::{needs, wait};

/// Where a call comes from: the cgroup its process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The user's own tree, as in a terminal that the user's systemd has started.
    Own,
    /// The scope of a login session: in the user's slice, and root's.
    Session,
    /// A cgroup of root's that has nothing to do with the user.
    Root,
}

/// The user's systemd and its bus.
#[derive(Debug)]
pub struct Login {
    /// Who it is.
    pub user: User,
}

impl Default for Login {
    fn default() -> Self {
        Self::new()
    }
}

impl Login {
    /// Starts the system's bus, if need be, and the user's systemd with a bus of its own.
    #[must_use]
    pub fn new() -> Login {
        require_command("dbus-daemon");
        if needs::in_guest() {
            // Its systemd sees the machine's files, not the test's.
            append("/etc/passwd", &format!("{NAME}:x:{ID}:{ID}::/:/bin/sh\n"));
            append("/etc/group", &format!("{NAME}:x:{ID}:\n"));
        }
        let user = User::new();
        let run = user.home.join("run");
        write_unit(&run.join("systemd/user/quick.target"), "[Unit]\nWants=dbus.socket\n");
        give(&run);
        start_system_bus();
        write_unit(
            Path::new(&format!("/run/systemd/system/{}", unit())),
            &format!(
                "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nUser={NAME}\nGroup={NAME}\n\
                 Slice=user-{ID}.slice\nDelegate=yes\nKillMode=mixed\nTimeoutStopSec=5\n\
                 Environment=XDG_RUNTIME_DIR={run} HOME={home}\nUnsetEnvironment=DBUS_SESSION_BUS_ADDRESS\n\
                 ExecStart=/usr/lib/systemd/systemd --user --unit=quick.target\n",
                run = run.display(),
                home = user.home.display()
            ),
        );
        systemctl(&["daemon-reload"]);
        systemctl(&["start", &unit()]);
        wait::expect("the user's bus", || run.join("bus").exists());
        Login { user }
    }

    /// The cgroup of the user's systemd.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("/user.slice/user-{ID}.slice/{}", unit())
    }

    /// A program that the user runs, not yet started.
    #[must_use]
    pub fn command(&self, from: From, program: &str) -> Command {
        let slice = format!("--slice=user-{ID}.slice");
        let mut command = match from {
            From::Own => moved_to(&format!("{}/init.scope", self.cgroup())),
            From::Root => moved_to("/init.scope"),
            From::Session => {
                let mut command = Command::new("systemd-run");
                command.args(["--quiet", "--scope", &slice, "--"]);
                command
            }
        };
        let id = ID.to_string();
        command.args(["setpriv", "--reuid", &id, "--regid", &id, "--init-groups"]).arg(program);
        command.current_dir(&self.user.home).env("HOME", &self.user.home).env("USER", NAME);
        command.env("XDG_RUNTIME_DIR", self.user.home.join("run")).env_remove("DBUS_SESSION_BUS_ADDRESS");
        command
    }

    /// Calls the runtime.
    #[must_use]
    pub fn call(&self, from: From, args: &[&str]) -> Outcome {
        let mut command = self.command(from, self.user.runtime.to_str().expect("utf-8"));
        command.args(args);
        finish(command, LIMIT)
    }

    /// Stops the bus of the system. Only in a world of the test's own.
    pub fn lose_system_bus(&self) {
        systemctl(&["stop", "dbus.socket", "dbus.service"]);
    }

    /// A property of a unit of the user's, as `systemctl --user show` prints it.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let mut command = self.command(From::Own, "systemctl");
        command.args(["--user", "show", "--value", "--property", name, unit]);
        finish(command, LIMIT).ok().text().to_owned()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", &unit()]).status();
        let _ = fs::remove_file(format!("/run/systemd/system/{}", unit()));
    }
}

/// What is `user@ID.service` elsewhere: in the guest tests run side by side.
fn unit() -> String {
    format!("{}.service", tag())
}

/// Adds a line, unless it is there.
fn append(path: &str, line: &str) {
    let text = fs::read_to_string(path).unwrap_or_default();
    if !text.contains(line) {
        fs::write(path, text + line).expect("an account");
    }
}

/// A shell that goes to a cgroup first.
fn moved_to(cgroup: &str) -> Command {
    let mut command = Command::new("sh");
    let enter = format!("echo 0 >/sys/fs/cgroup{cgroup}/cgroup.procs || exit 99; exec \"$@\"");
    command.arg("-c").arg(enter).arg("sh");
    command
}

/// The bus of the system, over which a user's systemd asks that of the host for what it may not do itself.
/// Its own units pull in a whole system.
fn start_system_bus() {
    if is_active("dbus.service") {
        return;
    }
    write_unit(
        Path::new("/run/systemd/system/dbus.socket"),
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    );
    write_unit(
        Path::new("/run/systemd/system/dbus.service"),
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nNotifyAccess=main\n\
         ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
    );
    systemctl(&["daemon-reload"]);
    systemctl(&["start", "dbus.socket", "dbus.service"]);
    wait::expect("systemd on its bus", || {
        let mut command = Command::new("busctl");
        command.args(["status", "org.freedesktop.systemd1"]);
        finish(command, LIMIT).code == 0
    });
}

fn is_active(unit: &str) -> bool {
    let output = Command::new("systemctl").args(["is-active", unit]).output().expect("systemctl");
    output.stdout.starts_with(b"active")
}

fn write_unit(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    fs::write(path, text).expect("a unit");
}

#[track_caller]
fn systemctl(args: &[&str]) {
    let mut command = Command::new("systemctl");
    command.args(args);
    let _ = finish(command, LIMIT).ok();
}
