//! The system-call instruction, one file-level section an architecture.
//!
//! Owns: register conventions. Must not: know any system call by name.

use crate::errno::{Errno, Result};

/// Raw system call with six arguments.
///
/// # Safety
/// The arguments must be what the numbered call expects: pointers valid for the reads and writes
/// the kernel will do, lengths true.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn syscall6(nr: u32, a: [usize; 6]) -> usize {
    let ret: usize;
    // SAFETY: the x86-64 system-call convention: number in rax, arguments in rdi, rsi, rdx, r10,
    // r8, r9; rcx and r11 are clobbered. What the pointers name is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") nr as usize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    ret
}

/// Raw system call with six arguments.
///
/// # Safety
/// As on x86-64.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(crate) unsafe fn syscall6(nr: u32, a: [usize; 6]) -> usize {
    let ret: usize;
    // SAFETY: the AArch64 convention: number in x8, arguments in x0..x5, result in x0.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") nr as usize,
            inlateout("x0") a[0] => ret,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack)
        );
    }
    ret
}

/// Splits the kernel's return value into a result: -4095..-1 are error numbers.
#[inline]
pub(crate) fn check(ret: usize) -> Result<usize> {
    if ret > -4096isize as usize {
        Err(Errno::from_raw((ret as isize).unsigned_abs() as i32))
    } else {
        Ok(ret)
    }
}

/// `sys!(nr, a, b, ...)`: a system call with up to six arguments, as a `Result<usize>`.
/// The macro expands to an `unsafe` call: the caller writes the `unsafe` block and its reason.
macro_rules! sys {
    ($nr:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [0; 6]))
    };
    ($nr:expr, $a:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, 0, 0, 0, 0, 0]))
    };
    ($nr:expr, $a:expr, $b:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, $b, 0, 0, 0, 0]))
    };
    ($nr:expr, $a:expr, $b:expr, $c:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, $b, $c, 0, 0, 0]))
    };
    ($nr:expr, $a:expr, $b:expr, $c:expr, $d:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, $b, $c, $d, 0, 0]))
    };
    ($nr:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, $b, $c, $d, $e, 0]))
    };
    ($nr:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        $crate::arch::check($crate::arch::syscall6($nr, [$a, $b, $c, $d, $e, $f]))
    };
}
pub(crate) use sys;

/// clone3 with a stack of its own for the child, which runs `entry(data)` and never returns.
///
/// # Safety
/// `args` must be a valid `clone_args` of `size` bytes whose stack fields name memory that stays
/// valid until the child has executed a program or ended; `entry` must never return; with
/// CLONE_VM, whatever `data` points to must stay valid as long.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn clone3_call(
    args: *const linux_raw_sys::general::clone_args,
    size: usize,
    entry: extern "C" fn(*mut core::ffi::c_void) -> !,
    data: *mut core::ffi::c_void,
) -> usize {
    let ret: usize;
    // SAFETY: the parent falls through with the result in rax. The child starts on the stack named
    // in `args` (16-byte aligned by the caller), with rax 0 and the other registers as they were,
    // so it can call `entry(data)`; it never comes back to this frame.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") linux_raw_sys::general::__NR_clone3 as usize => ret,
            in("rdi") args, in("rsi") size,
            in("r12") entry, in("r13") data,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    ret
}

/// clone3 with a stack of its own for the child, which runs `entry(data)` and never returns.
///
/// # Safety
/// As on x86-64.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn clone3_call(
    args: *const linux_raw_sys::general::clone_args,
    size: usize,
    entry: extern "C" fn(*mut core::ffi::c_void) -> !,
    data: *mut core::ffi::c_void,
) -> usize {
    let ret: usize;
    // SAFETY: as on x86-64, with x0 zero in the child.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x11",
            "blr x10",
            "brk #1",
            "2:",
            in("x8") linux_raw_sys::general::__NR_clone3 as usize,
            inlateout("x0") args => ret,
            in("x1") size, in("x10") entry, in("x11") data,
            lateout("lr") _,
        );
    }
    ret
}

/// clone with a stack of its own for the child, which runs `entry(data)` and never returns. The
/// old call, for a process that may live under a system call filter: filters that follow the
/// engines' default profile answer clone3 with `ENOSYS`, because they cannot look into its
/// arguments.
///
/// # Safety
/// As for [`clone3_call`]; `stack` is the upper end of the child's stack, 16-byte aligned, and
/// `pidfd` is writable when the flags hold CLONE_PIDFD.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn clone_call(
    flags: usize,
    stack: *mut u8,
    pidfd: *mut i32,
    entry: extern "C" fn(*mut core::ffi::c_void) -> !,
    data: *mut core::ffi::c_void,
) -> usize {
    let ret: usize;
    // SAFETY: as in `clone3_call`; r10 (child_tid) and r8 (tls) are not used by these flags.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") linux_raw_sys::general::__NR_clone as usize => ret,
            in("rdi") flags, in("rsi") stack, in("rdx") pidfd, in("r10") 0usize, in("r8") 0usize,
            in("r12") entry, in("r13") data,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    ret
}

/// clone with a stack of its own for the child, which runs `entry(data)` and never returns.
///
/// # Safety
/// As on x86-64.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn clone_call(
    flags: usize,
    stack: *mut u8,
    pidfd: *mut i32,
    entry: extern "C" fn(*mut core::ffi::c_void) -> !,
    data: *mut core::ffi::c_void,
) -> usize {
    let ret: usize;
    // SAFETY: as on x86-64, with x0 zero in the child.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x11",
            "blr x10",
            "brk #1",
            "2:",
            in("x8") linux_raw_sys::general::__NR_clone as usize,
            inlateout("x0") flags => ret,
            in("x1") stack, in("x2") pidfd, in("x3") 0usize, in("x4") 0usize,
            in("x10") entry, in("x11") data,
            lateout("lr") _,
        );
    }
    ret
}

/// Ends the process by an instruction that is none.
pub(crate) fn trap() -> ! {
    // SAFETY: the kernel answers with a signal, which by its default action ends us; a handler that returns comes to
    // the same instruction again.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("2:", "ud2", "jmp 2b", options(noreturn))
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("2:", "udf #0", "b 2b", options(noreturn))
    }
}
