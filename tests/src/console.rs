//! A console socket: receives a terminal's master as an engine does.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::runtime::scratch;

/// A unix socket that gets one descriptor.
#[derive(Debug)]
pub struct DescriptorSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl DescriptorSocket {
    /// Listens in the test's directory.
    #[must_use]
    pub fn listen() -> DescriptorSocket {
        let path = scratch("socket");
        let listener = UnixListener::bind(&path).expect("a unix socket");
        DescriptorSocket { listener, path }
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Receives the descriptors and bytes of one message.
    #[track_caller]
    #[must_use]
    pub fn receive(&self) -> (Vec<std::os::fd::OwnedFd>, Vec<u8>) {
        assert!(readable(&self.listener), "nobody connected to {}", self.path.display());
        let (stream, _) = self.listener.accept().expect("accept");
        assert!(readable(&stream), "nobody sent anything to {}", self.path.display());
        let mut bytes = vec![0u8; 65536];
        let mut fds = [None, None, None, None];
        let got =
            runsig_sys::net::recv_with_fds(stream.as_fd().into(), &mut bytes, &mut fds).expect("recvmsg");
        bytes.truncate(got);
        (fds.into_iter().flatten().map(Into::into).collect(), bytes)
    }

    /// Receives a terminal's master.
    #[track_caller]
    #[must_use]
    pub fn terminal(&self) -> Terminal {
        let (fds, _) = self.receive();
        let master = fds.into_iter().next().expect("a descriptor with the message");
        Terminal { master: File::from(master), seen: String::new() }
    }
}

/// The master side of a container's terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    seen: String,
}

impl Terminal {
    /// Types something.
    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Reads until the text appears; returns all that was seen.
    #[track_caller]
    #[must_use]
    pub fn read_until(&mut self, text: &str) -> &str {
        let mut buffer = [0u8; 4096];
        while !self.seen.contains(text) {
            assert!(readable(&self.master), "the terminal never said {text:?}, only {:?}", self.seen);
            // EIO: the last process with the terminal is gone.
            let got = self.master.read(&mut buffer).unwrap_or(0);
            assert!(got > 0, "the terminal ended without {text:?}: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..got]));
        }
        &self.seen
    }
}

fn readable(fd: &impl std::os::fd::AsFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(10_000u16)).is_ok_and(|ready| ready > 0)
}
