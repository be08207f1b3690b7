//! A connection to systemd, or to the bus it is on.
//!
//! Owns: finding it, saying who we are, calls with a bound on the wait, and the signals that come in
//! between. Must not: know what systemd's methods do.

use std::collections::VecDeque;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use runsig_sys::process::{self, POLLIN, PollFd};
use runsig_sys::{Errno, OwnedFd, fs, net};

use super::message::{self, Call, Incoming, Kind, PREFIX};
use super::value::Value;

/// systemd's own socket; for root alone. Nobody in between, and every signal comes unasked.
const PRIVATE: &str = "/run/systemd/private";
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Nobody waits longer for an answer. systemd answers while it does not reload; runc's bound for jobs.
const BOUND_NS: u64 = 30_000_000_000;
/// Signals that are kept until somebody asks for them.
const MOST_SIGNALS: usize = 1024;

/// What went wrong on the way to systemd, or there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusError {
    /// No way to it: why.
    Connect(String),
    /// There is a socket, and nobody listens: systemd is gone, or it restarts.
    Away(String),
    /// The connection broke.
    Closed(String),
    /// What came was no D-Bus, or not what was asked for.
    Broken(String),
    /// systemd took the job and did not do it.
    Job(String),
    /// Nothing came for half a minute.
    Timeout,
    /// systemd refused: the error's name and its text.
    Refused {
        /// Such as `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// For people.
        message: String,
    },
}

impl BusError {
    /// Whether the same may go well in a moment: systemd or its bus restarts (`systemctl daemon-reexec`).
    pub(crate) fn is_interruption(&self) -> bool {
        match self {
            Self::Away(_) | Self::Closed(_) => true,
            // The bus says so of a systemd that has left it and is not back yet.
            Self::Refused { name, .. } => matches!(
                name.strip_prefix("org.freedesktop.DBus.Error."),
                Some("NoReply" | "Disconnected" | "NameHasNoOwner" | "ServiceUnknown")
            ),
            _ => false,
        }
    }

    /// Whether systemd refused with this error of its own.
    pub(crate) fn is(&self, short: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name.strip_prefix("org.freedesktop.systemd1.") == Some(short))
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) | Self::Away(why) => write!(
                f,
                "failed to connect to dbus (hint: for rootless containers, maybe you need to install \
                 dbus-user-session package): {why}"
            ),
            Self::Closed(why) | Self::Broken(why) => write!(f, "connection to systemd: {why}"),
            Self::Job(why) => f.write_str(why),
            Self::Timeout => f.write_str("timeout waiting for systemd"),
            Self::Refused { name, message } if message.is_empty() => f.write_str(name),
            Self::Refused { message, .. } => f.write_str(message),
        }
    }
}

type Result<T> = std::result::Result<T, BusError>;

/// Whose systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// The host's.
    System,
    /// The calling user's.
    User,
}

/// An open connection.
pub(crate) struct Bus {
    socket: OwnedFd,
    serial: u32,
    received: Vec<u8>,
    signals: VecDeque<Incoming>,
    /// There is a bus between us: signals have to be asked for.
    pub(crate) is_brokered: bool,
}

impl Bus {
    /// Connects: to systemd itself, as `systemctl` does, else to the bus.
    pub(crate) fn connect(manager: Manager) -> Result<Self> {
        let ways = match manager {
            Manager::System => system_ways(),
            Manager::User => user_ways(),
        };
        let mut failure = None;
        for way in ways {
            match Self::open(&way) {
                Ok(bus) => return Ok(bus),
                // That one may come back is worth more than that another is not there.
                Err(error) if failure.as_ref().is_none_or(|first: &BusError| !first.is_interruption()) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| {
            BusError::Connect(
                "could not detect DBUS_SESSION_BUS_ADDRESS from the environment; make sure you have installed \
                 the dbus-user-session or dbus-daemon package; note you may need to re-login"
                    .to_owned(),
            )
        }))
    }

    fn open(way: &Way) -> Result<Self> {
        let shown = || String::from_utf8_lossy(&way.socket).replace('\0', "@");
        let failed = |errno: Errno| {
            let why = format!("dial unix {}: {errno}", shown());
            if errno == Errno::ECONNREFUSED { BusError::Away(why) } else { BusError::Connect(why) }
        };
        let socket = net::connect_unix(&way.socket).map_err(failed)?;
        Self::over(socket, way.is_bus)
    }

