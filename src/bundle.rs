//! Sigstore bundles: a signed statement with what is needed to verify it
//! ([protobuf-specs, `sigstore_bundle.proto`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto)),
//! and the DSSE envelope inside
//! ([DSSE protocol](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)).
//!
//! What is read is known to have a shape and honest sizes, before any cryptography; nothing in it
//! is verified.

mod material;
#[cfg(test)]
mod tests;
mod wire;

pub use material::{
    InclusionPromise, InclusionProof, KindVersion, LogEntry, LogId, Material, ProofHash,
    PublicKeyHint, RawCertificate, RawChain, RawCheckpoint, RawTimestamp, Timestamps,
};

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::media_type;
use crate::{json, limits, oms};
use wire::{
    BundleJson, EnvelopeJson, MessageDigestJson, MessageSignatureJson, SignatureJson,
    WrittenBundle, WrittenEnvelope,
};

/// The payload type of an envelope that holds an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The media types of bundles: what is written, and for version 0.3 the other spelling that tools
/// write.
const MEDIA_TYPES: [(&str, Version); 4] = [
    (media_type::BUNDLE, Version::V03),
    (
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        Version::V03,
    ),
    (
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        Version::V02,
    ),
    (
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        Version::V01,
    ),
];

/// The name that protobuf gives SHA-256.
const SHA2_256: &str = "SHA2_256";

/// A signature, what it is on, and what is needed to verify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    version: Version,
    material: Material,
    content: Content,
}

/// The version of a bundle's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Version 0.1: a log's promise is enough.
    V01,
    /// Version 0.2: log entries come with a proof of inclusion.
    V02,
    /// Version 0.3: one certificate and no chain. This is what is written.
    V03,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V01 => "0.1",
            Self::V02 => "0.2",
            Self::V03 => "0.3",
        })
    }
}

/// What a bundle's signature is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A statement, which is inside.
    Statement(Envelope),
    /// Bytes, which are elsewhere.
    Message(MessageSignature),
}

/// A DSSE envelope around an in-toto statement, with its one signature, decoded but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    /// Returns the envelope of a statement's bytes and the signature on their
    /// [encoding](pre_authentication_encoding).
    pub(crate) fn new(payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { payload, signature }
    }

    /// Returns the bytes that were signed: DSSE's pre-authentication encoding of the payload.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(IN_TOTO, &self.payload)
    }

    /// Returns the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the bytes that were signed if this is a model signature of version 0.2.
    pub(crate) fn signed_bytes_v02(&self) -> Option<Vec<u8>> {
        let claimed = self.claimed_predicate_type();
        oms::signed_bytes_v02(&self.payload, claimed.as_deref())
    }

    /// Returns the payload. It means nothing before the signature is verified.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads an envelope that stands alone, as strictly as one in a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let written: EnvelopeJson = json::parse(bytes, "the envelope")
            .map_err(|error| Error::new(Reason::BundleInvalid, error.to_string()))?;
        Self::read(written)
    }

    /// Returns the bytes of the envelope alone, byte for byte as cosign 2 writes it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        lone_envelope(&self.payload, &self.signature)
    }

    /// Returns the predicate type that the payload claims. It means nothing before the signature is
    /// verified.
    pub(crate) fn claimed_predicate_type(&self) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Claim {
            predicate_type: String,
        }
        let claim = serde_json::from_slice::<Claim>(&self.payload).ok();
        claim.map(|claim| claim.predicate_type)
    }
}

/// A signature on bytes that are not in the bundle, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSignature {
    digest: Option<MessageDigest>,
    signature: Vec<u8>,
}

/// The digest of the bytes, as the signer has it; it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDigest {
    /// The algorithm, by protobuf's name.
    pub algorithm: String,
    /// The digest.
    pub digest: Vec<u8>,
}

impl MessageSignature {
    /// Returns the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the digest that the signer wrote down, if there is one.
    pub fn digest(&self) -> Option<&MessageDigest> {
        self.digest.as_ref()
    }

    /// Whether the signer wrote down a digest by another algorithm than SHA-256.
    pub fn names_other_digest(&self) -> bool {
        let digest = self.digest.as_ref();
        digest.is_some_and(|named| named.algorithm != SHA2_256)
    }

