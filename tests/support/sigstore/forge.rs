//! Bundles without any network: what a signer and the services would have made together.

use jiff::{SignedDuration, Timestamp};
use modelctl::bundle::{IN_TOTO, pre_authentication_encoding};
use modelctl::digest::Digest;
use modelctl::sign::key::PrivateKey;
use modelctl::statement::Statement;
use serde_json::{Value, json};

use super::authority::{Grant, LIFETIME};
use super::flaw::{Flaw, Place};
use super::log::{Entry, Log, ORIGIN, Verifier, dsse_body, hashed_body};
use super::timestamp::Query;
use super::{Sigstore, Subject, Version, base64, new_key, sha256};

/// What is signed.
#[derive(Debug, Clone)]
pub enum Content {
    /// The payload of an envelope, usually a statement.
    Payload(Vec<u8>),
    /// Bytes as they are.
    Blob(Vec<u8>),
}

/// With what it is signed.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A new key, with a certificate for it.
    Certificate,
    /// A key that the verifier has.
    Key(&'a PrivateKey),
}

/// What a bundle is to be like.
#[derive(Clone)]
pub struct Recipe<'a> {
    pub content: Content,
    pub payload_type: &'a str,
    pub by: By<'a>,
    pub subject: Subject,
    pub issuer: &'a str,
    /// Further extensions of the certificate: the last number of the OID, and the value.
    pub claims: Vec<(u32, String)>,
    pub signed_at: Timestamp,
    /// The logs that it is entered into.
    pub logs: Vec<Version>,
    /// How many timestamps it gets.
    pub stamps: usize,
    pub flaw: Option<Flaw>,
}

impl<'a> Recipe<'a> {
    /// Returns a good keyless bundle of an envelope, logged in Rekor v1, by `ci@example.com` of
    /// `https://issuer.example`.
    pub fn payload(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            content: Content::Payload(payload.into()),
            payload_type: IN_TOTO,
            by: By::Certificate,
            subject: Subject::Email("ci@example.com".to_owned()),
            issuer: "https://issuer.example",
            claims: Vec::new(),
            signed_at: Timestamp::now() - SignedDuration::from_mins(1),
            logs: vec![Version::V1],
            stamps: 0,
            flaw: None,
        }
    }

    /// Returns the same of cosign's signature on the content with this digest.
    pub fn signature(digest: &Digest) -> Self {
        let statement = Statement::signature(digest, serde_json::Map::new());
        Self::payload(statement.to_bytes().unwrap())
    }

    /// Returns the same of `blob`.
    pub fn blob(blob: &[u8]) -> Self {
        let content = Content::Blob(blob.to_vec());
        Self {
            content,
            ..Self::payload([])
        }
    }

    /// Returns the same, logged as Rekor v2 does it: with a timestamp, because it has no time.
    pub fn in_v2(self) -> Self {
        Self {
            logs: vec![Version::V2],
            stamps: 1,
            ..self
        }
    }

    /// Returns the same with one thing wrong.
    pub fn with(&self, flaw: Flaw) -> Self {
        let flaw = Some(flaw);
        Self {
            flaw,
            ..self.clone()
        }
    }

    /// Whether what is wrong with `flaw` is there to be wrong.
    pub fn can_have(&self, flaw: Flaw) -> bool {
        match flaw.place() {
            Place::Anywhere => true,
            Place::Certificate => matches!(self.by, By::Certificate),
            Place::Entry => !self.logs.is_empty(),
            Place::Promise => self.logs.contains(&Version::V1),
            Place::Stamp => self.stamps > 0,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn message(&self) -> Vec<u8> {
        match &self.content {
            Content::Payload(payload) => pre_authentication_encoding(self.payload_type, payload),
            Content::Blob(blob) => blob.clone(),
        }
    }

    fn grant(&self) -> Grant {
        let shift = match self.flaw {
            Some(Flaw::CertificateExpired) => -LIFETIME - SignedDuration::from_mins(1),
            Some(Flaw::CertificateNotYetValid) => SignedDuration::from_mins(1),
            _ => SignedDuration::ZERO,
        };
        Grant {
            subject: self.subject.clone(),
            issuer: self.issuer.to_owned(),
            claims: self.claims.clone(),
            not_before: self.signed_at + shift,
            flaw: self.flaw,
        }
    }

    /// Returns when, after the signature, the given number of seconds had passed.
    fn after(&self, seconds: i64) -> Timestamp {
        self.signed_at + SignedDuration::from_secs(seconds)
    }
}

/// What was signed, with what and by whom.
struct Signed<'a> {
    message: Vec<u8>,
    signature: Vec<u8>,
    verifier: Verifier<'a>,
}

