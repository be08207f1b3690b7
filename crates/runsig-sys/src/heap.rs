//! The program's heap: dlmalloc behind a lock of its own.
//!
//! dlmalloc's own global allocator takes a pthread mutex for each call, which costs more than most calls
//! themselves. One thread is all there is but for a moment of `list`, so one flag will do.
//!
//! Owns: the lock. Must not: be used in a program that forks with threads.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// How often a thread looks again before it lets others run: as long as a call may take.
const PATIENCE: u32 = 200;

/// To be named by `#[global_allocator]`.
pub struct Heap {
    taken: AtomicBool,
    memory: UnsafeCell<Dlmalloc>,
}

// SAFETY: `memory` is only reached through `with`, by one thread at a time.
unsafe impl Sync for Heap {}

impl core::fmt::Debug for Heap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Heap")
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Heap {
    /// An empty heap.
    #[must_use]
    pub const fn new() -> Self {
        Self { taken: AtomicBool::new(false), memory: UnsafeCell::new(Dlmalloc::new()) }
    }

    fn with<T>(&self, call: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        let take = || self.taken.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed);
        let mut tried = 0;
        while take().is_err() {
            tried += 1;
            if tried % PATIENCE == 0 {
                crate::sched::give_way();
            }
            core::hint::spin_loop();
        }
        // SAFETY: `taken` was false, so no other thread is here, and `call` does not come back here.
        let outcome = call(unsafe { &mut *self.memory.get() });
        self.taken.store(false, Ordering::Release);
        outcome
    }
}

// SAFETY: dlmalloc keeps the promises of GlobalAlloc; it is given what its caller was given.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise: the size is not zero.
        self.with(|memory| unsafe { memory.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.with(|memory| unsafe { memory.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: it came from here with this layout.
        self.with(|memory| unsafe { memory.free(block, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        self.with(|memory| unsafe { memory.realloc(block, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    static HEAP: Heap = Heap::new();

    /// Blocks of two threads never overlap: each keeps its mark.
    fn fill(mark: u8) {
        let layout = |round: usize| Layout::from_size_align(1 + round * 7 % 5000, 16).unwrap();
        let mut kept = Vec::new();
        for round in 0..2000 {
            // SAFETY: the size is not zero; what is written is inside the block; blocks are freed once.
            unsafe {
                let block = HEAP.alloc(layout(round));
                block.write_bytes(mark, layout(round).size());
                kept.push((round, block));
                if round % 3 == 0 {
                    let (old, block) = kept.swap_remove(round / 4);
                    let seen = core::slice::from_raw_parts(block, layout(old).size());
                    assert!(seen.iter().all(|byte| *byte == mark), "round {round}");
                    HEAP.dealloc(block, layout(old));
                }
            }
        }
    }

    #[test]
    fn threads_get_blocks_of_their_own() {
        std::thread::scope(|scope| {
            for mark in 1..=4 {
                scope.spawn(move || fill(mark));
            }
        });
    }

    #[test]
    fn a_block_grows_with_its_content_and_new_ones_can_be_zero() {
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: as above.
        unsafe {
            let block = HEAP.alloc_zeroed(layout);
            assert!(core::slice::from_raw_parts(block, 100).iter().all(|byte| *byte == 0));
            block.write_bytes(7, 100);
            let block = HEAP.realloc(block, layout, 100_000);
            assert!(core::slice::from_raw_parts(block, 100).iter().all(|byte| *byte == 7));
            HEAP.dealloc(block, Layout::from_size_align(100_000, 8).unwrap());
        }
    }
}
