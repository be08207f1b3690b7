//! `ociVersion`.
//!
//! Owns: which versions of the specification are accepted. Must not: change behaviour by version.

use crate::error::{Result, SpecError};

/// The version of the specification that is implemented, and with which a container's state complies (runtime.md),
/// whatever its bundle was written for.
pub const OCI_VERSION: &str = "1.3.0";

/// Checks the version: any 1.x. A missing one is warned about only, because runc takes it.
pub(crate) fn check(given: Option<String>, warnings: &mut Vec<String>) -> Result<()> {
    let Some(version) = given.filter(|version| !version.is_empty()) else {
        warnings.push(format!("config.json has no ociVersion; taking it for {OCI_VERSION}"));
        return Ok(());
    };
    match major(&version) {
        Some(1) => Ok(()),
        Some(_) => Err(SpecError::value("ociVersion", version, "only 1.x is supported")),
        None => Err(SpecError::value("ociVersion", version, "is not a semantic version (semver.org)")),
    }
}

/// The major number of a semantic version 2.0.0; `None` for anything else.
fn major(version: &str) -> Option<u64> {
    let (rest, build) = cut(version, '+');
    let (numbers, pre) = cut(rest, '-');
    let identifiers = |list: Option<&str>, number_without_zero: bool| {
        list.is_none_or(|list| {
            list.split('.').all(|part| {
                let characters =
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                let number = part.bytes().all(|b| b.is_ascii_digit());
                characters && !(number_without_zero && number && number_part(part).is_none())
            })
        })
    };
    let mut parts = numbers.split('.');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let good = parts.next().is_none()
        && number_part(second).is_some()
        && number_part(third).is_some()
        && identifiers(pre, true)
        && identifiers(build, false);
    number_part(first).filter(|_| good)
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// A number without leading zeros.
fn number_part(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_version_one_is_accepted() {
        for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.2.0+dev", "1.0.0-rc5.1+x.y", "1.10.0-rc.1-a"] {
            assert_eq!(check(Some(version.to_owned()), &mut vec![]), Ok(()), "{version}");
        }
    }

    #[test]
    fn the_rest_is_named() {
        for version in [
            "0.5.0", "2.0.0", "1.0", "1", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0 ", "x",
            "1.0.0+",
        ] {
            let error = check(Some(version.to_owned()), &mut vec![]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid ociVersion {version:?}")), "{error}");
        }
    }

    #[test]
    fn a_missing_version_is_warned_about() {
        let mut warnings = vec![];
        assert_eq!(check(None, &mut warnings), Ok(()));
        assert_eq!(warnings.len(), 1);
    }
}
