//! Constraints: what a predicate must say. A closed set of operators over JSON Pointers
//! ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), with nothing to be run.
//!
//! What is not there, or is of another kind than the operator asks for, does not satisfy it: there
//! is no way to pass by leaving something out, but for [`Operator::Absent`].

mod number;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

pub use super::glob::Glob;
use crate::error::{Error, Reason, Result};
use crate::trust::SignerIdentity;
use crate::trust::sigstore::Claim;

/// The size of a compiled pattern.
const PATTERN_SIZE: usize = 1 << 20;

/// How deeply `each` may be nested.
pub const DEPTH: usize = 4;

/// Something that must hold at one place of a predicate.
#[derive(Debug, Clone)]
pub struct Constraint {
    pointer: String,
    operator: Operator,
}

/// What must hold there.
#[derive(Debug, Clone)]
pub enum Operator {
    /// Something is there.
    Exists,
    /// Nothing is there.
    Absent,
    /// It is this value.
    Equals(Value),
    /// It is what the signer's certificate claims by this name, and there is such a claim.
    EqualsClaim(Claim),
    /// It is one of these values.
    OneOf(Vec<Value>),
    /// It is a text that matches.
    Glob(Glob),
    /// It is a text that matches from beginning to end.
    Pattern(Pattern),
    /// It is this text, or begins with it and `/`.
    Below(String),
    /// It is a list that has this value, or a text that has this text in it.
    Contains(Value),
    /// It is a list that has one of these values.
    ContainsOneOf(Vec<Value>),
    /// It is a number, and not less than this.
    Min(serde_json::Number),
    /// It is a number, and not more than this.
    Max(serde_json::Number),
    /// It is a time (RFC 3339), and not longer ago than this, nor to come.
    MaxAge(SignedDuration),
    /// It is a time (RFC 3339), and at least so long ago.
    MinAge(SignedDuration),
    /// It is a list that is not empty, and these hold for each of its elements.
    Each(Vec<Constraint>),
}

/// A regular expression that matches from beginning to end.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    anchored: Regex,
}

