//! Entries in a transparency log: Rekor of [version 1] and [version 2].
//!
//! [version 1]: https://github.com/sigstore/rekor/blob/main/openapi.yaml
//! [version 2]: https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::below;
use super::config::{Service, VERSION_1};
use crate::bundle::{IN_TOTO, Material, statement_of};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Algorithm, PublicKey};
use crate::registry::web::{Question, Reply, Web};
use crate::sign::{Signed, Verifier};

const JSON: &str = "application/json";

/// A transparency log.
pub(super) struct Log {
    web: Arc<Web>,
    url: Url,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Log {
    /// Returns the log at `service`.
    pub(super) fn new(web: Arc<Web>, service: &Service) -> Result<Self> {
        let version = match service.version() {
            VERSION_1 => Version::V1,
            _ => Version::V2,
        };
        let url = service.url()?;
        Ok(Self { web, url, version })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let question = Question {
            method,
            url: below(&self.url, path)?,
            body: body.map(|body| (JSON, body.to_string().into())),
            accept: JSON,
            bearer: None,
            hidden: None,
            action: "enter the signature into the transparency log",
        };
        self.web.ask(&question).await
    }

    /// Enters a signature into a log of version 1, and returns the entry as bundles have it.
    async fn enter_v1(&self, signed: &Signed<'_>) -> Result<Value> {
        let request = request_v1(signed);
        let mut reply = self
            .ask(Method::POST, "api/v1/log/entries", Some(&request))
            .await?;
        // The same entry can be there when an answer got lost, or a key signs the same twice.
        if reply.status == StatusCode::CONFLICT {
            let uuid = reply.location.as_deref().and_then(entry_name);
            let uuid = uuid.ok_or_else(|| self.wrong("does not say where the entry is"))?;
            let path = format!("api/v1/log/entries/{uuid}");
            reply = self.ask(Method::GET, &path, None).await?;
        }
        let kind = request["kind"].clone();
        let entries: BTreeMap<String, AnswerV1> = self.read(&reply)?;
        let entry = entries.into_values().next();
        let entry = entry.and_then(|entry| entry.into_bundle(&kind));
        entry.ok_or_else(|| self.wrong("does not answer with an entry and its proof"))
    }

    /// Enters a signature into a log of version 2, which answers with what bundles have.
    async fn enter_v2(&self, signed: &Signed<'_>) -> Result<Value> {
        let request = request_v2(signed)?;
        let reply = self
            .ask(Method::POST, "api/v2/log/entries", Some(&request))
            .await?;
        self.read(&reply)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, reply: &Reply) -> Result<T> {
        crate::json::parse(&reply.body, "the log's answer")
            .map_err(|error| self.wrong("does not answer in JSON").because(error))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(Reason::RegistryProtocol, format!("{} {what}", self.url))
    }
}

#[async_trait]
impl crate::sign::Witness for Log {
    async fn witness(&self, signed: &Signed<'_>, material: &mut Material) -> Result<()> {
        let entry = match self.version {
            Version::V1 => self.enter_v1(signed).await?,
            Version::V2 => self.enter_v2(signed).await?,
        };
        if !is_about(&entry, signed.signature) {
            return Err(self.wrong("answers with an entry about another signature"));
        }
        let entry = serde_json::from_value(entry)
            .map_err(|error| self.wrong("answers with a malformed entry").because(error))?;
        material.tlog_entries.push(entry);
        Ok(())
    }
}

/// Returns the name of an entry that a `Location` leads to: hex digits, so that it leads nowhere
/// else.
fn entry_name(location: &str) -> Option<&str> {
    let name = location.rsplit('/').next()?;
    let is_name = name.len() <= 80 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_name && !name.is_empty()).then_some(name)
}

/// Whether the body that was entered, wherever its kind has it, is about `signature`.
fn is_about(entry: &Value, signature: &[u8]) -> bool {
    const PLACES: [&str; 3] = [
        "/spec/signatures/0/signature",
        "/spec/signature/content",
        "/spec/hashedRekordV002/signature/content",
    ];
    let body = entry["canonicalizedBody"].as_str();
    let body = body.and_then(|body| STANDARD.decode(body).ok());
    let body: Option<Value> = body.and_then(|body| serde_json::from_slice(&body).ok());
    let expected = STANDARD.encode(signature);
    let mut found = PLACES
        .iter()
        .filter_map(|place| body.as_ref()?.pointer(place)?.as_str());
    found.any(|found| found == expected)
}

