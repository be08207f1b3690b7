//! A whole container: namespaces, a rootfs with a static shell, a second process in it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use runsig_proto::plan::{Device, InitPlan, Kind, Mount, MountWhat, Rootfs, SwitchRoot};
use runsig_proto::{FromInit, Op, frame};
use runsig_sys::fd::CWD;
use runsig_sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, MS_REC, MS_SLAVE};
use runsig_sys::process::{
    self, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, ExitStatus,
};
use runsig_sys::{OwnedFd, fs, net, term};

use crate::harness::{Init, c, is_root, script};

const NAMESPACES: u64 = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
const SHELL: &str = "/bin/busybox";

/// A rootfs with busybox; removed at the end.
struct Root(PathBuf);

impl Root {
    /// `None`, with the reason printed, where a container cannot be made.
    fn new(name: &str) -> Option<Self> {
        if !is_root() {
            return None;
        }
        let shell = std::fs::read(SHELL).ok().filter(|elf| !has_interpreter(elf));
        let Some(shell) = shell else {
            eprintln!("skipped: needs a static busybox at {SHELL}");
            return None;
        };
        let path = std::env::temp_dir().join(format!("runsig-init-root-{name}-{}", std::process::id()));
        for directory in ["bin", "etc", "proc", "dev"] {
            std::fs::create_dir_all(path.join(directory)).unwrap();
        }
        std::fs::write(path.join("bin/busybox"), shell).unwrap();
        std::fs::set_permissions(path.join("bin/busybox"), std::fs::metadata(SHELL).unwrap().permissions())
            .unwrap();
        for applet in ["sh", "cat", "ifconfig", "grep", "stty", "stat"] {
            symlink("busybox", path.join("bin").join(applet)).unwrap();
        }
        std::fs::write(path.join("etc/passwd"), "app:x:77:77::/srv/app:/bin/sh\n").unwrap();
        Some(Self(path))
    }

