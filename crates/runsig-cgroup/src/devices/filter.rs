//! What a list of device rules comes to.
//!
//! Owns: the semantics, which are those of the v1 devices controller on both versions: a default
//! and exceptions to it. `a` rules set the default and forget what was before. Must not: talk to
//! the kernel.

use std::collections::BTreeMap;

use super::rule::{Access, Kind, Rule};
use crate::error::{Error, Result};

/// What an exception is about; sorted as runc sorts them, wildcards first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) kind: Kind,
}

/// A default, and the accesses that are treated the other way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) default_allow: bool,
    pub(crate) exceptions: BTreeMap<Match, Access>,
}

impl Filter {
    /// The next rule.
    pub(crate) fn apply(&mut self, rule: &Rule) -> Result<()> {
        let Some(kind) = rule.kind else {
            *self = Self { default_allow: rule.allow, exceptions: BTreeMap::new() };
            return Ok(());
        };
        let target = Match { major: rule.major, minor: rule.minor, kind };
        if rule.allow == self.default_allow {
            return self.take_away(target, rule);
        }
        let known = self.exceptions.entry(target).or_default();
        *known = *known | rule.access;
        Ok(())
    }

    /// Undoes an exception. A wildcard exception cannot get holes: v1 would ignore that in
    /// silence, which is the wrong thing to do for a restriction.
    fn take_away(&mut self, target: Match, rule: &Rule) -> Result<()> {
        let wider = [
            Match { major: None, ..target },
            Match { minor: None, ..target },
            Match { major: None, minor: None, ..target },
        ];
        for wide in wider.iter().filter(|wide| **wide != target) {
            let access = self.exceptions.get(wide).copied().unwrap_or_default();
            if !(access & rule.access).is_empty() {
                let existing =
                    Rule { kind: Some(wide.kind), major: wide.major, minor: wide.minor, access, ..*rule };
                let what = if self.default_allow { "deny" } else { "allow" };
                return Err(Error::invalid(format!(
                    "unable to remove '{what}' exception: requested rule [{rule}] not supported by devices \
                     cgroupv1 (cannot punch hole in existing wildcard rule [{existing}])"
                )));
            }
        }
        if let Some(access) = self.exceptions.get_mut(&target) {
            *access = *access & !rule.access;
            if access.is_empty() {
                self.exceptions.remove(&target);
            }
        }
        Ok(())
    }

    /// Whether nothing is refused.
    pub(crate) fn allows_all(&self) -> bool {
        self.default_allow && self.exceptions.is_empty()
    }

    /// The fewest v1 writes that lead from `self` to `target`: what is right already is left
    /// alone, so that processes in the cgroup see no refusal in between.
    pub(crate) fn transition(&self, target: &Self) -> Vec<Rule> {
        let mut rules = Vec::new();
        let none = BTreeMap::new();
        let mut old = &self.exceptions;
        // devices.list shows no exceptions of a cgroup that allows by default: start anew.
        if self.default_allow || self.default_allow != target.default_allow {
            let allow = target.default_allow;
            rules.push(Rule { kind: None, major: None, minor: None, access: Access::ALL, allow });
            old = &none;
        }
        differences(old, &target.exceptions, target.default_allow, &mut rules);
        differences(&target.exceptions, old, !target.default_allow, &mut rules);
        rules
    }
}

/// Rules for all in `from` that is not in `without`.
fn differences(
    from: &BTreeMap<Match, Access>,
    without: &BTreeMap<Match, Access>,
    allow: bool,
    rules: &mut Vec<Rule>,
) {
    for (target, access) in from {
        let access = *access & !without.get(target).copied().unwrap_or_default();
        if !access.is_empty() {
            let Match { major, minor, kind } = *target;
            rules.push(Rule { kind: Some(kind), major, minor, access, allow });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str, allow: bool) -> Rule {
        let (kind, rest) = text.split_at(1);
        let kind = match kind {
            "a" => None,
            "b" => Some(Kind::Block),
            _ => Some(Kind::Char),
        };
        let words: Vec<&str> = rest.trim().split([' ', ':']).collect();
        let access = Access::parse(words[2]).unwrap();
        Rule { kind, major: words[0].parse().ok(), minor: words[1].parse().ok(), access, allow }
    }
    fn filter(rules: &[(&str, bool)]) -> Filter {
        let mut filter = Filter::default();
        for (text, allow) in rules {
            filter.apply(&rule(text, *allow)).unwrap();
        }
        filter
    }
    fn texts(rules: &[Rule]) -> Vec<String> {
        rules.iter().map(|r| format!("{}{r}", if r.allow { '+' } else { '-' })).collect()
    }

    #[test]
    fn holes_in_wildcards_are_refused() {
        let mut f = filter(&[("c 1:* rw", true)]);
        let error = f.apply(&rule("c 1:3 w", false)).unwrap_err().to_string();
        assert!(error.contains("cannot punch hole in existing wildcard rule [c 1:* rw]"), "{error}");
        // Nothing in common, or the very same wildcard: fine.
        f.apply(&rule("c 1:3 m", false)).unwrap();
        f.apply(&rule("c 1:* w", false)).unwrap();
        assert_eq!(f, filter(&[("c 1:* r", true)]));
        f.apply(&rule("c 1:* r", false)).unwrap();
        assert_eq!(f, Filter::default());
    }

    #[test]
    fn transitions_are_small() {
        let target = filter(&[("c 1:3 rwm", true), ("b 8:0 r", true)]);
        let fresh = filter(&[("a *:* rwm", true)]);
        assert_eq!(texts(&fresh.transition(&target)), ["-a *:* rwm", "+c 1:3 rwm", "+b 8:0 r"]);
        assert!(target.transition(&target).is_empty());
        let other = filter(&[("c 1:3 rw", true), ("c 5:* r", true)]);
        assert_eq!(texts(&target.transition(&other)), ["-c 1:3 m", "-b 8:0 r", "+c 5:* r"]);
        assert_eq!(texts(&target.transition(&fresh)), ["+a *:* rwm"]);
    }
}
