//! The documents that tell clients about a Sigstore: what to trust, and where to sign
//! ([`sigstore_trustroot.proto`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_trustroot.proto)).

use modelctl::key::PublicKey;
use serde_json::{Value, json};

use super::log::Log;
use super::{Sigstore, Version, base64, sha256};

const START: &str = "2024-01-01T00:00:00Z";

impl Sigstore {
    /// Returns `trusted_root.json`.
    pub fn trusted_root(&self) -> Value {
        let url = &self.url;
        let authority = &self.authority;
        let ct_log = authority.ct_log.public_key();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self.log_json(&self.log_v1), self.log_json(&self.log_v2)],
            "certificateAuthorities": [{
                "subject": { "organization": "test", "commonName": authority.root.name },
                "uri": url,
                "certChain": chain([&authority.intermediate.der, &authority.root.der]),
                "validFor": { "start": START },
            }],
            "ctlogs": [{
                "baseUrl": format!("{url}/ctlog"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": key(ct_log, "PKIX_ECDSA_P256_SHA_256"),
                "logId": { "keyId": base64(&sha256(ct_log.spki())) },
            }],
            "timestampAuthorities": [{
                "subject": { "organization": "test", "commonName": self.timestamper.root.name },
                "uri": format!("{url}/api/v1/timestamp"),
                "certChain": chain([&self.timestamper.leaf.der, &self.timestamper.root.der]),
                "validFor": { "start": START },
            }],
        })
    }

    fn log_json(&self, log: &Log) -> Value {
        let details = match log.version {
            Version::V1 => "PKIX_ECDSA_P256_SHA_256",
            Version::V2 => "PKIX_ED25519",
        };
        json!({
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": key(log.key.public_key(), details),
            "logId": { "keyId": base64(&log.id) },
        })
    }

    /// Returns `signing_config.json` for signers that use these logs, and the timestamp authority
    /// if there is no other proof of the time.
    pub fn signing_config(&self, logs: &[Version]) -> Value {
        let service = |url: String, version: u32| {
            json!({
                "url": url,
                "majorApiVersion": version,
                "validFor": { "start": START },
                "operator": "test",
            })
        };
        let url = &self.url;
        let logs_json: Vec<_> = logs
            .iter()
            .map(|version| match version {
                Version::V1 => service(url.clone(), 1),
                Version::V2 => service(url.clone(), 2),
            })
            .collect();
        let mut config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service(url.clone(), 1)],
            "oidcUrls": [service(url.clone(), 1)],
            "rekorTlogUrls": logs_json,
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": [],
            "tsaConfig": { "selector": "ANY" },
        });
        if logs != [Version::V1] {
            config["tsaUrls"] = json!([service(format!("{url}/api/v1/timestamp"), 1)]);
        }
        config
    }
}

fn key(key: &PublicKey, details: &str) -> Value {
    json!({
        "rawBytes": base64(key.spki()),
        "keyDetails": details,
        "validFor": { "start": START },
    })
}

fn chain<const N: usize>(certificates: [&Vec<u8>; N]) -> Value {
    let certificates: Vec<_> = certificates
        .iter()
        .map(|der| json!({ "rawBytes": base64(der) }))
        .collect();
    json!({ "certificates": certificates })
}
