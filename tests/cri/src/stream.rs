//! The streams of a program: a WebSocket with the subprotocol `v4.channel.k8s.io`, where the first byte of a
//! message says which stream it belongs to.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::{HeaderValue, Uri};
use tungstenite::{Error, Message, WebSocket};

use crate::Refused;

const PROTOCOL: &str = "v4.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const SIZE: u8 = 4;

/// An open connection, and what came so far.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocket<TcpStream>,
    /// Standard output, or what a terminal shows.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How it ended, as the JSON of a Kubernetes status; empty before the end.
    pub status: String,
}

impl Stream {
    /// Connects to the address that `exec` or `attach` gave.
    ///
    /// # Errors
    /// When nobody answers there, or not in this protocol.
    pub fn open(url: &str) -> Result<Stream, Refused> {
        let url = url.replacen("http://", "ws://", 1);
        let address: Uri = url.parse().map_err(|error| failed(&error))?;
        let authority = address.authority().map(ToString::to_string).unwrap_or_default();
        let connection = TcpStream::connect(authority).map_err(|error| failed(&error))?;
        let mut request = url.into_client_request().map_err(|error| failed(&error))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
        let (socket, _) = tungstenite::client(request, connection).map_err(|error| failed(&error))?;
        let tick = Some(Duration::from_millis(100));
        socket.get_ref().set_read_timeout(tick).map_err(|error| failed(&error))?;
        Ok(Stream { socket, stdout: String::new(), stderr: String::new(), status: String::new() })
    }

    /// Writes to the program's standard input.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write(&mut self, text: &str) -> Result<(), Refused> {
        self.send(STDIN, text)
    }

    /// Tells the terminal its size.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<(), Refused> {
        self.send(SIZE, &format!("{{\"Width\":{columns},\"Height\":{rows}}}"))
    }

    fn send(&mut self, channel: u8, text: &str) -> Result<(), Refused> {
        let message = [&[channel], text.as_bytes()].concat();
        self.socket.send(Message::binary(message)).map_err(|error| failed(&error))
    }

    /// Reads until standard output holds these words; false when it ends, or the time is over, before.
    pub fn read_until(&mut self, words: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while !self.stdout.contains(words) && Instant::now() < deadline && self.read() {}
        self.stdout.contains(words)
    }

    /// Reads to the end; false when the time is over before.
    pub fn read_to_end(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.read() {
            if Instant::now() > deadline {
                return false;
            }
        }
        true
    }

    /// One message, or a moment without; false at the end.
    fn read(&mut self) -> bool {
        let message = match self.socket.read() {
            Ok(Message::Binary(message)) => message,
            Ok(Message::Close(_)) => return false,
            Ok(_) => return true,
            Err(Error::Io(error)) => {
                use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
                return matches!(error.kind(), Interrupted | TimedOut | WouldBlock);
            }
            Err(_) => return false,
        };
        if let Some((channel, data)) = message.split_first() {
            let text = String::from_utf8_lossy(data);
            match *channel {
                STDOUT => self.stdout.push_str(&text),
                STDERR => self.stderr.push_str(&text),
                STATUS => self.status.push_str(&text),
                _ => {}
            }
        }
        true
    }
}

fn failed(error: &dyn std::fmt::Display) -> Refused {
    Refused { code: "stream".into(), message: error.to_string() }
}
