//! A `criu` that keeps to the protocol, or does not: it needs no kernel that the real one works on.
//!
//! It is this very test program under the name `criu`, found by `$PATH` of the runtime's call. It
//! writes down what it was asked, and then plays the part that `$FAKE_CRIU` names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use runsig_sys::{OwnedFd, fork, net, process};

use crate::runtime::scratch;

const PART: &str = "FAKE_CRIU";
const NOTES: &str = "FAKE_CRIU_NOTES";

const DUMP: u64 = 1;
const RESTORE: u64 = 2;
const PRE_DUMP: u64 = 4;
const NOTIFY: u64 = 6;
const FEATURE_CHECK: u64 = 9;
const VERSION: u64 = 10;

/// A directory with a `criu` that plays a part.
#[derive(Debug)]
pub struct FakeCriu {
    directory: PathBuf,
}

impl FakeCriu {
    /// Prepares it.
    #[must_use]
    pub fn new() -> FakeCriu {
        let directory = scratch("criu");
        fs::create_dir_all(&directory).expect("mkdir");
        let own = fs::read_link("/proc/self/exe").expect("/proc");
        symlink(own, directory.join("criu")).expect("symlink");
        FakeCriu { directory }
    }

    /// Lets a call of the runtime find it, in this part.
    pub fn play(&self, command: &mut Command, part: &str) {
        let path = format!("{}:{}", self.directory.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env(PART, part).env(NOTES, &self.directory);
    }

    /// The last request of this kind (`dump`, `restore`, ...).
    #[must_use]
    pub fn request(&self, kind: &str) -> Option<Message> {
        fs::read(self.directory.join(kind)).ok().map(Message)
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        for name in ["version", "features", "dump", "pre-dump", "restore", "answers"] {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    /// What the runtime answered to each notification.
    #[must_use]
    pub fn answers(&self) -> String {
        fs::read_to_string(self.directory.join("answers")).unwrap_or_default()
    }
}

impl Default for FakeCriu {
    fn default() -> Self {
        Self::new()
    }
}

/// A protobuf message in its bytes.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

/// One field of it.
#[derive(Debug, Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Message {
    fn number(mut self, tag: u64, value: u64) -> Message {
        varint(&mut self.0, tag << 3);
        varint(&mut self.0, value);
        self
    }

    fn bytes(mut self, tag: u64, value: &[u8]) -> Message {
        varint(&mut self.0, tag << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn inner(self, tag: u64, value: &Message) -> Message {
        self.bytes(tag, &value.0)
    }

    fn fields(&self) -> Vec<(u64, Field)> {
        let mut rest = self.0.as_slice();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let key = read_varint(&mut rest);
            let field = match key & 7 {
                0 => Field::Number(read_varint(&mut rest)),
                2 => {
                    let length = usize::try_from(read_varint(&mut rest)).expect("a length");
                    let (value, after) = rest.split_at(length);
                    rest = after;
                    Field::Bytes(value.to_vec())
                }
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, field));
        }
        found
    }

    /// The number with this tag.
    #[must_use]
    pub fn value(&self, tag: u64) -> Option<u64> {
        self.fields().into_iter().find_map(|(found, field)| match field {
            Field::Number(number) if found == tag => Some(number),
            _ => None,
        })
    }

    /// Every text with this tag.
    #[must_use]
    pub fn texts(&self, tag: u64) -> Vec<String> {
        self.messages(tag)
            .into_iter()
            .map(|message| String::from_utf8_lossy(&message.0).into_owned())
            .collect()
    }

    /// Every message with this tag.
    #[must_use]
    pub fn messages(&self, tag: u64) -> Vec<Message> {
        let bytes = |(found, field)| match field {
            Field::Bytes(bytes) if found == tag => Some(Message(bytes)),
            _ => None,
        };
        self.fields().into_iter().filter_map(bytes).collect()
    }

    /// The message with this tag.
    #[track_caller]
    #[must_use]
    pub fn message(&self, tag: u64) -> Message {
        self.messages(tag).into_iter().next().unwrap_or_else(|| panic!("no message {tag} in {self:?}"))
    }
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn read_varint(from: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().expect("more bytes");
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The exit code of this program as `criu`; `None` when it was not called as that.
pub(crate) fn main_as_criu() -> Option<ExitCode> {
    let mut args = std::env::args();
    if Path::new(&args.next()?).file_name()? != "criu" {
        return None;
    }
    let words: Vec<String> = args.collect();
    let [verb, number] = words.as_slice() else { return Some(ExitCode::FAILURE) };
    assert_eq!(verb, "swrk");
    let socket = OwnedFd::from_raw(number.parse().expect("a descriptor"));
    let part = std::env::var(PART).unwrap_or_default();
    Some(ExitCode::from(Criu { socket, part }.serve()))
}

struct Criu {
    socket: OwnedFd,
    part: String,
}

impl Criu {
    fn receive(&self) -> Message {
        let mut packet = vec![0; 1 << 16];
        let n = net::recv_with_fds(self.socket.as_fd(), &mut packet, &mut []).unwrap_or(0);
        packet.truncate(n);
        Message(packet)
    }

    fn send(&self, message: &Message) {
        let _ = net::send_with_fds(self.socket.as_fd(), &message.0, &[]);
    }

    fn respond(&self, kind: u64) {
        self.send(&Message::default().number(1, kind).number(2, 1));
    }

    /// Tells how far it is. Whether the runtime agrees is written down.
    fn notify(&self, script: &str, pid: i32) -> bool {
        // A negative int32 is ten bytes long.
        let notification = Message::default().bytes(1, script.as_bytes()).number(2, i64::from(pid) as u64);
        self.send(&Message::default().number(1, NOTIFY).number(2, 1).inner(5, &notification));
        let agreed = self.receive().value(3) == Some(1);
        let notes = PathBuf::from(std::env::var_os(NOTES).unwrap_or_default()).join("answers");
        let so_far = fs::read_to_string(&notes).unwrap_or_default();
        fs::write(notes, format!("{so_far}{script}={agreed}\n")).expect("notes");
        agreed
    }

    fn serve(&self) -> u8 {
        let request = self.receive();
        let kind = request.value(1).unwrap_or(0);
        let name = match kind {
            DUMP => "dump",
            RESTORE => "restore",
            PRE_DUMP => "pre-dump",
            FEATURE_CHECK => "features",
            VERSION => "version",
            _ => "other",
        };
        let notes = PathBuf::from(std::env::var_os(NOTES).unwrap_or_default());
        fs::write(notes.join(name), &request.0).expect("notes");
        match kind {
            VERSION => self.tell_version(),
            FEATURE_CHECK => self.tell_features(),
            _ => return self.play(kind),
        }
        0
    }

    fn tell_version(&self) {
        let (major, minor) = match self.part.as_str() {
            "old" => (2, 12),
            "older" => (3, 10),
            _ => (3, 17),
        };
        let version = Message::default().number(1, major).number(2, minor).number(4, 1);
        self.send(&Message::default().number(1, VERSION).number(2, 1).inner(10, &version));
    }

    fn tell_features(&self) {
        let there = u64::from(self.part != "featureless");
        let features = Message::default().number(1, there).number(2, there);
        self.send(&Message::default().number(1, FEATURE_CHECK).number(2, 1).inner(8, &features));
    }

    fn play(&self, kind: u64) -> u8 {
        match self.part.as_str() {
            "eof" => return 0,
            "garbage" => self.send(&Message(vec![0xff; 9])),
            "flood" => self.send(&Message(vec![0x20; 100_000])),
            "refuse" => {
                let message = Message::default().number(1, kind).number(2, 0).number(7, 16);
                self.send(&message.bytes(9, b"Error: the moon\nis in the way"));
            }
            "other-type" => self.respond(if kind == DUMP { RESTORE } else { DUMP }),
            "unknown-type" => self.respond(4711),
            "nothing-to-notify" => self.respond(NOTIFY),
            "exits-1" => {
                self.respond(kind);
                return 1;
            }
            "killed" => {
                self.respond(kind);
                process::kill(process::getpid(), 9).expect("kill");
            }
            "hang" => loop {
                std::thread::sleep(std::time::Duration::from_secs(60));
            },
            "terminal-without-descriptor" => drop(self.notify("orphan-pts-master", 0)),
            "negative-process" => drop(self.notify("post-restore", -1)),
            "host-init" => drop(self.notify("post-restore", 1)),
            "no-process" => drop(self.notify("post-restore", i32::MAX)),
            "orphan" => return self.restore_orphan(),
            _ => {
                self.notify("pre-dump", 0);
                self.notify("no-such-script", 0);
                self.notify("status-ready", 0);
                self.respond(kind);
            }
        }
        0
    }

    /// What CRIU does with more effort: a process that is the runtime's child, where that takes orphans.
    fn restore_orphan(&self) -> u8 {
        let (reads, writes) = runsig_sys::fs::pipe(0).expect("pipe");
        let parent = process::getppid();
        if fork::fork().expect("fork").is_none() {
            if let Some(pid) = fork::fork().expect("fork") {
                runsig_sys::fs::write_all(writes.as_fd(), &pid.to_ne_bytes()).expect("pipe");
                process::exit(0);
            }
            while process::getppid() != parent {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            // Until somebody kills it, but not for ever.
            std::thread::sleep(std::time::Duration::from_millis(300));
            process::exit(7);
        }
        let _ = process::wait(process::WaitFor::Any, false);
        let mut number = [0; 4];
        runsig_sys::fs::read_exact(reads.as_fd(), &mut number).expect("pipe");
        let pid = i32::from_ne_bytes(number);
        let agreed = ["setup-namespaces", "post-restore", "network-unlock", "post-resume"]
            .iter()
            .all(|script| self.notify(script, pid));
        if !agreed {
            let _ = process::kill(pid, 9);
            return 1;
        }
        let restored = Message::default().number(1, pid.unsigned_abs().into());
        self.send(&Message::default().number(1, RESTORE).number(2, 1).inner(4, &restored));
        0
    }
}
