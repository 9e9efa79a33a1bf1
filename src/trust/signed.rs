//! A signature with what it is on, still to be verified.

use crate::bundle::{Bundle, Envelope, Material, MessageSignature};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::oms;
use crate::trust::sigstore::SigstoreRoot;

/// Bytes outside a bundle that its signature is on.
#[derive(Debug, Clone, Copy)]
pub enum Blob<'a> {
    /// The bytes.
    Bytes(&'a [u8]),
    /// Their digest; some keys (Ed25519) sign bytes only, and need them.
    Digest(Digest),
}

impl Blob<'_> {
    /// Returns the digest of the bytes.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Bytes(bytes) => Digest::of(bytes),
            Self::Digest(digest) => *digest,
        }
    }
}

/// A signature with what it is on, and what else is known about it.
pub(super) struct Signed<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) material: &'a Material,
    pub(super) message: Message<'a>,
    pub(super) signature: &'a [u8],
    /// Under what to check log entries and timestamps of whoever needs none.
    pub(super) witnesses: Option<&'a SigstoreRoot>,
}

/// What a signature is on.
pub(super) enum Message<'a> {
    /// A statement's envelope.
    Statement(&'a Envelope),
    /// Bytes elsewhere.
    Blob(Blob<'a>),
}

impl<'a> Signed<'a> {
    /// Returns the signature on a bundle's own statement.
    pub(super) fn statement(
        bundle: &'a Bundle,
        envelope: &'a Envelope,
        witnesses: Option<&'a SigstoreRoot>,
    ) -> Self {
        Self {
            bundle,
            material: bundle.material(),
            message: Message::Statement(envelope),
            signature: envelope.signature(),
            witnesses,
        }
    }

    /// Returns the signature on `blob`.
    pub(super) fn blob(
        bundle: &'a Bundle,
        message: &'a MessageSignature,
        blob: Blob<'a>,
        witnesses: Option<&'a SigstoreRoot>,
    ) -> Self {
        Self {
            bundle,
            material: bundle.material(),
            message: Message::Blob(blob),
            signature: message.signature(),
            witnesses,
        }
    }

    /// Whether it is on the list of a model's files. That is claimed, and as true as the signature:
    /// what is read of the payload here is what is read of it once it is verified.
    pub(super) fn is_on_model(&self) -> bool {
        let claimed = match &self.message {
            Message::Statement(envelope) => envelope.claimed_predicate_type(),
            Message::Blob(_) => None,
        };
        claimed.is_some_and(|predicate_type| oms::is_model_signature(&predicate_type))
    }

    /// Whether the holder of `key` signed.
    pub(super) fn is_by(&self, key: &PublicKey) -> bool {
        match &self.message {
            Message::Statement(envelope) => {
                // The first model signatures are on other bytes, which nothing else can be.
                let legacy = || envelope.signed_bytes_v02();
                key.verifies(&envelope.signed_bytes(), self.signature)
                    || legacy().is_some_and(|bytes| key.verifies(&bytes, self.signature))
            }
            Message::Blob(Blob::Bytes(bytes)) => key.verifies(bytes, self.signature),
            Message::Blob(Blob::Digest(digest)) => key.verifies_digest(digest, self.signature),
        }
    }
}
