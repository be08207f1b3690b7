//! Values as people write them in annotations: the text form of GVariant, which is also what
//! `busctl` and runc take. <https://docs.gtk.org/glib/gvariant-text-format.html>
//!
//! Owns: the parser. Types that D-Bus lacks (maybes) are refused. Must not: know properties.

use super::value::{Value, split};

type Result<T> = std::result::Result<T, String>;

/// Values nest this deep at most.
const DEPTH: usize = 32;

/// The value that a text means.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let mut parser = Parser { rest: text };
    let value = parser.value(None, 0)?;
    parser.blanks();
    if parser.rest.is_empty() {
        Ok(value)
    } else {
        Err(format!("unexpected {:?} after the value", parser.rest))
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn peek(&mut self) -> Option<char> {
        self.blanks();
        self.rest.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.eat(wanted) { Ok(()) } else { Err(format!("expected {wanted:?} before {:?}", self.rest)) }
    }

    /// Letters, digits and what else numbers and keywords are made of.
    fn word(&mut self) -> &'a str {
        self.blanks();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        if depth > DEPTH {
            return Err("nested too deep".to_owned());
        }
        let value = match self.peek().ok_or("the value is missing")? {
            '@' => return self.annotated(wanted, depth),
            quote @ ('\'' | '"') => typed_text(self.quoted(quote)?, wanted)?,
            '[' => self.array(wanted, depth)?,
            '{' => self.dictionary(wanted, depth)?,
            '(' => self.tuple(wanted, depth)?,
            '<' => {
                self.expect('<')?;
                let inner = self.value(None, depth + 1)?;
                self.expect('>')?;
                Value::Variant(Box::new(inner))
            }
            _ => return self.keyword_or_number(wanted, depth),
        };
        fits(value, wanted)
    }

    /// `@as ['a']`: the type in front.
    fn annotated(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        self.expect('@')?;
        let (kind, _) = split(self.rest).map_err(|_| format!("bad type before {:?}", self.rest))?;
        self.rest = self.rest.get(kind.len()..).unwrap_or_default();
        fits(self.value(Some(kind), depth + 1)?, wanted)
    }

    fn keyword_or_number(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        if let Some(bytes) = self.byte_string()? {
            return fits(bytes, wanted);
        }
        let word = self.word();
        let kind = match word {
            "" => return Err(format!("unexpected {:?}", self.rest)),
            "true" | "false" => return fits(Value::Bool(word == "true"), wanted),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" | "handle" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            number => return number_of(number, wanted),
        };
        fits(self.value(Some(kind), depth + 1)?, wanted)
    }

    /// `b'text'`: bytes with a NUL at the end.
    fn byte_string(&mut self) -> Result<Option<Value>> {
        let Some(quote) = ["b'", "b\""].iter().find(|start| self.rest.starts_with(**start)) else {
            return Ok(None);
        };
        self.rest = self.rest.get(1..).unwrap_or_default();
        let text = self.quoted(if quote.ends_with('\'') { '\'' } else { '"' })?;
        Ok(Some(Value::bytes(&[text.as_bytes(), &[0]].concat())))
    }

    fn quoted(&mut self, quote: char) -> Result<String> {
        self.expect(quote)?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('a') => text.push('\x07'),
                    Some('b') => text.push('\x08'),
                    Some('f') => text.push('\x0c'),
                    Some('v') => text.push('\x0b'),
                    Some('u') => text.push(code_point(&mut chars, 4)?),
                    Some('U') => text.push(code_point(&mut chars, 8)?),
                    Some('\n') => {}
                    Some(other) => text.push(other),
                    None => break,
                },
                '\0' => return Err("a NUL in a string".to_owned()),
                c => text.push(c),
            }
        }
        Err("a string without end".to_owned())
    }

    fn array(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        self.expect('[')?;
        let mut element = match wanted {
            None => None,
            Some(kind) => {
                Some(kind.strip_prefix('a').ok_or_else(|| format!("an array, not {kind:?}"))?.to_owned())
            }
        };
        let mut items = Vec::new();
        while !self.eat(']') {
            if !items.is_empty() {
                self.expect(',')?;
            }
            let item = self.value(element.as_deref(), depth + 1)?;
            element.get_or_insert_with(|| item.signature());
            items.push(item);
        }
        let element = element.ok_or("an empty array needs a type, such as @as []")?;
        Ok(Value::Array(element, items))
    }

    fn dictionary(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        self.expect('{')?;
        let inside = wanted.map(|kind| {
            let pair = kind.strip_prefix("a{").and_then(|kind| kind.strip_suffix('}'));
            pair.and_then(|pair| split(pair).ok()).ok_or_else(|| format!("a dictionary, not {kind:?}"))
        });
        let inside = inside.transpose()?;
        let mut kinds = inside.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut items = Vec::new();
        while !self.eat('}') {
            if !items.is_empty() {
                self.expect(',')?;
            }
            let key = self.value(kinds.as_ref().map(|kinds| kinds.0.as_str()), depth + 1)?;
            self.expect(':')?;
            let value = self.value(kinds.as_ref().map(|kinds| kinds.1.as_str()), depth + 1)?;
            kinds.get_or_insert_with(|| (key.signature(), value.signature()));
            items.push(Value::Entry(Box::new((key, value))));
        }
        let (key, value) = kinds.ok_or("an empty dictionary needs a type, such as @a{ss} {}")?;
        Ok(Value::Array(format!("{{{key}{value}}}"), items))
    }

    fn tuple(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value> {
        self.expect('(')?;
        let mut kinds = match wanted {
            None => None,
            Some(kind) => Some(
                kind.strip_prefix('(')
                    .and_then(|kind| kind.strip_suffix(')'))
                    .ok_or_else(|| format!("a tuple, not {kind:?}"))?,
            ),
        };
        let mut fields = Vec::new();
        while !self.eat(')') {
            if !fields.is_empty() {
                self.expect(',')?;
                // `(1,)` has one field.
                if self.eat(')') {
                    break;
                }
            }
            let kind = match kinds {
                None => None,
                Some(rest) => {
                    let (kind, rest) = split(rest).map_err(|_| "too many fields in a tuple")?;
                    kinds = Some(rest);
                    Some(kind)
                }
            };
            fields.push(self.value(kind, depth + 1)?);
        }
        if fields.is_empty() || kinds.is_some_and(|rest| !rest.is_empty()) {
            return Err("too few fields in a tuple".to_owned());
        }
        Ok(Value::Struct(fields))
    }
}

