//! Verification material: who signed, in which log it stands, who dated it. Nothing here is
//! verified; only its shape and size are known.

use serde::{Deserialize, Deserializer, Serialize};

use super::wire::{at_most, base64_text, int64};
use crate::error::{Error, Reason, Result};
use crate::limits;

/// What is needed, besides a root of trust, to verify a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "log_entries"
    )]
    pub tlog_entries: Vec<LogEntry>,
    /// Signed timestamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_verification_data: Option<Timestamps>,
}

impl Material {
    /// Returns the certificate whose key signed, if it was one's.
    pub fn signing_certificate(&self) -> Option<&RawCertificate> {
        let chain = self.x509_certificate_chain.as_ref();
        let first = chain.and_then(|chain| chain.certificates.first());
        self.certificate.as_ref().or(first)
    }

    /// Returns the signed timestamps.
    pub fn timestamps(&self) -> &[RawTimestamp] {
        match &self.timestamp_verification_data {
            Some(data) => &data.rfc3161_timestamps,
            None => &[],
        }
    }

    /// Refuses several answers to who signed, and pieces that are larger than any honest one.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |why: &str| {
            Err(Error::new(
                Reason::BundleInvalid,
                format!("the bundle {why}"),
            ))
        };
        let signers = [
            self.public_key.is_some(),
            self.certificate.is_some(),
            self.x509_certificate_chain.is_some(),
        ];
        if signers.into_iter().filter(|is_there| *is_there).count() > 1 {
            return invalid("names its signer in more than one way");
        }
        let chain = self.x509_certificate_chain.as_ref();
        if chain.is_some_and(|chain| chain.certificates.is_empty()) {
            return invalid("has an empty certificate chain");
        }
        let chain = chain.into_iter().flat_map(|chain| &chain.certificates);
        let mut certificates = chain.chain(&self.certificate);
        if certificates.any(|c| c.raw_bytes.len() > limits::CERTIFICATE) {
            return invalid("has a certificate of more than 64 KiB");
        }
        let mut timestamps = self.timestamps().iter();
        if timestamps.any(|t| t.signed_timestamp.len() > limits::TIMESTAMP_TOKEN) {
            return invalid("has a timestamp of more than 64 KiB");
        }
        let mut proofs = self.tlog_entries.iter().flat_map(|e| &e.inclusion_proof);
        if proofs.any(|proof| proof.checkpoint_text().len() > limits::CHECKPOINT) {
            return invalid("has a checkpoint of more than 16 KiB");
        }
        Ok(())
    }
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
    #[serde(deserialize_with = "certificates")]
    pub certificates: Vec<RawCertificate>,
}

/// A hint at the key that signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeyHint {
    /// Whatever the signer called the key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// An entry of a transparency log
/// ([`sigstore_rekor.proto`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_rekor.proto)),
/// not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogEntry {
    /// Its number in the log; protobuf leaves out a zero.
    #[serde(default, with = "int64")]
    pub log_index: u64,
    /// The log.
    pub log_id: LogId,
    /// What kind of entry it is.
    pub kind_version: KindVersion,
    /// When the log took it in, in seconds since 1970; zero where the log does not say.
    #[serde(default, with = "int64")]
    pub integrated_time: u64,
    /// The log's promise to include it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion_promise: Option<InclusionPromise>,
    /// The proof that the log includes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion_proof: Option<InclusionProof>,
    /// What the log keeps.
    #[serde(with = "base64_text")]
    pub canonicalized_body: Vec<u8>,
}

/// A log, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogId {
    /// The key's identifier.
    #[serde(with = "base64_text")]
    pub key_id: Vec<u8>,
}

/// What kind of entry it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindVersion {
    /// The kind: `hashedrekord`, `dsse`, `intoto`.
    pub kind: String,
    /// The kind's version.
    pub version: String,
}

/// A log's signed promise to include an entry (SET).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InclusionPromise {
    /// The signature.
    #[serde(with = "base64_text")]
    pub signed_entry_timestamp: Vec<u8>,
}

/// A Merkle proof that a log includes an entry
/// ([RFC 6962, section 2.1.1](https://www.rfc-editor.org/rfc/rfc6962#section-2.1.1)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InclusionProof {
    /// The entry's number in the tree.
    #[serde(default, with = "int64")]
    pub log_index: u64,
    /// The tree's root.
    #[serde(with = "base64_text")]
    pub root_hash: Vec<u8>,
    /// The tree's size.
    #[serde(with = "int64")]
    pub tree_size: u64,
    /// The hashes from the entry to the root.
    #[serde(default, deserialize_with = "proof_hashes")]
    pub hashes: Vec<ProofHash>,
    /// The log's signature on the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<RawCheckpoint>,
}

impl InclusionProof {
    /// Returns the checkpoint's text, empty if there is none.
    pub fn checkpoint_text(&self) -> &str {
        self.checkpoint.as_ref().map_or("", |c| c.envelope.as_str())
    }
}

/// One hash of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProofHash(#[serde(with = "base64_text")] pub Vec<u8>);

/// A signed note about a log's tree
/// ([tlog-checkpoint](https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCheckpoint {
    /// The note.
    #[serde(default)]
    pub envelope: String,
}

/// Signed timestamps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timestamps {
    /// Those of [RFC 3161](https://www.rfc-editor.org/rfc/rfc3161).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "timestamps"
    )]
    pub rfc3161_timestamps: Vec<RawTimestamp>,
}

/// A timestamp, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawTimestamp {
    /// A TimeStampResp, DER.
    #[serde(with = "base64_text")]
    pub signed_timestamp: Vec<u8>,
}

fn log_entries<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<LogEntry>, D::Error> {
    at_most(list, limits::LOG_ENTRIES, "log entries")
}

fn timestamps<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<RawTimestamp>, D::Error> {
    at_most(list, limits::TIMESTAMPS, "timestamps")
}

fn certificates<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<RawCertificate>, D::Error> {
    at_most(list, limits::CERTIFICATES, "certificates")
}

fn proof_hashes<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<ProofHash>, D::Error> {
    at_most(list, limits::PROOF_HASHES, "hashes of an inclusion proof")
}
