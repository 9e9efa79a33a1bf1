//! Identities: who a certificate must name.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::certificate::Holder;
use super::claim::Claim;
use crate::error::{Error, Reason, Result};

/// The size of a compiled pattern: enough for any list of workflows, too little to exhaust memory.
const PATTERN_SIZE: usize = 1 << 20;

/// Somebody nobody is, as an e-mail address and as a URI of a domain that cannot exist
/// ([RFC 6761, section 6.4](https://www.rfc-editor.org/rfc/rfc6761#section-6.4)).
const NOBODY: [&str; 2] = ["nobody@example.invalid", "https://example.invalid/nobody"];

/// Who signed: the identity and who vouched for it, both, and what else must have been said.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The identity: an e-mail address or a URI.
    pub identity: Match,
    /// The identity provider. Without it, whoever can get that identity from any provider is
    /// trusted.
    pub issuer: Match,
    /// Claims that must be there, with exactly these values.
    pub claims: Vec<(Claim, String)>,
}

impl Identity {
    /// Returns whoever has this identity by this issuer, whatever else they claim.
    pub fn new(identity: Match, issuer: Match) -> Self {
        Self {
            identity,
            issuer,
            claims: Vec::new(),
        }
    }

    /// Says why `holder` is not who is meant, if so.
    pub(super) fn admit(&self, holder: &Holder) -> Result<()> {
        if !self.identity.admits(&holder.identity) {
            let message = format!(
                "it was signed by {:?} (issuer {:?}), not by {}",
                holder.identity, holder.issuer, self.identity
            );
            return Err(Error::new(Reason::IdentityMismatch, message));
        }
        if !self.issuer.admits(&holder.issuer) {
            let message = format!(
                "{:?} was vouched for by the issuer {:?}, not by {}",
                holder.identity, holder.issuer, self.issuer
            );
            return Err(Error::new(Reason::IssuerMismatch, message));
        }
        for (claim, wanted) in &self.claims {
            let found = holder.claims.get(claim);
            if found != Some(wanted) {
                let message = match found {
                    Some(found) => format!("its {claim} is {found:?}, not {wanted:?}"),
                    None => format!("its certificate has no {claim}; {wanted:?} is required"),
                };
                return Err(Error::new(Reason::ClaimMismatch, message));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issuer {})", self.identity, self.issuer)
    }
}

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
    fn a_pattern_matches_from_beginning_to_end() {
        for (pattern, admitted, refused) in [
            (
                r"https://github\.com/acme/.*",
                "https://github.com/acme/bert/.github/workflows/x.yml@refs/heads/main",
                "https://evil.example/?https://github.com/acme/",
            ),
            (
                r"https://github\.com/acme",
                "https://github.com/acme",
                "https://github.com/acme-evil/bert",
            ),
            ("a@x|b@x", "b@x", "a@x|b@x"),
            ("a@x|b@x", "a@x", "b@x.evil"),
            (
                r"(?i-u:CI)@example\.com",
                "ci@example.com",
                "ci@example.com\n",
            ),
            ("(?m)^a@x$", "a@x", "a@x\nb@x"),
        ] {
            let pattern = Match::pattern(pattern).unwrap();
            assert!(pattern.admits(admitted), "{pattern}");
            assert!(!pattern.admits(refused), "{pattern}");
        }
    }

    #[test]
    fn what_says_nobody_everybody_or_nothing_is_refused() {
        for pattern in [
            "",
            ".*",
            ".+",
            "^.*$",
            "(?s).*",
            r"\S+",
            ".*@.*|https://.*",
            "(",
            "a)|(.*",
            "(?:a{1000}){1000}",
        ] {
            let error = Match::pattern(pattern).unwrap_err();
            assert_eq!(error.reason(), Reason::IdentityInvalid, "{pattern}");
        }
        for exact in ["", "  "] {
            let error = Match::exact(exact).unwrap_err();
            assert_eq!(error.reason(), Reason::IdentityInvalid);
        }
        Match::pattern(r".*@example\.com").unwrap();
        Match::pattern("https://.*").unwrap();
    }
}
