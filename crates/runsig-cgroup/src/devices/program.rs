//! The eBPF program that is a device filter.
//!
//! Owns: turning a [`Filter`] into instructions. Must not: load them.
//!
//! The exceptions of a filter all lead to the same answer, so their order is free: they are
//! grouped by kind and major number, and share one way out. The verifier's time, which is most of
//! what a filter costs, goes with the number of branches: 0.33 ms for a block of its own for each
//! default rule, a third of that like this.

use runsig_sys::bpf::Insn;

use super::filter::{Filter, Match};
use super::rule::{Access, Kind};
use crate::error::{Error, Result};

const RESULT: u8 = 0;
/// The context, `struct bpf_cgroup_dev_ctx { access_type, major, minor }`; scratch once it is read.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// A place to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

/// An exception applies.
const HIT: Label = Label(0);
/// No exception applies.
const MISS: Label = Label(1);

/// Whether what comes next is ever reached: the verifier takes no dead code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Goes,
    Ends,
}

/// The program for a filter.
pub(crate) fn assemble(filter: &Filter) -> Result<Vec<Insn>> {
    let mut program = Program { labels: vec![0; 2], ..Program::default() };
    program.load_context();
    for kind in [Kind::Char, Kind::Block] {
        let exceptions = filter.exceptions.iter().filter(|(target, _)| target.kind == kind);
        let exceptions: Vec<Exception> =
            exceptions.map(|(target, access)| Exception::new(target, *access, filter)).collect();
        program.kind(kind, &exceptions);
    }
    program.here(MISS);
    program.answer(filter.default_allow);
    if !filter.exceptions.is_empty() {
        program.here(HIT);
        program.answer(!filter.default_allow);
    }
    program.link()
}

/// An exception, with its access as a test: `access & mask` is zero, or is not.
#[derive(Debug, Clone, Copy)]
struct Exception {
    major: Option<u32>,
    minor: Option<u32>,
    /// `None`: whatever the access.
    test: Option<(i32, u8)>,
}

impl Exception {
    fn new(target: &Match, access: Access, filter: &Filter) -> Self {
        let test = if filter.default_allow {
            // Any part of it that is denied denies all, as on v1.
            (access.bits(), Insn::JUMP_UNLESS_CONSTANT)
        } else {
            // All that is to be done has to be allowed: reading and writing is not just reading.
            ((!access).bits(), Insn::JUMP_IF_CONSTANT)
        };
        Self { major: target.major, minor: target.minor, test: (access != Access::ALL).then_some(test) }
    }
}

/// A program that is being written.
#[derive(Debug, Default)]
struct Program {
    insns: Vec<Insn>,
    /// Where labels are, by their number.
    labels: Vec<usize>,
    /// Jumps that have yet to get their offset.
    jumps: Vec<(usize, Label)>,
}

impl Program {
    fn push(&mut self, code: u8, dst: u8, src: u8, offset: i16, constant: i32) {
        self.insns.push(Insn::new(code, dst, src, offset, constant));
    }

    fn label(&mut self) -> Label {
        self.labels.push(0);
        Label(self.labels.len() - 1)
    }

