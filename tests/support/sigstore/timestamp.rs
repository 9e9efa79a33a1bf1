//! The timestamp authority ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)).

use jiff::{SignedDuration, Timestamp};
use modelctl::sign::key::PrivateKey;
use spki::der::asn1::AnyRef;
use spki::der::{Reader, SliceReader, Tag, Tagged};

use super::asn1::{
    ECDSA_SHA256, SHA256, algorithm, context, generalized_time, integer, name, octets, oid, seq,
    set, utc_time,
};
use super::certificate::{
    Issuer, Profile, TIME_STAMPING, extended_usage, issued_by, names_key, next_serial, signs,
};
use super::sha256;

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

/// A timestamp authority.
pub struct Timestamper {
    pub root: Issuer,
    pub leaf: Issuer,
    serial: u64,
}

/// What is to be timestamped.
pub struct Query {
    /// The MessageImprint, DER.
    pub imprint: Vec<u8>,
    /// The nonce, DER.
    pub nonce: Option<Vec<u8>>,
    /// Whether the signer's certificate is wanted.
    pub wants_certificate: bool,
}

impl Query {
    /// Returns the query of someone who wants `bytes` timestamped.
    pub fn about(bytes: &[u8]) -> Self {
        Self {
            imprint: seq([algorithm(SHA256), octets(&sha256(bytes))]),
            nonce: None,
            wants_certificate: false,
        }
    }

    /// Reads a TimeStampReq.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut query = Self::about(&[]);
        let mut reader = SliceReader::new(der).ok()?;
        reader
            .sequence(|fields| {
                fields.decode::<u8>()?;
                query.imprint = fields.tlv_bytes()?.to_vec();
                while !fields.is_finished() {
                    let field = fields.tlv_bytes()?;
                    let any = AnyRef::try_from(field)?;
                    match any.tag() {
                        Tag::Integer => query.nonce = Some(field.to_vec()),
                        Tag::Boolean => query.wants_certificate = any.value() != [0],
                        Tag::ObjectIdentifier => {}
                        _ => return Err(Tag::Sequence.value_error()),
                    }
                }
                Ok(())
            })
            .ok()?;
        Some(query)
    }
}

impl Timestamper {
    /// Returns an authority with new keys.
    pub fn new() -> Self {
        let root = Issuer::root("test timestamps");
        let serial = next_serial();
        let key = super::new_key();
        let now = Timestamp::now();
        let year = SignedDuration::from_hours(24 * 300);
        let profile = Profile {
            subject: "test timestamp authority",
            key: key.public_key(),
            valid: (now - SignedDuration::from_hours(24 * 20), now + year),
            serial,
            extensions: vec![
                signs(),
                extended_usage(TIME_STAMPING, true),
                names_key(key.public_key()),
                issued_by(&root.key),
            ],
        };
        let der = root.issue(&profile);
        let name = profile.subject.to_owned();
        let leaf = Issuer { key, name, der };
        Self { root, leaf, serial }
    }

    /// Returns an authority that says it is this one, with a key of its own.
    pub fn impostor(&self) -> Self {
        let mut other = Self::new();
        other.root.name.clone_from(&self.root.name);
        other.serial = self.serial;
        other
    }

    /// Returns the TimeStampResp that answers `query`.
    pub fn answer(&self, query: &Query, time: Timestamp) -> Vec<u8> {
        let mut info = vec![
            integer(1),
            oid("1.3.6.1.4.1.57264.2"),
            query.imprint.clone(),
            integer(next_serial()),
            generalized_time(time),
            seq([integer(1)]),
        ];
        info.extend(query.nonce.clone());
        let token = self.token(&seq(info), time, query.wants_certificate);
        seq([seq([integer(0)]), token])
    }

    /// Returns CMS SignedData around a TSTInfo (RFC 5652, section 5).
    fn token(&self, info: &[u8], time: Timestamp, with_certificate: bool) -> Vec<u8> {
        let content = seq([oid(TST_INFO), context(0, &octets(info))]);
        let mut signed = vec![integer(3), set(vec![algorithm(SHA256)]), content];
        if with_certificate {
            signed.push(context(0, &self.leaf.der));
        }
        signed.push(set(vec![self.signer_info(info, time)]));
        seq([oid(SIGNED_DATA), context(0, &seq(signed))])
    }

    fn signer_info(&self, info: &[u8], time: Timestamp) -> Vec<u8> {
        let serial = integer(self.serial);
        let issuer = name(&self.root.name);
        let general = seq([context(4, &issuer)]);
        let certificate = seq([
            octets(&sha256(&self.leaf.der)),
            seq([general, serial.clone()]),
        ]);
        let attribute = |id: &str, value: Vec<u8>| seq([oid(id), set(vec![value])]);
        let attributes = set(vec![
            attribute("1.2.840.113549.1.9.3", oid(TST_INFO)),
            attribute("1.2.840.113549.1.9.5", utc_time(time)),
            attribute("1.2.840.113549.1.9.4", octets(&sha256(info))),
            // signingCertificateV2 (RFC 5816).
            attribute("1.2.840.113549.1.9.16.2.47", seq([seq([certificate])])),
        ]);
        let signature = self.leaf.key.sign(&attributes).unwrap();
        // They are signed as a SET and sent under a tag of their own.
        let mut sent = attributes;
        sent[0] = 0xa0;
        seq([
            integer(1),
            seq([issuer, serial]),
            algorithm(SHA256),
            sent,
            algorithm(ECDSA_SHA256),
            octets(&signature),
        ])
    }

    /// Returns the key that signs.
    pub fn key(&self) -> &PrivateKey {
        &self.leaf.key
    }
}
