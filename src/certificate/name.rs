//! Distinguished names, compared by what they say and not by how it is encoded or written.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use spki::der::asn1::{
    BmpString, Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use spki::der::{Any, Decode, Encode, Tag, Tagged};
use x509_cert::name::Name;

use crate::certificate::rfc4514;
use crate::error::{Error, Reason, Result};

/// The attributes that have a name: RFC 4514, section 3, and those that certificates often have.
/// Other ones are written as object identifiers.
const NAMES: [(&str, &str); 14] = [
    ("CN", "2.5.4.3"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("title", "2.5.4.12"),
    ("GN", "2.5.4.42"),
    ("organizationIdentifier", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

/// The longest object identifier that is read as text.
const IDENTIFIER_CHARS: usize = 128;

/// A distinguished name: a certificate's subject or issuer.
///
/// Two are equal when they have the same attributes with the same values in the same order, letter
/// for letter, whichever of ASN.1's kinds of string they are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

/// One attribute of a relative name, of which there is usually one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    pub(super) kind: ObjectIdentifier,
    pub(super) value: Value,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Text(String),
    /// The DER of something that is not a string.
    Other(Vec<u8>),
}

impl DistinguishedName {
    /// Returns the name of relative names, the most significant first.
    pub(super) fn from_relative_names(mut names: Vec<Vec<Attribute>>) -> Self {
        // The attributes of one relative name are a set.
        for attributes in &mut names {
            attributes.sort();
        }
        Self(names)
    }

    /// Reads what a certificate has.
    pub(super) fn from_x509(name: &Name) -> Result<Self> {
        let mut names = Vec::new();
        for relative in &name.0 {
            let mut attributes = Vec::new();
            for attribute in relative.0.iter() {
                // An identifier that is not in its one encoding (X.690, section 8.19.2) is shown as
                // another one that it does not equal.
                if attribute_named(&attribute.oid.to_string()) != Some(attribute.oid) {
                    return Err(ambiguous(&attribute.oid));
                }
                attributes.push(Attribute {
                    kind: attribute.oid,
                    value: Value::from_any(&attribute.value)?,
                });
            }
            names.push(attributes);
        }
        Ok(Self::from_relative_names(names))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// Reads the DER of a value.
    pub(super) fn from_der(der: &[u8]) -> Result<Self> {
        Self::from_any(&Any::from_der(der).map_err(malformed)?)
    }

    fn from_any(value: &Any) -> Result<Self> {
        let text = match value.tag() {
            Tag::Utf8String => value
                .decode_as::<Utf8StringRef<'_>>()
                .map(|s| s.to_string()),
            Tag::PrintableString => value
                .decode_as::<PrintableStringRef<'_>>()
                .map(|s| s.to_string()),
            Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().map(|s| s.to_string()),
            Tag::TeletexString => value
                .decode_as::<TeletexStringRef<'_>>()
                .map(|s| s.to_string()),
            Tag::BmpString => value.decode_as::<BmpString>().map(|s| s.to_string()),
            _ => return value.to_der().map(Self::Other).map_err(malformed),
        };
        text.map(Self::Text).map_err(malformed)
    }
}

fn ambiguous(identifier: &ObjectIdentifier) -> Error {
    let message = format!("a name in a certificate spells {identifier} in an unusual way");
    Error::new(Reason::CertificateInvalid, message)
}

fn malformed(error: spki::der::Error) -> Error {
    Error::new(
        Reason::CertificateInvalid,
        "a name in a certificate is malformed",
    )
    .because(error)
}

/// Returns the attribute that `text` names: a short name in any case, or an object identifier.
pub(super) fn attribute_named(text: &str) -> Option<ObjectIdentifier> {
    let known = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    let identifier = known.map_or(text, |(_, identifier)| identifier);
    // The parser's own arithmetic overflows on longer numbers, and its depth on longer texts.
    let fits = |number: &str| number.len() <= 10 && number.parse::<u32>().is_ok();
    let is_sound = identifier.len() <= IDENTIFIER_CHARS && identifier.split('.').all(fits);
    is_sound.then(|| ObjectIdentifier::new(identifier).ok())?
}

impl FromStr for DistinguishedName {
    type Err = Error;

    /// Reads the form of [RFC 4514](https://www.rfc-editor.org/rfc/rfc4514), in which the most
    /// significant part comes last: `CN=release,O=Acme,C=DE`.
    fn from_str(text: &str) -> Result<Self> {
        rfc4514::parse(text)
    }
}

impl fmt::Display for DistinguishedName {
    /// Writes the form of RFC 4514, with nothing in it that could drive a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attributes) in self.0.iter().rev().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            for (index, attribute) in attributes.iter().enumerate() {
                if index > 0 {
                    f.write_char('+')?;
                }
                write!(f, "{attribute}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identifier = self.kind.to_string();
        let known = NAMES.iter().find(|(_, known)| *known == identifier);
        f.write_str(known.map_or(identifier.as_str(), |(name, _)| name))?;
        f.write_char('=')?;
        match &self.value {
            Value::Text(text) => f.write_str(&rfc4514::escaped(text)),
            Value::Other(der) => write!(f, "#{}", hex::encode(der)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DistinguishedName {
        text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"))
    }

    #[test]
    fn is_written_as_it_is_read() {
        for text in [
            "",
            "CN=release",
            "CN=release,OU=ML,O=Acme,C=DE",
            "CN=J. Smith+OU=Sales,DC=example,DC=net",
            r#"CN=James \"Jim\" Smith\, III,DC=example"#,
            r"CN=Before\0dAfter",
            r"CN=\ both ends\ ",
            r"CN=\#1",
            "CN=Lučić",
            "1.3.6.1.4.1.99999.1=x",
            "CN=#0403666f6f",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn identifiers_that_would_overflow_are_no_attributes() {
        for (good, bad) in [
            ("1.2.4294967295", "1.2.4294967296".to_owned()),
            ("1.2.3", "18446744073709551615".to_owned()),
            ("1.2.3.4", format!("1.2{}", ".3".repeat(50_000))),
            ("1.2.4", format!("1.2.{}", "0".repeat(50_000))),
        ] {
            assert!(attribute_named(good).is_some(), "{good}");
            assert!(attribute_named(&bad).is_none(), "{bad:.40}");
        }
    }

    #[test]
    fn an_attribute_that_only_looks_like_another_is_refused() {
        let read = |der: &[u8]| {
            let name = Name::from_der(der).expect("it is DER");
            let read = DistinguishedName::from_x509(&name);
            read.map_err(|error| error.reason())
        };
        let good = b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01a";
        let padded = b"\x30\x0d\x31\x0b\x30\x09\x06\x04\x55\x80\x04\x03\x0c\x01a";
        assert_eq!(read(good), Ok(name("CN=a")));
        assert_eq!(read(padded), Err(Reason::CertificateInvalid));
    }

    #[test]
    fn one_name_has_many_spellings() {
        for (one, other) in [
            ("CN=a,O=b", "cn=a, o=b"),
            ("CN=a,O=b", "2.5.4.3=a,2.5.4.10=b"),
            ("OU=x+CN=a", "CN=a+OU=x"),
            ("CN=Lučić", r"CN=Lu\C4\8Di\C4\87"),
            ("CN=foo", "CN=#0c03666f6f"),
            ("CN=foo", "CN=#1303666f6f"),
            ("CN=a b", "CN= a b "),
        ] {
            assert_eq!(name(one), name(other), "{one} {other}");
        }
    }

    #[test]
    fn other_names_are_other_names() {
        for (one, other) in [
            ("CN=a,O=b", "O=b,CN=a"),
            ("CN=a,O=b", "CN=a"),
            ("CN=a,O=b", r"CN=a\,O=b"),
            ("CN=a", "CN=A"),
            ("CN=a", "O=a"),
            ("CN=a+O=b", "CN=a,O=b"),
            ("CN=a", r"CN=a\ "),
            ("CN=a", "CN=a,CN=a"),
        ] {
            assert_ne!(name(one), name(other), "{one} {other}");
        }
    }
}
