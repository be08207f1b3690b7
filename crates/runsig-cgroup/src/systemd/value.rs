//! The values of D-Bus, and their form on the wire.
//! <https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-marshaling>
//!
//! Owns: types, alignment, signatures, and reading them back from a peer that is not trusted to be
//! well behaved. Must not: know messages or systemd.

use std::fmt;

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a`: the type of its elements, and them.
    Array(String, Vec<Value>),
    /// `(...)`
    Struct(Vec<Value>),
    /// `{..}`: only in arrays.
    Entry(Box<(Value, Value)>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// Text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An array of bytes.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".to_owned(), bytes.iter().copied().map(Self::Byte).collect())
    }

    /// The type, as D-Bus writes it.
    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::Int16(_) => "n".to_owned(),
            Self::Uint16(_) => "q".to_owned(),
            Self::Int32(_) => "i".to_owned(),
            Self::Uint32(_) => "u".to_owned(),
            Self::Int64(_) => "x".to_owned(),
            Self::Uint64(_) => "t".to_owned(),
            Self::Double(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(fields) => {
                format!("({})", fields.iter().map(Self::signature).collect::<String>())
            }
            Self::Entry(entry) => format!("{{{}{}}}", entry.0.signature(), entry.1.signature()),
            Self::Variant(_) => "v".to_owned(),
        }
    }

    /// The text of a string, a path or a signature.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Path(text) | Self::Signature(text) => Some(text),
            _ => None,
        }
    }
}

/// Where values of a type begin.
fn alignment(kind: u8) -> usize {
    match kind {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Values in little-endian form, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn fixed(&mut self, bytes: &[u8]) {
        self.pad(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn length(&mut self, length: usize) {
        // Messages are limited to far less; a length that did not fit would be refused by the peer.
        self.fixed(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(n) => self.bytes.push(*n),
            Value::Bool(b) => self.fixed(&u32::from(*b).to_le_bytes()),
            Value::Int16(n) => self.fixed(&n.to_le_bytes()),
            Value::Uint16(n) => self.fixed(&n.to_le_bytes()),
            Value::Int32(n) => self.fixed(&n.to_le_bytes()),
            Value::Uint32(n) => self.fixed(&n.to_le_bytes()),
            Value::Int64(n) => self.fixed(&n.to_le_bytes()),
            Value::Uint64(n) => self.fixed(&n.to_le_bytes()),
            Value::Double(n) => self.fixed(&n.to_le_bytes()),
            Value::Text(text) | Value::Path(text) => self.text(text),
            Value::Signature(text) => self.signature(text),
            Value::Array(element, items) => self.array(element, items),
            Value::Struct(fields) => {
                self.pad(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Entry(entry) => {
                self.pad(8);
                self.value(&entry.0);
                self.value(&entry.1);
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }

    /// The length counts neither itself nor the padding before the first element.
    fn array(&mut self, element: &str, items: &[Value]) {
        self.length(0);
        let place = self.bytes.len() - 4;
        self.pad(element.bytes().next().map_or(1, alignment));
        let start = self.bytes.len();
        items.iter().for_each(|item| self.value(item));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(room) = self.bytes.get_mut(place..place + 4) {
            room.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// Bytes that are no value of the type they are said to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed D-Bus message")
    }
}

type Result<T> = std::result::Result<T, Malformed>;

/// Values nest this deep at most; the specification allows 32 arrays in 32 structures.
const DEPTH: usize = 64;

/// Reads values from a message.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

macro_rules! number {
    ($self:ident, $kind:ty) => {{
        let raw = $self.fixed()?;
        if $self.big { <$kind>::from_be_bytes(raw) } else { <$kind>::from_le_bytes(raw) }
    }};
}

impl<'a> Reader<'a> {
    /// `bytes` starts where alignment counts from.
    pub(crate) fn new(bytes: &'a [u8], big: bool) -> Self {
        Self { bytes, at: 0, big }
    }

    /// The values of a signature with all the bytes there are.
    pub(crate) fn all(mut self, signature: &str) -> Result<Vec<Value>> {
        let values = self.values(signature)?;
        if self.at == self.bytes.len() { Ok(values) } else { Err(Malformed) }
    }

    /// The values of a signature.
    pub(crate) fn values(&mut self, signature: &str) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        let mut rest = signature;
        while !rest.is_empty() {
            let (one, tail) = split(rest)?;
            values.push(self.value(one, 0)?);
            rest = tail;
        }
        Ok(values)
    }

    fn value(&mut self, kind: &str, depth: usize) -> Result<Value> {
        let first = *kind.as_bytes().first().ok_or(Malformed)?;
        if depth > DEPTH {
            return Err(Malformed);
        }
        Ok(match first {
            b'y' => Value::Byte(number!(self, u8)),
            b'b' => match number!(self, u32) {
                bit @ (0 | 1) => Value::Bool(bit == 1),
                _ => return Err(Malformed),
            },
            b'n' => Value::Int16(number!(self, i16)),
            b'q' => Value::Uint16(number!(self, u16)),
            b'i' => Value::Int32(number!(self, i32)),
            // A descriptor is its index among those that came along; nothing here uses any.
            b'u' | b'h' => Value::Uint32(number!(self, u32)),
            b'x' => Value::Int64(number!(self, i64)),
            b't' => Value::Uint64(number!(self, u64)),
            b'd' => Value::Double(number!(self, f64)),
            b's' => Value::Text(self.text()?),
            b'o' => Value::Path(self.text()?),
            b'g' => Value::Signature(self.signature()?),
            b'v' => {
                let inner = self.signature()?;
                let (one, rest) = split(&inner)?;
                if !rest.is_empty() {
                    return Err(Malformed);
                }
                Value::Variant(Box::new(self.value(one, depth + 1)?))
            }
            b'a' => self.array(kind.get(1..).ok_or(Malformed)?, depth)?,
            b'(' | b'{' => self.fields(kind, depth)?,
            _ => return Err(Malformed),
        })
    }

    fn array(&mut self, element: &str, depth: usize) -> Result<Value> {
        let length = number!(self, u32) as usize;
        self.pad(element.bytes().next().map_or(1, alignment))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(Malformed)?;
        let mut items = Vec::new();
        while self.at < end {
            let before = self.at;
            items.push(self.value(element, depth + 1)?);
            // `()` is no type, so every element takes room; a peer that says otherwise is not heard.
            if self.at == before || self.at > end {
                return Err(Malformed);
            }
        }
        Ok(Value::Array(element.to_owned(), items))
    }

    fn fields(&mut self, kind: &str, depth: usize) -> Result<Value> {
        self.pad(8)?;
        let mut rest = kind.get(1..kind.len() - 1).ok_or(Malformed)?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (one, tail) = split(rest)?;
            fields.push(self.value(one, depth + 1)?);
            rest = tail;
        }
        if kind.starts_with('(') {
            return Ok(Value::Struct(fields));
        }
        let [key, value] = <[Value; 2]>::try_from(fields).map_err(|_| Malformed)?;
        Ok(Value::Entry(Box::new((key, value))))
    }

    fn text(&mut self) -> Result<String> {
        let length = number!(self, u32) as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Result<String> {
        let length = usize::from(number!(self, u8));
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Result<String> {
        let raw = self.take(length)?;
        let text = std::str::from_utf8(raw).map_err(|_| Malformed)?.to_owned();
        if self.take(1)? == [0] && !text.contains('\0') { Ok(text) } else { Err(Malformed) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.pad(N)?;
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn pad(&mut self, to: usize) -> Result<()> {
        let count = self.at.next_multiple_of(to) - self.at;
        self.take(count).map(drop)
    }

    /// How far it has come.
    pub(crate) fn position(&self) -> usize {
        self.at
    }
}

/// The first complete type of a signature, and the rest.
pub(crate) fn split(signature: &str) -> Result<(&str, &str)> {
    let bytes = signature.as_bytes();
    let mut end = 0;
    while bytes.get(end) == Some(&b'a') {
        end += 1;
    }
    let mut open = Vec::new();
    loop {
        match *bytes.get(end).ok_or(Malformed)? {
            b'(' => open.push(b')'),
            b'{' => open.push(b'}'),
            close @ (b')' | b'}') => {
                // `()` and an array of nothing are no types.
                if open.pop() != Some(close)
                    || matches!(bytes.get(end.wrapping_sub(1)), Some(b'(' | b'{' | b'a'))
                {
                    return Err(Malformed);
                }
            }
            b'a' | b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g'
            | b'v' | b'h' => {}
            _ => return Err(Malformed),
        }
        end += 1;
        if open.is_empty() {
            return signature.split_at_checked(end).ok_or(Malformed);
        }
        if open.len() > DEPTH {
            return Err(Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[Value]) -> Vec<u8> {
        let mut writer = Writer::default();
        values.iter().for_each(|value| writer.value(value));
        writer.finish()
    }

    fn examples() -> Vec<Value> {
        vec![
            Value::Byte(7),
            Value::Uint64(u64::MAX),
            Value::Bool(true),
            Value::Text("héllo".into()),
            Value::Int16(-2),
            Value::Double(1.5),
            Value::Array(
                "(sv)".into(),
                vec![
                    Value::Struct(vec![Value::text("A"), Value::Variant(Box::new(Value::bytes(&[1, 2, 3])))]),
                    Value::Struct(vec![Value::text("B"), Value::Variant(Box::new(Value::Int64(-1)))]),
                ],
            ),
            Value::Array("(st)".into(), vec![]),
            Value::Array(
                "{sv}".into(),
                vec![Value::Entry(Box::new((Value::text("k"), Value::Variant(Box::new(Value::Uint16(9))))))],
            ),
            Value::Path("/org/freedesktop/systemd1".into()),
            Value::Signature("a(sv)".into()),
        ]
    }

    #[test]
    fn what_is_written_can_be_read() {
        let values = examples();
        let signature: String = values.iter().map(Value::signature).collect();
        assert_eq!(Reader::new(&written(&values), false).all(&signature).unwrap(), values);
    }

    #[test]
    fn the_form_is_the_one_of_the_specification() {
        assert_eq!(written(&[Value::Byte(1), Value::Uint32(2)]), [1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(written(&[Value::text("ab")]), [2, 0, 0, 0, b'a', b'b', 0]);
        // The padding before the first element does not count.
        assert_eq!(
            written(&[Value::Array("t".into(), vec![Value::Uint64(5)])]),
            [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(written(&[Value::Variant(Box::new(Value::Byte(9)))]), [1, b'y', 0, 9]);
        assert_eq!(Reader::new(&[0, 0, 1, 0], true).all("u").unwrap(), [Value::Uint32(256)]);
    }

    #[test]
    fn no_bytes_make_it_fall_over() {
        let values = examples();
        let signature: String = values.iter().map(Value::signature).collect();
        let good = written(&values);
        for cut in 0..good.len() {
            assert_eq!(Reader::new(&good[..cut], false).all(&signature), Err(Malformed), "{cut}");
        }
        let mut changed = 0;
        for place in 0..good.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[place] = byte;
                changed += usize::from(Reader::new(&bad, false).all(&signature) != Ok(values.clone()));
            }
        }
        assert!(changed > good.len());
        // A length that would be half the address space.
        assert_eq!(Reader::new(&[0xff; 16], false).all("ay"), Err(Malformed));
        assert_eq!(Reader::new(&[0xff; 16], false).all("s"), Err(Malformed));
        assert_eq!(Reader::new(&[2, 0, 0, 0], false).all("b"), Err(Malformed));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bomb = vec![];
        for _ in 0..100_000 {
            bomb.extend_from_slice(b"\x01v\0");
        }
        assert_eq!(Reader::new(&bomb, false).all("v"), Err(Malformed));
        assert_eq!(split(&"(".repeat(200)), Err(Malformed));
        assert_eq!(Reader::new(&[0; 4], false).all(&format!("{}y", "a".repeat(200))).map(drop), Ok(()));
    }

    #[test]
    fn signatures_are_taken_apart() {
        assert_eq!(split("sa(sv)u"), Ok(("s", "a(sv)u")));
        assert_eq!(split("a(sa{sv})u"), Ok(("a(sa{sv})", "u")));
        for bad in ["", "a", "(", "(s", "()", "a)", "z", "(s}", "{sv", "(a)"] {
            assert_eq!(split(bad), Err(Malformed), "{bad}");
        }
    }
}
