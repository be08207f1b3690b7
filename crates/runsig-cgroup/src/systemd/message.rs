//! Messages of D-Bus: a header, and values.
//! <https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-messages>
//!
//! Owns: making method calls, and reading whatever comes back. Must not: do input or output.

use super::value::{Malformed, Reader, Value, Writer};

/// A message is refused when it is larger; systemd's own are some KiB.
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;
/// So much of a message tells how long it is.
pub(crate) const PREFIX: usize = 16;

const METHOD_CALL: u8 = 1;
const LITTLE: u8 = b'l';
const BIG: u8 = b'B';
const VERSION: u8 = 1;

/// A method and what to call it with.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    pub(crate) arguments: &'a [Value],
}

impl Call<'_> {
    /// The message, with this serial number (not 0).
    pub(crate) fn to_bytes(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        self.arguments.iter().for_each(|argument| body.value(argument));
        let body = body.finish();
        let signature: String = self.arguments.iter().map(Value::signature).collect();

        let field =
            |code: u8, value: Value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        let mut fields = vec![
            field(1, Value::Path(self.path.to_owned())),
            field(2, Value::text(self.interface)),
            field(3, Value::text(self.member)),
            field(6, Value::text(self.destination)),
        ];
        if !signature.is_empty() {
            fields.push(field(8, Value::Signature(signature)));
        }
        let mut message = Writer::default();
        for byte in [LITTLE, METHOD_CALL, 0, VERSION] {
            message.value(&Value::Byte(byte));
        }
        message.value(&Value::Uint32(u32::try_from(body.len()).unwrap_or(u32::MAX)));
        message.value(&Value::Uint32(serial));
        message.value(&Value::Array("(yv)".to_owned(), fields));
        message.pad(8);
        let mut bytes = message.finish();
        bytes.extend(body);
        bytes
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// A kind of the future: to be passed over.
    Other,
}

/// A message that has come in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) kind: Kind,
    pub(crate) reply_to: Option<u32>,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) error: String,
    pub(crate) body: Vec<Value>,
}

/// The length of the whole message that begins with `prefix`.
pub(crate) fn length(prefix: &[u8; PREFIX]) -> Result<usize, Malformed> {
    let big = is_big(prefix[0])?;
    let number = |at: usize| {
        let raw = prefix.get(at..at + 4).and_then(|raw| <[u8; 4]>::try_from(raw).ok()).unwrap_or_default();
        (if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }) as usize
    };
    let (body, fields) = (number(4), number(12));
    let total = (PREFIX + fields).next_multiple_of(8) + body;
    if prefix[3] == VERSION && total <= LARGEST { Ok(total) } else { Err(Malformed) }
}

fn is_big(mark: u8) -> Result<bool, Malformed> {
    match mark {
        LITTLE => Ok(false),
        BIG => Ok(true),
        _ => Err(Malformed),
    }
}

impl Incoming {
    /// Reads a whole message.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let big = is_big(*bytes.first().ok_or(Malformed)?)?;
        let mut reader = Reader::new(bytes, big);
        let header = reader.values("yyyyuua(yv)")?;
        reader.pad(8)?;
        let start = reader.position();
        let kind = match header.get(1) {
            Some(Value::Byte(1)) => Kind::Call,
            Some(Value::Byte(2)) => Kind::Return,
            Some(Value::Byte(3)) => Kind::Error,
            Some(Value::Byte(4)) => Kind::Signal,
            Some(Value::Byte(5..)) => Kind::Other,
            _ => return Err(Malformed),
        };
        let mut message = Self {
            kind,
            reply_to: None,
            interface: String::new(),
            member: String::new(),
            error: String::new(),
            body: Vec::new(),
        };
        let mut signature = String::new();
        let Some(Value::Array(_, fields)) = header.get(6) else { return Err(Malformed) };
        for field in fields {
            let Value::Struct(field) = field else { return Err(Malformed) };
            let [Value::Byte(code), Value::Variant(value)] = field.as_slice() else { return Err(Malformed) };
            match (code, value.as_ref()) {
                (2, Value::Text(text)) => message.interface.clone_from(text),
                (3, Value::Text(text)) => message.member.clone_from(text),
                (4, Value::Text(text)) => message.error.clone_from(text),
                (5, Value::Uint32(serial)) => message.reply_to = Some(*serial),
                (8, Value::Signature(text)) => signature.clone_from(text),
                (2..=5 | 8, _) => return Err(Malformed),
                _ => {}
            }
        }
        let body = bytes.get(start..).ok_or(Malformed)?;
        message.body = Reader::new(body, big).all(&signature)?;
        Ok(message)
    }

    /// The text of the value with this number.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.body.get(index).and_then(Value::as_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Vec<u8> {
        let arguments = [Value::text("x.scope"), Value::Array("(sv)".into(), vec![])];
        let call = Call {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member: "StopUnit",
            arguments: &arguments,
        };
        call.to_bytes(3)
    }

    #[test]
    fn a_call_has_its_parts() {
        let bytes = call();
        assert_eq!(&bytes[..4], b"l\x01\0\x01");
        let prefix = bytes[..PREFIX].try_into().unwrap();
        assert_eq!(length(&prefix), Ok(bytes.len()));
        let message = Incoming::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (Kind::Call, "StopUnit"));
        assert_eq!(message.text(0), Some("x.scope"));
        assert_eq!(message.body.len(), 2);
    }

    #[test]
    fn no_message_makes_it_fall_over() {
        let good = call();
        for cut in 0..good.len() {
            assert!(Incoming::parse(&good[..cut]).is_err(), "{cut}");
        }
        for place in 0..good.len() {
            for byte in [0, 1, b's', b'(', 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[place] = byte;
                let _ = Incoming::parse(&bad);
                let _ = length(&bad[..PREFIX].try_into().unwrap());
            }
        }
    }

    #[test]
    fn a_message_of_gigabytes_is_refused() {
        let mut prefix: [u8; PREFIX] = call()[..PREFIX].try_into().unwrap();
        prefix[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        prefix[12..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(length(&prefix), Err(Malformed));
        prefix[0] = b'x';
        assert_eq!(length(&prefix), Err(Malformed));
    }
}
