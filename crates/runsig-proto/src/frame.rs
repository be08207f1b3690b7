//! What the two sides say to each other, and how a message is framed on the sync socket.
//!
//! The conversation, in order (`->` from the runtime, `<-` from the init):
//! ```text
//! -> Plan                     always first
//! -> a descriptor             the network namespace; only if the plan says that it follows
//! <- Tree { mount }           for each idmapped bind mount, in its turn
//! -> a byte with a descriptor the detached tree to attach
//! <- Hooks                    namespaces are made; only if the plan asks for runtime hooks
//! -> Go { state }             after prestart and createRuntime hooks have run
//! <- SeccompListener { fd }   only with a notify filter; the runtime copies it by pidfd_getfd
//! -> Go { state }             (state is empty)
//! <- Ready                    everything is done but the exec
//! -> Go { state }             the state is on disk; state JSON for startContainer hooks
//! ```
//! then a created container waits for its exec fifo, and any other execs: the end of the stream
//! after the last `Go` means that the program runs. `Failed` may come instead of any message from
//! the init, which then ends. The end of the stream makes the init end too: a runtime that is
//! killed leaves no half-made container running.
//!
//! Owns: the messages. Must not: read or write descriptors by itself beyond one whole frame.

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;

use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, net};

use crate::plan::InitPlan;
use crate::wire::{Wire, decode, encode, wire_enum};

wire_enum! {
    /// A message to the init.
    #[allow(clippy::large_enum_variant, reason = "a message lives for one send or receive")]
    pub enum ToInit {
        /// What to do.
        Plan {
            /// All of it.
            plan: InitPlan,
        } = 1,
        /// Go on.
        Go {
            /// The OCI state as JSON, for hooks the init runs next; may be empty.
            state: Vec<u8>,
        } = 2,
    }
}

wire_enum! {
    /// A message from the init.
    pub enum FromInit {
        /// The namespaces exist: the runtime's hooks may run.
        Hooks = 1,
        /// The number of a seccomp listener in the init's descriptor table.
        SeccompListener {
            /// The number.
            fd: i32,
        } = 2,
        /// All is done but the exec.
        Ready = 3,
        /// Something failed; the init ends.
        Failed {
            /// What was being done.
            op: Op,
            /// With what: a path, a name, a number in words; may be empty.
            subject: CString,
            /// More about it (a mount's source, a hook's exit status); may be empty.
            detail: CString,
            /// The error number; 0 where there is none.
            errno: i32,
        } = 4,
        /// An idmapped bind mount has its turn: what it shows may be a mount made just before it, and only the
        /// runtime may shift its owners. It answers by a descriptor of that kind ([`TREE`]).
        Tree {
            /// Which of the plan's mounts.
            mount: u32,
        } = 5,
    }
}

wire_enum! {
    /// What the init was doing when it failed.
    pub enum Op {
        /// Reading or decoding its plan.
        Plan = 0,
        /// Entering the namespace at `subject`.
        JoinNamespace = 1,
        /// Making namespaces.
        Unshare = 2,
        /// Writing the time namespace's offsets.
        TimeOffsets = 3,
        /// Setting up the network (loopback).
        Network = 4,
        /// Preparing the rootfs at `subject`: propagation, binding it.
        PrepareRoot = 5,
        /// Mounting at `subject`, from `detail`.
        Mount = 6,
        /// Making the place to mount on at `subject`.
        MountPoint = 7,
        /// Making the device `subject`.
        Device = 8,
        /// Making the link `subject`.
        Link = 9,
        /// Running hook `subject`; `detail` says how it ended.
        Hook = 10,
        /// pivot_root, move or chroot.
        SwitchRoot = 11,
        /// Making the terminal or sending its master.
        Console = 12,
        /// Setting the host name.
        Hostname = 13,
        /// Setting the domain name.
        Domainname = 14,
        /// Writing sysctl `subject`.
        Sysctl = 15,
        /// Masking path `subject`.
        MaskPath = 16,
        /// Making path `subject` read-only.
        ReadonlyPath = 17,
        /// Making the root read-only.
        ReadonlyRoot = 18,
        /// Setting the LSM label `subject`.
        Label = 19,
        /// Joining the session keyring.
        Keyring = 20,
        /// Setting the scheduler.
        Scheduler = 21,
        /// Setting the I/O priority.
        IoPriority = 22,
        /// Setting the CPU affinity.
        Affinity = 23,
        /// Setting the memory policy.
        MemoryPolicy = 24,
        /// Setting the personality.
        Personality = 25,
        /// Setting no_new_privs.
        NoNewPrivs = 26,
        /// Setting capabilities.
        Capabilities = 27,
        /// Setting supplementary groups.
        Groups = 28,
        /// Setting the group.
        Gid = 29,
        /// Setting the user.
        Uid = 30,
        /// Loading the seccomp filter.
        Seccomp = 31,
        /// Changing to the working directory `subject`.
        Cwd = 32,
        /// The working directory is outside the container's root.
        CwdOutside = 33,
        /// Looking for the executable `subject`.
        FindExecutable = 34,
        /// Executing `subject`.
        Exec = 35,
        /// Waiting on the exec fifo.
        ExecFifo = 36,
        /// Talking to the runtime.
        Sync = 37,
        /// Closing or passing descriptors.
        Descriptors = 38,
        /// Moving a network device `subject`.
        NetDevice = 39,
        /// Making the session or the signal handlers.
        Session = 40,
        /// Setting resource limit number `subject`.
        Rlimit = 41,
        /// Starting the main process of a resident init.
        Fork = 42,
    }
}