    fn plan(&self, text: &str) -> InitPlan {
        let mut plan = script(text);
        plan.kind = Kind::Create;
        plan.namespaces.mount = true;
        plan.loopback = true;
        plan.hostname = Some(c("boxed"));
        plan.process.env = vec![c("PATH=/bin")];
        plan.rootfs = Some(Rootfs {
            path: c(self.0.to_str().unwrap()),
            propagation: MS_SLAVE | MS_REC,
            final_propagation: 0,
            switch: SwitchRoot::Pivot,
            mounts: vec![
                mount("proc", "/proc", &[]),
                mount("tmpfs", "/dev", &[("mode", "755")]),
                mount("devpts", "/dev/pts", &[("mode", "0620"), ("ptmxmode", "0666")]),
            ],
            devices: [("/dev/null", 3), ("/dev/zero", 5)]
                .map(|(path, minor)| Device {
                    path: c(path),
                    mode: fs::S_IFCHR | 0o666,
                    major: 1,
                    minor,
                    uid: 0,
                    gid: 0,
                })
                .into(),
            bind_devices: false,
            setup_dev: true,
            masked: vec![],
            readonly_paths: vec![c("/proc/sys")],
            readonly: true,
            mount_label: None,
        });
        plan
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether an ELF file needs a dynamic linker.
fn has_interpreter(elf: &[u8]) -> bool {
    elf.windows(7).take(4096).any(|window| window == b"/lib64/" || window == b"/lib/ld")
}

fn mount(fstype: &str, destination: &str, options: &[(&str, &str)]) -> Mount {
    let devices = if fstype == "proc" { ATTR_NODEV } else { 0 };
    Mount {
        destination: c(destination),
        what: MountWhat::FileSystem {
            fstype: c(fstype),
            source: c(fstype),
            options: options.iter().map(|(key, value)| (c(key), Some(c(value)))).collect(),
            tree: -1,
        },
        set: ATTR_NOSUID | ATTR_NOEXEC | devices,
        clear: 0,
        set_recursive: 0,
        clear_recursive: 0,
        propagation: vec![],
        source: c(fstype),
        copy_up: false,
    }
}

#[test]
fn everything_is_in_place_when_the_program_starts() {
    let Some(root) = Root::new("place") else { return };
    let mut plan = root.plan(
        r#"[ $$ = 1 ] && [ "$(cat /proc/sys/kernel/hostname) $(cat /proc/sys/net/ipv4/ip_forward)" = "boxed 1" ] &&
           [ "$PWD $HOME" = "/made/here /srv/app" ] && ifconfig lo | grep -q UP &&
           ! echo 0 2>/dev/null >/proc/sys/net/ipv4/ip_forward && ! echo 2>/dev/null >/new && [ ! -e /proc/1/fd/3 ]"#,
    );
    plan.sysctl = vec![(c("net/ipv4/ip_forward"), c("1"))];
    plan.process.cwd = c("/made/here");
    (plan.process.uid, plan.process.gid) = (77, 77);
    let init = Init::start(plan, NAMESPACES, &[]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(0)));
}

/// The runtime makes it while mounts are made, and everything that is about a network has to see it: sysfs of
/// whose devices there are, sysctls, the program.
#[test]
fn a_network_namespace_that_follows_is_entered_before_anything_needs_it() {
    let Some(root) = Root::new("follows") else { return };
    let mut plan = root.plan(
        r#"[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] && [ "$(echo /sys/class/net/*)" = /sys/class/net/lo ] &&
           ifconfig lo | grep -q UP"#,
    );
    plan.loopback = false;
    plan.namespaces.network_follows = true;
    plan.sysctl = vec![(c("net/ipv4/ip_forward"), c("1"))];
    plan.rootfs.as_mut().unwrap().mounts.push(mount("sysfs", "/sys", &[]));
    let init = Init::start(plan, NAMESPACES & !CLONE_NEWNET, &[]);
    // A thread of its own goes there and does not come back.
    let made = std::thread::spawn(|| {
        process::unshare(CLONE_NEWNET).unwrap();
        net::loopback_up().unwrap();
        fs::openat(CWD, c"/proc/thread-self/ns/net", fs::O_RDONLY, 0).unwrap()
    });
    let sync = init.sync.as_ref().unwrap();
    frame::send_descriptor(sync.as_fd(), frame::NETWORK, made.join().unwrap().as_fd()).unwrap();
    assert_eq!(init.next(), Some(FromInit::Ready));
    init.go(b"");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(0)));
}

/// The runtime may be about to send the network when the init gives up before it needs it.
#[test]
fn a_failure_before_the_network_follows_is_told() {
    let Some(root) = Root::new("early") else { return };
    let mut plan = root.plan("exit 0");
    plan.namespaces.network_follows = true;
    plan.rootfs.as_mut().unwrap().mounts.insert(0, mount("proc", "/etc/passwd", &[]));
    let init = Init::start(plan, NAMESPACES & !CLONE_NEWNET, &[]);
    let sync = init.sync.as_ref().unwrap();
    // Whether it is still there or not.
    let _ = frame::send_descriptor(sync.as_fd(), frame::NETWORK, sync.as_fd());
    let message = init.next();
    let Some(FromInit::Failed { op, subject, .. }) = message else { panic!("{message:?}") };
    assert_eq!((op, subject), (Op::MountPoint, c("/etc/passwd")));
}

/// CVE-2024-21626: a working directory through a descriptor of the host's.
#[test]
fn a_working_directory_outside_the_root_is_refused() {
    let Some(root) = Root::new("outside") else { return };
    let host = fs::openat(CWD, c"/usr", fs::O_RDONLY | fs::O_DIRECTORY, 0).unwrap();
    let mut plan = root.plan("exit 0");
    plan.process.cwd = c(&format!("/proc/self/fd/{}", host.raw()));
    let init = Init::start(plan, NAMESPACES, &[host.raw()]);
    let message = init.next();
    let Some(FromInit::Failed { op, .. }) = message else { panic!("{message:?}") };
    assert_eq!(op, Op::CwdOutside);
}

