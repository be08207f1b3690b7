//! Everything the init has to do, resolved and validated.
//!
//! Owns: the types. Paths are absolute and clean, names are numbers, option words are bits, maps
//! and filters are bytes. Descriptors are numbers the init inherited; -1 stands for none.
//! The runtime fills in the descriptors, `runsig-spec` everything else.

use alloc::ffi::CString;
use alloc::vec::Vec;

use crate::wire::{wire_enum, wire_struct};

wire_struct! {
    /// What one init does.
    pub struct InitPlan {
        /// Whether it makes a container or joins one.
        pub kind: Kind,
        /// The descriptors it inherited.
        pub fds: Fds,
        /// Namespaces left to enter or to make: those that clone could not.
        pub namespaces: Namespaces,
        /// Bring up the loopback interface (a new network namespace).
        pub loopback: bool,
        /// The file system, for a container that is made.
        pub rootfs: Option<Rootfs>,
        /// Host name, in a UTS namespace of our own.
        pub hostname: Option<CString>,
        /// NIS domain name, in a UTS namespace of our own.
        pub domainname: Option<CString>,
        /// Paths below /proc/sys and what to write there.
        pub sysctl: Vec<(CString, CString)>,
        /// Tell the runtime when its hooks may run, and wait.
        pub runtime_hooks: bool,
        /// Hooks in the runtime's paths and the container's namespaces, before the root changes.
        pub create_container: Vec<Hook>,
        /// Hooks inside the container, after `start` and before the program.
        pub start_container: Vec<Hook>,
        /// Name of a new session keyring.
        pub keyring: Option<CString>,
        /// The program.
        pub process: Process,
        /// Stay as the container's PID 1 and run the program as a child.
        pub resident: Option<Resident>,
    }
}

impl InitPlan {
    /// One more process in namespaces that are there: nothing is made but the process.
    #[must_use]
    pub fn joining(fds: Fds, namespaces: Namespaces, process: Process) -> Self {
        InitPlan {
            kind: Kind::Exec,
            fds,
            namespaces,
            loopback: false,
            rootfs: None,
            hostname: None,
            domainname: None,
            sysctl: Vec::new(),
            runtime_hooks: false,
            create_container: Vec::new(),
            start_container: Vec::new(),
            keyring: None,
            process,
            resident: None,
        }
    }
}

wire_struct! {
    /// How an init that stays treats signals and the end of its main process.
    pub struct Resident {
        /// Who gets a signal that the init gets.
        pub forward: Forward,
        /// Signals to forward as others: (from, to); 0 drops it.
        pub rewrite: Vec<(u32, u32)>,
        /// What the others are sent when the main process has ended.
        pub stop_signal: u32,
        /// How long they have then, in milliseconds; 0: nothing is sent, the init ends at once.
        pub linger_ms: u64,
        /// Exit codes to end with in the place of others: (from, to).
        pub exit_remap: Vec<(u32, u32)>,
    }
}

wire_enum! {
    /// Who gets a signal that a resident init gets.
    pub enum Forward {
        /// The main process.
        Child = 1,
        /// The main process's group.
        Group = 2,
        /// Every process of the container.
        All = 3,
    }
}

wire_enum! {
    /// What an init is for.
    pub enum Kind {
        /// The first process of a new container.
        Create = 1,
        /// One more process in a running container.
        Exec = 2,
    }
}

wire_struct! {
    /// Inherited descriptors, by number.
    pub struct Fds {
        /// Where `start` is awaited: the read end of the exec fifo, -1 to go on at once (`run`, `exec`).
        pub exec_fifo: i32,
        /// A connected unix socket that gets the terminal's master, -1 without a terminal.
        pub console: i32,
        /// Descriptors 3 to 2+n are the container's.
        pub preserve: u32,
    }
}

