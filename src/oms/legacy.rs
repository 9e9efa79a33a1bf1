//! What version 0.2 of the reference implementation wrote, which large publishers used before
//! there was a version 1: one subject for each file, and a signature on other bytes than DSSE's.

use std::fmt::Write as _;

use crate::bundle::IN_TOTO;
use crate::digest::Digest;
use crate::error::Result;
use crate::oms::{Contents, IgnoredPaths, PREDICATE_V02, Resource, Serialization, invalid};
use crate::statement::{Statement, TYPE_V1};

/// Reads the subjects, which are the files: nothing says how they were found, and there was only
/// one way.
pub(super) fn read(statement: &Statement) -> Result<Contents> {
    if statement.kind != TYPE_V1 {
        return Err(invalid("is not an in-toto statement of version 1"));
    }
    let mut resources = Vec::with_capacity(statement.subject.len());
    for subject in &statement.subject {
        let name = subject.name.as_deref().unwrap_or_default();
        let digest = subject.digest.get(Digest::ALGORITHM).map(String::as_str);
        let digest = Digest::from_hex(digest.unwrap_or_default())
            .map_err(|_| invalid(&format!("lists {name:?} without a SHA-256 digest")))?;
        resources.push(Resource::file(name, digest.as_bytes().to_vec())?);
    }
    Ok(Contents {
        name: String::new(),
        serialization: Serialization::of_files(IgnoredPaths::default()),
        resources,
    })
}

/// Returns the bytes that version 0.2 signed for `payload`, if it claims to be of that version.
///
/// They are DSSE's encoding with two mistakes: a capital `V`, and the payload as Python shows
/// bytes. No payload has both encodings in common, because they differ in the fifth byte.
pub(crate) fn signed_bytes_v02(payload: &[u8], predicate_type: Option<&str>) -> Option<Vec<u8>> {
    if predicate_type != Some(PREDICATE_V02) {
        return None;
    }
    let head = format!("DSSEV1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len());
    Some((head + &python_bytes(payload)).into_bytes())
}

/// Shows bytes as Python's `repr` does
/// ([bytes literals](https://docs.python.org/3/library/stdtypes.html#bytes)).
fn python_bytes(bytes: &[u8]) -> String {
    let quote = match bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        true => '"',
        false => '\'',
    };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            byte if char::from(byte) == quote => {
                text.push('\\');
                text.push(quote);
            }
            b' '..=b'~' => text.push(char::from(byte)),
            byte => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_bytes_as_python_does() {
        for (bytes, shown) in [
            (&b"a b"[..], r"b'a b'"),
            (b"{\n  \"a\": \"b\"}", r#"b'{\n  "a": "b"}'"#),
            (b"it's", r#"b"it's""#),
            (b"it's \"it\"", r#"b'it\'s "it"'"#),
            (
                b"\\ \r \t \0 \x7f \xc3\xa9",
                r"b'\\ \r \t \x00 \x7f \xc3\xa9'",
            ),
        ] {
            assert_eq!(python_bytes(bytes), shown);
        }
    }

    #[test]
    fn only_what_claims_to_be_of_version_0_2_has_its_encoding() {
        let encoded = signed_bytes_v02(b"{}", Some(PREDICATE_V02)).unwrap();
        assert_eq!(encoded, b"DSSEV1 28 application/vnd.in-toto+json 2 b'{}'");
        assert_eq!(signed_bytes_v02(b"{}", Some(crate::oms::PREDICATE)), None);
        assert_eq!(signed_bytes_v02(b"{}", None), None);
    }
}
