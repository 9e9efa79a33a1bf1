//! Sigstore bundles: a signed statement with what is needed to verify it
//! ([protobuf-specs, `sigstore_bundle.proto`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto)),
//! and the DSSE envelope inside
//! ([DSSE protocol](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Reason, Result};
use crate::manifest::media_type;
use crate::{json, limits, oms};

/// The payload type of an envelope that holds an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The other spelling of version 0.3 that tools write.
const MEDIA_TYPE_V03_PARAMETER: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";

/// A bundle of version 0.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    media_type: String,
    verification_material: Material,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<EnvelopeJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_signature: Option<Value>,
}

/// What is needed, besides a root of trust, to verify a bundle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Material {
    /// The key that signed, by a hint that proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKeyHint>,
    /// The certificate whose key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<RawCertificate>,
    /// The certificate chain whose first key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_certificate_chain: Option<RawChain>,
    /// Entries of a transparency log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlog_entries: Vec<Value>,
    /// Signed timestamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_verification_data: Option<Value>,
}

/// A certificate, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCertificate {
    /// Its DER bytes.
    #[serde(with = "base64_text")]
    pub raw_bytes: Vec<u8>,
}

/// Certificates from the signer's up, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChain {
    /// The signer's certificate first.
    pub certificates: Vec<RawCertificate>,
}

/// Bytes as protobuf's JSON writes them.
mod base64_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&super::STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::decode(&text).ok_or_else(|| D::Error::custom("a field is not base64"))
    }
}

/// A hint at the key that signed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PublicKeyHint {
    /// Whatever the signer called the key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeJson {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    sig: String,
    /// Never written (cosign refuses a bundle with one) and never trusted.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    keyid: String,
}

fn null_as_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// A DSSE envelope around an in-toto statement, with its one signature, decoded but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    /// Returns the bytes that were signed: DSSE's pre-authentication encoding of the payload.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(IN_TOTO, &self.payload)
    }

    /// Returns the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the payload. It means nothing before the signature is verified.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Returns `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body` (DSSE protocol, "Signature
/// definition").
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

impl Bundle {
    /// Returns a bundle of a statement's bytes and the signature on its
    /// [encoding](pre_authentication_encoding).
    pub fn new(payload: &[u8], signature: &[u8], material: Material) -> Self {
        Self {
            media_type: media_type::BUNDLE.to_owned(),
            verification_material: material,
            dsse_envelope: Some(EnvelopeJson {
                payload: STANDARD.encode(payload),
                payload_type: IN_TOTO.to_owned(),
                signatures: vec![SignatureJson {
                    sig: STANDARD.encode(signature),
                    keyid: String::new(),
                }],
            }),
            message_signature: None,
        }
    }