    /// Speaks over a connected socket.
    pub(crate) fn over(socket: OwnedFd, is_brokered: bool) -> Result<Self> {
        let mut bus = Self { socket, serial: 0, received: Vec::new(), signals: VecDeque::new(), is_brokered };
        bus.authenticate()?;
        if is_brokered {
            bus.call(&Call {
                destination: "org.freedesktop.DBus",
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "Hello",
                arguments: &[],
            })?;
        }
        Ok(bus)
    }

    /// Who we are is what the kernel says of our end: so the name we could give stays empty, and
    /// nothing has to be found out in a user namespace. All in one go, as sd-bus does: an older peer
    /// says OK to the first line and ERROR to the second, a newer one DATA and OK.
    /// <https://dbus.freedesktop.org/doc/dbus-specification.html#auth-protocol>
    fn authenticate(&mut self) -> Result<()> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let end = deadline();
        let first = self.line(end)?;
        let second = if first.starts_with("REJECTED") { first.clone() } else { self.line(end)? };
        if first.starts_with("OK") || second.starts_with("OK") {
            return Ok(());
        }
        Err(BusError::Connect(format!("not let in: {second}")))
    }

    fn line(&mut self, end: u64) -> Result<String> {
        loop {
            if let Some(length) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..length + 2).take(length).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.received.len() > 16 * 1024 {
                return Err(BusError::Broken("a line without end".to_owned()));
            }
            self.receive(end)?;
        }
    }

    /// Calls a method and waits for its answer.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Vec<Value>> {
        self.serial += 1;
        let serial = self.serial;
        self.send(&call.to_bytes(serial))?;
        let end = deadline();
        loop {
            let message = self.message(end)?;
            match message.kind {
                Kind::Return if message.reply_to == Some(serial) => return Ok(message.body),
                Kind::Error if message.reply_to == Some(serial) => {
                    let text = message.text(0).unwrap_or_default().to_owned();
                    return Err(BusError::Refused { name: message.error, message: text });
                }
                Kind::Signal => self.keep(message),
                _ => {}
            }
        }
    }

    /// The next signal with this name that `wanted` takes, of those that came since the connection was
    /// made.
    pub(crate) fn signal<T>(&mut self, member: &str, wanted: impl Fn(&Incoming) -> Option<T>) -> Result<T> {
        let end = deadline();
        let take = |message: &Incoming| (message.member == member).then(|| wanted(message)).flatten();
        while let Some(message) = self.signals.pop_front() {
            if let Some(found) = take(&message) {
                return Ok(found);
            }
        }
        loop {
            let message = self.message(end)?;
            if message.kind == Kind::Signal
                && let Some(found) = take(&message)
            {
                return Ok(found);
            }
        }
    }

    fn keep(&mut self, signal: Incoming) {
        if self.signals.len() == MOST_SIGNALS {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    fn message(&mut self, end: u64) -> Result<Incoming> {
        let broken = |malformed: super::value::Malformed| BusError::Broken(malformed.to_string());
        self.fill(PREFIX, end)?;
        let prefix = self.received.first_chunk::<PREFIX>().ok_or_else(|| broken(super::value::Malformed))?;
        let length = message::length(prefix).map_err(broken)?;
        self.fill(length, end)?;
        let bytes: Vec<u8> = self.received.drain(..length).collect();
        Incoming::parse(&bytes).map_err(broken)
    }

    fn fill(&mut self, count: usize, end: u64) -> Result<()> {
        while self.received.len() < count {
            self.receive(end)?;
        }
        Ok(())
    }

    /// What has come in, waiting for at least one byte until `end`.
    fn receive(&mut self, end: u64) -> Result<()> {
        loop {
            let left_ms = end.saturating_sub(process::monotonic_ns()) / 1_000_000;
            let mut fds = [PollFd { fd: self.socket.raw(), events: POLLIN, revents: 0 }];
            match process::poll(&mut fds, left_ms.cast_signed()) {
                Ok(0) if left_ms == 0 => return Err(BusError::Timeout),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(closed("poll", errno)),
            }
        }
        let mut buf = [0u8; 4096];
        match fs::read(self.socket.as_fd(), &mut buf).map_err(|errno| closed("read", errno))? {
            0 => Err(BusError::Closed("closed by the other side".to_owned())),
            count => {
                self.received.extend_from_slice(buf.get(..count).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// All of it. Through sendmsg, so that a peer that is gone is an error and no SIGPIPE.
    fn send(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let sent = net::send_with_fds(self.socket.as_fd(), bytes, &[]);
            let sent = sent.map_err(|errno| closed("write", errno))?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }
}

fn closed(what: &str, errno: Errno) -> BusError {
    BusError::Closed(format!("{what}: {errno}"))
}

fn deadline() -> u64 {
    process::monotonic_ns() + BOUND_NS
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    /// A path, or with a leading NUL an abstract name.
    socket: Vec<u8>,
    /// A bus, not systemd itself.
    is_bus: bool,
}

impl Way {
    fn bus(socket: Vec<u8>) -> Self {
        Self { socket, is_bus: true }
    }
    fn private(path: &Path) -> Self {
        Self { socket: path.as_os_str().as_bytes().to_vec(), is_bus: false }
    }
}

/// A container that runs containers may be given the bus without the private socket.
fn system_ways() -> Vec<Way> {
    let given = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
    let mut ways = vec![Way::private(Path::new(PRIVATE))];
    match given.filter(|address| !address.is_empty()) {
        Some(address) => ways.extend(addresses(&address)),
        None => ways.push(Way::bus(SYSTEM_BUS.as_bytes().to_vec())),
    }
    ways
}

fn user_ways() -> Vec<Way> {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let mut ways = Vec::new();
    if let Some(dir) = &runtime_dir {
        ways.extend(existing(dir.join("systemd/private")).map(|path| Way::private(&path)));
    }
    ways.extend(session_bus_ways(runtime_dir.as_deref()));
    ways
}

fn session_bus_ways(runtime_dir: Option<&Path>) -> Vec<Way> {
    match std::env::var("DBUS_SESSION_BUS_ADDRESS") {
        Ok(address) if !address.is_empty() => addresses(&address),
        _ => runtime_dir
            .and_then(|dir| existing(dir.join("bus")))
            .map(|path| Way::bus(path.as_os_str().as_bytes().to_vec()))
            .into_iter()
            .collect(),
    }
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

/// `unix:path=/run/user/1000/bus,guid=...;unix:abstract=/tmp/x`: those we can reach.
fn addresses(list: &str) -> Vec<Way> {
    let one = |address: &str| {
        let pairs = address.strip_prefix("unix:")?;
        pairs.split(',').find_map(|pair| match pair.split_once('=')? {
            ("path", path) => Some(unescape(path)),
            ("abstract", name) => Some([vec![0], unescape(name)].concat()),
            _ => None,
        })
    };
    list.split(';').filter_map(one).map(Way::bus).collect()
}

/// Undoes `%2f`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                out.push(escaped);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// The user whose session bus the environment names, as `busctl --user status` finds it: the bus's
/// process is in the slice of its user. `None` when that cannot be told.
pub(crate) fn session_owner() -> Option<u32> {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    session_bus_ways(runtime_dir.as_deref()).iter().find_map(|way| {
        let socket = net::connect_unix(&way.socket).ok()?;
        let peer = net::peer_pid(socket.as_fd()).ok().filter(|pid| *pid > 0)?;
        let cgroups = std::fs::read_to_string(format!("/proc/{peer}/cgroup")).ok()?;
        owner_of(&cgroups)
    })
}

/// N of the last `user-N.slice` in a process's cgroups.
fn owner_of(cgroups: &str) -> Option<u32> {
    cgroups.lines().find_map(|line| {
        let slice = |part: &str| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok();
        line.rsplit('/').find_map(slice)
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A peer that hears us, says `script`, hears so many calls more and hangs up.
    fn peer(script: Vec<u8>, calls: usize) -> OwnedFd {
        let (ours, theirs) = net::socketpair().unwrap();
        thread::spawn(move || {
            let mut buf = [0; 4096];
            let _ = fs::read(theirs.as_fd(), &mut buf);
            let _ = fs::write_all(theirs.as_fd(), &script);
            for _ in 0..calls {
                let _ = fs::read(theirs.as_fd(), &mut buf);
            }
        });
        ours
    }

    fn manager_call() -> Call<'static> {
        Call { destination: "d.d", path: "/p", interface: "i.i", member: "M", arguments: &[] }
    }

    /// A reply is a call with another kind and the field 5.
    fn reply(kind: u8, to: u32, body: &[Value]) -> Vec<u8> {
        use crate::systemd::value::Writer;
        let mut values = Writer::default();
        body.iter().for_each(|value| values.value(value));
        let values = values.finish();
        let field = |code, value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        let mut fields = vec![
            field(5, Value::Uint32(to)),
            field(8, Value::Signature(body.iter().map(Value::signature).collect())),
        ];
        if kind == 3 {
            fields.push(field(4, Value::text("org.freedesktop.systemd1.UnitExists")));
        }
        if kind == 4 {
            fields.push(field(3, Value::text("JobRemoved")));
        }
        let mut message = Writer::default();
        for byte in [b'l', kind, 0, 1] {
            message.value(&Value::Byte(byte));
        }
        message.value(&Value::Uint32(values.len() as u32));
        message.value(&Value::Uint32(77));
        message.value(&Value::Array("(yv)".into(), fields));
        message.pad(8);
        [message.finish(), values].concat()
    }

    const WELCOME: &[u8] = b"DATA\r\nOK 0123456789abcdef\r\n";

    #[test]
    fn a_call_gets_its_answer_and_signals_are_kept() {
        let mut script = WELCOME.to_vec();
        script.extend(reply(4, 0, &[Value::Uint32(1), Value::text("a")]));
        script.extend(reply(2, 99, &[Value::text("for somebody else")]));
        script.extend(reply(2, 1, &[Value::text("yes")]));
        script.extend(reply(3, 2, &[Value::text("Unit x already exists.")]));
        let mut bus = Bus::over(peer(script, 3), false).unwrap();
        assert_eq!(bus.call(&manager_call()).unwrap(), [Value::text("yes")]);
        let refused = bus.call(&manager_call()).unwrap_err();
        assert!(refused.is("UnitExists"), "{refused:?}");
        assert_eq!(refused.to_string(), "Unit x already exists.");
        assert_eq!(bus.signal("JobRemoved", |m| m.text(1).map(str::to_owned)).unwrap(), "a");
    }

    #[test]
    fn old_peers_let_us_in_too() {
        assert!(Bus::over(peer(b"OK 0123\r\nERROR\r\n".to_vec(), 0), false).is_ok());
    }

    #[test]
    fn bad_peers_are_errors() {
        for script in [
            &b""[..],
            b"REJECTED EXTERNAL\r\n",
            b"DATA\r\nREJECTED\r\n",
            b"HTTP/1.1 400\r\n\r\n",
            &[b'x'; 20_000],
        ] {
            assert!(Bus::over(peer(script.to_vec(), 0), false).is_err(), "{script:?}");
        }
        for garbage in
            [&b"nonsense that is no message"[..], &[0xff; 64], b"l\x02\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0"]
        {
            let mut bus = Bus::over(peer([WELCOME, garbage].concat(), 1), false).unwrap();
            assert!(matches!(bus.call(&manager_call()), Err(BusError::Broken(_))));
        }
    }

    #[test]
    fn addresses_of_buses() {
        let paths = |list| addresses(list).into_iter().map(|way| way.socket).collect::<Vec<_>>();
        assert_eq!(paths("unix:path=/run/user/1000/bus"), [b"/run/user/1000/bus".to_vec()]);
        assert_eq!(
            paths("tcp:host=h,port=1;unix:guid=1,path=/a%20b;unix:abstract=/tmp/x,guid=2"),
            [b"/a b".to_vec(), b"\0/tmp/x".to_vec()]
        );
        assert!(paths("").is_empty());
        assert!(paths("unix:").is_empty());
        assert_eq!(unescape("a%2fb%zz%"), b"a/b%zz%");
    }

    #[test]
    fn the_owner_is_in_the_path() {
        let user = "0::/user.slice/user-1000.slice/user@1000.service/session.slice/dbus.service\n";
        assert_eq!(owner_of(user), Some(1000));
        assert_eq!(owner_of("1:name=systemd:/user.slice/user-0.slice/session-1.scope"), Some(0));
        assert_eq!(owner_of("0::/system.slice/dbus.service"), None);
    }
}