impl Sigstore {
    /// Returns the bundle that `recipe` describes, as JSON.
    pub fn forge(&self, recipe: &Recipe<'_>) -> Value {
        let fresh = new_key();
        let key = match recipe.by {
            By::Certificate => &fresh,
            By::Key(key) => key,
        };
        let other = new_key();
        let certified = match recipe.flaw {
            Some(Flaw::CertificateOfAnotherKey) => &other,
            _ => key,
        };
        let certificate = self
            .authority
            .issue(certified.public_key(), &recipe.grant());
        let verifier = match recipe.by {
            By::Certificate => Verifier::Certificate(&certificate),
            By::Key(key) => Verifier::Key(key.public_key()),
        };
        let message = recipe.message();
        let signed = Signed {
            signature: key.sign(&message).unwrap(),
            message,
            verifier,
        };
        let mut material = match verifier {
            Verifier::Certificate(der) => json!({ "certificate": { "rawBytes": base64(der) } }),
            Verifier::Key(key) => json!({ "publicKey": { "hint": key.hint() } }),
        };
        if !recipe.has(Flaw::EvidenceMissing) {
            self.add_evidence(&mut material, recipe, &signed);
        }
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
        });
        let (field, content) = content_json(recipe, &signed.signature);
        bundle[field] = content;
        bundle
    }

    fn add_evidence(&self, material: &mut Value, recipe: &Recipe<'_>, signed: &Signed<'_>) {
        let logs = recipe.logs.iter();
        let entries: Vec<_> = logs
            .map(|version| self.entry(*version, recipe, signed))
            .collect();
        if !entries.is_empty() {
            material["tlogEntries"] = entries.into();
        }
        let stamps: Vec<_> = (0..recipe.stamps)
            .map(|number| {
                let token = self.stamp(number, recipe, &signed.signature);
                json!({ "signedTimestamp": base64(&token) })
            })
            .collect();
        if !stamps.is_empty() {
            material["timestampVerificationData"] = json!({ "rfc3161Timestamps": stamps });
        }
    }

    fn stamp(&self, number: usize, recipe: &Recipe<'_>, signature: &[u8]) -> Vec<u8> {
        let query = match recipe.flaw {
            Some(Flaw::StampOfAnotherSignature) => Query::about(b"another signature"),
            _ => Query::about(signature),
        };
        let time = match recipe.flaw {
            Some(Flaw::StampTooEarly) if number == 0 => recipe.after(-3600),
            _ => recipe.after(1),
        };
        let mut token = match recipe.flaw {
            Some(Flaw::StampByAnotherAuthority) => self.timestamper.impostor().answer(&query, time),
            _ => self.timestamper.answer(&query, time),
        };
        if recipe.has(Flaw::StampChanged) {
            *token.last_mut().unwrap() ^= 1;
        }
        token
    }

    fn entry(&self, version: Version, recipe: &Recipe<'_>, signed: &Signed<'_>) -> Value {
        let other = Log::new(version);
        let log = match recipe.flaw {
            Some(Flaw::LogUnknown) => &other,
            _ => self.log(version),
        };
        let stranger = new_key();
        let certificate = self.authority.issue(stranger.public_key(), &recipe.grant());
        let verifier = match (recipe.flaw, signed.verifier) {
            (Some(Flaw::EntryOfAnotherSigner), Verifier::Certificate(_)) => {
                Verifier::Certificate(&certificate)
            }
            (Some(Flaw::EntryOfAnotherSigner), Verifier::Key(_)) => {
                Verifier::Key(stranger.public_key())
            }
            (_, verifier) => verifier,
        };
        let (kind, body) = body(version, recipe, signed, verifier);
        let mut entry = log.enter(kind, body, recipe.after(2));
        spoil(&mut entry, recipe, log);
        let mut json = entry.to_bundle();
        if recipe.has(Flaw::CheckpointMissing) {
            json["inclusionProof"]["checkpoint"] = json!({ "envelope": "" });
        }
        json
    }
}

