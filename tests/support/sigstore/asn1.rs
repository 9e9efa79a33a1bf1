//! DER, written by hand: what is to be wrong in a certificate or a timestamp can then be wrong.

use jiff::Timestamp;
use modelctl::key::PublicKey;
use spki::ObjectIdentifier;
use spki::der::Encode;

pub const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";

/// Returns a value with its tag and length.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..0x80 => der.push(length as u8),
        0x80..0x100 => der.extend([0x81, length as u8]),
        _ => {
            der.push(0x82);
            der.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    der.extend(content);
    der
}

/// Returns a SEQUENCE.
pub fn seq<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    tlv(0x30, &join(parts))
}

/// Returns a SET OF, in the order that DER asks for.
pub fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(0x31, &join(parts))
}

/// Returns a value under a context-specific tag that contains others.
pub fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

/// Returns an OBJECT IDENTIFIER.
pub fn oid(dotted: &str) -> Vec<u8> {
    ObjectIdentifier::new(dotted).unwrap().to_der().unwrap()
}

/// Returns an AlgorithmIdentifier without parameters.
pub fn algorithm(dotted: &str) -> Vec<u8> {
    seq([oid(dotted)])
}

/// Returns an INTEGER that is not negative.
pub fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let mut content = bytes[start..].to_vec();
    if content[0] >= 0x80 {
        content.insert(0, 0);
    }
    tlv(2, &content)
}

/// Returns an OCTET STRING.
pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, content)
}

/// Returns a BIT STRING of whole bytes.
pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

/// Returns a UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

/// Returns a UTCTime.
pub fn utc_time(time: Timestamp) -> Vec<u8> {
    tlv(0x17, time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

/// Returns a GeneralizedTime.
pub fn generalized_time(time: Timestamp) -> Vec<u8> {
    tlv(0x18, time.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

/// Returns the Name `CN=…`.
pub fn name(common_name: &str) -> Vec<u8> {
    seq([set(vec![seq([oid("2.5.4.3"), utf8(common_name)])])])
}

/// Returns the SHA-1-sized identifier by which certificates call a key.
pub fn key_identifier(key: &PublicKey) -> Vec<u8> {
    super::sha256(key.spki())[..20].to_vec()
}

fn join<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(part.as_ref());
    }
    all
}
