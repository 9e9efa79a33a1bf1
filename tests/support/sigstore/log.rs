//! A transparency log of either kind: a Merkle tree over entries, its head signed as a note
//! ([RFC 6962, section 2.1](https://www.rfc-editor.org/rfc/rfc6962#section-2.1),
//! [signed notes](https://github.com/C2SP/C2SP/blob/main/signed-note.md)).

use std::sync::Mutex;

use jiff::Timestamp;
use modelctl::key::{Algorithm, PublicKey};
use modelctl::sign::key::PrivateKey;
use serde_json::{Value, json};

use super::{base64, pem, sha256};

/// The name under which both logs sign.
pub const ORIGIN: &str = "localhost";

/// What the first entry of the tree is called by version 1, whose tree is not its first one.
const FIRST_INDEX: u64 = 7_000_000;

/// Which Rekor it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// A log.
pub struct Log {
    pub version: Version,
    pub key: PrivateKey,
    /// What bundles and trusted roots call the log.
    pub id: [u8; 32],
    leaves: Mutex<Vec<[u8; 32]>>,
}

/// An entry that is in the log, with everything that proves it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub version: Version,
    pub kind: (&'static str, &'static str),
    pub log_id: [u8; 32],
    pub body: Vec<u8>,
    /// The entry's number in the tree.
    pub leaf: u64,
    /// What the entry is called.
    pub index: u64,
    pub time: Timestamp,
    pub size: u64,
    pub root: [u8; 32],
    pub path: Vec<[u8; 32]>,
    pub checkpoint: String,
    /// Version 1 only.
    pub promise: Option<Vec<u8>>,
    pub has_proof: bool,
}

/// Who an entry says signed.
#[derive(Debug, Clone, Copy)]
pub enum Verifier<'a> {
    Certificate(&'a [u8]),
    Key(&'a PublicKey),
}

impl Verifier<'_> {
    /// Returns the PEM file that version 1 logs.
    pub fn pem(&self) -> String {
        match self {
            Self::Certificate(der) => pem("CERTIFICATE", der),
            Self::Key(key) => key.to_pem(),
        }
    }

    /// Returns the JSON that version 2 logs.
    fn json(&self) -> Value {
        let (field, der) = match self {
            Self::Certificate(der) => ("x509Certificate", *der),
            Self::Key(key) => ("publicKey", key.spki()),
        };
        json!({ "keyDetails": KEY_DETAILS, field: { "rawBytes": base64(der) } })
    }
}

/// What version 2 calls the only kind of key that is logged here.
pub const KEY_DETAILS: &str = "PKIX_ECDSA_P256_SHA_256";

/// Returns the body of a `dsse` entry of version 1, for an envelope as it was sent.
pub fn dsse_body(envelope: &[u8], payload: &[u8], signature: &[u8], by: Verifier<'_>) -> Vec<u8> {
    let hash = |bytes: &[u8]| json!({ "algorithm": "sha256", "value": hex::encode(sha256(bytes)) });
    let signature = json!({
        "signature": base64(signature),
        "verifier": base64(by.pem().as_bytes()),
    });
    canonical(json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": hash(envelope),
        "payloadHash": hash(payload),
        "signatures": [signature],
    } }))
}

/// Returns the body of a `hashedrekord` entry.
pub fn hashed_body(
    version: Version,
    digest: &[u8; 32],
    signature: &[u8],
    by: Verifier<'_>,
) -> Vec<u8> {
    canonical(match version {
        Version::V1 => json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": hex::encode(digest) } },
            "signature": {
                "content": base64(signature),
                "publicKey": { "content": base64(by.pem().as_bytes()) },
            },
        } }),
        Version::V2 => json!({ "apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {
            "hashedRekordV002": {
                "data": { "algorithm": "SHA2_256", "digest": base64(digest) },
                "signature": { "content": base64(signature), "verifier": by.json() },
            },
        } }),
    })
}