    /// Reads a bundle: version 0.3, nothing unknown in it, because what a verifier does not
    /// understand it must not pass over.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > limits::BUNDLE {
            return Err(Error::new(
                Reason::TooLarge,
                "a bundle is larger than 16 MiB",
            ));
        }
        let bundle: Self = json::parse(bytes, "the bundle")
            .map_err(|error| Error::new(Reason::BundleInvalid, error.to_string()))?;
        if ![media_type::BUNDLE, MEDIA_TYPE_V03_PARAMETER].contains(&bundle.media_type.as_str()) {
            let message = format!("the bundle is {:?}, not version 0.3", bundle.media_type);
            return Err(Error::new(Reason::BundleUnsupported, message));
        }
        Ok(bundle)
    }

    /// Returns the bytes to be stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(Reason::Internal, "cannot write a bundle").because(error))
    }

    /// Returns what is needed to verify the bundle.
    pub fn material(&self) -> &Material {
        &self.verification_material
    }

    /// Returns the bytes that were signed if this is a model signature of version 0.2.
    pub(crate) fn signed_bytes_v02(&self, envelope: &Envelope) -> Option<Vec<u8>> {
        let claimed = self.claimed_predicate_type();
        oms::signed_bytes_v02(&envelope.payload, claimed.as_deref())
    }

    /// Returns the envelope: there must be one, with an in-toto payload and exactly one signature,
    /// so that no evidence is bound to a signature other than the one that is verified.
    pub fn envelope(&self) -> Result<Envelope> {
        let invalid = |why: &str| Error::new(Reason::BundleInvalid, format!("the bundle {why}"));
        let Some(envelope) = &self.dsse_envelope else {
            return Err(Error::new(
                Reason::BundleUnsupported,
                "the bundle signs bytes, not a statement about an artifact",
            ));
        };
        if self.message_signature.is_some() {
            return Err(invalid("has two kinds of content"));
        }
        if envelope.payload_type != IN_TOTO {
            let message = format!(
                "the bundle's payload is {:?}, not in-toto",
                envelope.payload_type
            );
            return Err(Error::new(Reason::PayloadTypeMismatch, message));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(invalid("does not have exactly one signature"));
        };
        Ok(Envelope {
            payload: decode(&envelope.payload).ok_or_else(|| invalid("has a bad payload"))?,
            signature: decode(&signature.sig).ok_or_else(|| invalid("has a bad signature"))?,
        })
    }

    /// Returns the predicate type that the bundle claims to carry, for choosing words only.
    pub fn claimed_predicate_type(&self) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Claim {
            predicate_type: String,
        }
        let payload = self.envelope().ok()?.payload;
        serde_json::from_slice::<Claim>(&payload)
            .ok()
            .map(|claim| claim.predicate_type)
    }
}

/// DSSE allows both alphabets ("Envelope"); padding is required in both.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Bundle {
        let hint = PublicKeyHint {
            hint: "h".to_owned(),
        };
        let material = Material {
            public_key: Some(hint),
            ..Material::default()
        };
        Bundle::new(b"{}", b"sig", material)
    }

    fn json() -> String {
        String::from_utf8(good().to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn is_written_as_cosign_writes_it() {
        assert_eq!(
            json(),
            r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"h"}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"c2ln"}]}}"#
        );
        assert_eq!(Bundle::parse(json().as_bytes()).unwrap(), good());
    }

    #[test]
    fn encodes_as_the_protocol_says() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            encoded,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let with = |from: &str, to: &str| {
            let text = json().replace(from, to);
            assert_ne!(text, json());
            Bundle::parse(text.as_bytes()).and_then(|bundle| bundle.envelope())
        };
        let sig = r#"{"sig":"c2ln"}"#;
        for (from, to, reason) in [
            ("{\"media", "{\"x\":1,\"media", Reason::BundleInvalid),
            ("\"payload\"", "\"x\":1,\"payload\"", Reason::BundleInvalid),
            (sig, "", Reason::BundleInvalid),
            (sig, &format!("{sig},{sig}"), Reason::BundleInvalid),
            ("e30=", "e30", Reason::BundleInvalid),
            ("e30=", "!!!!", Reason::BundleInvalid),
            (
                "in-toto+json",
                "in-toto+json; x",
                Reason::PayloadTypeMismatch,
            ),
            ("in-toto+json", "In-Toto+json", Reason::PayloadTypeMismatch),
            (
                "bundle.v0.3+json",
                "bundle.v0.2+json",
                Reason::BundleUnsupported,
            ),
            (
                "\"dsseEnvelope\"",
                "\"messageSignature\":{},\"dsseEnvelope\"",
                Reason::BundleInvalid,
            ),
            (
                "dsseEnvelope\":{",
                "dsseEnvelope\":null,\"messageSignature\":{",
                Reason::BundleUnsupported,
            ),
        ] {
            assert_eq!(with(from, to).unwrap_err().reason(), reason, "{to}");
        }
        with("bundle.v0.3+json", "bundle+json;version=0.3").unwrap();
        with(sig, r#"{"sig":"c2ln","keyid":""}"#).unwrap();
        with(sig, r#"{"sig":"c2ln","keyid":null}"#).unwrap();
    }
}
