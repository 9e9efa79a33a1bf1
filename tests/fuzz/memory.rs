//! What an input costs in memory, counted for each thread.

// An allocator cannot be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static USAGE: Cell<Usage> = const { Cell::new(Usage { now: 0, peak: 0, sum: 0 }) };
}

/// Bytes of this thread since [`measure`] began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    now: i64,
    /// The most that were held at one time.
    pub(crate) peak: i64,
    /// All that were ever asked for: work, in a unit that is the same on every machine.
    pub(crate) sum: i64,
}

/// Runs `work`, and returns what it gave and took.
pub(crate) fn measure<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    USAGE.set(Usage {
        now: 0,
        peak: 0,
        sum: 0,
    });
    let result = work();
    (result, USAGE.get())
}

/// The system's allocator, counting.
struct Counting;

fn count(taken: usize, given_back: usize) {
    // At a thread's end there is nowhere left to count.
    let _ = USAGE.try_with(|cell| {
        let mut usage = cell.get();
        let (taken, given_back) = (taken as i64, given_back as i64);
        usage.now += taken - given_back;
        usage.peak = usage.peak.max(usage.now);
        usage.sum += taken;
        cell.set(usage);
    });
}

// SAFETY: every call is the system allocator's own, with the same arguments; counting allocates
// nothing, because the cell is initialised at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(place, layout, size) }
    }
}
