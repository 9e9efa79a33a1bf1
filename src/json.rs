//! Strict JSON from outside: no key twice, no bottomless nesting.
//!
//! Two parsers that disagree about a duplicate key see two different documents; a signed or hashed
//! document must have one meaning ([RFC 8259 §4](https://www.rfc-editor.org/rfc/rfc8259#section-4)
//! only says that names SHOULD be unique).

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Reason, Result};
use crate::limits;

/// Parses `bytes` as a `T`, refusing duplicate keys at any depth, nesting beyond
/// [`limits::JSON_DEPTH`] and trailing bytes; `what` names the document in the error.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    let invalid = |error: serde_json::Error| {
        let fault = match error.is_data() {
            true => "is not as it should be",
            false => "is not valid JSON",
        };
        Error::new(Reason::JsonInvalid, format!("{what} {fault}")).because(error)
    };
    let mut scan = serde_json::Deserializer::from_slice(bytes);
    Strict {
        depth: limits::JSON_DEPTH,
    }
    .deserialize(&mut scan)
    .map_err(invalid)?;
    scan.end().map_err(invalid)?;
    serde_json::from_slice(bytes).map_err(invalid)
}

/// Walks a value without keeping it.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth {
            0 => Err(E::custom("it is nested too deeply")),
            depth => Ok(Self { depth: depth - 1 }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value_seed(inner)?;
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format!("it has the key {twice:?} twice")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn accepts_what_is_said_once() {
        let value: Value = parse(br#" {"a":[1,-2.5,"x",null,true],"b":{"a":1}} "#, "it").unwrap();
        assert_eq!(value["b"]["a"], 1);
    }

    #[test]
    fn refuses_ambiguity_depth_and_garbage() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":[{"a":1,"\u0061":2}]}"#,
            &deep,
            "{} {}",
            "",
            "nul",
            r#"{"a":NaN}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\u{1}\"}",
            "[1,]",
        ] {
            let error = parse::<Value>(bad.as_bytes(), "it").expect_err(bad);
            assert_eq!(error.reason(), Reason::JsonInvalid, "{bad}");
        }
        let ok = format!("{}{}", "[".repeat(64), "]".repeat(64));
        parse::<Value>(ok.as_bytes(), "it").unwrap();
    }
}
