//! Properties of the unit that the bundle's annotations ask for.
//!
//! Owns: names, values and the seconds people write. Must not: know what a property does.

use super::Property;
use super::gvariant;
use super::value::Value;
use crate::error::{Error, Result};

const PREFIX: &str = "org.systemd.property.";
const MICROSECONDS: f64 = 1e6;

/// The properties among annotations, in the order of their names.
///
/// # Errors
/// A name that can be none, or a value that is no GVariant text.
pub fn properties<'a>(
    annotations: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        if let Some(name) = key.strip_prefix(PREFIX) {
            properties.push(property(key, name, text)?);
        }
    }
    Ok(properties)
}

fn property(key: &str, name: &str, text: &str) -> Result<Property> {
    check_name(name).map_err(|why| Error::invalid(format!("annotation {key} name incorrect: {why}")))?;
    let bad = |why: String| Error::invalid(format!("annotation {key}={text} value parse error: {why}"));
    let value = gvariant::parse(text).map_err(bad)?;
    match microseconds_name(name) {
        None => Ok(Property { name: name.to_owned(), value }),
        Some(name) => Ok(Property { name, value: Value::Uint64(microseconds(&value).map_err(bad)?) }),
    }
}

fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    if name.len() < 3 {
        return Err("too short");
    }
    if name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(())
    } else {
        Err("contains non-alphabetic character")
    }
}

/// Unit files know `TimeoutStopSec`; the property is `TimeoutStopUSec`.
fn microseconds_name(name: &str) -> Option<String> {
    let stem = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase()))?;
    Some(format!("{stem}USec"))
}

fn microseconds(value: &Value) -> std::result::Result<u64, String> {
    let seconds: i128 = match value {
        Value::Byte(n) => (*n).into(),
        Value::Int16(n) => (*n).into(),
        Value::Uint16(n) => (*n).into(),
        Value::Int32(n) => (*n).into(),
        Value::Uint32(n) => (*n).into(),
        Value::Int64(n) => (*n).into(),
        Value::Uint64(n) => (*n).into(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        Value::Double(n) => {
            let all = n * MICROSECONDS;
            // The largest value means "for ever"; nothing near it is a time.
            return if (0.0..1.8e19).contains(&all) {
                Ok(all as u64)
            } else {
                Err("out of range".to_owned())
            };
        }
        _ => return Err("not a number".to_owned()),
    };
    u64::try_from(seconds * 1_000_000).map_err(|_| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, text: &str) -> std::result::Result<Property, String> {
        let key = format!("{PREFIX}{name}");
        let mut found = properties([(&key, &text.to_owned())]).map_err(|error| error.to_string())?;
        Ok(found.remove(0))
    }

    #[test]
    fn seconds_become_microseconds() {
        let of = |name: &str, value| Property { name: name.to_owned(), value };
        assert_eq!(one("TimeoutStopSec", "5"), Ok(of("TimeoutStopUSec", Value::Uint64(5_000_000))));
        assert_eq!(one("TimeoutStopSec", "2.5"), Ok(of("TimeoutStopUSec", Value::Uint64(2_500_000))));
        assert_eq!(one("TimeoutStopUSec", "uint64 7"), Ok(of("TimeoutStopUSec", Value::Uint64(7))));
        // Only after a lower-case letter: "USec" is none of seconds, nor is "Sec" itself.
        assert_eq!(one("Sec", "1"), Ok(of("Sec", Value::Int32(1))));
        assert_eq!(one("CollectMode", "'inactive'"), Ok(of("CollectMode", Value::text("inactive"))));
    }

    #[test]
    fn mistakes_in_runcs_words() {
        for (name, text, error) in [
            ("ab", "1", "annotation org.systemd.property.ab name incorrect: too short"),
            (
                "A1b",
                "1",
                "annotation org.systemd.property.A1b name incorrect: contains non-alphabetic character",
            ),
            (
                "TimeoutSec",
                "'x'",
                "annotation org.systemd.property.TimeoutSec='x' value parse error: not a number",
            ),
        ] {
            assert_eq!(one(name, text).unwrap_err(), error);
        }
        for (name, text) in
            [("Foo", "bar"), ("Foo", ""), ("TimeoutSec", "-1"), ("TimeoutSec", "uint64 18446744073709551615")]
        {
            let error = one(name, text).unwrap_err();
            assert!(error.contains("value parse error: "), "{error}");
        }
    }

    #[test]
    fn others_are_left_alone() {
        let annotations = std::collections::BTreeMap::from([
            ("org.systemd.propertyX".to_owned(), "?".to_owned()),
            ("run.oci.x".to_owned(), "?".to_owned()),
        ]);
        assert_eq!(properties(&annotations).unwrap(), []);
    }
}