impl Op {
    /// A few words for messages.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Plan => "reading the plan",
            Self::JoinNamespace => "joining a namespace",
            Self::Unshare => "creating namespaces",
            Self::TimeOffsets => "setting time offsets",
            Self::Network => "setting up the loopback interface",
            Self::PrepareRoot => "preparing the rootfs",
            Self::Mount => "mounting",
            Self::MountPoint => "making a mount point",
            Self::Device => "creating a device",
            Self::Link => "creating a link",
            Self::Hook => "running a hook",
            Self::SwitchRoot => "changing the root",
            Self::Console => "setting up the console",
            Self::Hostname => "setting the hostname",
            Self::Domainname => "setting the domainname",
            Self::Sysctl => "writing a sysctl",
            Self::MaskPath => "masking a path",
            Self::ReadonlyPath => "making a path read-only",
            Self::ReadonlyRoot => "making the rootfs read-only",
            Self::Label => "setting the security label",
            Self::Keyring => "joining the session keyring",
            Self::Scheduler => "setting the scheduler",
            Self::IoPriority => "setting the io priority",
            Self::Affinity => "setting the CPU affinity",
            Self::MemoryPolicy => "setting the memory policy",
            Self::Personality => "setting the personality",
            Self::NoNewPrivs => "setting no_new_privs",
            Self::Capabilities => "unable to apply caps",
            Self::Groups => "setgroups",
            Self::Gid => "setgid",
            Self::Uid => "setuid",
            Self::Seccomp => "loading the seccomp filter",
            Self::Cwd => "changing to the working directory",
            Self::CwdOutside => "checking the working directory",
            Self::FindExecutable => "finding the executable",
            Self::Exec => "exec",
            Self::ExecFifo => "waiting on the exec fifo",
            Self::Sync => "talking to the runtime",
            Self::Descriptors => "passing descriptors",
            Self::NetDevice => "moving a network device",
            Self::Session => "starting a session",
            Self::Rlimit => "error setting rlimit type",
            Self::Fork => "starting the main process",
        }
    }
}

/// The longest frame accepted: a plan holds a whole environment and a filter, and no more.
const LONGEST: usize = 64 << 20;

/// One message as it goes over the socket: its length, then its body.
#[must_use]
pub fn to_bytes<T: Wire>(message: &T) -> Vec<u8> {
    let body = encode(message);
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Sends one message. A closed other side gives `EPIPE`, never a SIGPIPE.
///
/// # Errors
/// As sendmsg(2).
pub fn send<T: Wire>(sock: BorrowedFd<'_>, message: &T) -> Result<(), Errno> {
    let bytes = to_bytes(message);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let sent = net::send_with_fds(sock, rest, &[])?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// The byte that a detached tree comes with: the answer to [`FromInit::Tree`].
pub const TREE: u8 = b't';
/// The byte that a network namespace comes with.
pub const NETWORK: u8 = b'n';

/// Sends a descriptor between two messages, with the byte that says what it is.
///
/// # Errors
/// As sendmsg(2).
pub fn send_descriptor(sock: BorrowedFd<'_>, what: u8, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    net::send_with_fds(sock, &[what], &[descriptor]).map(|_| ())
}

/// Receives a descriptor where the conversation has one.
///
/// # Errors
/// `ECONNRESET` when the other side is gone, `EPROTO` for anything else than `what`; as recvmsg(2).
pub fn receive_descriptor(sock: BorrowedFd<'_>, what: u8) -> Result<OwnedFd, Errno> {
    let (mut byte, mut fds) = ([0u8], [None]);
    match net::recv_with_fds(sock, &mut byte, &mut fds)? {
        0 => Err(Errno::ECONNRESET),
        _ => fds.into_iter().flatten().next().filter(|_| byte == [what]).ok_or(Errno::EPROTO),
    }
}

/// Receives one message; `None` when the other side is gone.
///
/// # Errors
/// `EPROTO` for bytes that are no message, `EMSGSIZE` for one that is too long; as read(2).
pub fn receive<T: Wire>(sock: BorrowedFd<'_>) -> Result<Option<T>, Errno> {
    let mut len = [0u8; 4];
    match fs::read_exact(sock, &mut len) {
        Ok(()) => {}
        Err(Errno::ENODATA | Errno::ECONNRESET) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > LONGEST {
        return Err(Errno::EMSGSIZE);
    }
    let mut body = vec![0u8; len];
    match fs::read_exact(sock, &mut body) {
        Ok(()) => {}
        Err(Errno::ENODATA | Errno::ECONNRESET) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    decode(&body).map(Some).map_err(|_| Errno::EPROTO)
}
