//! The device filter on v1: `devices.allow` and `devices.deny`.

use runsig_sys::fs::O_WRONLY;

use super::rule::{Access, Kind, Rule};
use super::{Filter, in_user_namespace};
use crate::dir::Dir;
use crate::error::{Error, Result};

/// Leads the cgroup from what it allows to what it should, with as few writes as that takes: none
/// when nothing changes.
pub(crate) fn set(dir: &Dir, target: &Filter) -> Result<()> {
    if in_user_namespace() {
        return Ok(());
    }
    let rules = current(dir)?.transition(target);
    if rules.is_empty() {
        return Ok(());
    }
    write(dir, &rules)?;
    // Exceptions to "allow" are not shown, so then only the default can be compared.
    let reached = current(dir)?;
    if reached.default_allow != target.default_allow {
        return Err(Error::invalid("resulting devices cgroup doesn't match target mode"));
    }
    if !target.default_allow && reached != *target {
        return Err(Error::invalid("resulting devices cgroup doesn't precisely match target"));
    }
    Ok(())
}

/// A filter as rules for a cgroup that allows nothing: whether each allows, and its line.
pub(crate) fn to_lines(filter: &Filter) -> Vec<(bool, String)> {
    let rules = Filter::default().transition(filter);
    rules.iter().map(|rule| (rule.allow, rule.to_string())).collect()
}

/// The filter that [`to_lines`] wrote.
pub(crate) fn from_lines(lines: &[(bool, String)]) -> Result<Filter> {
    lines.iter().try_fold(Filter::default(), |mut filter, (allow, line)| {
        filter.apply(&Rule { allow: *allow, ..known(line)? })?;
        Ok(filter)
    })
}

/// Each write(2) is one rule; the files are opened once.
fn write(dir: &Dir, rules: &[Rule]) -> Result<()> {
    let (mut allow, mut deny) = (None, None);
    for rule in rules {
        let (name, slot) =
            if rule.allow { ("devices.allow", &mut allow) } else { ("devices.deny", &mut deny) };
        let file = match slot {
            Some(file) => file,
            None => slot.insert(dir.open_file(name, O_WRONLY)?),
        };
        dir.write_to(file.as_fd(), name, &rule.to_string())?;
    }
    Ok(())
}

fn current(dir: &Dir) -> Result<Filter> {
    let mut filter = Filter::default();
    for line in dir.read("devices.list")?.lines() {
        filter.apply(&known(line)?)?;
    }
    Ok(filter)
}

fn known(line: &str) -> Result<Rule> {
    let bad = || Error::invalid(format!("error parsing line {line:?}: malformed devices.list rule"));
    parse(line).ok_or_else(bad)
}

/// `c 1:3 rwm`, `b *:* m`, `a *:* rwm`.
fn parse(line: &str) -> Option<Rule> {
    let mut words = line.split([' ', ':']);
    let kind = match words.next()? {
        "a" => None,
        "b" => Some(Kind::Block),
        "c" => Some(Kind::Char),
        _ => return None,
    };
    let number = |word: &str| match word {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let (major, minor) = (number(words.next()?)?, number(words.next()?)?);
    let access = Access::parse(words.next()?).ok().filter(|access| !access.is_empty())?;
    words.next().is_none().then_some(Rule { kind, major, minor, access, allow: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_comes_back_from_its_lines() {
        for json in [
            r#"[]"#,
            r#"[{"allow":true,"access":"rwm"}]"#,
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"rw"}]"#,
        ] {
            let rules: Vec<_> = serde_json::from_str(json).unwrap();
            let filter = crate::devices::filter(&rules, &[]).unwrap();
            assert_eq!(from_lines(&to_lines(&filter)).unwrap(), filter, "{json}");
        }
        assert!(from_lines(&[(true, "nonsense".to_owned())]).is_err());
    }

    #[test]
    fn lines_of_devices_list() {
        for line in ["a *:* rwm", "c 1:3 rwm", "b *:7 m", "c 136:* rw"] {
            assert_eq!(parse(line).unwrap().to_string(), line);
        }
        for bad in ["", "c", "x 1:3 rwm", "c 1 rwm", "c 1:3", "c 1:3 ", "c 1:3 q", "c 1:3 rwm x", "c -1:3 r"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