/// Returns what is logged, and of which kind it is.
fn body(
    version: Version,
    recipe: &Recipe<'_>,
    signed: &Signed<'_>,
    verifier: Verifier<'_>,
) -> (&'static str, Vec<u8>) {
    let another = b"something else".to_vec();
    let signature = match recipe.flaw {
        Some(Flaw::EntryOfAnotherSignature) => new_key().sign(&signed.message).unwrap(),
        _ => signed.signature.clone(),
    };
    match (&recipe.content, version) {
        (Content::Payload(payload), Version::V1) => {
            let payload = match recipe.flaw {
                Some(Flaw::EntryOfAnotherContent) => &another,
                _ => payload,
            };
            let (_, envelope) = content_json(recipe, &signature);
            let envelope = envelope.to_string().into_bytes();
            ("dsse", dsse_body(&envelope, payload, &signature, verifier))
        }
        _ => {
            let message = match recipe.flaw {
                Some(Flaw::EntryOfAnotherContent) => &another,
                _ => &signed.message,
            };
            let digest = sha256(message);
            (
                "hashedrekord",
                hashed_body(version, &digest, &signature, verifier),
            )
        }
    }
}

/// Makes wrong what is to be wrong with an entry that was entered.
fn spoil(entry: &mut Entry, recipe: &Recipe<'_>, log: &Log) {
    let Some(flaw) = recipe.flaw else { return };
    match flaw {
        Flaw::EntryIndexChanged => entry.index -= 1,
        // White space does not change what the entry says, but what was entered.
        Flaw::EntryBodyChanged => entry.body.push(b' '),
        Flaw::ProofMissing => entry.has_proof = false,
        Flaw::ProofHashChanged => entry.path[0][0] ^= 1,
        Flaw::ProofHashMissing => drop(entry.path.pop()),
        Flaw::CheckpointSignatureChanged => {
            let (text, signature) = entry.checkpoint.rsplit_once(' ').unwrap();
            let mut bytes = super::unbase64(signature.trim_end()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            entry.checkpoint = format!("{text} {}\n", base64(&bytes));
        }
        Flaw::CheckpointByAnotherLog => {
            let stranger = Log::new(log.version);
            let forged = stranger.checkpoint(entry.size, &entry.root, entry.time);
            let (text, _) = forged.split_once("\n\n").unwrap();
            let signature = stranger.key.sign(format!("{text}\n").as_bytes()).unwrap();
            let line = base64(&[&log.id[..4], &signature].concat());
            entry.checkpoint = format!("{text}\n\n— {ORIGIN} {line}\n");
        }
        Flaw::CheckpointOfAnotherTree => {
            entry.checkpoint = log.checkpoint(entry.size, &sha256(b"another"), entry.time);
        }
        Flaw::PromiseChanged => {
            if let Some(last) = entry
                .promise
                .as_mut()
                .and_then(|promise| promise.last_mut())
            {
                *last ^= 1;
            }
        }
        Flaw::PromiseTimeChanged => entry.time += SignedDuration::from_secs(1),
        _ => {}
    }
}

/// Returns the bundle's field for what was signed, and its value.
fn content_json(recipe: &Recipe<'_>, signature: &[u8]) -> (&'static str, Value) {
    let changed = |bytes: &[u8]| match recipe.flaw {
        Some(Flaw::ContentChanged) => [bytes, b" "].concat(),
        _ => bytes.to_vec(),
    };
    match &recipe.content {
        Content::Payload(payload) => {
            let envelope = json!({
                "payload": base64(&changed(payload)),
                "payloadType": recipe.payload_type,
                "signatures": [{ "sig": base64(signature) }],
            });
            ("dsseEnvelope", envelope)
        }
        Content::Blob(blob) => {
            let digest = base64(&sha256(&changed(blob)));
            let signed = json!({
                "messageDigest": { "algorithm": "SHA2_256", "digest": digest },
                "signature": base64(signature),
            });
            ("messageSignature", signed)
        }
    }
}
