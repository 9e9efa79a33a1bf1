//! The shape of a JSON document, as data: which fields it must and may have, and of what kind.
//!
//! As [in-toto's parsing rules](https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/README.md#parsing-rules)
//! ask, fields that a shape does not name are allowed; and as
//! [SLSA's](https://slsa.dev/spec/v1.1/provenance#parsing-rules) do, a field that is null or empty
//! is not there.

use std::fmt;

use serde_json::{Map, Value};

use crate::digest::Digest;

/// What a value must look like.
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A point in time, as RFC 3339 writes it.
    Time,
    /// True or false.
    Truth,
    /// Hex digests by algorithm: in-toto's DigestSet.
    Digests,
    /// A list of values that all look alike.
    List(&'static Shape),
    /// An object whose values all look alike.
    Map(&'static Shape),
    /// An object with these fields.
    Object(&'static [Field]),
    /// An object that has one at least of the names, with these fields.
    ObjectWithAny(&'static [&'static str], &'static [Field]),
}

/// A field of an object.
pub(super) struct Field {
    name: &'static str,
    presence: Presence,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Presence {
    Required,
    Optional,
}

/// Returns a field that must be there.
pub(super) const fn required(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        presence: Presence::Required,
        shape,
    }
}

/// Returns a field that may be there.
pub(super) const fn optional(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        presence: Presence::Optional,
        shape,
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    path: String,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the predicate {}", self.what),
            path => write!(f, "`{path}` {}", self.what),
        }
    }
}

impl Shape {
    /// Checks `value`, which stands at `path`; the whole document stands at the empty path.
    pub(super) fn check(&self, value: &Value, path: &str) -> Result<(), Fault> {
        match self {
            Self::Any => Ok(()),
            Self::Text => text(value, path).map(drop),
            Self::Word(words) => {
                let is_word = words.contains(&text(value, path)?);
                demand(is_word, path, || format!("must be {}", words.join(" or ")))
            }
            Self::Time => {
                let is_time = is_rfc3339(text(value, path)?);
                demand(is_time, path, || {
                    "must be a time such as `2026-01-31T12:00:00Z`".to_owned()
                })
            }
            Self::Truth => demand(value.is_boolean(), path, || must_be("true or false", value)),
            Self::Digests => digests(value, path),
            Self::List(item) => list(item, value, path),
            Self::Map(item) => object(value, path)?
                .iter()
                .try_for_each(|(key, value)| item.check(value, &below(path, key))),
            Self::Object(fields) => check_fields(fields, object(value, path)?, path),
            Self::ObjectWithAny(names, fields) => {
                let object = object(value, path)?;
                let has_one = names.iter().any(|name| find(object, name).is_some());
                demand(has_one, path, || {
                    format!("has none of `{}`", names.join("`, `"))
                })?;
                check_fields(fields, object, path)
            }
        }
    }
}

fn check_fields(fields: &[Field], object: &Map<String, Value>, path: &str) -> Result<(), Fault> {
    fields.iter().try_for_each(|field| {
        let path = below(path, field.name);
        match (find(object, field.name), field.presence) {
            (Some(value), _) => field.shape.check(value, &path),
            (None, Presence::Optional) => Ok(()),
            (None, Presence::Required) => demand(false, &path, || "is missing".to_owned()),
        }
    })
}

/// Returns the field `name`, unless it is null or the empty string.
fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .get(name)
        .filter(|value| !value.is_null() && *value != "")
}

fn list(item: &Shape, value: &Value, path: &str) -> Result<(), Fault> {
    let values = value.as_array().ok_or_else(|| Fault {
        path: path.to_owned(),
        what: must_be("a list", value),
    })?;
    let mut values = values.iter().enumerate();
    values.try_for_each(|(at, value)| item.check(value, &format!("{path}[{at}]")))
}

fn digests(value: &Value, path: &str) -> Result<(), Fault> {
    for (algorithm, digest) in object(value, path)? {
        let path = below(path, algorithm);
        let digest = text(digest, &path)?;
        // Content is found by this digest, so it must be written in the one way that is looked for.
        let is_canonical = algorithm != Digest::ALGORITHM || Digest::from_hex(digest).is_ok();
        demand(is_canonical, &path, || {
            "must be 64 lower-case hex digits, without `sha256:`".to_owned()
        })?;
    }
    Ok(())
}

fn text<'a>(value: &'a Value, path: &str) -> Result<&'a str, Fault> {
    value.as_str().ok_or_else(|| Fault {
        path: path.to_owned(),
        what: must_be("a string", value),
    })
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Fault> {
    value.as_object().ok_or_else(|| Fault {
        path: path.to_owned(),
        what: must_be("an object", value),
    })
}

fn demand(is_met: bool, path: &str, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if is_met {
        return Ok(());
    }
    Err(Fault {
        path: path.to_owned(),
        what: what(),
    })
}

fn must_be(wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("must be {wanted}, and is {found}")
}

/// Returns the path of the field `name`, which may be anything, below `path`.
fn below(path: &str, name: &str) -> String {
    let is_plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-@$".contains(&b));
    match (is_plain, path) {
        (false, _) => format!("{path}[{name:?}]"),
        (true, "") => name.to_owned(),
        (true, _) => format!("{path}.{name}"),
    }
}

/// Whether `text` is a date and time of [RFC 3339, section 5.6](https://www.rfc-editor.org/rfc/rfc3339#section-5.6).
/// The parser knows the calendar but reads other notations too, so the places are checked first.
fn is_rfc3339(text: &str) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    let Some((date_time, rest)) = text.as_bytes().split_at_checked(19) else {
        return false;
    };
    let places = date_time.iter().zip(b"0000-00-00T00:00:00");
    let is_in_place = places.into_iter().all(|(found, place)| match place {
        b'0' => found.is_ascii_digit(),
        place => found == place,
    });
    let fraction = match rest {
        [b'.', rest @ ..] => rest.iter().take_while(|b| b.is_ascii_digit()).count() + 1,
        _ => 0,
    };
    let is_offset = match rest.get(fraction..) {
        Some(b"Z") => true,
        Some([b'+' | b'-', h1, h2, b':', m1, m2]) => digits(&[*h1, *h2, *m1, *m2]),
        _ => false,
    };
    is_in_place && is_offset && text.parse::<jiff::Timestamp>().is_ok()
}
