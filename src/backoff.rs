//! How long to wait before another try: exponential waits with full jitter, so that many clients
//! that failed together do not come back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::limits;

/// Returns the longest wait after `tried` tries, where the first is at most `base`.
pub(crate) fn ceiling(base: Duration, tried: u32) -> Duration {
    let doublings = tried.saturating_sub(1).min(16);
    base.saturating_mul(1 << doublings).min(limits::RETRY_WAIT)
}

/// Returns a duration between nothing and `ceiling`. The hasher's random keys are chance enough to
/// spread clients, and need no generator of their own.
pub(crate) fn jitter(ceiling: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) >> 32;
    ceiling.mul_f64(random as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_ceiling_and_differ() {
        let base = Duration::from_millis(500);
        assert_eq!(ceiling(base, 1), base);
        assert_eq!(ceiling(base, 4), Duration::from_secs(4));
        assert_eq!(ceiling(base, 40), limits::RETRY_WAIT);
        let waits: std::collections::HashSet<_> =
            (0..20).map(|_| jitter(limits::RETRY_WAIT)).collect();
        assert!(waits.len() > 10);
        assert!(waits.iter().all(|wait| *wait <= limits::RETRY_WAIT));
    }
}
