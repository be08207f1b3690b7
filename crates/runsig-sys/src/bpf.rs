//! bpf(2), as far as a device filter of cgroup v2 needs it.
//!
//! Owns: the encoding of instructions, loading a `BPF_PROG_TYPE_CGROUP_DEVICE` program, attaching
//! it to a cgroup. Must not: decide what the program does.

use linux_raw_sys::general as k;

use core::ffi::CStr;

use crate::arch::sys;
use crate::errno::Result;
use crate::fd::{BorrowedFd, OwnedFd};

const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const PROG_DETACH: u32 = 9;
const PROG_GET_FD_BY_ID: u32 = 13;
const PROG_QUERY: u32 = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 2;
const F_REPLACE: u32 = 4;

/// One instruction: `struct bpf_insn`.
/// <https://docs.kernel.org/bpf/standardization/instruction-set.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// Class, operation and source.
    pub code: u8,
    /// Destination register in the low four bits, source in the high ones.
    pub registers: u8,
    /// Offset of a jump or of memory.
    pub offset: i16,
    /// Constant.
    pub constant: i32,
}

impl Insn {
    /// `BPF_LDX | BPF_W | BPF_MEM`: `dst = *(u32 *)(src + offset)`.
    pub const LOAD_WORD: u8 = 0x61;
    /// `BPF_ALU | BPF_AND | BPF_K`: the low 32 bits of `dst` and `constant`; the high ones go.
    pub const AND_CONSTANT: u8 = 0x54;
    /// `BPF_ALU | BPF_RSH | BPF_K`: shift right, 32 bits.
    pub const SHIFT_RIGHT_CONSTANT: u8 = 0x74;
    /// `BPF_ALU | BPF_MOV | BPF_K`: `dst = constant`, 32 bits.
    pub const MOVE_CONSTANT: u8 = 0xb4;
    /// `BPF_ALU | BPF_MOV | BPF_X`: `dst = src`, 32 bits.
    pub const MOVE: u8 = 0xbc;
    /// `BPF_JMP32 | BPF_JEQ | BPF_K`: jump when the low 32 bits of `dst` are `constant` (5.1).
    pub const JUMP_IF_CONSTANT: u8 = 0x16;
    /// `BPF_JMP32 | BPF_JNE | BPF_K`: jump when they are not (5.1).
    pub const JUMP_UNLESS_CONSTANT: u8 = 0x56;
    /// `BPF_JMP | BPF_JA`: jump.
    pub const JUMP: u8 = 0x05;
    /// `BPF_JMP | BPF_EXIT`: the end; register 0 is the result.
    pub const EXIT: u8 = 0x95;

    /// An instruction on `dst` and `src`.
    #[must_use]
    pub const fn new(code: u8, dst: u8, src: u8, offset: i16, constant: i32) -> Self {
        Self { code, registers: (dst & 0xf) | (src << 4), offset, constant }
    }
}

/// The first members of `union bpf_attr` for BPF_PROG_LOAD, up to and with `prog_name` (4.15).
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// For BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// For BPF_PROG_QUERY.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// For BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// # Safety
/// `attr` must be what the command expects, its pointers valid for what the kernel does with them.
unsafe fn bpf<T>(command: u32, attr: &mut T) -> Result<usize> {
    // SAFETY: `attr` is a whole T and the size is its own; the rest is the caller's promise.
    unsafe { sys!(k::__NR_bpf, command as usize, &raw mut *attr as usize, size_of::<T>()) }
}

/// Loads a device filter; the kernel verifies it. `name`: letters, digits, `_` and `.`; at most 15.
/// <https://man7.org/linux/man-pages/man2/bpf.2.html> (4.15)
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN), `EINVAL` or `EACCES` for a program
/// that the verifier refuses, `E2BIG` for one too long.
pub fn load_device_filter(program: &[Insn], license: &CStr, name: &[u8]) -> Result<OwnedFd> {
    let mut prog_name = [0; 16];
    for (to, from) in prog_name.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    let mut attr = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).unwrap_or(u32::MAX),
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    // SAFETY: the program is readable for its length, the licence a terminated string.
    unsafe { bpf(PROG_LOAD, &mut attr) }.map(|fd| OwnedFd::from_raw(fd as i32))
}

/// Attaches a device filter to a cgroup v2 directory, next to others (`BPF_F_ALLOW_MULTI`), or in
/// the place of one (`BPF_F_REPLACE`, 5.6). All of them have to allow an access.
/// <https://man7.org/linux/man-pages/man2/bpf.2.html>
///
/// # Errors
/// `EINVAL` where the kernel cannot replace, `EPERM`, `EBADF` for what is no cgroup v2 directory.
pub fn attach_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replace: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.raw() as u32,
        attach_bpf_fd: program.raw() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI | if replace.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replace.map_or(0, |fd| fd.raw() as u32),
    };
    // SAFETY: no pointers in it.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches a device filter from a cgroup v2 directory.
/// <https://man7.org/linux/man-pages/man2/bpf.2.html>
///
/// # Errors
/// `ENOENT` when it is not attached.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.raw() as u32,
        attach_bpf_fd: program.raw() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: no pointers in it.
    unsafe { bpf(PROG_DETACH, &mut attr) }.map(drop)
}

/// The IDs of the device filters attached to a cgroup v2 directory itself, in `room`; the length
/// says how many there are. The kernel allows 64 on one cgroup.
/// <https://man7.org/linux/man-pages/man2/bpf.2.html> (4.15)
///
/// # Errors
/// `ENOSPC` when there is not room for all.
pub fn attached_device_filters<'a>(cgroup: BorrowedFd<'_>, room: &'a mut [u32]) -> Result<&'a [u32]> {
    let mut attr = QueryAttr {
        target_fd: cgroup.raw() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: room.as_mut_ptr() as u64,
        prog_cnt: u32::try_from(room.len()).unwrap_or(u32::MAX),
        padding: 0,
    };
    // SAFETY: `prog_ids` has room for `prog_cnt` numbers.
    unsafe { bpf(PROG_QUERY, &mut attr) }?;
    Ok(room.get(..attr.prog_cnt as usize).unwrap_or_default())
}

/// A descriptor of a loaded program. <https://man7.org/linux/man-pages/man2/bpf.2.html> (4.13)
///
/// # Errors
/// `ENOENT` when it is gone, `EPERM`.
pub fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attr = IdAttr { id, next_id: 0, open_flags: 0 };
    // SAFETY: no pointers in it.
    unsafe { bpf(PROG_GET_FD_BY_ID, &mut attr) }.map(|fd| OwnedFd::from_raw(fd as i32))
}
