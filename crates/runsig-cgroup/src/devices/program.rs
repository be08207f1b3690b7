//! The eBPF program that is a device filter.
//!
//! Owns: turning a [`Filter`] into instructions. Must not: load them.

use runsig_sys::bpf::Insn;

use super::filter::{Filter, Match};
use super::rule::Access;

const RESULT: u8 = 0;
/// The context, `struct bpf_cgroup_dev_ctx { access_type, major, minor }`; scratch once it is read.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program: a block for each exception, each of which falls through to the next when it does
/// not match, and the default at the end.
pub(crate) fn assemble(filter: &Filter) -> Vec<Insn> {
    let mut program = vec![
        // The low half of access_type is the kind of device, the high half what is to be done.
        Insn::new(Insn::LOAD_WORD, KIND, CONTEXT, 0, 0),
        Insn::new(Insn::AND_CONSTANT, KIND, 0, 0, 0xffff),
        Insn::new(Insn::LOAD_WORD, ACCESS, CONTEXT, 0, 0),
        Insn::new(Insn::SHIFT_RIGHT_CONSTANT, ACCESS, 0, 0, 16),
        Insn::new(Insn::LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Insn::new(Insn::LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for (target, access) in &filter.exceptions {
        append_block(&mut program, target, *access, !filter.default_allow);
    }
    append_return(&mut program, filter.default_allow);
    program
}

fn append_block(program: &mut Vec<Insn>, target: &Match, access: Access, allow: bool) {
    let mut block = vec![unless_constant(KIND, target.kind.bpf())];
    if access != Access::ALL {
        block.push(Insn::new(Insn::MOVE, CONTEXT, ACCESS, 0, 0));
        block.push(Insn::new(Insn::AND_CONSTANT, CONTEXT, 0, 0, access.bits()));
        block.push(if allow {
            // All that is to be done has to be allowed: reading and writing is not just reading.
            Insn::new(Insn::JUMP_UNLESS, CONTEXT, ACCESS, 0, 0)
        } else {
            // Any of it that is denied denies all, as on v1.
            Insn::new(Insn::JUMP_IF_CONSTANT, CONTEXT, 0, 0, 0)
        });
    }
    block.extend(target.major.map(|major| unless_constant(MAJOR, major.cast_signed())));
    block.extend(target.minor.map(|minor| unless_constant(MINOR, minor.cast_signed())));
    append_return(&mut block, allow);
    aim_jumps_at_end(&mut block);
    program.append(&mut block);
}

fn unless_constant(register: u8, constant: i32) -> Insn {
    Insn::new(Insn::JUMP_UNLESS_CONSTANT, register, 0, 0, constant)
}

fn append_return(program: &mut Vec<Insn>, allow: bool) {
    program.push(Insn::new(Insn::MOVE_CONSTANT, RESULT, 0, 0, i32::from(allow)));
    program.push(Insn::new(Insn::EXIT, 0, 0, 0, 0));
}

/// Lets every jump of a block leave it; offsets count from the next instruction.
fn aim_jumps_at_end(block: &mut [Insn]) {
    let jumps = [Insn::JUMP_IF_CONSTANT, Insn::JUMP_UNLESS_CONSTANT, Insn::JUMP_UNLESS];
    // A block has at most eight instructions.
    for (left, insn) in (0i16..).zip(block.iter_mut().rev()) {
        if jumps.contains(&insn.code) {
            insn.offset = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::rule::{Kind, Rule};

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
                Insn::JUMP_UNLESS => r[dst] as u32 != r[src] as u32,
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
        assemble(&filter)
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
            &long,
        ] {
            runsig_sys::bpf::load_device_filter(&program(rules), c"Apache", b"runsig_test").unwrap();
        }
    }
}