fn code_point(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Result<char> {
    let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
    let point = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32).filter(|c| *c != '\0');
    point.ok_or_else(|| format!("no character: \\u{hex}"))
}

/// A value that was given a type has to be of that type.
fn fits(value: Value, wanted: Option<&str>) -> Result<Value> {
    match wanted {
        Some(kind) if value.signature() != kind => {
            Err(format!("a value of type {:?}, not {kind:?}", value.signature()))
        }
        _ => Ok(value),
    }
}

fn typed_text(text: String, wanted: Option<&str>) -> Result<Value> {
    match wanted {
        Some("o") => Ok(Value::Path(text)),
        Some("g") if text.len() < 256 => Ok(Value::Signature(text)),
        Some("g") => Err("a signature that is too long".to_owned()),
        _ => Ok(Value::Text(text)),
    }
}

/// A number of the wanted type; without one, `int32`, or `double` when it has a fraction.
fn number_of(word: &str, wanted: Option<&str>) -> Result<Value> {
    let bad = || format!("invalid value {word:?}");
    let is_hex = word.trim_start_matches(['+', '-']).starts_with("0x");
    let fractional =
        !is_hex && word.contains(['.', 'e', 'E']) || word.contains("inf") || word.contains("nan");
    let kind = wanted.unwrap_or(if fractional { "d" } else { "i" });
    if kind == "d" {
        return word.parse().map(Value::Double).map_err(|_| bad());
    }
    let number = integer(word).ok_or_else(bad)?;
    let out_of_range = || format!("{word} does not fit its type ({kind})");
    macro_rules! to {
        ($variant:ident) => {
            number.try_into().map(Value::$variant).map_err(|_| out_of_range())
        };
    }
    match kind {
        "y" => to!(Byte),
        "n" => to!(Int16),
        "q" => to!(Uint16),
        "i" => to!(Int32),
        "u" => to!(Uint32),
        "x" => to!(Int64),
        "t" => to!(Uint64),
        _ => Err(format!("a number, not {kind:?}")),
    }
}