/// What a sysctl may not do: leave /proc/sys.
#[test]
fn a_sysctl_outside_proc_sys_is_refused() {
    let Some(root) = Root::new("sysctl") else { return };
    for path in ["../sysrq-trigger", "net/../../sysrq-trigger"] {
        let mut plan = root.plan("exit 0");
        plan.sysctl = vec![(c(path), c("?"))];
        let init = Init::start(plan, NAMESPACES, &[]);
        let message = init.next();
        let Some(FromInit::Failed { op, subject, .. }) = message else { panic!("{message:?}") };
        assert_eq!((op, subject), (Op::Sysctl, c(path)));
    }
}

const TERMINAL: &str = r#"[ -t 0 ] && [ "$(stty size)" = "10 20" ] && [ $(stat -c %u /dev/pts/0) = 77 ]"#;

fn receive_master(socket: &OwnedFd) -> OwnedFd {
    let (mut name, mut fds) = ([0; 64], [const { None }; 1]);
    net::recv_with_fds(socket.as_fd(), &mut name, &mut fds).unwrap();
    fds[0].take().unwrap()
}

fn with_terminal(mut plan: InitPlan, socket: &OwnedFd) -> InitPlan {
    plan.process.terminal = true;
    plan.process.console_size = Some((10, 20));
    plan.fds.console = socket.raw();
    (plan.process.uid, plan.process.gid) = (77, 77);
    plan
}

#[test]
fn a_terminal_comes_from_the_containers_devpts() {
    let Some(root) = Root::new("terminal") else { return };
    let (ours, theirs) = net::socketpair().unwrap();
    let plan = root.plan(&format!("{TERMINAL} && [ \"$(stat -c %t /dev/console)\" = 88 ]"));
    let init = Init::start(with_terminal(plan, &theirs), NAMESPACES, &[theirs.raw()]);
    assert_eq!(init.next(), Some(FromInit::Ready));
    let master = receive_master(&ours);
    assert_eq!(term::size(master.as_fd()), Ok((10, 20)));
    init.go(b"");
    assert_eq!((init.next(), init.end()), (None, ExitStatus::Exited(0)));
}

/// CVE-2025-52565: a ptmx that is something else.
#[test]
fn a_false_ptmx_is_refused() {
    let Some(root) = Root::new("ptmx") else { return };
    let (_ours, theirs) = net::socketpair().unwrap();
    let mut plan = with_terminal(root.plan("exit 0"), &theirs);
    let rootfs = plan.rootfs.as_mut().unwrap();
    rootfs.mounts[2] = mount("tmpfs", "/dev/pts", &[]);
    let init = Init::start(plan, NAMESPACES, &[theirs.raw()]);
    let message = init.next();
    let Some(FromInit::Failed { op, subject, .. }) = message else { panic!("{message:?}") };
    assert_eq!((op, subject), (Op::Console, c("/dev/pts/ptmx")));
}

#[test]
fn a_second_process_joins_with_a_terminal_of_its_own() {
    let Some(root) = Root::new("second") else { return };
    let first = Init::start(root.plan("while :; do read line; done < /dev/zero"), NAMESPACES, &[]);
    assert_eq!(first.next(), Some(FromInit::Ready));
    first.go(b"");
    assert_eq!(first.next(), None);
    let (ours, theirs) = net::socketpair().unwrap();
    let mut plan =
        with_terminal(script(&format!("{TERMINAL} && [ $$ != 1 ] && [ \"$HOME\" = /srv/app ]")), &theirs);
    plan.process.env = vec![c("PATH=/bin")];
    let join = [(first.child.pidfd.as_fd(), NAMESPACES)];
    let second = Init::start_in(plan, &join, 0, &[theirs.raw()]);
    assert_eq!(second.next(), Some(FromInit::Ready));
    let _master = receive_master(&ours);
    second.go(b"");
    assert_eq!((second.next(), second.end()), (None, ExitStatus::Exited(0)));
}
