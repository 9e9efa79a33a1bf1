//! Predicates: what a signer claims in an attestation, and the type that says how to read it.
//!
//! A type is a URI; cosign's short names for the common ones, and two of our own, stand for
//! theirs. The predicate of a known type must have the fields that its specification requires,
//! because a claim that nobody can read is found out long after it was signed.

mod known;
mod shape;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::error::{Error, Reason, Result};
use crate::{json, limits, statement};
use known::{KNOWN, Known, OBJECT};

/// The type of SLSA provenance of version 1.
pub const SLSA_PROVENANCE_V1: &str = "https://slsa.dev/provenance/v1";

/// The type of test and evaluation results.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// The type of a verification summary (VSA).
pub const VERIFICATION_SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// The type of a predicate: an absolute URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PredicateType(String);

impl PredicateType {
    /// Returns the URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns every short name, for help and completion.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().flat_map(|known| known.names).copied()
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.uri == self.0)
    }
}

impl FromStr for PredicateType {
    type Err = Error;

    /// Reads a short name, as cosign resolves it, or an absolute URI.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(known) = KNOWN.iter().find(|known| known.names.contains(&text)) {
            return Ok(Self(known.uri.to_owned()));
        }
        if !is_absolute_uri(text) {
            let names: Vec<_> = Self::names().collect();
            let shown: String = text.chars().take(100).collect();
            let message = format!("{shown:?} is not a predicate type");
            return Err(Error::new(Reason::Usage, message)
                .hint(format!("name a URI, or one of {}", names.join(", "))));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PredicateType> for String {
    fn from(predicate_type: PredicateType) -> Self {
        predicate_type.0
    }
}

/// Whether `text` has a scheme, and only characters of a URI
/// ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#appendix-A)).
pub(crate) fn is_absolute_uri(text: &str) -> bool {
    let is_in_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let is_in_rest = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(is_in_scheme)
            && !rest.is_empty()
            && rest.bytes().all(is_in_rest)
    })
}

/// Reads a predicate from a file's bytes: strictly, because what is signed must have one meaning.
pub fn read(bytes: &[u8], predicate_type: &PredicateType) -> Result<Value> {
    if bytes.len() as u64 > limits::PREDICATE_FILE {
        let message = "the predicate is larger than 8 MiB";
        return Err(Error::new(Reason::TooLarge, message));
    }
    let predicate = json::parse(bytes, "the predicate")
        .map_err(|error| Error::new(Reason::PredicateInvalid, error.to_string()))?;
    check(predicate_type, &predicate)?;
    Ok(predicate)
}

/// Checks that `predicate` is an object and has what its type requires, if the type is known.
///
/// The type of signatures is refused: an attestation of it would count as one, and a signature is
/// to be asked for by name.
pub fn check(predicate_type: &PredicateType, predicate: &Value) -> Result<()> {
    if predicate_type.as_str() == statement::SIGNATURE {
        let message = format!("`{predicate_type}` is the type of signatures, not of attestations");
        return Err(Error::new(Reason::PredicateInvalid, message)
            .hint("sign with `modelctl sign`, or `modelctl push --sign`"));
    }
    if let Some((what, way_out)) = wrapped(predicate) {
        let message = format!("this is {what}, not a predicate");
        return Err(Error::new(Reason::PredicateInvalid, message).hint(way_out));
    }
    let (shape, name) = match predicate_type.known() {
        Some(known) => (&known.shape, known.title),
        None => (&OBJECT, predicate_type.as_str()),
    };
    shape.check(predicate, "").map_err(|fault| {
        Error::new(Reason::PredicateInvalid, fault.to_string())
            .hint(format!("the predicate's type is {name}"))
    })
}

/// Says what `value` is, if it is what a predicate is packed in, and how to unpack it.
fn wrapped(value: &Value) -> Option<(&'static str, &'static str)> {
    let says = |name: &str, start: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| text.starts_with(start))
    };
    if says("_type", "https://in-toto.io/Statement/") {
        return Some((
            "a whole in-toto statement",
            "take the predicate out with `jq .predicate`; the subject is added here",
        ));
    }
    if says("payloadType", "") || says("mediaType", "application/vnd.dev.sigstore.bundle") {
        return Some((
            "a signed envelope",
            "give the predicate alone; it is signed anew here",
        ));
    }
    None
}