impl Pattern {
    /// Reads a regular expression.
    pub fn new(written: &str) -> Result<Self> {
        // What is written must be whole by itself, and not close our group, as `a)|(b` would.
        let compile = |text: &str| {
            let built = RegexBuilder::new(text).size_limit(PATTERN_SIZE).build();
            built.map_err(|error| {
                let message = format!("`{written}` cannot be used as a regular expression");
                Error::new(Reason::PatternInvalid, message).because(error)
            })
        };
        compile(written)?;
        Ok(Self {
            written: written.to_owned(),
            anchored: compile(&format!(r"\A(?:{written})\z"))?,
        })
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl Constraint {
    /// Returns the constraint that `operator` holds at `pointer`: `/a/b`, or empty for the whole.
    pub fn new(pointer: &str, operator: Operator) -> Result<Self> {
        let escapes_are_right = pointer
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        if !(pointer.is_empty() || pointer.starts_with('/')) || !escapes_are_right {
            let message = format!("`{pointer}` is not a JSON Pointer");
            return Err(Error::new(Reason::PolicyInvalid, message)
                .hint("it begins with `/`, as in `/runDetails/builder/id`"));
        }
        Ok(Self {
            pointer: pointer.to_owned(),
            operator,
        })
    }

    /// Returns where it must hold.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Returns what must hold there.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Says why this does not hold of `predicate`, stated by `signer`, if so.
    pub fn check(
        &self,
        predicate: &Value,
        signer: &SignerIdentity,
        now: Option<Timestamp>,
    ) -> Result<(), String> {
        let place = match self.pointer.as_str() {
            "" => "the predicate",
            pointer => pointer,
        };
        let value = match (predicate.pointer(&self.pointer), &self.operator) {
            (None, Operator::Absent) | (Some(_), Operator::Exists) => return Ok(()),
            (Some(_), Operator::Absent) => return Err(format!("it has `{place}`")),
            (None, _) => return Err(format!("it has no `{place}`")),
            (Some(value), _) => value,
        };
        if let Operator::Each(constraints) = &self.operator {
            return check_each(constraints, place, value, signer, now);
        }
        match self.operator.admits(value, signer, now) {
            true => Ok(()),
            false => Err(format!(
                "its `{place}` is {}, not {}",
                shown(value),
                self.operator
            )),
        }
    }
}

fn check_each(
    constraints: &[Constraint],
    place: &str,
    value: &Value,
    signer: &SignerIdentity,
    now: Option<Timestamp>,
) -> Result<(), String> {
    let Some(elements) = value.as_array().filter(|list| !list.is_empty()) else {
        return Err(format!("its `{place}` is not a list of anything"));
    };
    for (index, element) in elements.iter().enumerate() {
        for constraint in constraints {
            let checked = constraint.check(element, signer, now);
            checked.map_err(|why| format!("of `{place}/{index}`, {why}"))?;
        }
    }
    Ok(())
}

impl Operator {
    fn admits(&self, value: &Value, signer: &SignerIdentity, now: Option<Timestamp>) -> bool {
        let text = value.as_str();
        match self {
            Self::Exists => true,
            Self::Absent => false,
            Self::Equals(wanted) => value == wanted,
            Self::OneOf(wanted) => wanted.contains(value),
            Self::EqualsClaim(claim) => text.is_some() && text == claim_of(signer, *claim),
            Self::Glob(glob) => text.is_some_and(|text| glob.matches(text)),
            Self::Pattern(pattern) => text.is_some_and(|text| pattern.anchored.is_match(text)),
            Self::Below(prefix) => text.is_some_and(|text| {
                let rest = text.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
                })
            }),
            Self::Contains(wanted) => match (value, wanted) {
                (Value::Array(elements), _) => elements.contains(wanted),
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                _ => false,
            },
            Self::ContainsOneOf(wanted) => value
                .as_array()
                .is_some_and(|elements| elements.iter().any(|one| wanted.contains(one))),
            Self::Min(limit) => number::compare(value, limit).is_some_and(|order| order.is_ge()),
            Self::Max(limit) => number::compare(value, limit).is_some_and(|order| order.is_le()),
            Self::MaxAge(limit) => {
                age(value, now).is_some_and(|age| age <= *limit && !age.is_negative())
            }
            Self::MinAge(limit) => age(value, now).is_some_and(|age| age >= *limit),
            Self::Each(_) => false,
        }
    }
}

fn claim_of(signer: &SignerIdentity, claim: Claim) -> Option<&str> {
    match signer {
        SignerIdentity::Keyless { claims, .. } => claims.get(&claim).map(String::as_str),
        _ => None,
    }
}

fn age(value: &Value, now: Option<Timestamp>) -> Option<SignedDuration> {
    let time: Timestamp = value.as_str()?.parse().ok()?;
    Some(now?.duration_since(time))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("anything"),
            Self::Absent => f.write_str("absent"),
            Self::Equals(value) => write!(f, "{value}"),
            Self::EqualsClaim(claim) => write!(f, "the signer's claim {claim}"),
            Self::OneOf(values) => write!(f, "one of {}", listed(values)),
            Self::Glob(glob) => write!(f, "like `{glob}`"),
            Self::Pattern(pattern) => write!(f, "like `{}`", pattern.written),
            Self::Below(prefix) => write!(f, "below {prefix:?}"),
            Self::Contains(value) => write!(f, "with {value} in it"),
            Self::ContainsOneOf(values) => write!(f, "with one of {} in it", listed(values)),
            Self::Min(limit) => write!(f, "at least {limit}"),
            Self::Max(limit) => write!(f, "at most {limit}"),
            Self::MaxAge(limit) => write!(f, "a time at most {limit:#} ago"),
            Self::MinAge(limit) => write!(f, "a time at least {limit:#} ago"),
            Self::Each(_) => f.write_str("a list"),
        }
    }
}

fn listed(values: &[Value]) -> String {
    let values: Vec<_> = values.iter().map(Value::to_string).collect();
    values.join(", ")
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}", self.pointer, self.operator)
    }
}

#[cfg(test)]
mod tests;
