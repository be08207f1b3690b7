//! Strings and paths on their way from JSON to the kernel.
//!
//! Owns: the refusal of NUL bytes, lexical path cleaning. Must not: look at the file system.

use std::ffi::CString;

use crate::error::{Result, SpecError};

/// A C string; `field` names it in the message when it holds a NUL byte.
pub(crate) fn cstring<S: Into<String>>(value: String, field: impl FnOnce() -> S) -> Result<CString> {
    CString::new(value).map_err(|error| {
        let value = String::from_utf8_lossy(&error.into_vec()).into_owned();
        SpecError::value(field(), value, "contains a NUL byte")
    })
}

/// C strings of a list; `field` names the list.
pub(crate) fn cstrings(values: Option<Vec<String>>, field: &str) -> Result<Vec<CString>> {
    values
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(i, value)| cstring(value, || format!("{field}[{i}]")))
        .collect()
}

/// The C string of a field that may be absent; an empty one counts as absent, as in runc.
pub(crate) fn optional(value: Option<String>, field: &str) -> Result<Option<CString>> {
    value.filter(|v| !v.is_empty()).map(|v| cstring(v, || field)).transpose()
}

/// The shortest path that means the same, by its letters alone: no `.`, no `//`, no `..` that
/// could be taken back. An absolute path stays inside `/`. An empty path becomes `.`.
pub(crate) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `path` as seen from `base` (absolute), clean.
pub(crate) fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{base}/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_letters() {
        for (path, want) in [
            ("", "."),
            ("/", "/"),
            ("//a///b/", "/a/b"),
            ("/../../a", "/a"),
            ("/a/b/../../..", "/"),
            ("a/../../b", "../b"),
            ("./a/./b", "a/b"),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
        assert_eq!(join("/bundle", "rootfs"), "/bundle/rootfs");
        assert_eq!(join("/bundle", "../other"), "/other");
        assert_eq!(join("/bundle", "/x/./y"), "/x/y");
    }

    #[test]
    fn a_nul_byte_is_named() {
        let error = cstring("a\0b".to_owned(), || "process.cwd").unwrap_err();
        assert_eq!(error.to_string(), "invalid process.cwd \"a\\0b\": contains a NUL byte");
    }
}
