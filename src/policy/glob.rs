//! Globs over names that have components: `*` never crosses `/` or `@`.

use std::fmt;

use crate::error::{Error, Reason, Result};

/// A pattern in which `*` stands for any characters but `/` and `@`, and everything else for
/// itself. It matches from beginning to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    written: String,
}

impl Glob {
    /// Reads a pattern. One that is empty, or has `**`, `?` or `[`, which mean other things
    /// elsewhere, is an error.
    pub fn new(written: &str) -> Result<Self> {
        let invalid = |why: &str| {
            let message = format!("`{written}` is no pattern: {why}");
            Err(Error::new(Reason::PatternInvalid, message))
        };
        if written.is_empty() {
            return invalid("it is empty");
        }
        if written.contains("**") {
            return invalid("`*` stands for what has no `/` and no `@`, and there is no `**`");
        }
        if written.contains(['?', '[', ']', '{', '}', '\\']) {
            return invalid("only `*` means anything");
        }
        Ok(Self {
            written: written.to_owned(),
        })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Returns the pattern as a regular expression that is to match from beginning to end.
    pub fn to_regexp(&self) -> String {
        let pieces: Vec<_> = self.written.split('*').map(regex::escape).collect();
        pieces.join("[^/@]*")
    }

    /// Whether `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.written.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let mut pieces: Vec<_> = pieces.collect();
        let Some(last) = pieces.pop() else {
            return rest.is_empty();
        };
        // The first place is the right one: what stands before it must fit a star, which takes
        // least that way. A star that ran into `/` or `@` at the first place does so at any later.
        for piece in pieces {
            let Some((skipped, after)) = rest.split_once(piece) else {
                return false;
            };
            if !is_component(skipped) {
                return false;
            }
            rest = after;
        }
        rest.strip_suffix(last).is_some_and(is_component)
    }
}

/// Whether a star can stand for `text`.
fn is_component(text: &str) -> bool {
    !text.contains(['/', '@'])
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_component() {
        for (pattern, matching, other) in [
            ("refs/tags/v*", "refs/tags/v1.2", "refs/tags/v1/x"),
            ("refs/tags/v*", "refs/tags/v", "refs/tags/w1"),
            ("a*b*c", "aXbYc", "aXbYcd"),
            ("a*b*c", "abbc", "a/bc"),
            ("*", "anything", "any/thing"),
            (
                "ci-*@acme.example",
                "ci-1@acme.example",
                "ci-1@x@acme.example",
            ),
            ("exact", "exact", "exactly"),
            (
                "https://x/*/w.yml@refs/heads/main",
                "https://x/a/w.yml@refs/heads/main",
                "https://x/a/b/w.yml@refs/heads/main",
            ),
            ("*aab", "aaab", "aaba"),
            ("*a/b", "xa/b", "a/a/b"),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert!(glob.matches(matching), "{pattern} {matching}");
            assert!(!glob.matches(other), "{pattern} {other}");
        }
    }

    #[test]
    fn matching_is_what_the_regular_expression_says() {
        let alphabet = [
            "", "a", "b", "/", "@", "aa", "ab", "a/b", "aab", "ba@", "bab", "abab",
        ];
        for pattern in [
            "*", "a*", "*b", "a*b", "*a*", "a*b*", "*ab*b", "a/*", "*@*", "aa*aa",
        ] {
            let glob = Glob::new(pattern).unwrap();
            let regexp = format!(r"\A(?:{})\z", glob.to_regexp());
            let regexp = regex::Regex::new(&regexp).unwrap();
            for (one, other) in alphabet.iter().flat_map(|a| alphabet.map(|b| (*a, b))) {
                let text = format!("{one}{other}");
                assert_eq!(
                    glob.matches(&text),
                    regexp.is_match(&text),
                    "{pattern} {text}"
                );
            }
        }
    }

    #[test]
    fn what_means_other_things_elsewhere_is_refused() {
        for pattern in ["", "a**", "**", "v[12]", "v?", "{a,b}", r"a\*"] {
            let error = Glob::new(pattern).unwrap_err();
            assert_eq!(error.reason(), Reason::PatternInvalid, "{pattern}");
        }
        Glob::new("v*").unwrap();
    }
}