    /// Whether the digest that the signer wrote down is that of other bytes than `digest`'s.
    pub fn contradicts(&self, digest: &Digest) -> bool {
        self.digest.as_ref().is_some_and(|named| {
            named.algorithm == SHA2_256 && named.digest != digest.as_bytes().as_slice()
        })
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

/// Returns the bytes of an envelope that is in no bundle. Logs keep their hash, and cosign compares
/// it with what it finds at a `.att` tag, so that both must be the same.
pub(crate) fn lone_envelope(payload: &[u8], signature: &[u8]) -> Result<Vec<u8>> {
    wire::lone_envelope(IN_TOTO, payload, signature)
}

/// Returns the statement whose encoding `message` is, if it is one's.
pub fn statement_of(message: &[u8]) -> Option<&[u8]> {
    let head = format!("DSSEv1 {} {IN_TOTO} ", IN_TOTO.len());
    let rest = message.strip_prefix(head.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    let (length, payload) = (rest.get(..end)?, rest.get(end + 1..)?);
    (length == payload.len().to_string().as_bytes()).then_some(payload)
}

impl Bundle {
    /// Returns a bundle of a statement's bytes and the signature on its
    /// [encoding](pre_authentication_encoding).
    pub fn new(payload: &[u8], signature: &[u8], material: Material) -> Self {
        Self {
            version: Version::V03,
            material,
            content: Content::Statement(Envelope::new(payload.to_vec(), signature.to_vec())),
        }
    }

    /// Returns a bundle of the signature on bytes with the digest `message`.
    pub fn of_message(message: &Digest, signature: &[u8], material: Material) -> Self {
        Self {
            version: Version::V03,
            material,
            content: Content::Message(MessageSignature {
                digest: Some(MessageDigest {
                    algorithm: SHA2_256.to_owned(),
                    digest: message.as_bytes().to_vec(),
                }),
                signature: signature.to_vec(),
            }),
        }
    }

    /// Returns a bundle of an envelope that was signed elsewhere.
    pub fn of_envelope(envelope: Envelope, material: Material) -> Self {
        Self {
            version: Version::V03,
            material,
            content: Content::Statement(envelope),
        }
    }

    /// Returns the same as a bundle of another version, if it has the shape that bundles have.
    pub fn of_version(self, version: Version) -> Result<Self> {
        self.material.check()?;
        Ok(Self { version, ..self })
    }

    /// Reads a bundle with nothing unknown in it, because what a verifier does not understand it
    /// must not pass over.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > limits::BUNDLE {
            return Err(Error::new(
                Reason::TooLarge,
                "a bundle is larger than 16 MiB",
            ));
        }
        let written: BundleJson = json::parse(bytes, "the bundle")
            .map_err(|error| Error::new(Reason::BundleInvalid, error.to_string()))?;
        let known = |(text, _): &&(&str, Version)| *text == written.media_type;
        let Some((_, version)) = MEDIA_TYPES.iter().find(known) else {
            let message = format!("the bundle is {:?}, which is unknown", written.media_type);
            return Err(Error::new(Reason::BundleUnsupported, message));
        };
        written.verification_material.check()?;
        Ok(Self {
            version: *version,
            content: Content::read(written.dsse_envelope, written.message_signature)?,
            material: written.verification_material,
        })
    }

    /// Returns the bytes to be stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let media_type = MEDIA_TYPES.iter().find(|(_, v)| *v == self.version);
        let (dsse_envelope, message_signature) = self.content.written();
        let written = WrittenBundle {
            media_type: media_type.map_or(media_type::BUNDLE, |(text, _)| text),
            verification_material: &self.material,
            dsse_envelope,
            message_signature,
        };
        // Lists of files make long payloads: they are written in base64 where they stay.
        let mut bytes = Vec::with_capacity(self.content.length() / 3 * 4 + 16_384);
        serde_json::to_writer(&mut bytes, &written).map_err(|error| {
            Error::new(Reason::Internal, "cannot write a bundle").because(error)
        })?;
        Ok(bytes)
    }

    /// Returns the version of its format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns what is needed to verify the bundle.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// Returns what the signature is on.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns the envelope: what is attached to an artifact must have one.
    pub fn envelope(&self) -> Result<&Envelope> {
        match &self.content {
            Content::Statement(envelope) => Ok(envelope),
            Content::Message(_) => Err(Error::new(
                Reason::BundleUnsupported,
                "the bundle signs bytes, not a statement about an artifact",
            )),
        }
    }

    /// Returns the predicate type that the bundle claims to carry, for choosing words only.
    pub fn claimed_predicate_type(&self) -> Option<String> {
        self.envelope().ok()?.claimed_predicate_type()
    }
}

impl Content {
    /// Reads the one content that must be there.
    fn read(envelope: Option<EnvelopeJson>, message: Option<MessageSignatureJson>) -> Result<Self> {
        match (envelope, message) {
            (Some(envelope), None) => Envelope::read(envelope).map(Self::Statement),
            (None, Some(message)) => Ok(Self::Message(MessageSignature {
                digest: message.message_digest.map(|named| MessageDigest {
                    algorithm: named.algorithm,
                    digest: named.digest,
                }),
                signature: message.signature,
            })),
            (Some(_), Some(_)) => Err(invalid("has two kinds of content")),
            (None, None) => Err(invalid("has no content")),
        }
    }

    fn written(&self) -> (Option<WrittenEnvelope<'_>>, Option<MessageSignatureJson>) {
        match self {
            Self::Statement(envelope) => {
                let envelope = WrittenEnvelope::new(&envelope.payload, &envelope.signature);
                (Some(envelope), None)
            }
            Self::Message(message) => {
                let digest = message.digest.clone().map(|named| MessageDigestJson {
                    algorithm: named.algorithm,
                    digest: named.digest,
                });
                let message = MessageSignatureJson {
                    message_digest: digest,
                    signature: message.signature.clone(),
                };
                (None, Some(message))
            }
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Statement(envelope) => envelope.payload.len(),
            Self::Message(_) => 0,
        }
    }
}

impl Envelope {
    /// Reads an envelope with an in-toto payload and exactly one signature, so that no evidence is
    /// bound to a signature other than the one that is verified.
    fn read(written: EnvelopeJson) -> Result<Self> {
        if written.payload_type != IN_TOTO {
            let message = format!(
                "the bundle's payload is {:?}, not in-toto",
                written.payload_type
            );
            return Err(Error::new(Reason::PayloadTypeMismatch, message));
        }
        match <[SignatureJson; 1]>::try_from(written.signatures) {
            Ok([signature]) => Ok(Self {
                payload: written.payload,
                signature: signature.sig,
            }),
            Err(_) => Err(invalid("does not have exactly one signature")),
        }
    }
}

fn invalid(why: &str) -> Error {
    Error::new(Reason::BundleInvalid, format!("the bundle {why}"))
}