    /// Puts a label at the next instruction.
    fn here(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = self.insns.len();
        }
    }

    fn jump(&mut self, code: u8, register: u8, constant: i32, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(code, register, 0, 0, constant);
    }

    fn load_context(&mut self) {
        // The low half of access_type is the kind of device, the high half what is to be done.
        self.push(Insn::LOAD_WORD, KIND, CONTEXT, 0, 0);
        self.push(Insn::AND_CONSTANT, KIND, 0, 0, 0xffff);
        self.push(Insn::LOAD_WORD, ACCESS, CONTEXT, 0, 0);
        self.push(Insn::SHIFT_RIGHT_CONSTANT, ACCESS, 0, 0, 16);
        self.push(Insn::LOAD_WORD, MAJOR, CONTEXT, 4, 0);
        self.push(Insn::LOAD_WORD, MINOR, CONTEXT, 8, 0);
    }

    /// All exceptions for one kind of device; sorted, so those for any major number come first.
    fn kind(&mut self, kind: Kind, exceptions: &[Exception]) {
        if exceptions.is_empty() {
            return;
        }
        let next = self.label();
        self.jump(Insn::JUMP_UNLESS_CONSTANT, KIND, kind.bpf(), next);
        let groups = exceptions.chunk_by(|one, other| one.major == other.major);
        let mut flow = Flow::Goes;
        for group in groups {
            if flow == Flow::Goes {
                flow = self.major(group);
            }
        }
        if flow == Flow::Goes {
            self.jump(Insn::JUMP, 0, 0, MISS);
        }
        self.here(next);
    }

    /// The exceptions for one major number, or for any.
    fn major(&mut self, group: &[Exception]) -> Flow {
        let Some(major) = group.first().and_then(|exception| exception.major) else {
            return self.minors(group);
        };
        let next = self.label();
        self.jump(Insn::JUMP_UNLESS_CONSTANT, MAJOR, major.cast_signed(), next);
        if self.minors(group) == Flow::Goes {
            // No other group is for this number.
            self.jump(Insn::JUMP, 0, 0, MISS);
        }
        self.here(next);
        Flow::Goes
    }

    fn minors(&mut self, group: &[Exception]) -> Flow {
        for exception in group {
            match (exception.minor, exception.test) {
                (None, None) => {
                    self.jump(Insn::JUMP, 0, 0, HIT);
                    return Flow::Ends;
                }
                (None, Some(test)) => self.access(test),
                (Some(minor), None) => {
                    self.jump(Insn::JUMP_IF_CONSTANT, MINOR, minor.cast_signed(), HIT);
                }
                (Some(minor), Some(test)) => {
                    let next = self.label();
                    self.jump(Insn::JUMP_UNLESS_CONSTANT, MINOR, minor.cast_signed(), next);
                    self.access(test);
                    self.here(next);
                }
            }
        }
        Flow::Goes
    }

    fn access(&mut self, (mask, jump): (i32, u8)) {
        self.push(Insn::MOVE, CONTEXT, ACCESS, 0, 0);
        self.push(Insn::AND_CONSTANT, CONTEXT, 0, 0, mask);
        self.jump(jump, CONTEXT, 0, HIT);
    }

    fn answer(&mut self, allow: bool) {
        self.push(Insn::MOVE_CONSTANT, RESULT, 0, 0, i32::from(allow));
        self.push(Insn::EXIT, 0, 0, 0, 0);
    }

    /// Gives every jump its offset, which counts from the next instruction.
    fn link(mut self) -> Result<Vec<Insn>> {
        for (at, label) in &self.jumps {
            let to = self.labels.get(label.0).copied().unwrap_or_default();
            let offset = to.checked_sub(at + 1).and_then(|offset| i16::try_from(offset).ok());
            let offset = offset.ok_or_else(|| Error::invalid("too many device rules"))?;
            if let Some(insn) = self.insns.get_mut(*at) {
                insn.offset = offset;
            }
        }
        Ok(self.insns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::rule::Rule;

    const R: i32 = 2;
    const W: i32 = 4;
    const M: i32 = 1;
    const BLOCK: i32 = 1;
    const CHAR: i32 = 2;

    /// Runs a program on a context, as the kernel would, for the instructions we use.
    fn run(program: &[Insn], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let context = [(access << 16 | kind) as u32, major, minor];
        let mut r = [0u64; 11];
        let mut at = 0usize;
        for _ in 0..10_000 {
            let insn = program[at];
            let (dst, src) = (usize::from(insn.registers & 0xf), usize::from(insn.registers >> 4));
            let constant = insn.constant as u32;
            at += 1;
            let jump = match insn.code {
                Insn::LOAD_WORD => {
                    assert_eq!(src, usize::from(CONTEXT), "memory is read through the context only");
                    r[dst] = u64::from(context[usize::try_from(insn.offset / 4).unwrap()]);
                    false
                }
                Insn::AND_CONSTANT => {
                    r[dst] = u64::from(r[dst] as u32 & constant);
                    false
                }
                Insn::SHIFT_RIGHT_CONSTANT => {
                    r[dst] = u64::from(r[dst] as u32 >> constant);
                    false
                }
                Insn::MOVE_CONSTANT => {
                    r[dst] = u64::from(constant);
                    false
                }
                Insn::MOVE => {
                    r[dst] = u64::from(r[src] as u32);
                    false
                }
                Insn::JUMP_IF_CONSTANT => r[dst] as u32 == constant,
                Insn::JUMP_UNLESS_CONSTANT => r[dst] as u32 != constant,
                Insn::JUMP => true,
                Insn::EXIT => return r[0] != 0,
                other => panic!("unknown instruction {other:#x}"),
            };
            if jump {
                at += usize::try_from(insn.offset).unwrap();
            }
        }
        panic!("does not end");
    }

    fn rule(text: &str) -> Rule {
        let (allow, rest) = text.split_once(' ').unwrap();
        let mut words = rest.split([' ', ':']);
        let kind = match words.next().unwrap() {
            "a" => None,
            "b" => Some(Kind::Block),
            _ => Some(Kind::Char),
        };
        let mut number = || words.next().unwrap().parse().ok();
        let (major, minor) = (number(), number());
        let access = Access::parse(words.next().unwrap()).unwrap();
        Rule { kind, major, minor, access, allow: allow == "allow" }
    }

    fn program(rules: &[&str]) -> Vec<Insn> {
        let mut filter = Filter::default();
        for text in rules {
            filter.apply(&rule(text)).unwrap();
        }
        assemble(&filter).unwrap()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let p = program(&[]);
        assert!(!run(&p, CHAR, R, 1, 3));
        assert!(run(&program(&["allow a *:* rwm"]), CHAR, R | W, 1, 3));
    }

    #[test]
    fn exceptions_to_deny() {
        let p = program(&[
            "deny a *:* rwm",
            "allow c 1:3 rw",
            "allow b 8:* r",
            "allow c *:* m",
            "allow c 5:0 rwm",
        ]);
        assert!(run(&p, CHAR, R, 1, 3));
        assert!(run(&p, CHAR, R | W, 1, 3));
        assert!(!run(&p, CHAR, R | M, 1, 3), "all of it has to be allowed");
        assert!(!run(&p, BLOCK, R, 1, 3), "another kind");
        assert!(!run(&p, CHAR, R, 1, 4));
        assert!(!run(&p, CHAR, R, 2, 3));
        assert!(run(&p, BLOCK, R, 8, 77));
        assert!(!run(&p, BLOCK, W, 8, 77));
        assert!(run(&p, CHAR, M, 200, 200));
        assert!(run(&p, CHAR, R | W | M, 5, 0));
    }

    #[test]
    fn exceptions_to_allow() {
        let p = program(&["allow a *:* rwm", "deny c 1:11 w", "deny b *:3 rwm"]);
        assert!(run(&p, CHAR, R, 1, 11));
        assert!(!run(&p, CHAR, W, 1, 11));
        assert!(!run(&p, CHAR, R | W, 1, 11), "writing is denied, so reading and writing is");
        assert!(!run(&p, BLOCK, R, 77, 3));
        assert!(run(&p, BLOCK, R, 77, 4));
    }

    #[test]
    fn large_numbers() {
        let p = program(&["allow c 4294967295:2147483648 rwm"]);
        assert!(run(&p, CHAR, R, u32::MAX, 1 << 31));
        assert!(!run(&p, CHAR, R, u32::MAX, 1));
        assert!(!run(&p, CHAR, R, 1, 1 << 31));
    }

    #[test]
    fn later_rules_win() {
        let p = program(&["allow c 1:3 rwm", "deny c 1:3 w"]);
        assert!(run(&p, CHAR, R | M, 1, 3));
        assert!(!run(&p, CHAR, W, 1, 3));
        let p = program(&["deny c 1:3 rwm", "allow c 1:3 rwm"]);
        assert!(run(&p, CHAR, W, 1, 3));
        let p = program(&["allow c 1:3 rwm", "deny a *:* rwm"]);
        assert!(!run(&p, CHAR, R, 1, 3));
    }

    /// Every program against the rules themselves, on everything near the edges.
    #[test]
    fn programs_do_what_the_filter_says() {
        let lists: [&[&str]; 6] = [
            &["allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 1:5 r", "allow c 136:* rwm"],
            &["allow c *:3 r", "allow c 1:* w", "allow b 5:0 rw"],
            &["allow c *:* rwm", "allow c 1:3 r", "allow b 1:3 m"],
            &["allow a *:* rwm", "deny c *:3 w", "deny c 1:* rwm", "deny b *:* m"],
            &["allow a *:* rwm", "deny b *:* rwm"],
            &["allow c 1:* rwm", "allow c 1:3 r", "allow c 5:1 w"],
        ];
        for rules in lists {
            let mut filter = Filter::default();
            rules.iter().for_each(|text| filter.apply(&rule(text)).unwrap());
            let program = assemble(&filter).unwrap();
            for (kind, bpf) in [(Kind::Char, CHAR), (Kind::Block, BLOCK)] {
                for (major, minor) in
                    [0, 1, 2, 5, 136].into_iter().flat_map(|a| [0, 1, 3, 5, 9].map(|b| (a, b)))
                {
                    for access in 1..8 {
                        let hit = filter.exceptions.iter().any(|(m, mask)| {
                            m.kind == kind
                                && m.major.is_none_or(|n| n == major)
                                && m.minor.is_none_or(|n| n == minor)
                                && if filter.default_allow {
                                    access & mask.bits() != 0
                                } else {
                                    access & !mask.bits() == 0
                                }
                        });
                        let allowed = run(&program, bpf, access, major, minor);
                        assert_eq!(
                            allowed,
                            hit != filter.default_allow,
                            "{rules:?} {kind:?} {major}:{minor} {access}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn absurdly_many_rules() {
        let mut filter = Filter::default();
        for n in 0..20_000 {
            filter.apply(&rule(&format!("allow c {n}:1 r"))).unwrap();
        }
        assert_eq!(assemble(&filter).unwrap_err().to_string(), "too many device rules");
    }

    #[test]
    fn the_kernel_takes_every_form() {
        if runsig_sys::process::geteuid() != 0 {
            println!("skipped: needs root to load a program");
            return;
        }
        let mut long = vec!["deny a *:* rwm".to_owned()];
        long.extend((0..500).map(|n| format!("allow c {n}:* r")));
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for rules in [
            &[] as &[&str],
            &["allow a *:* rwm"],
            &["allow c 4294967295:2147483648 rw", "allow b *:* m", "allow c *:3 rwm"],
            &["allow a *:* rwm", "deny c 1:11 w", "deny b *:3 rwm"],
            &["allow c *:* rwm", "allow c 1:3 r", "allow b 1:* rwm", "allow b 1:3 r"],
            &["allow b *:* rwm"],
            &["allow b 1:* rwm"],
            &long,
        ] {
            runsig_sys::bpf::load_device_filter(&program(rules), c"Apache", b"runsig_test").unwrap();
        }
    }
}
