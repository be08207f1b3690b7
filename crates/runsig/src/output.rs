//! Standard output: JSON as Go writes it, tables as Go's tabwriter lays them out.
//!
//! Owns: the forms. Must not: know what a container is.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::failure::{Failure, Result};

/// Writes all of it to standard output, in one call where the kernel takes it.
pub(crate) fn print(text: &str) -> Result<()> {
    // Not through the buffered handle: the text is complete, and a second copy of it is waste.
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::io("write", Path::new("/dev/stdout"), &error))
}

/// JSON on several lines. As Go's encoder does, `<`, `>` and `&` become escapes.
pub(crate) fn pretty_json(value: &impl Serialize, indent: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(1024);
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(indent.as_bytes()));
    value.serialize(&mut serializer).map_err(|error| Failure::new(format!("json: {error}")))?;
    String::from_utf8(bytes).map(go_escapes).map_err(|error| Failure::new(format!("json: {error}")))
}

/// JSON on one line, with the escapes of Go's encoder.
pub(crate) fn compact_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map(go_escapes).map_err(|error| Failure::new(format!("json: {error}")))
}

/// A JSON string, with the escapes of Go's encoder.
pub(crate) fn json_string(text: &str) -> String {
    go_escapes(serde_json::Value::from(text).to_string())
}

/// The characters in question only ever stand inside strings, so they can be replaced anywhere.
fn go_escapes(json: String) -> String {
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Columns at least 12 wide, three spaces apart; the last one is not padded.
pub(crate) fn table<const N: usize, S: AsRef<str>>(header: [&str; N], rows: &[[S; N]]) -> String {
    const GAP: usize = 3;
    const NARROWEST: usize = 12;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.as_ref().chars().count());
        let head = header.get(column).map_or(0, |cell| cell.len());
        (cells.fold(head, usize::max) + GAP).max(NARROWEST)
    };
    let widths: Vec<usize> = (0..N.saturating_sub(1)).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        for (cell, width) in cells.iter().zip(widths.iter().chain([&0])) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        text.push('\n');
    };
    line(header);
    for row in rows {
        line(std::array::from_fn(|column| row.get(column).map_or("", S::as_ref)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_laid_out_as_tabwriter_does() {
        let empty: &[[String; 6]] = &[];
        let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
        assert_eq!(
            table(header, empty),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        let rows = [["a-long-container", "7", "root"].map(String::from)];
        assert_eq!(
            table(["ID", "PID", "OWNER"], &rows),
            "ID                 PID         OWNER\na-long-container   7           root\n"
        );
    }

    #[test]
    fn json_is_go_s() {
        assert_eq!(json_string("a<b>&\"\u{1}"), "\"a\\u003cb\\u003e\\u0026\\\"\\u0001\"");
        let value = serde_json::json!({"a": {"b": []}});
        assert_eq!(pretty_json(&value, "  ").unwrap_or_default(), "{\n  \"a\": {\n    \"b\": []\n  }\n}");
    }
}
