//! The annotations of a layer, which say who signed and who saw it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Kind, decoded, invalid};
use crate::bundle::{
    InclusionPromise, KindVersion, LogEntry, LogId, Material, PublicKeyHint, RawCertificate,
    RawChain, RawTimestamp, Timestamps,
};
use crate::error::{Error, Reason, Result};
use crate::manifest::Annotations;
use crate::{json, limits};

/// The signer's certificate, PEM.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

/// The certificates above it, PEM.
const CHAIN: &str = "dev.sigstore.cosign/chain";

/// The log entry.
const BUNDLE: &str = "dev.sigstore.cosign/bundle";

/// The timestamp: of the signature in a `.sig` layer, and of the whole envelope in a `.att` layer.
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

const PEM_LABEL: &str = "CERTIFICATE";

/// A log entry as cosign kept it: what the log promised, and no proof.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Logged {
    signed_entry_timestamp: String,
    payload: Entry,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    body: String,
    integrated_time: u64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// What an entry's body says of itself; the rest is the verifier's to read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: String,
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

/// Reads what a bundle would have as its material. cosign writes no empty annotation but reads one
/// as none, and so do we.
pub(super) fn material(annotations: &Annotations, kind: Kind) -> Result<Material> {
    let find = |name: &str| annotations.get(name).filter(|text| !text.is_empty());
    let entry = find(BUNDLE).map(|text| log_entry(text)).transpose()?;
    // The timestamp of an envelope is none of the signature's, which alone can be verified.
    let stamp = find(TIMESTAMP).filter(|_| kind == Kind::Signature);
    let chain = match find(CERTIFICATE) {
        Some(certificate) => Some(chain(certificate, find(CHAIN))?),
        None if find(CHAIN).is_some() => {
            return Err(invalid("has a certificate chain and no certificate"));
        }
        None => None,
    };
    Ok(Material {
        public_key: chain.is_none().then(PublicKeyHint::default),
        certificate: None,
        x509_certificate_chain: chain,
        tlog_entries: entry.into_iter().collect(),
        timestamp_verification_data: stamp.map(|text| timestamps(text)).transpose()?,
    })
}

fn chain(certificate: &str, above: Option<&String>) -> Result<RawChain> {
    let mut certificates = pem_certificates(certificate)?;
    if certificates.len() != 1 {
        return Err(invalid("does not have exactly one certificate"));
    }
    if let Some(above) = above {
        certificates.extend(pem_certificates(above)?);
    }
    if certificates.len() > limits::CERTIFICATES {
        return Err(invalid("has more than 16 certificates"));
    }
    Ok(RawChain { certificates })
}

fn pem_certificates(text: &str) -> Result<Vec<RawCertificate>> {
    let malformed = || invalid("has a certificate that is not PEM");
    let sections = pem::parse_many(text).map_err(|error| malformed().because(error))?;
    if sections.is_empty() || sections.iter().any(|section| section.tag() != PEM_LABEL) {
        return Err(malformed());
    }
    let certificates = sections.into_iter().map(|section| RawCertificate {
        raw_bytes: section.into_contents(),
    });
    Ok(certificates.collect())
}

fn log_entry(text: &str) -> Result<LogEntry> {
    let logged: Logged = parse(text, "the log entry")?;
    let body = decoded(&logged.payload.body)?;
    let says: Body = json::parse(&body, "the log entry's body")
        .map_err(|error| Error::new(Reason::LogEntryInvalid, error.to_string()))?;
    let key_id = hex::decode(&logged.payload.log_id)
        .map_err(|error| invalid("has a malformed log entry").because(error))?;
    let in_range = |number: u64| i64::try_from(number).is_ok();
    if !in_range(logged.payload.log_index) || !in_range(logged.payload.integrated_time) {
        return Err(invalid("has a log entry with a number that is too large"));
    }
    Ok(LogEntry {
        log_index: logged.payload.log_index,
        log_id: LogId { key_id },
        kind_version: KindVersion {
            kind: says.kind,
            version: says.api_version,
        },
        integrated_time: logged.payload.integrated_time,
        inclusion_promise: Some(InclusionPromise {
            signed_entry_timestamp: decoded(&logged.signed_entry_timestamp)?,
        }),
        inclusion_proof: None,
        canonicalized_body: body,
    })
}

fn timestamps(text: &str) -> Result<Timestamps> {
    let stamp: Stamp = parse(text, "the timestamp")?;
    Ok(Timestamps {
        rfc3161_timestamps: vec![RawTimestamp {
            signed_timestamp: decoded(&stamp.token)?,
        }],
    })
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    json::parse(text.as_bytes(), what)
        .map_err(|error| Error::new(Reason::BundleInvalid, error.to_string()))
}

/// Writes `material` as annotations. Of a certificate cosign wants to know when it was used, which
/// only a promise of a log can say here.
pub(super) fn annotated(material: &Material, kind: Kind) -> Result<Annotations> {
    let mut annotations = Annotations::new();
    let promised = material.tlog_entries.iter().find_map(promised);
    if let Some(certificate) = material.signing_certificate() {
        if promised.is_none() {
            return Err(no_promise());
        }
        annotations.insert(CERTIFICATE.to_owned(), pem(certificate));
        let chain = material.x509_certificate_chain.iter();
        let above = chain.flat_map(|chain| chain.certificates.iter().skip(1));
        let above: String = above.map(pem).collect();
        if !above.is_empty() {
            annotations.insert(CHAIN.to_owned(), above);
        }
    }
    if let Some(promised) = promised {
        annotations.insert(BUNDLE.to_owned(), written(&promised)?);
    }
    if let (Kind::Signature, Some(stamp)) = (kind, material.timestamps().first()) {
        let token = STANDARD.encode(&stamp.signed_timestamp);
        annotations.insert(TIMESTAMP.to_owned(), written(&Stamp { token })?);
    }
    Ok(annotations)
}

fn promised(entry: &LogEntry) -> Option<Logged> {
    let promise = entry.inclusion_promise.as_ref()?;
    Some(Logged {
        signed_entry_timestamp: STANDARD.encode(&promise.signed_entry_timestamp),
        payload: Entry {
            body: STANDARD.encode(&entry.canonicalized_body),
            integrated_time: entry.integrated_time,
            log_index: entry.log_index,
            log_id: hex::encode(&entry.log_id.key_id),
        },
    })
}

fn pem(certificate: &RawCertificate) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(
        &pem::Pem::new(PEM_LABEL, certificate.raw_bytes.as_slice()),
        config,
    )
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(Reason::Internal, "cannot write an annotation").because(error))
}

fn no_promise() -> Error {
    let message = "a signature with a certificate has no legacy form without a promise of its log";
    Error::new(Reason::BundleUnsupported, message)
        .hint("sign with a log of version 1 (Rekor), with a key, or without `--compat legacy`")
}
