//! JSON, with errors that say where.
//!
//! Owns: parsing, and finding the field a syntax or type error belongs to. The parser knows only
//! line and column; the path to them is looked for after something has failed, so that a good file
//! pays nothing for it. Must not: know the shape of any file.

use std::cell::{Cell, OnceCell};

use serde::Deserialize;

use crate::error::{Result, SpecError, one_line};
use crate::{keys, strict};

/// Room for the text of a file whose keys were in another case, or there twice.
pub(crate) type Room = OnceCell<Vec<u8>>;

/// Parses the JSON value at the start of `bytes`, whatever the case of the keys: see [`keys`]. What follows it is not
/// looked at, as by runc.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    room: &'a Room,
    file: &'static str,
) -> Result<T> {
    let (parsed, misspelt) = once(bytes);
    if parsed.is_ok() && !misspelt {
        return parsed.map_err(|error| refused(file, bytes, &error));
    }
    let text = keys::read(bytes).and_then(|value| serde_json::to_vec(&value));
    match (parsed, text) {
        (parsed, Err(_)) => parsed.map_err(|error| refused(file, bytes, &error)),
        (parsed, Ok(text)) => {
            let text = room.get_or_init(|| text);
            once(text).0.map_err(|error| match parsed.err().filter(|first| kind(first) == kind(&error)) {
                // The same in the text that was given, which the place is to be of.
                Some(first) => refused(file, bytes, &first),
                // A key given twice was in the way of what is really wrong.
                None => refused(file, text, &error),
            })
        }
    }
}

/// What is wrong, without the place.
fn kind(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(kind, _)| kind).to_owned()
}

/// One attempt, and whether a key was passed over that is a known one in another case.
fn once<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> (serde_json::Result<T>, bool) {
    let misspelt = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let watch = |key: &str| misspelt.set(misspelt.get() || keys::is_misspelt(key));
    (strict::deserialize(&mut json, &watch), misspelt.get())
}

/// The parser's error with the field it happened at.
pub(crate) fn refused(file: &'static str, bytes: &[u8], error: &serde_json::Error) -> SpecError {
    let field = path_to(bytes, error.line(), error.column());
    SpecError::Json { file, field, message: one_line(error.to_string()) }
}

/// Where we are inside one array or object.
enum Level<'a> {
    Object(&'a [u8]),
    Array(usize),
}

/// The field at a line and column, both counted from 1 (a column from 0 at the start of a line).
fn path_to(bytes: &[u8], line: usize, column: usize) -> String {
    let start: usize =
        bytes.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = start.saturating_add(column).min(bytes.len());
    let levels = walk(bytes.get(..end).unwrap_or(bytes));
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Array(index) => path.push_str(&format!("[{index}]")),
            Level::Object(b"") => {}
            Level::Object(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.extend(String::from_utf8_lossy(key).chars().filter(|c| !c.is_control()).take(64));
            }
        }
        if path.len() > 200 {
            path.push_str("...");
            break;
        }
    }
    path
}

/// The levels that are open at the end of `bytes`.
fn walk(bytes: &[u8]) -> Vec<Level<'_>> {
    let mut levels = Vec::new();
    let mut string: &[u8] = b"";
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length = string_length(rest);
                string = rest.get(..length).unwrap_or_default();
                at += length + 1;
            }
            b':' => {
                if let Some(Level::Object(key)) = levels.last_mut() {
                    *key = string;
                }
            }
            b'{' => levels.push(Level::Object(b"")),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' if at < bytes.len() => drop(levels.pop()),
            b',' if at < bytes.len() => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key)) => *key = b"",
                None => {}
            },
            _ => {}
        }
    }
    levels
}

/// How long the string at the start of `rest` is, up to its closing quote.
fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    rest.iter()
        .position(|byte| {
            let end = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            end
        })
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn error(json: &str) -> String {
        parse::<Option<Document<'_>>>(json.as_bytes(), &Room::new(), "config.json").unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_field() {
        for (json, start) in [
            (r#"{"process":{"user":{"uid":"root"}}}"#, "config.json: process.user.uid: invalid type: string"),
            (
                r#"{"mounts":[{"destination":"/a"},{"destination":5}]}"#,
                "config.json: mounts[1].destination: invalid type: integer",
            ),
            (
                r#"{"linux":{"resources":{"pids":{"limit":1.5}}}}"#,
                "config.json: linux.resources.pids.limit: ",
            ),
            ("{\n\"process\":\n  {\"args\": [\"a\",\n\"\\\"b,\", true]}}", "config.json: process.args[2]: "),
            (
                r#"{"process":{"user":{"uid":-1}}}"#,
                "config.json: process.user.uid: invalid value: integer `-1`",
            ),
            (r#"{"process":{"user":{"uid":4294967296}}}"#, "config.json: process.user.uid: "),
            ("", "config.json: EOF while parsing a value at line 1 column 0"),
            ("{\"hostname\":\"\u{1}\"}", "config.json: hostname: control character"),
        ] {
            let error = error(json);
            assert!(error.starts_with(start), "{error}\nwanted {start}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn keys_match_in_any_case() {
        let json = r#"{"PROCESS": {"Args": ["a"]}, "Linux": {"SECCOMP": {"DefaultAction": "x"},
            "resources": {"hugepageLimits": [{"pagesize": "2MB"}]}}, "Annotations": {"Args": "b"}}"#;
        let room = Room::new();
        let document: Document<'_> = parse(json.as_bytes(), &room, "config.json").unwrap();
        assert_eq!(document.process.unwrap().args, Some(vec!["a".to_owned()]));
        let linux = document.linux.unwrap();
        assert_eq!(linux.seccomp.unwrap().get(), r#"{"defaultAction":"x"}"#);
        let pages = linux.resources.unwrap().hugepage_limits().clone().unwrap();
        assert_eq!(pages[0].page_size(), "2MB");
        assert_eq!(document.annotations.unwrap()["Args"], "b");
    }

    #[test]
    fn of_a_key_given_twice_the_last_counts_and_what_follows_is_not_read() {
        let json = r#"{"hostname": "a", "process": {"cwd": "/", "args": ["a"]}, "hostname": "b",
            "process": {"args": ["b"]}} and more"#;
        let room = Room::new();
        let document: Document<'_> = parse(json.as_bytes(), &room, "config.json").unwrap();
        let process = document.process.unwrap();
        assert_eq!(document.hostname.as_deref(), Some("b"));
        assert_eq!((process.cwd.as_deref(), process.args), (Some("/"), Some(vec!["b".to_owned()])));
        let twice = r#"{"hostname": "a", "hostname": 5}"#;
        assert!(error(twice).starts_with("config.json: hostname: "), "{}", error(twice));
    }

    #[test]
    fn keys_that_fit_are_read_once() {
        let room = Room::new();
        let json = br#"{"process": {"args": ["a"]}, "flavour": {"Type": 1}, "annotations": {"Args": "b"}}"#;
        let document: Document<'_> = parse(json, &room, "config.json").unwrap();
        assert!(document.process.is_some() && room.get().is_none());
    }

    #[test]
    fn deep_nesting_is_refused_or_skipped_without_harm() {
        let deep = |field: &str| format!("{{\"{field}\":{}", "[".repeat(1_000_000));
        for field in ["mounts", "unknown", "linux"] {
            assert!(error(&deep(field)).starts_with("config.json: "), "{field}");
        }
        let linux = format!("{{\"linux\":{{\"seccomp\":{}", "{\"a\":".repeat(500_000));
        assert!(error(&linux).len() < 800);
    }
}
