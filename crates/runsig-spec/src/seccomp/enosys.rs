//! The answer to system calls that are newer than the profile.
//!
//! A profile that forbids by default also forbids what did not exist when it was written. Programs
//! fall back to older calls on ENOSYS, but not on EPERM or death, so that a new C library would
//! break in every container. Like runc, we let every number above the newest one in the profile
//! fail with ENOSYS before the profile's own rules are asked.
//!
//! Owns: the instructions for that. Must not: change what the profile says about calls it knows.

use libseccomp::{ScmpAction, ScmpArch, ScmpSyscall};
use runsig_sys::Errno;

use super::profile::Profile;

/// Classic BPF operations. <https://docs.kernel.org/networking/filter.html>
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// SECCOMP_RET_ERRNO.
const RET_ERRNO: u32 = 0x0005_0000;
/// Set in the numbers of the x32 interface, which shares its architecture with x86-64.
const X32_BIT: u32 = 0x4000_0000;

/// AUDIT_ARCH_* of an architecture, as the kernel reports it; `None` for those it cannot have.
/// <https://elixir.bootlin.com/linux/v6.12/source/include/uapi/linux/audit.h>
fn audit(arch: ScmpArch) -> Option<u32> {
    const LITTLE: u32 = 0x4000_0000;
    const WIDE: u32 = 0x8000_0000;
    const N32: u32 = 0x2000_0000;
    Some(match arch {
        ScmpArch::X86 => LITTLE | 3,
        ScmpArch::X8664 | ScmpArch::X32 => LITTLE | WIDE | 62,
        ScmpArch::Arm => LITTLE | 40,
        ScmpArch::Aarch64 => LITTLE | WIDE | 183,
        ScmpArch::Mips => 8,
        ScmpArch::Mips64 => WIDE | 8,
        ScmpArch::Mips64N32 => WIDE | N32 | 8,
        ScmpArch::Mipsel => LITTLE | 8,
        ScmpArch::Mipsel64 => LITTLE | WIDE | 8,
        ScmpArch::Mipsel64N32 => LITTLE | WIDE | N32 | 8,
        ScmpArch::Ppc => 20,
        ScmpArch::Ppc64 => WIDE | 21,
        ScmpArch::Ppc64Le => LITTLE | WIDE | 21,
        ScmpArch::S390 => 22,
        ScmpArch::S390X => WIDE | 22,
        ScmpArch::Riscv64 => LITTLE | WIDE | 243,
        ScmpArch::Loongarch64 => LITTLE | WIDE | 258,
        _ => return None,
    })
}

/// What is known about one AUDIT_ARCH_*.
#[derive(Debug, Default)]
struct Newest {
    audit: u32,
    /// Highest number in the profile.
    plain: Option<u32>,
    /// The same of the x32 interface.
    x32: Option<u32>,
    /// s390 calls setup(2), number 0, for every call whose number does not fit: it has to fail
    /// with ENOSYS too. No program calls it for itself.
    setup: bool,
}

/// The instructions to put before the profile's; none when they would change nothing.
pub(super) fn stub(profile: &Profile) -> Vec<u8> {
    let enosys = Errno::ENOSYS.raw();
    match profile.default {
        ScmpAction::Allow | ScmpAction::Log | ScmpAction::Trace(_) => Vec::new(),
        ScmpAction::Errno(errno) if errno == enosys => Vec::new(),
        _ => assemble(&sections(&newest(profile)), RET_ERRNO | enosys.unsigned_abs()),
    }
}

/// The highest numbers for each architecture of the profile, ours first.
fn newest(profile: &Profile) -> Vec<Newest> {
    let mut all: Vec<Newest> = Vec::new();
    // Docker's lists leave our own architecture out on some machines; the library adds it anyway.
    let mut seen = vec![ScmpArch::native()];
    seen.extend(profile.architectures.iter().copied().filter(|arch| *arch != ScmpArch::native()));
    for arch in seen {
        let (Some(audit), Some(number)) = (audit(arch), highest(profile, arch)) else { continue };
        let at = all.iter().position(|newest| newest.audit == audit).unwrap_or_else(|| {
            all.push(Newest { audit, ..Newest::default() });
            all.len() - 1
        });
        let Some(newest) = all.get_mut(at) else { continue };
        if arch == ScmpArch::X32 {
            newest.x32 = Some(number);
        } else {
            newest.plain = Some(number);
        }
        newest.setup |= matches!(arch, ScmpArch::S390 | ScmpArch::S390X);
    }
    all
}