/// Decimal, `0x` hexadecimal, or octal with a leading 0, as in C.
fn integer(word: &str) -> Option<i128> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x") {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else {
        (10, digits)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_units_are_given() {
        for (text, value) in [
            ("uint64 123456789", Value::Uint64(123_456_789)),
            ("'inactive-or-failed'", Value::text("inactive-or-failed")),
            ("\"double\"", Value::text("double")),
            ("true", Value::Bool(true)),
            (" false ", Value::Bool(false)),
            ("5", Value::Int32(5)),
            ("-5", Value::Int32(-5)),
            ("0x1F", Value::Int32(31)),
            ("017", Value::Int32(15)),
            ("2.5", Value::Double(2.5)),
            ("1e3", Value::Double(1000.0)),
            ("byte 0xff", Value::Byte(255)),
            ("int16 -1", Value::Int16(-1)),
            ("uint16 7", Value::Uint16(7)),
            ("uint32 7", Value::Uint32(7)),
            ("int64 -7", Value::Int64(-7)),
            ("double 3", Value::Double(3.0)),
            ("string 'x'", Value::text("x")),
            ("objectpath '/a'", Value::Path("/a".into())),
            ("@t 9", Value::Uint64(9)),
            ("<uint32 3>", Value::Variant(Box::new(Value::Uint32(3)))),
            ("['a', 'b']", Value::Array("s".into(), vec![Value::text("a"), Value::text("b")])),
            ("@as []", Value::Array("s".into(), vec![])),
            ("[uint64 1, 2]", Value::Array("t".into(), vec![Value::Uint64(1), Value::Uint64(2)])),
            ("b'ab'", Value::bytes(b"ab\0")),
            ("('a', true)", Value::Struct(vec![Value::text("a"), Value::Bool(true)])),
            ("(1,)", Value::Struct(vec![Value::Int32(1)])),
            (
                "@a(st) [('/dev/sda', 100)]",
                Value::Array(
                    "(st)".into(),
                    vec![Value::Struct(vec![Value::text("/dev/sda"), Value::Uint64(100)])],
                ),
            ),
            (
                "{'k': <1>}",
                Value::Array(
                    "{sv}".into(),
                    vec![Value::Entry(Box::new((
                        Value::text("k"),
                        Value::Variant(Box::new(Value::Int32(1))),
                    )))],
                ),
            ),
            (r"'it\'s\u0041\n'", Value::text("it'sA\n")),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value() {
        for bad in [
            "",
            "  ",
            "infinity!",
            "seconds",
            "5s",
            "5 6",
            "uint64 -1",
            "byte 256",
            "2147483648",
            "uint64 'x'",
            "string 5",
            "'open",
            "[1",
            "[1,]",
            "[1 2]",
            "[1, 'a']",
            "[]",
            "{}",
            "{'a' 1}",
            "()",
            "@",
            "@zz 1",
            "@t",
            "<1",
            "just 5",
            "nothing",
            "0x",
            "--5",
            "+-5",
            "08",
            "@(st) ('a', 1, 2)",
            "@(st) ('a',)",
            "'\\u12'",
            "'\\ud800'",
            "1.2.3",
            "\u{0}",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} is {:?}", parse(bad));
        }
        assert_eq!(parse(&"[".repeat(10_000)), Err("nested too deep".to_owned()));
        assert_eq!(parse(&"int32 ".repeat(10_000)), Err("nested too deep".to_owned()));
    }
}