wire_struct! {
    /// Namespaces beyond those of the clone.
    #[derive(Default)]
    pub struct Namespaces {
        /// Enter these, in order: (`CLONE_NEW*`, descriptor, path for messages).
        pub join: Vec<(u64, i32, CString)>,
        /// Make these (the cgroup namespace, whose root has to be the final cgroup; the time
        /// namespace, whose offsets are written before anyone is in it).
        pub unshare: u64,
        /// Contents for /proc/self/timens_offsets; empty for none.
        pub time_offsets: Vec<u8>,
        /// The container has a user namespace that is not the host's.
        pub user: bool,
        /// The container has a mount namespace that is not the host's.
        pub mount: bool,
        /// A new network namespace comes over the sync socket: the runtime makes it meanwhile.
        pub network_follows: bool,
    }
}

wire_struct! {
    /// The container's file system.
    pub struct Rootfs {
        /// Where it is on the host.
        pub path: CString,
        /// `MS_*` propagation of the whole tree before anything is mounted (`MS_SLAVE|MS_REC` by
        /// default, `linux.rootfsPropagation` otherwise).
        pub propagation: u64,
        /// Propagation given in the bundle, to set on the container's root at the end; 0 for none.
        pub final_propagation: u64,
        /// How to make it the root.
        pub switch: SwitchRoot,
        /// Mounts, in order.
        pub mounts: Vec<Mount>,
        /// Device nodes, in order.
        pub devices: Vec<Device>,
        /// Bind devices from the host instead of making nodes (user namespaces).
        pub bind_devices: bool,
        /// The container gets its own /dev: make /dev/fd, /dev/stdin, /dev/ptmx and the like.
        pub setup_dev: bool,
        /// Paths to hide.
        pub masked: Vec<CString>,
        /// Paths to make read-only.
        pub readonly_paths: Vec<CString>,
        /// Make the root read-only.
        pub readonly: bool,
        /// SELinux label for file systems we mount.
        pub mount_label: Option<CString>,
    }
}

wire_enum! {
    /// How the rootfs becomes the root.
    pub enum SwitchRoot {
        /// pivot_root(2).
        Pivot = 1,
        /// Moving the mount over `/` and chroot (`--no-pivot`, for a root on the initial ramfs).
        Move = 2,
        /// chroot(2) alone: there is no mount namespace of our own.
        Chroot = 3,
    }
}

wire_struct! {
    /// One mount.
    pub struct Mount {
        /// Where, absolute inside the container.
        pub destination: CString,
        /// What.
        pub what: MountWhat,
        /// `ATTR_*` to set on the mount.
        pub set: u64,
        /// `ATTR_*` to clear (a bind mount's `rw`, `suid`, ...).
        pub clear: u64,
        /// `ATTR_*` to set on the whole tree (`rro`, ...).
        pub set_recursive: u64,
        /// `ATTR_*` to clear on the whole tree.
        pub clear_recursive: u64,
        /// `MS_SHARED` and its like, each with or without `MS_REC`, in order.
        pub propagation: Vec<u64>,
        /// Source as the bundle gives it, for messages.
        pub source: CString,
        /// Copy what the destination held into the new tmpfs.
        pub copy_up: bool,
    }
}

wire_enum! {
    /// What is mounted.
    pub enum MountWhat {
        /// A file or directory of the host.
        Bind {
            /// Absolute path on the host.
            source: CString,
            /// With the mounts below it.
            recursive: bool,
            /// A detached tree the runtime has made of it already (sources that a user namespace could not
            /// reach), or -1. With `ATTR_IDMAP` in the mount's `set` the init asks for it in its turn.
            tree: i32,
        } = 1,
        /// A new file system.
        FileSystem {
            /// Its type.
            fstype: CString,
            /// Its source.
            source: CString,
            /// Its own options.
            options: Vec<(CString, Option<CString>)>,
            /// A detached mount the runtime has made of it already (idmapped), or -1.
            tree: i32,
        } = 2,
        /// A view of the container's cgroups.
        Cgroup {
            /// Where the host's cgroup tree of this container is, for a bind: cgroup v2 directory.
            /// On v1 one entry a hierarchy: (mount point name such as `cpu,cpuacct`, host directory).
            v2: Option<CString>,
            /// See `v2`.
            v1: Vec<(CString, CString)>,
            /// Names other than the mount point that lead there by a link: (`cpu`, `cpu,cpuacct`).
            links: Vec<(CString, CString)>,
            /// The container has a cgroup namespace: mount afresh instead of binding.
            namespace: bool,
        } = 3,
    }
}

