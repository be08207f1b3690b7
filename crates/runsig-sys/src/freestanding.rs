//! What a program needs that has neither `std` nor a C library: an entry point, memory, the few
//! symbols the compiler expects, and an end for a panic.
//!
//! Owns: `_start`, the global allocator, `memcpy` and its kin. Must not: be linked into a program
//! that has a C library.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::CStr;

use linux_raw_sys::general as k;

use crate::arch::sys;

unsafe extern "Rust" {
    // Defined by the program through `freestanding_main!`.
    safe fn runsig_main(args: Args) -> i32;
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x0, sp",
    "bl {start}",
    "brk #1",
    start = sym start,
);

extern "C" fn start(stack: *const usize) -> ! {
    crate::process::exit(runsig_main(Args { stack }))
}

/// Makes `$main`, a `fn(Args) -> i32`, what runs after the entry point; its result is the exit code.
#[macro_export]
macro_rules! freestanding_main {
    ($main:path) => {
        // The one symbol a program without `std` has to export; the name is ours alone.
        #[unsafe(no_mangle)]
        fn runsig_main(args: $crate::freestanding::Args) -> i32 {
            $main(args)
        }
    };
}

/// The program's arguments, where the kernel put them.
#[derive(Debug, Clone, Copy)]
pub struct Args {
    stack: *const usize,
}

impl Args {
    /// Argument `index`; 0 is the program's name.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'static CStr> {
        // SAFETY: the kernel starts a program with argc, then argc pointers to terminated strings,
        // at the stack pointer, and they stay there for the program's life.
        unsafe {
            let argc = self.stack.read();
            (index < argc)
                .then(|| CStr::from_ptr(self.stack.add(1 + index).read() as *const core::ffi::c_char))
        }
    }
}

/// Memory that only grows: the init is short-lived or waits, and gives everything back at exec.
struct Bump {
    state: UnsafeCell<(usize, usize)>,
}

// SAFETY: the program has one thread; nothing in it starts another.
unsafe impl Sync for Bump {}

#[global_allocator]
static HEAP: Bump = Bump { state: UnsafeCell::new((0, 0)) };

const CHUNK: usize = 64 * 1024;

fn map_pages(len: usize) -> Option<usize> {
    let prot = (k::PROT_READ | k::PROT_WRITE) as usize;
    let flags = (k::MAP_PRIVATE | k::MAP_ANONYMOUS) as usize;
    // SAFETY: a new anonymous mapping at a place the kernel chooses touches nothing of ours.
    unsafe { sys!(k::__NR_mmap, 0, len, prot, flags, usize::MAX, 0) }.ok()
}

// SAFETY: `alloc` hands out ranges that do not overlap, aligned and inside mapped memory;
// `dealloc` does nothing.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference to the state outlives a call.
        let (next, end) = unsafe { &mut *self.state.get() };
        let start = next.next_multiple_of(layout.align());
        if *next != 0 && start.checked_add(layout.size()).is_some_and(|stop| stop <= *end) {
            *next = start + layout.size();
            return core::ptr::with_exposed_provenance_mut(start);
        }
        let len = layout.size().saturating_add(layout.align()).max(CHUNK).next_multiple_of(4096);
        let Some(base) = map_pages(len) else { return core::ptr::null_mut() };
        let start = base.next_multiple_of(layout.align());
        *next = start + layout.size();
        *end = base + len;
        core::ptr::with_exposed_provenance_mut(start)
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

unsafe extern "C" {
    // The linker's names for the beginning of the program and the end of its code.
    static __executable_start: u8;
    static etext: u8;
}

/// Takes the program's code and constants out of our memory; what runs on comes back page by page.
/// For a program that goes on in a small part of itself.
/// <https://man7.org/linux/man-pages/man2/madvise.2.html>
pub fn forget_code() {
    const PAGE: usize = 4096;
    /// The kernel brings a page's neighbours along, up to 64 KiB of them, but only from the same
    /// mapping. Different flags make mappings of these pieces; a core dump, which the flag is about,
    /// is not affected: the code is in the program's file.
    const PIECE: usize = 4 * PAGE;
    let start = (&raw const __executable_start).addr() & !(PAGE - 1);
    let end = (&raw const etext).addr() & !(PAGE - 1);
    let advise = |at: usize, len: usize, advice: u32| {
        // SAFETY: these pages are never written: the program is linked for a fixed address, and the
        // writable part begins after them. The kernel reads them from the program's file again.
        let _ = unsafe { sys!(k::__NR_madvise, at, len, advice as usize) };
    };
    for at in (start..end).step_by(2 * PIECE) {
        advise(at, PIECE.min(end - at), k::MADV_DONTDUMP);
    }
    advise(start, end.saturating_sub(start), k::MADV_DONTNEED);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let _ = crate::fs::write(crate::BorrowedFd::from_raw(2), b"runsig-init: internal error\n");
    crate::process::exit(255)
}

// The compiler emits calls to these four; without a C library somebody has to define them.

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller promises two valid ranges that do not overlap; the direction flag is
    // clear by the ABI.
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller promises a valid range.
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: the caller promises two valid ranges; volatile keeps the compiler from turning
        // the loop into a call to this very function.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        i += 1;
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: as in `memcpy`.
        unsafe { to.add(i).write_volatile(byte as u8) };
        i += 1;
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        // SAFETY: a forward copy is right when `to` does not start inside `from`'s range.
        return unsafe { memcpy(to, from, n) };
    }
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: the caller promises two valid ranges; backwards because they overlap.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: the caller promises two valid ranges; volatile as in `memcpy`.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, n) }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the caller promises a terminated string.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}

// The prebuilt core library names this symbol in its unwinding tables; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