/// Returns JSON as RFC 8785 writes it, as far as these documents go: their keys are in order.
fn canonical(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

impl Log {
    /// Returns a log with a new key and a few entries that nobody asks for.
    pub fn new(version: Version) -> Self {
        let algorithm = match version {
            Version::V1 => Algorithm::EcdsaP256,
            Version::V2 => Algorithm::Ed25519,
        };
        let key = PrivateKey::generate(algorithm).unwrap();
        let spki = key.public_key().spki();
        let id = match version {
            Version::V1 => sha256(spki),
            // The note's key ID: name, newline, algorithm 1, and the 32 bytes of the key.
            Version::V2 => {
                let raw = &spki[spki.len() - 32..];
                sha256(&[ORIGIN.as_bytes(), b"\n\x01", raw].concat())
            }
        };
        let leaves = (0..5).map(|n| leaf_hash(&[n])).collect();
        Self {
            version,
            key,
            id,
            leaves: Mutex::new(leaves),
        }
    }

    /// Enters `body` and returns the proof of it.
    pub fn enter(&self, kind: &'static str, body: Vec<u8>, time: Timestamp) -> Entry {
        let mut leaves = self.leaves.lock().unwrap();
        let leaf = leaves.len() as u64;
        leaves.push(leaf_hash(&body));
        // Somebody else's comes after it, so that proofs have two sides.
        leaves.push(leaf_hash(&leaf.to_be_bytes()));
        let (root, path) = (tree_hash(&leaves), path(leaf as usize, &leaves));
        let size = leaves.len() as u64;
        drop(leaves);
        let (kind_version, index) = match self.version {
            Version::V1 => ("0.0.1", FIRST_INDEX + leaf),
            Version::V2 => ("0.0.2", leaf),
        };
        let mut entry = Entry {
            version: self.version,
            kind: (kind, kind_version),
            log_id: self.id,
            body,
            leaf,
            index,
            time,
            size,
            root,
            path,
            checkpoint: self.checkpoint(size, &root, time),
            promise: None,
            has_proof: true,
        };
        if self.version == Version::V1 {
            entry.promise = Some(self.key.sign(&entry.promised()).unwrap());
        }
        entry
    }

    /// Returns a signed head of the tree.
    pub fn checkpoint(&self, size: u64, root: &[u8; 32], time: Timestamp) -> String {
        let text = match self.version {
            Version::V1 => format!(
                "{ORIGIN} - 4711\n{size}\n{}\nTimestamp: {}\n",
                base64(root),
                time.as_nanosecond()
            ),
            Version::V2 => format!("{ORIGIN}\n{size}\n{}\n", base64(root)),
        };
        let signature = self.key.sign(text.as_bytes()).unwrap();
        let line = base64(&[&self.id[..4], &signature].concat());
        format!("{text}\n— {ORIGIN} {line}\n")
    }
}

impl Entry {
    /// Returns what a signed entry timestamp signs.
    fn promised(&self) -> Vec<u8> {
        canonical(json!({
            "body": base64(&self.body),
            "integratedTime": self.time.as_second(),
            "logID": hex::encode(self.log_id),
            "logIndex": self.index,
        }))
    }

    /// Returns the entry as bundles carry it, and as version 2 answers.
    pub fn to_bundle(&self) -> Value {
        let (kind, version) = self.kind;
        let mut entry = json!({
            "logIndex": self.index.to_string(),
            "logId": { "keyId": base64(&self.log_id) },
            "kindVersion": { "kind": kind, "version": version },
        });
        if self.version == Version::V1 {
            entry["integratedTime"] = self.time.as_second().to_string().into();
        }
        if let Some(promise) = &self.promise {
            entry["inclusionPromise"] = json!({ "signedEntryTimestamp": base64(promise) });
        }
        if self.has_proof {
            let hashes: Vec<_> = self.path.iter().map(|hash| base64(hash)).collect();
            entry["inclusionProof"] = json!({
                "logIndex": self.leaf.to_string(),
                "rootHash": base64(&self.root),
                "treeSize": self.size.to_string(),
                "hashes": hashes,
                "checkpoint": { "envelope": self.checkpoint },
            });
        }
        entry["canonicalizedBody"] = base64(&self.body).into();
        entry
    }

    /// Returns what the entry is called in addresses: its tree and its hash.
    pub fn uuid(&self) -> String {
        format!("{:016x}{}", 4711, hex::encode(leaf_hash(&self.body)))
    }

    /// Returns the entry as version 1 answers.
    pub fn to_answer(&self) -> Value {
        let hashes: Vec<_> = self.path.iter().map(hex::encode).collect();
        let promise = self.promise.as_deref().unwrap_or_default();
        json!({ self.uuid(): {
            "body": base64(&self.body),
            "integratedTime": self.time.as_second(),
            "logID": hex::encode(self.log_id),
            "logIndex": self.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": self.checkpoint,
                    "hashes": hashes,
                    "logIndex": self.leaf,
                    "rootHash": hex::encode(self.root),
                    "treeSize": self.size,
                },
                "signedEntryTimestamp": base64(promise),
            },
        } })
    }
}

fn leaf_hash(body: &[u8]) -> [u8; 32] {
    sha256(&[&[0], body].concat())
}

fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1][..], left, right].concat())
}

/// Returns the largest power of two below `length`.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

/// Returns the hash of a tree over `leaves`, of which there is one at least.
fn tree_hash(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&tree_hash(left), &tree_hash(right))
        }
    }
}

/// Returns the hashes that lead from a leaf to the root.
fn path(leaf: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut hashes, other) = match leaf < middle {
        true => (path(leaf, left), tree_hash(right)),
        false => (path(leaf - middle, right), tree_hash(left)),
    };
    hashes.push(other);
    hashes
}
