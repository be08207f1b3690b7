//! POSIX extended regular expressions for container IDs (`--regex`).
//!
//! Owns: `.`, `[...]`, `^`, `$`, `*`, `+`, `?`, `|` and groups, searched for anywhere in the text,
//! in time linear in its length: every position the expression can be in is kept at once, so no
//! expression makes it slow. IDs are short ASCII names; a crate for all of Unicode would be half
//! of this program. Must not: support counted repeats or back references.

/// One step of a compiled expression.
#[derive(Debug, Clone)]
enum Step {
    /// One byte of this set.
    Byte(Box<[bool; 256]>),
    /// Only at the start.
    Start,
    /// Only at the end.
    End,
    /// Go on at either.
    Split(usize, usize),
    /// Go on there.
    Jump(usize),
    /// Found.
    Match,
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    steps: Vec<Step>,
}

impl Pattern {
    /// Compiles an expression; the error says what is wrong with it.
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("invalid regular expression {expression:?}: {why}");
        if expression.len() > LONGEST {
            return Err(bad("it is too long"));
        }
        let mut compiler = Compiler { rest: expression.as_bytes(), depth: 0 };
        let mut steps = compiler.alternatives().map_err(bad)?;
        if !compiler.rest.is_empty() {
            return Err(bad("unmatched )"));
        }
        steps.push(Step::Match);
        Ok(Self { steps })
    }

    /// Whether it matches anywhere in the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut states = vec![false; self.steps.len()];
        for at in 0..=bytes.len() {
            // A match may begin here too.
            if self.enter(&mut states, 0, at == 0, at == bytes.len()) {
                return true;
            }
            let Some(byte) = bytes.get(at) else { break };
            let (end, mut next) = (at + 1 == bytes.len(), vec![false; self.steps.len()]);
            for (index, step) in self.steps.iter().enumerate() {
                let here = states.get(index).copied().unwrap_or(false);
                let taken = matches!(step, Step::Byte(set) if set.get(usize::from(*byte)) == Some(&true));
                if here && taken && self.enter(&mut next, index + 1, false, end) {
                    return true;
                }
            }
            states = next;
        }
        false
    }

    /// Adds a position and those reached from it without a byte; says whether it is the end.
    fn enter(&self, states: &mut [bool], from: usize, at_start: bool, at_end: bool) -> bool {
        let mut pending = vec![from];
        while let Some(index) = pending.pop() {
            let (Some(state), Some(step)) = (states.get_mut(index), self.steps.get(index)) else { continue };
            if std::mem::replace(state, true) {
                continue;
            }
            match step {
                Step::Match => return true,
                Step::Split(one, other) => pending.extend([*one, *other]),
                Step::Jump(target) => pending.push(*target),
                Step::Start if at_start => pending.push(index + 1),
                Step::End if at_end => pending.push(index + 1),
                Step::Start | Step::End | Step::Byte(_) => {}
            }
        }
        false
    }
}

/// How deep groups may nest.
const DEEPEST: usize = 100;

/// How many bytes an expression may have.
const LONGEST: usize = 2048;

struct Compiler<'a> {
    rest: &'a [u8],
    depth: usize,
}

type Steps = Result<Vec<Step>, &'static str>;

