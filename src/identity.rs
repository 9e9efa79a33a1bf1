//! Identities: what a certificate says of its holder, compared with what was asked for.
//!
//! A pattern must match the whole identity. One that only had to be found somewhere in it would
//! take `https://evil.example/?https://good.example` for its good neighbour.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Reason, Result};

/// The size of a compiled pattern: enough for any list of workflows, too little to exhaust memory.
const PATTERN_SIZE: usize = 1 << 20;

/// Somebody nobody is, as an e-mail address and as a URI of a domain that cannot exist
/// ([RFC 6761, section 6.4](https://www.rfc-editor.org/rfc/rfc6761#section-6.4)).
const NOBODY: [&str; 2] = ["nobody@example.invalid", "https://example.invalid/nobody"];

/// What a text must be.
#[derive(Debug, Clone)]
pub struct Match(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Exact(String),
    Pattern { written: String, anchored: Regex },
}

impl Match {
    /// Returns the match of `text` and nothing else.
    pub fn exact(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        match text.trim().is_empty() {
            true => Err(invalid("an empty identity or issuer matches nobody")),
            false => Ok(Self(Kind::Exact(text))),
        }
    }

    /// Returns the match of what the regular expression `pattern` matches from beginning to end:
    /// `https://github.com/acme/.*` does not match `https://evil.example/?https://github.com/acme/`.
    pub fn pattern(pattern: &str) -> Result<Self> {
        if pattern.is_empty() {
            return Err(invalid("an empty regular expression matches nobody"));
        }
        // What is written must be whole by itself, and not close our group, as `a)|(b` would.
        let compile = |text: &str| {
            let built = RegexBuilder::new(text).size_limit(PATTERN_SIZE).build();
            built.map_err(|error| {
                let message = format!("`{pattern}` cannot be used as a regular expression");
                Error::new(Reason::IdentityInvalid, message).because(error)
            })
        };
        compile(pattern)?;
        let anchored = compile(&format!(r"\A(?:{pattern})\z"))?;
        let matches_anyone = NOBODY.iter().all(|nobody| anchored.is_match(nobody));
        if matches_anyone {
            let message = format!("`{pattern}` matches everyone, and so trusts everyone");
            return Err(Error::new(Reason::IdentityInvalid, message)
                .hint("say whom you mean: `https://github.com/acme/.*`"));
        }
        Ok(Self(Kind::Pattern {
            written: pattern.to_owned(),
            anchored,
        }))
    }

    /// Returns the one text that is meant, if it is one.
    pub fn exact_text(&self) -> Option<&str> {
        match &self.0 {
            Kind::Exact(text) => Some(text),
            Kind::Pattern { .. } => None,
        }
    }

    /// Returns the regular expression as it was written, if it is one.
    pub fn pattern_text(&self) -> Option<&str> {
        match &self.0 {
            Kind::Exact(_) => None,
            Kind::Pattern { written, .. } => Some(written),
        }
    }

    /// Whether `text` is what is meant.
    pub fn admits(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Exact(wanted) => wanted == text,
            Kind::Pattern { anchored, .. } => anchored.is_match(text),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(text) => write!(f, "{text:?}"),
            Kind::Pattern { written, .. } => write!(f, "anyone like `{written}`"),
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::IdentityInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_identities_only() {
        let wanted = r"https://ci\.example/acme/.*@refs/tags/v[0-9]+";
        let matcher = Match::pattern(wanted).unwrap();
        assert!(matcher.admits("https://ci.example/acme/bert@refs/tags/v1"));
        for other in [
            "https://ci.example/acme/bert@refs/tags/v1-evil",
            "https://evil.example/?https://ci.example/acme/bert@refs/tags/v1",
            "https://ci.example/acme/bert@refs/tags/v1\n",
            "\nhttps://ci.example/acme/bert@refs/tags/v1",
            "https://ciXexample/acme/bert@refs/tags/v1",
            "https://CI.example/acme/bert@refs/tags/v1",
            "",
        ] {
            assert!(!matcher.admits(other), "{other:?}");
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
            assert!(matcher.admits(yes), "{pattern}");
            assert!(!matcher.admits(no), "{pattern}");
        }
        for bad in [
            "",
            ".*",
            r"\S+",
            ".*@.*|https://.*",
            "a)|(b",
            "(",
            "*",
            "(?x)a # ",
            "(?:a{1000}){1000}",
        ] {
            let refused = Match::pattern(bad).map(|matcher| matcher.to_string());
            assert_eq!(
                refused.unwrap_err().reason(),
                Reason::IdentityInvalid,
                "{bad}"
            );
        }
    }

    #[test]
    fn an_exact_identity_is_no_pattern() {
        let matcher = Match::exact("release@acme.example").unwrap();
        assert!(matcher.admits("release@acme.example"));
        assert!(!matcher.admits("release@acmeXexample"));
        assert!(!matcher.admits("Release@acme.example"));
        assert_eq!(
            Match::exact("").unwrap_err().reason(),
            Reason::IdentityInvalid
        );
    }
}
