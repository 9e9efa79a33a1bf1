//! How protobuf writes a bundle as JSON ([ProtoJSON](https://protobuf.dev/programming-guides/json/)).

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{IN_TOTO, Material};
use crate::error::{Error, Reason};

/// A bundle as it is written: a `oneof` is a field of which exactly one is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BundleJson {
    pub(super) media_type: String,
    pub(super) verification_material: Material,
    #[serde(default)]
    pub(super) dsse_envelope: Option<EnvelopeJson>,
    #[serde(default)]
    pub(super) message_signature: Option<MessageSignatureJson>,
}

/// The same, to be written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenBundle<'a> {
    pub(super) media_type: &'a str,
    pub(super) verification_material: &'a Material,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dsse_envelope: Option<WrittenEnvelope<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_signature: Option<MessageSignatureJson>,
}

/// An envelope to be written: without a `keyid`, because cosign refuses a bundle with one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenEnvelope<'a> {
    #[serde(serialize_with = "base64_text::serialize")]
    payload: &'a [u8],
    payload_type: &'static str,
    signatures: [WrittenSignature<'a>; 1],
}

#[derive(Serialize)]
struct WrittenSignature<'a> {
    #[serde(serialize_with = "base64_text::serialize")]
    sig: &'a [u8],
}

impl<'a> WrittenEnvelope<'a> {
    pub(super) fn new(payload: &'a [u8], sig: &'a [u8]) -> Self {
        Self {
            payload,
            payload_type: IN_TOTO,
            signatures: [WrittenSignature { sig }],
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EnvelopeJson {
    #[serde(with = "base64_text")]
    pub(super) payload: Vec<u8>,
    pub(super) payload_type: String,
    pub(super) signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureJson {
    #[serde(with = "base64_text")]
    pub(super) sig: Vec<u8>,
    /// Never trusted.
    #[serde(default, rename = "keyid")]
    _keyid: Option<String>,
}

/// Returns an envelope in Go's order of fields, with the empty `keyid` that cosign 2 writes where
/// an envelope is in no bundle.
pub(super) fn lone_envelope(
    payload_type: &str,
    payload: &[u8],
    signature: &[u8],
) -> crate::error::Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Lone<'a> {
        payload_type: &'a str,
        payload: String,
        signatures: [Signed; 1],
    }
    #[derive(Serialize)]
    struct Signed {
        keyid: &'static str,
        sig: String,
    }
    let signed = Signed {
        keyid: "",
        sig: STANDARD.encode(signature),
    };
    let lone = Lone {
        payload_type,
        payload: STANDARD.encode(payload),
        signatures: [signed],
    };
    serde_json::to_vec(&lone)
        .map_err(|error| Error::new(Reason::Internal, "cannot write an envelope").because(error))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MessageSignatureJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_digest: Option<MessageDigestJson>,
    #[serde(with = "base64_text")]
    pub(super) signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageDigestJson {
    #[serde(default)]
    pub(super) algorithm: String,
    #[serde(with = "base64_text")]
    pub(super) digest: Vec<u8>,
}

/// Bytes: base64 of either alphabet (DSSE allows both too, "Envelope"); padding is required.
pub(super) mod base64_text {
    use super::*;

    pub(in crate::bundle) fn serialize<S: serde::Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
    }

    pub(in crate::bundle) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_str(Text)
    }

    /// Decodes a text where it stands.
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes in base64")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            STANDARD
                .decode(text)
                .or_else(|_| URL_SAFE.decode(text))
                .map_err(|_| E::custom("a field is not base64"))
        }
    }
}

/// A 64-bit integer that is never negative here: written as a string, read as a number too.
pub(super) mod int64 {
    use super::*;

    pub(in crate::bundle) fn serialize<S: serde::Serializer>(
        number: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(in crate::bundle) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let number = match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Some(number),
            Ok(Written::Text(text)) => text.parse().ok(),
            Err(_) => None,
        };
        number
            .filter(|number| i64::try_from(*number).is_ok())
            .ok_or_else(|| D::Error::custom("a number is negative, too large, or none"))
    }
}

/// Reads a list of `what`, and stops as soon as it is longer than `limit`.
pub(super) fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    limit: usize,
    what: &'static str,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(AtMost {
        limit,
        what,
        item: PhantomData,
    })
}

struct AtMost<T> {
    limit: usize,
    what: &'static str,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == self.limit {
                let (what, limit) = (self.what, self.limit);
                let message = format!("there are more {what} than the {limit} looked at");
                return Err(A::Error::custom(message));
            }
            list.push(item);
        }
        Ok(list)
    }
}
