//! Names that nobody can guess.

use crate::error::{Error, Reason, Result};

/// Returns 16 hex digits, from the operating system: a generator of keys that starts up for the
/// sake of one name takes longer than all else that a small pull does.
pub(crate) fn digits() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(Reason::Internal, "there are no random numbers to be had").because(error)
    })?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (digits().unwrap(), digits().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 16);
    }
}