/// Returns the proposal of an entry: `dsse` for a statement, `hashedrekord` for other bytes.
fn request_v1(signed: &Signed<'_>) -> Value {
    let verifier = STANDARD.encode(verifier_pem(signed.verifier));
    let signature = STANDARD.encode(signed.signature);
    let Some(statement) = statement_of(signed.message) else {
        let digest = Digest::of(signed.message).hex();
        return json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": digest } },
            "signature": { "content": signature, "publicKey": { "content": verifier } },
        } });
    };
    let envelope = json!({
        "payload": STANDARD.encode(statement),
        "payloadType": IN_TOTO,
        "signatures": [{ "sig": signature }],
    });
    json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "proposedContent": { "envelope": envelope.to_string(), "verifiers": [verifier] },
    } })
}

fn verifier_pem(verifier: Verifier<'_>) -> String {
    match verifier {
        Verifier::Key(key) => key.to_pem(),
        Verifier::Certificate(der) => {
            let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
            pem::encode_config(&pem::Pem::new("CERTIFICATE", der), config)
        }
    }
}

/// Returns the request for an entry, which is about the digest of what was signed.
fn request_v2(signed: &Signed<'_>) -> Result<Value> {
    let (key, field, der) = match signed.verifier {
        Verifier::Key(key) => (key.clone(), "publicKey", key.spki()),
        Verifier::Certificate(der) => (certified_key(der)?, "x509Certificate", der),
    };
    let digest = STANDARD.encode(Digest::of(signed.message).as_bytes());
    let mut verifier = json!({ "keyDetails": key_details(&key)? });
    verifier[field] = json!({ "rawBytes": STANDARD.encode(der) });
    Ok(json!({ "hashedRekordRequestV002": {
        "digest": digest,
        "signature": { "content": STANDARD.encode(signed.signature), "verifier": verifier },
    } }))
}

fn certified_key(der: &[u8]) -> Result<PublicKey> {
    use spki::der::{Decode, Encode};
    let malformed = |error: spki::der::Error| {
        Error::new(Reason::KeyInvalid, "the signer's certificate is malformed").because(error)
    };
    let certificate = x509_cert::Certificate::from_der(der).map_err(malformed)?;
    let info = certificate.tbs_certificate.subject_public_key_info;
    PublicKey::from_spki(&info.to_der().map_err(malformed)?)
}

/// Returns what version 2 calls a kind of key. It enters SHA-256 digests only, which Ed25519 and
/// P-384 keys do not sign; of RSA keys it could, but few verifiers, and not this one, read that.
fn key_details(key: &PublicKey) -> Result<&'static str> {
    match key.algorithm() {
        Algorithm::EcdsaP256 => Ok("PKIX_ECDSA_P256_SHA_256"),
        other => {
            let message = format!("Rekor of version 2 cannot log signatures by {other} keys");
            Err(Error::new(Reason::KeyInvalid, message)
                .hint("sign with an ECDSA P-256 key, or use a log of version 1"))
        }
    }
}

/// An entry as version 1 answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerV1 {
    body: String,
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: VerificationV1,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationV1 {
    inclusion_proof: ProofV1,
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofV1 {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

impl AnswerV1 {
    /// Returns the entry as bundles have it: hex becomes base64, and numbers become text.
    fn into_bundle(self, kind: &Value) -> Option<Value> {
        let base64 = |digits: &String| Some(STANDARD.encode(hex::decode(digits).ok()?));
        let proof = self.verification.inclusion_proof;
        let hashes: Option<Vec<_>> = proof.hashes.iter().map(base64).collect();
        Some(json!({
            "logIndex": self.log_index.to_string(),
            "logId": { "keyId": base64(&self.log_id)? },
            "kindVersion": { "kind": kind, "version": "0.0.1" },
            "integratedTime": self.integrated_time.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": self.verification.signed_entry_timestamp,
            },
            "inclusionProof": {
                "logIndex": proof.log_index.to_string(),
                "rootHash": base64(&proof.root_hash)?,
                "treeSize": proof.tree_size.to_string(),
                "hashes": hashes?,
                "checkpoint": { "envelope": proof.checkpoint },
            },
            "canonicalizedBody": self.body,
        }))
    }
}