wire_struct! {
    /// One device node.
    pub struct Device {
        /// Where, absolute inside the container.
        pub path: CString,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permissions.
        pub mode: u32,
        /// Major number.
        pub major: u32,
        /// Minor number.
        pub minor: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
    }
}

wire_struct! {
    /// A program that is run at one point of the lifecycle, with the state on its standard input.
    pub struct Hook {
        /// Absolute path.
        pub path: CString,
        /// Arguments; the first is the name. Empty: the path.
        pub args: Vec<CString>,
        /// Environment.
        pub env: Vec<CString>,
        /// Seconds before it is killed and counts as failed.
        pub timeout: Option<u32>,
    }
}

wire_struct! {
    /// The program of a container or of an exec.
    #[derive(Default)]
    pub struct Process {
        /// Arguments; the first is what is looked for and executed.
        pub args: Vec<CString>,
        /// Environment.
        pub env: Vec<CString>,
        /// Working directory.
        pub cwd: CString,
        /// User.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// Supplementary groups.
        pub groups: Vec<u32>,
        /// Leave supplementary groups alone: the user namespace denies setgroups.
        pub keep_groups: bool,
        /// File mode creation mask.
        pub umask: u32,
        /// (`RLIMIT_*`, soft, hard), set before the privileges go.
        pub rlimits: Vec<(u32, u64, u64)>,
        /// Capability sets; `None` leaves them as they are.
        pub capabilities: Option<Capabilities>,
        /// Set no_new_privs.
        pub no_new_privs: bool,
        /// Scheduler.
        pub scheduler: Option<Scheduler>,
        /// I/O class and level.
        pub io_priority: Option<(u32, u32)>,
        /// CPU mask of the program, in 64-bit words.
        pub affinity: Option<Vec<u64>>,
        /// NUMA mode (with flags) and nodes, in 64-bit words.
        pub memory_policy: Option<(u32, Vec<u64>)>,
        /// Execution domain.
        pub personality: Option<u32>,
        /// System call filter.
        pub seccomp: Option<Seccomp>,
        /// AppArmor profile.
        pub apparmor: Option<CString>,
        /// SELinux label.
        pub selinux: Option<CString>,
        /// Give it a terminal.
        pub terminal: bool,
        /// Rows and columns.
        pub console_size: Option<(u16, u16)>,
    }
}

wire_struct! {
    /// Capability sets as bit masks; bit n is capability n.
    pub struct Capabilities {
        /// Bounding.
        pub bounding: u64,
        /// Effective.
        pub effective: u64,
        /// Permitted.
        pub permitted: u64,
        /// Inheritable.
        pub inheritable: u64,
        /// Ambient.
        pub ambient: u64,
    }
}

wire_struct! {
    /// What sched_setattr(2) gets.
    pub struct Scheduler {
        /// `SCHED_*`.
        pub policy: u32,
        /// `SCHED_FLAG_*`.
        pub flags: u64,
        /// Nice value.
        pub nice: i32,
        /// Priority.
        pub priority: u32,
        /// Nanoseconds.
        pub runtime: u64,
        /// Nanoseconds.
        pub deadline: u64,
        /// Nanoseconds.
        pub period: u64,
    }
}

wire_struct! {
    /// A compiled system call filter.
    pub struct Seccomp {
        /// `SECCOMP_FILTER_FLAG_*`.
        pub flags: u32,
        /// Classic BPF: eight bytes an instruction, in this machine's byte order.
        pub program: Vec<u8>,
        /// It has a notify action: the listener goes to the runtime.
        pub notify: bool,
    }
}
