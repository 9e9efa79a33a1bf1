//! How often a download goes on after it broke.

use std::time::Duration;

use crate::backoff::{ceiling, jitter};
use crate::error::{Error, Result};
use crate::limits;

/// Patience with connections that break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries without progress in between, the first included.
    pub tries: u32,
    /// The longest wait before the second try; it doubles with each further one.
    pub wait: Duration,
}

impl Default for Retry {
    /// Returns the patience that suits networks as they are.
    fn default() -> Self {
        Self {
            tries: limits::TRIES,
            wait: Duration::from_millis(500),
        }
    }
}

/// The tries of one transfer.
#[derive(Debug)]
pub(super) struct Tries {
    retry: Retry,
    tried: u32,
    reached: u64,
}

/// What counts as progress: a peer that sends a byte and hangs up must not hold us for ever.
const PROGRESS: u64 = limits::PIECE as u64;

impl Tries {
    /// Returns the tries of a transfer that begins at `start`.
    pub(super) fn new(retry: Retry, start: u64) -> Self {
        Self {
            retry,
            tried: 0,
            reached: start,
        }
    }

    /// Returns how long to wait before going on at `position`, or the error if that is useless.
    pub(super) fn after(&mut self, error: Error, position: u64) -> Result<(Duration, Error)> {
        if position >= self.reached.saturating_add(PROGRESS) {
            self.tried = 0;
            self.reached = position;
        }
        self.tried += 1;
        match self.is_over() {
            true => Err(error),
            false => Ok((jitter(ceiling(self.retry.wait, self.tried)), error)),
        }
    }

    /// Whether no try is left.
    pub(super) fn is_over(&self) -> bool {
        self.tried >= self.retry.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    fn after(tries: &mut Tries, position: u64) -> bool {
        let error = Error::new(Reason::Connection, "it broke");
        tries.after(error, position).is_ok()
    }

    #[test]
    fn progress_is_rewarded_and_a_trickle_is_not() {
        let retry = Retry {
            tries: 3,
            wait: Duration::ZERO,
        };
        let mut progressing = Tries::new(retry, 7);
        assert!((1..100).all(|n| after(&mut progressing, 7 + n * PROGRESS)));
        let mut trickle = Tries::new(retry, 7);
        assert!(after(&mut trickle, 8));
        assert!(after(&mut trickle, 9));
        assert!(!after(&mut trickle, 10));
        assert!(trickle.is_over());
    }
}
