//! The certificate authority, as Fulcio is one: short-lived certificates that say who somebody is
//! and who said so, entered into a certificate transparency log
//! ([OIDs](https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md)).

use jiff::{SignedDuration, Timestamp};
use modelctl::key::PublicKey;
use modelctl::sign::key::PrivateKey;

use super::asn1::{context, octets, oid, seq, tlv, utf8};
use super::certificate::{
    CODE_SIGNING, Issuer, Profile, extended_usage, extension, issued_by, names_key, next_serial,
    signs,
};
use super::flaw::Flaw;
use super::sha256;

/// How long a certificate is valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The arc under which Fulcio's extensions are.
const FULCIO: &str = "1.3.6.1.4.1.57264.1";

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Email(String),
    Uri(String),
    UserName(String),
}

impl Subject {
    /// Returns the name alone.
    pub fn name(&self) -> &str {
        match self {
            Self::Email(name) | Self::Uri(name) | Self::UserName(name) => name,
        }
    }

    /// Returns it as a GeneralName.
    fn general_name(&self) -> Vec<u8> {
        match self {
            Self::Email(email) => tlv(0x81, email.as_bytes()),
            Self::Uri(uri) => tlv(0x86, uri.as_bytes()),
            Self::UserName(name) => {
                let value = [oid(&format!("{FULCIO}.7")), context(0, &utf8(name))];
                context(0, &value.concat())
            }
        }
    }
}

/// What a certificate is asked for with.
#[derive(Debug, Clone)]
pub struct Grant {
    pub subject: Subject,
    pub issuer: String,
    /// Further extensions of Fulcio's: the last number of the OID, and the value.
    pub claims: Vec<(u32, String)>,
    pub not_before: Timestamp,
    pub flaw: Option<Flaw>,
}

/// The authority and its certificate transparency log.
pub struct Authority {
    pub root: Issuer,
    pub intermediate: Issuer,
    /// The key of the certificate transparency log.
    pub ct_log: PrivateKey,
    stranger: Issuer,
}

impl Authority {
    /// Returns an authority with new keys.
    pub fn new() -> Self {
        let root = Issuer::root("test Fulcio");
        let intermediate = root.intermediate("test Fulcio intermediate", CODE_SIGNING);
        let stranger = Issuer::root("test Fulcio").intermediate(&intermediate.name, CODE_SIGNING);
        Self {
            root,
            intermediate,
            ct_log: super::new_key(),
            stranger,
        }
    }

    /// Returns a certificate for `key`.
    pub fn issue(&self, key: &PublicKey, grant: &Grant) -> Vec<u8> {
        let issuer = match grant.flaw {
            Some(Flaw::CertificateByAnotherAuthority) => &self.stranger,
            _ => &self.intermediate,
        };
        let purpose = match grant.flaw {
            Some(Flaw::CertificateForAnotherPurpose) => super::certificate::TIME_STAMPING,
            _ => CODE_SIGNING,
        };
        let mut extensions = vec![
            signs(),
            extended_usage(purpose, false),
            names_key(key),
            issued_by(&issuer.key),
            extension("2.5.29.17", true, &seq([grant.subject.general_name()])),
        ];
        extensions.extend(fulcio_extensions(grant));
        let mut profile = Profile {
            subject: "",
            key,
            valid: (grant.not_before, grant.not_before + LIFETIME),
            serial: next_serial(),
            extensions,
        };
        // What the log signs is the certificate without the log's signature (RFC 6962, 3.2).
        let unsigned = issuer.unsigned(&profile);
        let timestamps = self.timestamps(issuer, unsigned, grant);
        if !timestamps.is_empty() {
            profile.extensions.push(timestamp_list(&timestamps));
        }
        issuer.issue(&profile)
    }

    /// Returns the signed certificate timestamps that go into a certificate.
    fn timestamps(&self, issuer: &Issuer, mut unsigned: Vec<u8>, grant: &Grant) -> Vec<Vec<u8>> {
        let stranger = super::new_key();
        let key = match grant.flaw {
            Some(Flaw::SctByAnotherLog) => &stranger,
            _ => &self.ct_log,
        };
        if grant.flaw == Some(Flaw::SctOfAnotherCertificate) {
            unsigned.push(0);
        }
        let issuer_key = sha256(issuer.key.public_key().spki());
        let timestamp = timestamp(key, &issuer_key, &unsigned, grant.not_before);
        match grant.flaw {
            Some(Flaw::SctMissing) => Vec::new(),
            Some(Flaw::SctTwice) => vec![timestamp.clone(), timestamp],
            _ => vec![timestamp],
        }
    }
}

/// Returns who vouched for the subject, in both forms that Fulcio writes, and the further claims.
fn fulcio_extensions(grant: &Grant) -> Vec<Vec<u8>> {
    let id = |number: u32| format!("{FULCIO}.{number}");
    let mut extensions = vec![
        extension(&id(1), false, grant.issuer.as_bytes()),
        extension(&id(8), false, &utf8(&grant.issuer)),
    ];
    if grant.flaw == Some(Flaw::IssuerMissing) {
        extensions.clear();
    }
    let claims = grant.claims.iter();
    extensions.extend(claims.map(|(number, value)| extension(&id(*number), false, &utf8(value))));
    extensions
}

/// Returns a SignedCertificateTimestamp (RFC 6962, section 3.2).
fn timestamp(key: &PrivateKey, issuer: &[u8; 32], unsigned: &[u8], time: Timestamp) -> Vec<u8> {
    const NO_EXTENSIONS: [u8; 2] = [0, 0];
    let millis = (time.as_millisecond() as u64).to_be_bytes();
    let length = (unsigned.len() as u32).to_be_bytes();
    // version 1, certificate_timestamp, time, precert_entry, …
    let signed = [
        &[0, 0][..],
        &millis,
        &[0, 1],
        issuer,
        &length[1..],
        unsigned,
        &NO_EXTENSIONS,
    ];
    let signature = key.sign(&signed.concat()).unwrap();
    let log = sha256(key.public_key().spki());
    // … and ECDSA with SHA-256.
    let parts = [&[0][..], &log, &millis, &NO_EXTENSIONS, &[4, 3]];
    [parts.concat(), vector(&signature)].concat()
}

/// Returns the extension that holds signed certificate timestamps (RFC 6962, section 3.3).
fn timestamp_list(timestamps: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = timestamps.iter().flat_map(|t| vector(t)).collect();
    extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&vector(&list)))
}

/// Returns bytes after their length in two bytes, as TLS writes them.
fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}