impl Compiler<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn alternatives(&mut self) -> Steps {
        let one = self.sequence()?;
        if self.rest.first() != Some(&b'|') {
            return Ok(one);
        }
        self.next();
        let other = self.alternatives()?;
        let mut steps = vec![Step::Split(1, one.len() + 2)];
        append(&mut steps, one);
        steps.push(Step::Jump(steps.len() + 1 + other.len()));
        append(&mut steps, other);
        Ok(steps)
    }

    fn sequence(&mut self) -> Steps {
        let mut steps = Vec::new();
        while !matches!(self.rest.first(), None | Some(b'|' | b')')) {
            let atom = self.repeated()?;
            append(&mut steps, atom);
        }
        Ok(steps)
    }

    fn repeated(&mut self) -> Steps {
        let mut atom = self.atom()?;
        while let Some(sign @ (b'*' | b'+' | b'?')) = self.rest.first().copied() {
            self.next();
            atom = repeat(atom, sign);
        }
        Ok(atom)
    }

    fn atom(&mut self) -> Steps {
        let step = match self.next().ok_or("it ends too early")? {
            b'(' => return self.group(),
            b'[' => Step::Byte(self.set()?),
            b'.' => Step::Byte(Box::new([true; 256])),
            b'^' => Step::Start,
            b'$' => Step::End,
            b'*' | b'+' | b'?' => return Err("nothing to repeat"),
            b'{' => return Err("counted repeats are not supported"),
            b'\\' => literal(self.next().ok_or("trailing backslash")?),
            byte => literal(byte),
        };
        Ok(vec![step])
    }

    fn group(&mut self) -> Steps {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("groups are nested too deeply");
        }
        let steps = self.alternatives()?;
        self.depth -= 1;
        if self.next() == Some(b')') { Ok(steps) } else { Err("unmatched (") }
    }

    fn set(&mut self) -> Result<Box<[bool; 256]>, &'static str> {
        let unmatched = "unmatched [";
        let negated = self.rest.first() == Some(&b'^');
        if negated {
            self.next();
        }
        let mut set = Box::new([negated; 256]);
        let mut first = true;
        loop {
            let low = self.next().ok_or(unmatched)?;
            if low == b']' && !first {
                return Ok(set);
            }
            first = false;
            let high = match self.rest {
                [b'-', high, ..] if *high != b']' => *high,
                _ => low,
            };
            if high != low {
                self.rest = self.rest.get(2..).ok_or(unmatched)?;
            }
            if low > high {
                return Err("a range in [] runs backwards");
            }
            for member in set.get_mut(usize::from(low)..=usize::from(high)).unwrap_or_default() {
                *member = !negated;
            }
        }
    }
}

fn literal(byte: u8) -> Step {
    let mut set = Box::new([false; 256]);
    if let Some(member) = set.get_mut(usize::from(byte)) {
        *member = true;
    }
    Step::Byte(set)
}

fn repeat(atom: Vec<Step>, sign: u8) -> Vec<Step> {
    let length = atom.len();
    let mut steps = Vec::with_capacity(length + 2);
    if sign != b'+' {
        steps.push(Step::Split(1, length + if sign == b'*' { 2 } else { 1 }));
    }
    append(&mut steps, atom);
    match sign {
        b'*' => steps.push(Step::Jump(0)),
        b'+' => steps.push(Step::Split(0, length + 1)),
        _ => {}
    }
    steps
}

/// Adds steps whose targets count from their own beginning.
fn append(to: &mut Vec<Step>, steps: Vec<Step>) {
    let base = to.len();
    to.extend(steps.into_iter().map(|step| match step {
        Step::Split(one, other) => Step::Split(one + base, other + base),
        Step::Jump(target) => Step::Jump(target + base),
        other => other,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        Pattern::new(expression).unwrap().matches(text)
    }

    #[test]
    fn expressions_match_as_posix_says() {
        for (expression, yes, no) in [
            ("b", "abc", "ac"),
            ("^b", "bc", "ab"),
            ("b$", "ab", "ba"),
            ("^$", "", "a"),
            ("^a.c$", "abc", "abbc"),
            ("^ab*c$", "ac", "abdc"),
            ("^ab+c$", "abbc", "ac"),
            ("^ab?c$", "abc", "abbc"),
            ("^(a|bc)+$", "abca", "abb"),
            ("^web-[0-9]+$", "web-17", "web-x"),
            ("^[^0-9]+$", "web", "web1"),
            ("^[]x-]+$", "]-x", "a"),
            ("^a\\.b$", "a.b", "axb"),
            ("^(|x)y$", "y", "xxy"),
            ("^(a*)*$", "aaaa", "b"),
            ("^x|y$", "ay", "ax"),
        ] {
            assert!(matches(expression, yes), "{expression} {yes}");
            assert!(!matches(expression, no), "{expression} {no}");
        }
        assert!(matches("", "anything"));
    }

    #[test]
    fn nothing_is_slow() {
        let expression = "(a*)*".repeat(40) + "b";
        assert!(!matches(&expression, &"a".repeat(1000)));
        assert!(matches(&"a|".repeat(1000), "x"));
    }

    #[test]
    fn bad_expressions_say_why() {
        for (expression, why) in [
            ("(a", "unmatched ("),
            ("a)", "unmatched )"),
            ("[a", "unmatched ["),
            ("*a", "nothing to repeat"),
            ("a\\", "trailing backslash"),
            ("a{2}", "counted repeats are not supported"),
            ("[z-a]", "a range in [] runs backwards"),
            (&"(".repeat(1000), "groups are nested too deeply"),
            (&"|".repeat(5000), "it is too long"),
        ] {
            let error = Pattern::new(expression).unwrap_err();
            assert!(error.ends_with(why), "{error}");
        }
    }
}
