//! Public keys: what verifies a signature made with a private key.
//!
//! Algorithms are an allow-list chosen by the key, never by the signature: ECDSA P-256, P-384 and
//! P-521, Ed25519, RSA of 2048 to 8192 bits (PKCS#1 v1.5).

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spki::der::asn1::{BitString, ObjectIdentifier};
use spki::der::{Decode, Encode};
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// The label of a public key in a PEM file.
const PEM_LABEL: &str = "PUBLIC KEY";

/// The first byte of a point that is not compressed (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The sizes of RSA keys that can verify.
const RSA_BITS: RangeInclusive<u32> = 2048..=8192;

/// What every refusal of a kind of key advises.
pub(crate) const SUPPORTED: &str =
    "supported are ECDSA P-256, P-384 and P-521, Ed25519, and RSA of 2048 to 8192 bits";

/// What kind of key it is, and so how it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384; SHA-256 is accepted too, because cosign's `--key` uses it.
    EcdsaP384,
    /// ECDSA on P-521 with SHA-512; SHA-256 is accepted too, for the same reason.
    EcdsaP521,
    /// Ed25519 on the message itself.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256; SHA-384 and SHA-512 are accepted too.
    Rsa,
}

impl Algorithm {
    /// Returns what a key's AlgorithmIdentifier says, in a public or a private key.
    pub(crate) fn identified_by(identifier: &spki::AlgorithmIdentifierRef<'_>) -> Result<Self> {
        let curve = identifier.parameters.and_then(|any| any.decode_as().ok());
        let other = match (identifier.oid, curve) {
            (EC_PUBLIC_KEY, Some(P256)) => return Ok(Self::EcdsaP256),
            (EC_PUBLIC_KEY, Some(P384)) => return Ok(Self::EcdsaP384),
            (EC_PUBLIC_KEY, Some(P521)) => return Ok(Self::EcdsaP521),
            (ED25519, None) => return Ok(Self::Ed25519),
            (RSA, _) => return Ok(Self::Rsa),
            (EC_PUBLIC_KEY, Some(curve)) => format!("ECDSA on the curve {curve}"),
            (EC_PUBLIC_KEY, None) => "ECDSA on a curve without a name".to_owned(),
            (RSA_PSS, _) => "RSA-PSS".to_owned(),
            (X25519, _) => "X25519, which cannot sign".to_owned(),
            (DSA, _) => "DSA".to_owned(),
            (oid, _) => format!("algorithm {oid}"),
        };
        let message = format!("the key is of an unsupported kind: {other}");
        Err(Error::new(Reason::KeyInvalid, message).hint(SUPPORTED))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
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
        let place = format!("`{what}`");
        let sections = pem_sections(text).map_err(|error| error.at(&place))?;
        let [section] = sections.as_slice() else {
            let message = format!("{place} must hold exactly one PEM section");
            return Err(Error::new(Reason::KeyInvalid, message));
        };
        match section.tag() {
            PEM_LABEL => Self::from_spki(section.contents()),
            other => Err(not_a_public_key(other)),
        }
        .map_err(|error| error.at(&place))
    }