/// The highest number of a call in the profile; negative ones are the library's own.
fn highest(profile: &Profile, arch: ScmpArch) -> Option<u32> {
    let names = profile.rules.iter().flat_map(|rules| &rules.names);
    names
        .filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch).ok())
        .filter_map(|call| u32::try_from(call.as_raw_syscall()).ok())
        .max()
}

/// Where a jump leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    /// So many instructions further.
    Skip(u8),
    /// To the answer.
    Answer,
    /// To the profile's rules.
    Rules,
}

/// One instruction whose jumps are not numbers yet.
#[derive(Debug, Clone, Copy)]
struct Step {
    code: u16,
    yes: To,
    no: To,
    operand: u32,
}

impl Step {
    fn load(offset: u32) -> Self {
        Self { code: LOAD, yes: To::Next, no: To::Next, operand: offset }
    }
    fn jump(to: To) -> Self {
        Self { code: JUMP, yes: to, no: To::Next, operand: 0 }
    }
    fn when(code: u16, operand: u32, yes: To, no: To) -> Self {
        Self { code, yes, no, operand }
    }
}

/// For each architecture: is it this one, then is the number above the newest?
fn sections(all: &[Newest]) -> Vec<Step> {
    let mut steps = Vec::new();
    for newest in all {
        let body = body(newest);
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        steps.push(Step::load(ARCHITECTURE));
        steps.push(Step::when(JUMP_EQUAL, newest.audit, To::Next, To::Skip(length)));
        steps.extend(body);
    }
    steps
}

fn body(newest: &Newest) -> Vec<Step> {
    let above = |number: Option<u32>| {
        number
            .map(|number| Step::when(JUMP_GREATER, number, To::Answer, To::Rules))
            .unwrap_or(Step::jump(To::Rules))
    };
    let mut steps = vec![Step::load(NUMBER)];
    if newest.setup {
        steps.push(Step::when(JUMP_EQUAL, 0, To::Answer, To::Next));
    }
    if audit(ScmpArch::X8664) == Some(newest.audit) {
        steps.push(Step::when(JUMP_AT_LEAST, X32_BIT, To::Skip(1), To::Next));
        steps.push(above(newest.plain));
        // Without x32 in the profile, the library's rules say what happens to it.
        steps.push(above(newest.x32));
    } else {
        steps.push(above(newest.plain));
    }
    steps
}

/// Turns steps into instructions: the steps, a jump over the answer, the answer.
fn assemble(steps: &[Step], answer: u32) -> Vec<u8> {
    if steps.is_empty() {
        return Vec::new();
    }
    let end = steps.len();
    let distance = |at: usize, to: To| match to {
        To::Next => 0,
        To::Skip(count) => usize::from(count),
        To::Answer => end - at,
        To::Rules => end - at + 1,
    };
    let mut bytes = Vec::with_capacity((end + 2) * super::compile::INSTRUCTION);
    let mut put = |code: u16, yes: usize, no: usize, operand: u32| {
        bytes.extend(code.to_ne_bytes());
        // Sections are at most six steps each for eighteen architectures: distances fit.
        bytes.push(u8::try_from(yes).unwrap_or(u8::MAX));
        bytes.push(u8::try_from(no).unwrap_or(u8::MAX));
        bytes.extend(operand.to_ne_bytes());
    };
    for (at, step) in steps.iter().enumerate() {
        match step.code {
            JUMP => put(JUMP, 0, 0, u32::try_from(distance(at, step.yes)).unwrap_or(0)),
            code => put(code, distance(at, step.yes), distance(at, step.no), step.operand),
        }
    }
    put(JUMP, 0, 0, 1);
    put(RETURN, 0, 0, answer);
    bytes
}
