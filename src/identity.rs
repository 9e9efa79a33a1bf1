//! Identities: what a certificate says of its holder, compared with what was asked for.
//!
//! A pattern must match the whole identity. One that only had to be found somewhere in it would
//! take `https://evil.example/?https://good.example` for its good neighbour.

use std::fmt;

use regex::Regex;

use crate::error::{Error, Reason, Result};

/// The identities that are meant: one, or all that a pattern matches from end to end.
#[derive(Debug, Clone)]
pub enum Match {
    /// This one, byte for byte.
    Exact(String),
    /// Those that the pattern matches as a whole.
    Pattern(Anchored),
}

/// A regular expression that matches whole texts only.
#[derive(Debug, Clone)]
pub struct Anchored {
    written: String,
    regex: Regex,
}

impl Match {
    /// Returns the match of `identity` alone.
    pub fn exact(identity: impl Into<String>) -> Result<Self> {
        let identity = identity.into();
        match identity.is_empty() {
            true => Err(Error::new(Reason::Usage, "an identity is empty")
                .hint("name one, such as `release@example.com`")),
            false => Ok(Self::Exact(identity)),
        }
    }

    /// Returns the match of every identity that `pattern` matches from its first to its last byte.
    pub fn pattern(pattern: &str) -> Result<Self> {
        let invalid = |error: regex::Error| {
            Error::new(
                Reason::PatternInvalid,
                format!("the identity pattern {pattern:?} is not a regular expression"),
            )
            .because(error)
        };
        // On its own first: `a)|(b` would close the group below and escape the anchors.
        Regex::new(pattern).map_err(invalid)?;
        let regex = Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(invalid)?;
        Ok(Self::Pattern(Anchored {
            written: pattern.to_owned(),
            regex,
        }))
    }

    /// Whether `identity` is meant.
    pub fn accepts(&self, identity: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == identity,
            Self::Pattern(pattern) => pattern.regex.is_match(identity),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(expected) => write!(f, "{expected:?}"),
            Self::Pattern(pattern) => write!(f, "/{}/", pattern.written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_identities_only() {
        let wanted = r"https://ci\.example/acme/.*@refs/tags/v[0-9]+";
        let matcher = Match::pattern(wanted).unwrap();
        assert!(matcher.accepts("https://ci.example/acme/bert@refs/tags/v1"));
        for other in [
            "https://ci.example/acme/bert@refs/tags/v1-evil",
            "https://evil.example/?https://ci.example/acme/bert@refs/tags/v1",
            "https://ci.example/acme/bert@refs/tags/v1\n",
            "\nhttps://ci.example/acme/bert@refs/tags/v1",
            "https://ciXexample/acme/bert@refs/tags/v1",
            "https://CI.example/acme/bert@refs/tags/v1",
            "",
        ] {
            assert!(!matcher.accepts(other), "{other:?}");
        }
    }

    #[test]
    fn no_pattern_escapes_its_anchors() {
        for (pattern, yes, no) in [
            ("a|b", "b", "bc"),
            ("(?m)^a$", "a", "a\nb"),
            ("a.*", "ab", "a\nb"),
        ] {
            let matcher = Match::pattern(pattern).unwrap();
            assert!(matcher.accepts(yes), "{pattern}");
            assert!(!matcher.accepts(no), "{pattern}");
        }
        for bad in ["a)|(b", "(", "*", "(?x)a # "] {
            let refused = Match::pattern(bad).map(|matcher| matcher.to_string());
            assert_eq!(
                refused.unwrap_err().reason(),
                Reason::PatternInvalid,
                "{bad}"
            );
        }
    }

    #[test]
    fn an_exact_identity_is_no_pattern() {
        let matcher = Match::exact("release@acme.example").unwrap();
        assert!(matcher.accepts("release@acme.example"));
        assert!(!matcher.accepts("release@acmeXexample"));
        assert!(!matcher.accepts("Release@acme.example"));
        assert_eq!(Match::exact("").unwrap_err().reason(), Reason::Usage);
    }
}
