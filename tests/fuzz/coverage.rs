//! Which code an input reached, where the library was compiled with LLVM's coverage counters
//! ([SanitizerCoverage](https://clang.llvm.org/docs/SanitizerCoverage.html#inline-8bit-counters)),
//! as `scripts/fuzz` does; otherwise there are no counters, and nothing is ever new.

// The counters are the compiler's, and it tells where they are by calling a function of C.
#![allow(unsafe_code)]

use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Counters looked at in one go: most are zero.
const BLOCK: usize = 256;

/// Is called before `main` by every piece of instrumented code, always with the same section.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    START.store(start, Ordering::Relaxed);
    LENGTH.store(end as usize - start as usize, Ordering::Relaxed);
}

/// The program's counters, and how far each ever got.
pub(crate) struct Coverage {
    counters: &'static mut [u8],
    seen: Vec<u8>,
}

impl Coverage {
    /// Returns the counters, unless the library has none. There must be one at a time, and no other
    /// thread may run the library meanwhile.
    pub(crate) fn new() -> Option<Self> {
        let (start, length) = (
            START.load(Ordering::Relaxed),
            LENGTH.load(Ordering::Relaxed),
        );
        if start.is_null() || length == 0 {
            return None;
        }
        // SAFETY: the section is there for the whole run, and instrumented code writes bytes to it
        // on the one thread that also reads them.
        let counters = unsafe { slice::from_raw_parts_mut(start, length) };
        Some(Self {
            seen: vec![0; counters.len()],
            counters,
        })
    }

    /// Forgets what was reached.
    pub(crate) fn reset(&mut self) {
        self.counters.fill(0);
    }

    /// Whether, since the reset, code was reached that never was, or much more often than ever.
    pub(crate) fn is_new(&mut self) -> bool {
        let mut new = false;
        let seen = self.seen.chunks_mut(BLOCK);
        for (counters, seen) in self.counters.chunks(BLOCK).zip(seen) {
            if counters == &[0; BLOCK][..counters.len()] {
                continue;
            }
            for (count, seen) in counters.iter().zip(seen) {
                let bit = bucket(*count);
                new |= *seen & bit != bit;
                *seen |= bit;
            }
        }
        new
    }

    /// Returns how many places were ever reached.
    pub(crate) fn places(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

/// Returns the bit for once, twice, thrice, and doublings from there.
fn bucket(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}