    /// Reads a SubjectPublicKeyInfo in DER
    /// ([RFC 5280, section 4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)).
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        let algorithm = Algorithm::identified_by(&info.algorithm)?;
        let key = Self::from_bits(algorithm, info.subject_public_key.raw_bytes())?;
        // A key is named by the hash of its encoding, so there must be only one.
        if key.spki != der {
            let message = "the public key is not encoded as usual";
            return Err(Error::new(Reason::KeyInvalid, message)
                .hint("write it anew with `openssl pkey -pubin -in KEY -out NEW`"));
        }
        Ok(key)
    }

    /// Returns the key whose bits are `bits`, as a private key's public half comes.
    pub fn from_bits(algorithm: Algorithm, bits: &[u8]) -> Result<Self> {
        use spki::der::Any;
        let (oid, parameters, is_point) = match algorithm {
            Algorithm::EcdsaP256 => (EC_PUBLIC_KEY, Some(Any::from(P256)), true),
            Algorithm::EcdsaP384 => (EC_PUBLIC_KEY, Some(Any::from(P384)), true),
            Algorithm::EcdsaP521 => (EC_PUBLIC_KEY, Some(Any::from(P521)), true),
            Algorithm::Ed25519 => (ED25519, None, false),
            Algorithm::Rsa => (RSA, Some(Any::null()), false),
        };
        if is_point && bits.first() != Some(&UNCOMPRESSED) {
            let message = "the public key is a compressed point";
            return Err(Error::new(Reason::KeyInvalid, message).hint(
                "write it anew with `openssl ec -pubin -in KEY -conv_form uncompressed -out NEW`",
            ));
        }
        let info = SubjectPublicKeyInfoOwned {
            algorithm: spki::AlgorithmIdentifier { oid, parameters },
            subject_public_key: BitString::from_bytes(bits).map_err(malformed)?,
        };
        let key = Self {
            algorithm,
            spki: info.to_der().map_err(malformed)?,
            bits: bits.to_vec(),
        };
        key.check_usable()?;
        Ok(key)
    }

    /// Refuses a key that nothing could be verified with: a point beside its curve, an RSA key
    /// that is too short or too long. The crypto library would say so only at every signature, and
    /// takes a whole SubjectPublicKeyInfo for the bits in one.
    fn check_usable(&self) -> Result<()> {
        let is_of_right_size = match self.algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => true,
            Algorithm::Ed25519 => self.bits.len() == lc::ED25519_PUBLIC_KEY_LEN,
            Algorithm::Rsa => lc::RsaParameters::public_modulus_len(&self.bits)
                .is_ok_and(|bits| RSA_BITS.contains(&bits)),
        };
        let mut schemes = self.schemes().iter();
        if !is_of_right_size
            || schemes.any(|scheme| lc::ParsedPublicKey::new(*scheme, &self.bits).is_err())
        {
            let message = format!("the {} key is malformed or too weak", self.algorithm);
            return Err(Error::new(Reason::KeyInvalid, message).hint(SUPPORTED));
        }
        Ok(())
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

    /// Returns the hint by which model signatures name this key: the SHA-256 of its PEM file.
    pub fn model_signing_hint(&self) -> String {
        Digest::of(self.to_pem().as_bytes()).hex()
    }

    /// Whether `hint` names this key, as cosign or as the OpenSSF model-signing library writes it.
    pub fn has_hint(&self, hint: &str) -> bool {
        hint == self.hint() || hint == self.model_signing_hint()
    }

    /// Whether `signature` is this key's on `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.schemes().iter().any(|scheme| {
            lc::UnparsedPublicKey::new(*scheme, &self.bits)
                .verify(message, signature)
                .is_ok()
        })
    }

    /// Whether `signature` is this key's on the message with the SHA-256 digest `message`; never for
    /// Ed25519, which signs messages only.
    pub fn verifies_digest(&self, message: &Digest, signature: &[u8]) -> bool {
        let sha256 = &aws_lc_rs::digest::SHA256;
        aws_lc_rs::digest::Digest::import_less_safe(message.as_bytes(), sha256).is_ok_and(
            |digest| {
                self.schemes().iter().any(|scheme| {
                    lc::UnparsedPublicKey::new(*scheme, &self.bits)
                        .verify_digest(&digest, signature)
                        .is_ok()
                })
            },
        )
    }

    fn schemes(&self) -> &'static [&'static dyn lc::VerificationAlgorithm] {
        match self.algorithm {
            Algorithm::EcdsaP256 => &[&lc::ECDSA_P256_SHA256_ASN1],
            Algorithm::EcdsaP384 => &[&lc::ECDSA_P384_SHA384_ASN1, &lc::ECDSA_P384_SHA256_ASN1],
            Algorithm::EcdsaP521 => &[&lc::ECDSA_P521_SHA512_ASN1, &lc::ECDSA_P521_SHA256_ASN1],
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

/// Returns the sections of a PEM file, of which there must be one at least.
pub(crate) fn pem_sections(text: &[u8]) -> Result<Vec<pem::Pem>> {
    let invalid = Error::new(Reason::KeyInvalid, "this is not a PEM file");
    match pem::parse_many(text) {
        Ok(sections) if !sections.is_empty() => Ok(sections),
        Ok(_) if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-") => {
            let message = "this is an OpenSSH public key";
            Err(Error::new(Reason::KeyInvalid, message)
                .hint("convert it with `ssh-keygen -e -m PKCS8 -f KEY`"))
        }
        Ok(_) => Err(invalid),
        Err(error) => Err(invalid.because(error)),
    }
}

/// Says what to do with a PEM section that is not a `PUBLIC KEY`.
fn not_a_public_key(label: &str) -> Error {
    let refuse = |what: &str, hint: &str| {
        Error::new(
            Reason::KeyInvalid,
            format!("this is {what}, not a public key"),
        )
        .hint(hint)
    };
    match label {
        label if label.ends_with("PRIVATE KEY") => refuse(
            "a private key",
            "verification takes the public key: the `.pub` file beside it",
        ),
        "CERTIFICATE" => refuse(
            "a certificate",
            "take its key out with `openssl x509 -in CERTIFICATE -noout -pubkey`",
        ),
        "RSA PUBLIC KEY" => refuse(
            "a PKCS#1 key",
            "convert it with `openssl rsa -RSAPublicKey_in -in KEY -pubout`",
        ),
        other => refuse(&format!("a {other:?}"), SUPPORTED),
    }
}

fn malformed(error: spki::der::Error) -> Error {
    Error::new(Reason::KeyInvalid, "the public key is malformed").because(error)
}
