//! How often a registry may make us ask for another token.

use std::time::Instant;

use super::scope::Scope;
use crate::limits;

/// The tokens that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Quota {
    asked: Vec<(Scope, Instant)>,
}

impl Quota {
    /// Counts a token for `scope`; `false` means that there were too many before it.
    pub(super) fn allows(&mut self, scope: &Scope, now: Instant) -> bool {
        let is_recent = |asked: Instant| now.duration_since(asked) < limits::TOKENS_TIME;
        self.asked.retain(|(_, asked)| is_recent(*asked));
        let same = self.asked.iter().filter(|(other, _)| other == scope);
        if same.count() >= limits::TOKENS {
            return false;
        }
        self.asked.push((scope.clone(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_purpose_for_itself_and_forgets() {
        let mut quota = Quota::default();
        let (one, other) = (Scope::Pull("a".to_owned()), Scope::Pull("b".to_owned()));
        let start = Instant::now();
        assert!((0..limits::TOKENS).all(|_| quota.allows(&one, start)));
        assert!(!quota.allows(&one, start + limits::TOKENS_TIME / 2));
        assert!(quota.allows(&other, start));
        assert!(quota.allows(&one, start + limits::TOKENS_TIME));
    }
}
