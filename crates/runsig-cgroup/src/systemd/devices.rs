//! The device filter as systemd's DeviceAllow.
//!
//! Owns: the syntax. Our own filter comes after systemd's and is the exact one; this is for systemd
//! not to set a wider one when it is reloaded. Must not: decide what is allowed.

use super::translate::Properties;
use super::value::Value;
use crate::devices::{Filter, Kind};

const ENTRY: &str = "(ss)";

/// Properties that allow what the filter allows. They clear a list that is there first.
///
/// On v2 systemd attaches a program of its own whenever it sets any property, beside ours, and both have to
/// allow. One that says less than the filter would take devices away; ours decides alone then.
pub(crate) fn properties(filter: &Filter, version: u32, unified: bool, out: &mut Properties) {
    let none = || Value::Array(ENTRY.to_owned(), Vec::new());
    out.push("DeviceAllow", none());
    if filter.allows_all() {
        out.push("DevicePolicy", Value::text("auto"));
        return;
    }
    let (entries, unsaid) = entries(filter, version);
    if unified && !unsaid.is_empty() {
        out.push("DevicePolicy", Value::text("auto"));
        return;
    }
    out.warnings.extend(unsaid);
    out.push("DevicePolicy", Value::text("strict"));
    if !filter.default_allow {
        out.push("DeviceAllow", Value::Array(ENTRY.to_owned(), entries));
    }
}

/// The list as far as systemd can say it, and why it cannot say the rest.
fn entries(filter: &Filter, version: u32) -> (Vec<Value>, Vec<String>) {
    let (mut entries, mut unsaid) = (Vec::new(), Vec::new());
    if filter.default_allow {
        unsaid.push(
            "systemd doesn't support blacklist device rules -- applying temporary deny-all rule".to_owned(),
        );
        return (entries, unsaid);
    }
    for (target, access) in &filter.exceptions {
        match path(target.kind, target.major, target.minor, version) {
            Ok(path) => entries.push(Value::Struct(vec![Value::Text(path), Value::Text(access.to_string())])),
            Err(why) => unsaid.push(why),
        }
    }
    (entries, unsaid)
}

/// systemd takes device nodes and `char-MAJOR` (v240), or `char-NAME` with a name in /proc/devices, or `char-*`.
fn path(kind: Kind, major: Option<u32>, minor: Option<u32>, version: u32) -> Result<String, String> {
    let word = match kind {
        Kind::Block => "block",
        Kind::Char => "char",
    };
    match (major, minor) {
        (None, None) => Ok(format!("{word}-*")),
        (None, Some(minor)) => Err(format!(
            "systemd doesn't support '*:n' device rules -- temporarily ignoring rule: {word} *:{minor}"
        )),
        (Some(major), None) if version >= 240 => Ok(format!("{word}-{major}")),
        (Some(major), None) => {
            let table = std::fs::read_to_string("/proc/devices").unwrap_or_default();
            let name = group(&table, kind, major).ok_or_else(|| {
                format!("could not find device group for '{word}/{major}' in /proc/devices -- temporarily ignoring rule")
            })?;
            Ok(format!("{word}-{name}"))
        }
        (Some(major), Some(minor)) => Ok(format!("/dev/{word}/{major}:{minor}")),
    }
}

/// The name of a major number. <https://man7.org/linux/man-pages/man5/proc_devices.5.html>
fn group(table: &str, kind: Kind, major: u32) -> Option<&str> {
    let heading = match kind {
        Kind::Block => "Block devices:",
        Kind::Char => "Character devices:",
    };
    let section = table.split("\n\n").find_map(|section| section.trim_start().strip_prefix(heading))?;
    section.lines().find_map(|line| {
        let (number, name) = line.trim_start().split_once(' ')?;
        (number.parse() == Ok(major)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::filter;

    fn of(json: &str) -> (Vec<String>, usize) {
        on(false, json)
    }

    fn on(unified: bool, json: &str) -> (Vec<String>, usize) {
        let rules: Vec<_> = serde_json::from_str(json).unwrap();
        let mut out = Properties::default();
        properties(&filter(&rules, &[]).unwrap(), 252, unified, &mut out);
        let shown = |value: &Value| match value {
            Value::Array(_, items) => items
                .iter()
                .map(|item| match item {
                    Value::Struct(pair) => {
                        pair.iter().filter_map(Value::as_text).collect::<Vec<_>>().join(" ")
                    }
                    _ => "?".to_owned(),
                })
                .collect::<Vec<_>>()
                .join(", "),
            other => other.as_text().unwrap_or_default().to_owned(),
        };
        (out.list.iter().map(|p| format!("{}={}", p.name, shown(&p.value))).collect(), out.warnings.len())
    }

    #[test]
    fn what_every_container_may_use() {
        let (shown, warnings) = of("[]");
        assert_eq!((shown.len(), warnings), (3, 0));
        assert_eq!(shown[..2], ["DeviceAllow=", "DevicePolicy=strict"]);
        for entry in ["block-* m", "char-* m", "char-136 rwm", "/dev/char/1:3 rwm", "/dev/char/5:2 rwm"] {
            assert!(shown[2].contains(entry), "{entry} in {}", shown[2]);
        }
    }

    #[test]
    fn what_systemd_cannot_say() {
        let all = of(r#"[{"allow":true,"access":"rwm"}]"#);
        assert_eq!(all, (vec!["DeviceAllow=".to_owned(), "DevicePolicy=auto".to_owned()], 0));
        let (shown, warnings) = of(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]"#,
        );
        assert_eq!((shown.len(), warnings), (2, 1));
        let (shown, warnings) = of(r#"[{"allow":true,"type":"c","minor":99,"access":"r"}]"#);
        assert_eq!((shown.len(), warnings), (3, 1));
        assert!(!shown[2].contains(":99"), "{shown:?}");
    }

    /// There systemd's program would be one more that has to allow.
    #[test]
    fn what_systemd_cannot_say_is_ours_alone_on_v2() {
        let ours = (vec!["DeviceAllow=".to_owned(), "DevicePolicy=auto".to_owned()], 0);
        for json in [
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]"#,
            r#"[{"allow":true,"type":"c","minor":99,"access":"r"}]"#,
        ] {
            assert_eq!(on(true, json), ours, "{json}");
        }
        assert_eq!(on(true, "[]").0[1], "DevicePolicy=strict");
    }

    #[test]
    fn names_of_majors() {
        let table = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n259 blkext\n";
        assert_eq!(group(table, Kind::Char, 136), Some("pts"));
        assert_eq!(group(table, Kind::Block, 8), Some("sd"));
        assert_eq!(group(table, Kind::Char, 8), None);
    }
}
