//! Public keys: what verifies a signature made with a private key.
//!
//! Algorithms are an allow-list chosen by the key, never by the signature: ECDSA P-256 and P-384,
//! Ed25519, RSA of 2048 to 8192 bits (PKCS#1 v1.5).

use std::fmt;

use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spki::der::asn1::ObjectIdentifier;
use spki::der::{Decode, Encode};
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The label of a public key in a PEM file.
const PEM_LABEL: &str = "PUBLIC KEY";

/// What kind of key it is, and so how it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384; SHA-256 is accepted too, because cosign's `--key` uses it.
    EcdsaP384,
    /// Ed25519 on the message itself.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256; SHA-384 and SHA-512 are accepted too.
    Rsa,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        })
    }
}

/// A public key that can verify.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// SubjectPublicKeyInfo, DER.
    spki: Vec<u8>,
    /// The key's bits in the SubjectPublicKeyInfo: a point, a raw Ed25519 key, or an RSAPublicKey.
    bits: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM file with one `PUBLIC KEY`; `what` names it in errors.
    pub fn from_pem(text: &[u8], what: &str) -> Result<Self> {
        let invalid = |why: &str| Error::new(Reason::KeyInvalid, format!("`{what}` {why}"));
        let mut sections = pem::parse_many(text)
            .map_err(|error| invalid("is not a PEM file").because(error))?
            .into_iter();
        let (Some(section), None) = (sections.next(), sections.next()) else {
            return Err(invalid("must hold exactly one PEM section"));
        };
        match section.tag() {
            PEM_LABEL => Self::from_spki(section.contents()).map_err(|error| error.at(what)),
            tag if tag.ends_with("PRIVATE KEY") => Err(invalid("is a private key")
                .hint("verification takes the public key: the `.pub` file beside it")),
            tag => Err(invalid(&format!("holds a {tag:?}, not a {PEM_LABEL:?}"))),
        }
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let unsupported = || {
            Error::new(
                Reason::KeyInvalid,
                "the public key is of an unsupported kind",
            )
            .hint("supported are ECDSA P-256 and P-384, Ed25519, and RSA of 2048 to 8192 bits")
        };
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| {
            Error::new(Reason::KeyInvalid, "the public key is malformed").because(error)
        })?;
        let curve = info
            .algorithm
            .parameters
            .and_then(|any| any.decode_as().ok());
        let algorithm = match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(P256)) => Algorithm::EcdsaP256,
            (EC_PUBLIC_KEY, Some(P384)) => Algorithm::EcdsaP384,
            (ED25519, None) => Algorithm::Ed25519,
            (RSA, _) => Algorithm::Rsa,
            _ => return Err(unsupported()),
        };
        let bits = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(unsupported)?
            .to_vec();
        let key = Self {
            algorithm,
            spki: der.to_vec(),
            bits,
        };
        if key
            .schemes()
            .iter()
            .any(|scheme| lc::ParsedPublicKey::new(*scheme, &key.bits).is_err())
        {
            return Err(unsupported());
        }
        Ok(key)
    }

    /// Returns the key whose bits are `bits`, as a private key's public half comes.
    pub fn from_bits(algorithm: Algorithm, bits: &[u8]) -> Result<Self> {
        let (oid, curve) = match algorithm {
            Algorithm::EcdsaP256 => (EC_PUBLIC_KEY, Some(spki::der::Any::from(P256))),
            Algorithm::EcdsaP384 => (EC_PUBLIC_KEY, Some(spki::der::Any::from(P384))),
            Algorithm::Ed25519 => (ED25519, None),
            Algorithm::Rsa => (RSA, Some(spki::der::Any::null())),
        };
        let malformed = |error: spki::der::Error| {
            Error::new(Reason::KeyInvalid, "the public key is malformed").because(error)
        };
        let info = SubjectPublicKeyInfoOwned {
            algorithm: spki::AlgorithmIdentifier {
                oid,
                parameters: curve,
            },
            subject_public_key: spki::der::asn1::BitString::from_bytes(bits).map_err(malformed)?,
        };
        Self::from_spki(&info.to_der().map_err(malformed)?)
    }

    /// Returns what kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Returns the key as a PEM file.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new(PEM_LABEL, self.spki.as_slice()), config)
    }

    /// Returns the SHA-256 of the SubjectPublicKeyInfo: the key's name everywhere.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// Returns the hint by which cosign's bundles name this key.
    pub fn hint(&self) -> String {
        STANDARD.encode(self.fingerprint().as_bytes())
    }

    /// Whether `hint` names this key, as cosign or as the OpenSSF model-signing library writes it.
    pub fn has_hint(&self, hint: &str) -> bool {
        hint == self.hint() || hint == Digest::of(self.to_pem().as_bytes()).hex()
    }

    /// Whether `signature` is this key's on `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.schemes().iter().any(|scheme| {
            lc::UnparsedPublicKey::new(*scheme, &self.bits)
                .verify(message, signature)
                .is_ok()
        })
    }

    fn schemes(&self) -> &'static [&'static dyn lc::VerificationAlgorithm] {
        match self.algorithm {
            Algorithm::EcdsaP256 => &[&lc::ECDSA_P256_SHA256_ASN1],
            Algorithm::EcdsaP384 => &[&lc::ECDSA_P384_SHA384_ASN1, &lc::ECDSA_P384_SHA256_ASN1],
            Algorithm::Ed25519 => &[&lc::ED25519],
            Algorithm::Rsa => &[
                &lc::RSA_PKCS1_2048_8192_SHA256,
                &lc::RSA_PKCS1_2048_8192_SHA384,
                &lc::RSA_PKCS1_2048_8192_SHA512,
            ],
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint())
    }
}
