//! systemd's notifications (sd_notify(3)) out of a container that a service runs.
//!
//! The service's socket stays outside. The container gets a socket of ours, bound read-only at
//! /run/notify; of what arrives there the word that the program is ready is passed on, with the process
//! that systemd is to watch from then on. All of it only where `$NOTIFY_SOCKET` is set.
//!
//! Owns: that socket and its directory in the container's own. Must not: wait for anything else.

use std::ffi::{CString, OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use runsig_proto::plan::{Mount, MountWhat};
use runsig_spec::Plan;
use runsig_spec::plan::HostMount;
use runsig_sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};
use runsig_sys::process::{self, POLLIN, PollFd};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, net};

use crate::error::{Error, Result};
use crate::store::{Container, c_path};

const VARIABLE: &str = "NOTIFY_SOCKET";
/// In the container's directory, and what it is bound to inside.
const DIRECTORY: &str = "notify";
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";
/// How long systemd may take to say that it has read what we sent. runc's bound.
const BARRIER_MS: i64 = 30_000;

/// The service manager's socket, where there is one.
pub(crate) fn manager() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|address| !address.is_empty())
}

/// Adds the container's end to the plan: a bind of a directory that [`make_directory`] makes.
///
/// # Errors
/// When the container's path cannot be a path.
pub(crate) fn add_mount(plan: &mut Plan, container: &Path) -> Result<()> {
    let Some(rootfs) = &mut plan.init.rootfs else { return Ok(()) };
    let source = c_path(&container.join(DIRECTORY))?;
    let index = rootfs.mounts.len();
    rootfs.mounts.push(Mount {
        destination: CString::new(INSIDE).unwrap_or_default(),
        what: MountWhat::Bind { source: source.clone(), recursive: false, tree: -1 },
        set: ATTR_NOSUID | ATTR_NOEXEC | ATTR_NODEV | ATTR_RDONLY,
        clear: 0,
        set_recursive: 0,
        clear_recursive: 0,
        propagation: Vec::new(),
        source,
        copy_up: false,
    });
    if plan.init.namespaces.user {
        // Its user cannot walk to our directory.
        plan.host_mounts.push(HostMount {
            index,
            uid_mappings: Vec::new(),
            gid_mappings: Vec::new(),
            idmap: false,
            recursive_idmap: false,
        });
    }
    Ok(())
}

/// Tells the program where its end is. Not those that are executed later: they are not the service.
pub(crate) fn tell_program(plan: &mut Plan) {
    plan.init.process.env.extend(CString::new(format!("{VARIABLE}={INSIDE}/{SOCKET}")));
}

/// Whether the container was made with an end of its own.
pub(crate) fn has_directory(container: &Container) -> bool {
    container.path.join(DIRECTORY).is_dir()
}

/// Makes the directory that is bound.
///
/// # Errors
/// As mkdir(2).
pub(crate) fn make_directory(container: &Container) -> Result<()> {
    let path = container.path.join(DIRECTORY);
    let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
    made.map_err(Error::std_io("mkdir", &path))
}

/// Listens to the container and speaks to the service manager.
pub(crate) struct Relay {
    socket: UnixDatagram,
    manager: OsString,
}

impl Relay {
    /// Listens, where there is a manager to tell and the container was made with an end.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn listen(container: &Container) -> Result<Option<Self>> {
        let Some(manager) = manager() else { return Ok(None) };
        if !has_directory(container) {
            return Ok(None);
        }
        let path = container.path.join(DIRECTORY).join(SOCKET);
        let socket = bind(container, &path).map_err(Error::std_io("bind", &path))?;
        Ok(Some(Self { socket, manager }))
    }

    /// The descriptor to poll.
    pub(crate) fn raw(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.socket.as_raw_fd()
    }

    /// Waits until the program says that it is ready, or ends. Then systemd watches `main`. That it
    /// cannot be told is no reason for anything: the container runs.
    pub(crate) fn wait(&self, program: BorrowedFd<'_>, main: i32) {
        loop {
            let watch = |fd| PollFd { fd, events: POLLIN, revents: 0 };
            let mut fds = [watch(self.raw()), watch(program.raw())];
            match process::poll(&mut fds, -1) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            let [socket, ended] = fds;
            if socket.revents != 0
                && let Some(ready) = self.hear()
            {
                if let Ok(manager) = self.tell(&ready, main) {
                    // We are about to end, and who has ended cannot be asked who it was.
                    let _ = wait_until_read(&manager);
                }
                return;
            }
            if ended.revents != 0 {
                return;
            }
        }
    }

    /// Reads one message; when it says that the program is ready, passes that on. Returns whether it did.
    pub(crate) fn relay(&self, main: i32) -> bool {
        self.hear().is_some_and(|ready| {
            let _ = self.tell(&ready, main);
            true
        })
    }

    /// The line that says so, of one message.
    fn hear(&self) -> Option<Vec<u8>> {
        let mut message = [0u8; 4096];
        let n = self.socket.recv(&mut message).ok()?;
        ready_line(message.get(..n)?).map(<[u8]>::to_vec)
    }

    fn tell(&self, ready: &[u8], main: i32) -> std::io::Result<UnixDatagram> {
        let manager = UnixDatagram::unbound()?;
        manager.connect_addr(&address(&self.manager)?)?;
        manager.send(&[ready, b"\n"].concat())?;
        manager.send(format!("MAINPID={main}\n").as_bytes())?;
        Ok(manager)
    }
}

fn ready_line(message: &[u8]) -> Option<&[u8]> {
    message.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY="))
}

/// A path, or with `@` a name in the abstract space.
fn address(text: &OsStr) -> std::io::Result<SocketAddr> {
    match text.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(text),
    }
}

/// By way of the directory's descriptor: the whole path can be longer than a socket's may be.
fn bind(container: &Container, path: &Path) -> std::io::Result<UnixDatagram> {
    // One that a killed `start` has left.
    let _ = std::fs::remove_file(path);
    let directory = std::fs::File::open(container.path.join(DIRECTORY))?;
    let directory = OwnedFd::from(directory);
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.raw())).join(SOCKET);
    let socket = UnixDatagram::bind(&short)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(socket)
}

/// The barrier of sd_notify_barrier(3): systemd closes the descriptor we send once it has read all
/// before it.
fn wait_until_read(manager: &UnixDatagram) -> runsig_sys::Result<()> {
    use std::os::fd::AsFd;
    let (reads, writes) = fs::pipe(0)?;
    net::send_with_fds(manager.as_fd().into(), b"BARRIER=1", &[writes.as_fd()])?;
    drop(writes);
    let mut fds = [PollFd { fd: reads.raw(), events: POLLIN, revents: 0 }];
    process::poll(&mut fds, BARRIER_MS).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_it_is_ready_is_found() {
        assert_eq!(ready_line(b"STATUS=up\nREADY=1\nMAINPID=3"), Some(&b"READY=1"[..]));
        assert_eq!(ready_line(b"STATUS=READY=1"), None);
        assert_eq!(ready_line(b""), None);
    }

    #[test]
    fn addresses_are_paths_or_names() {
        assert_eq!(address(OsStr::new("/run/x")).unwrap().as_pathname(), Some(Path::new("/run/x")));
        assert_eq!(address(OsStr::new("@x")).unwrap().as_abstract_name(), Some(&b"x"[..]));
    }
}
