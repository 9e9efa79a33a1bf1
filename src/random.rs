//! Names that nobody has or guesses.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns 16 hex digits.
///
/// The standard library asks the kernel for the keys of its hashers. A cryptographic generator was
/// measured to take 40 ms to start, and these are no secrets: nobody else may look where they are
/// used.
pub(crate) fn digits() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(digits(), digits());
        assert_eq!(digits().len(), 16);
    }
}
