//! Certificates: what any authority of this Sigstore issues.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use modelctl::key::PublicKey;
use modelctl::sign::key::PrivateKey;

use super::asn1::{
    ECDSA_SHA256, algorithm, bits, context, integer, key_identifier, name, octets, oid, seq, tlv,
    utc_time,
};

pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// An issuer: a key with the certificate that vouches for it.
pub struct Issuer {
    pub key: PrivateKey,
    pub name: String,
    pub der: Vec<u8>,
}

/// What a certificate is to say.
pub struct Profile<'a> {
    pub subject: &'a str,
    pub key: &'a PublicKey,
    pub valid: (Timestamp, Timestamp),
    pub serial: u64,
    pub extensions: Vec<Vec<u8>>,
}

impl Issuer {
    /// Returns an authority that vouches for itself.
    pub fn root(name: &str) -> Self {
        let key = super::new_key();
        let mut issuer = Self {
            key,
            name: name.to_owned(),
            der: Vec::new(),
        };
        let profile = Profile::authority(name, issuer.key.public_key(), None);
        issuer.der = issuer.issue(&profile);
        issuer
    }

    /// Returns an authority that this one vouches for, for one purpose.
    pub fn intermediate(&self, name: &str, purpose: &str) -> Self {
        let key = super::new_key();
        let mut profile = Profile::authority(name, key.public_key(), Some(purpose));
        profile.extensions.push(issued_by(&self.key));
        let der = self.issue(&profile);
        let name = name.to_owned();
        Self { key, name, der }
    }

    /// Returns the certificate that `profile` describes.
    pub fn issue(&self, profile: &Profile<'_>) -> Vec<u8> {
        self.sign(&self.unsigned(profile))
    }

    /// Returns a TBSCertificate (RFC 5280, section 4.1).
    pub fn unsigned(&self, profile: &Profile<'_>) -> Vec<u8> {
        let (not_before, not_after) = profile.valid;
        let subject = match profile.subject {
            "" => seq::<Vec<u8>>([]),
            common_name => name(common_name),
        };
        seq([
            context(0, &integer(2)),
            integer(profile.serial),
            algorithm(ECDSA_SHA256),
            name(&self.name),
            seq([utc_time(not_before), utc_time(not_after)]),
            subject,
            profile.key.spki().to_vec(),
            context(3, &seq(&profile.extensions)),
        ])
    }

    /// Returns a certificate from what is to be signed of it.
    pub fn sign(&self, unsigned: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(unsigned).unwrap();
        let parts = [unsigned.to_vec(), algorithm(ECDSA_SHA256), bits(&signature)];
        seq(parts)
    }
}

impl<'a> Profile<'a> {
    fn authority(subject: &'a str, key: &'a PublicKey, purpose: Option<&str>) -> Self {
        let mut extensions = vec![
            extension("2.5.29.19", true, &seq([tlv(1, &[0xff])])),
            // keyCertSign and cRLSign.
            extension("2.5.29.15", true, &[3, 2, 1, 6]),
            names_key(key),
        ];
        extensions.extend(purpose.map(|purpose| extended_usage(purpose, false)));
        let now = Timestamp::now();
        Self {
            subject,
            key,
            valid: (
                now - SignedDuration::from_hours(24 * 30),
                now + SignedDuration::from_hours(24 * 365),
            ),
            serial: next_serial(),
            extensions,
        }
    }
}

/// Returns a serial number that no other certificate of this process has.
pub fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x1100_0000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns an extension around the DER `value`.
pub fn extension(id: &str, is_critical: bool, value: &[u8]) -> Vec<u8> {
    match is_critical {
        true => seq([oid(id), tlv(1, &[0xff]), octets(value)]),
        false => seq([oid(id), octets(value)]),
    }
}

/// Returns the extension that allows `digitalSignature` only.
pub fn signs() -> Vec<u8> {
    extension("2.5.29.15", true, &[3, 2, 7, 0x80])
}

/// Returns the extension that names what a key may be used for.
pub fn extended_usage(purpose: &str, is_critical: bool) -> Vec<u8> {
    extension("2.5.29.37", is_critical, &seq([oid(purpose)]))
}

/// Returns the extension that gives `key` a name.
pub fn names_key(key: &PublicKey) -> Vec<u8> {
    extension("2.5.29.14", false, &octets(&key_identifier(key)))
}

/// Returns the extension that names the issuer's key.
pub fn issued_by(key: &PrivateKey) -> Vec<u8> {
    let identifier = tlv(0x80, &key_identifier(key.public_key()));
    extension("2.5.29.35", false, &seq([identifier]))
}
