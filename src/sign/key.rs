//! Private keys: read from the files that cosign and OpenSSL write, generated, and signing.
//!
//! A key file says what it is by its PEM label; its password is asked for only when it has one.
//! What is decrypted is wiped from memory when it is no longer needed.

mod encrypted;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as lc;
use aws_lc_rs::signature::KeyPair as _;
use spki::AlgorithmIdentifierRef;
use spki::der::{Decode, Reader, SliceReader};
use zeroize::Zeroizing;

use crate::bundle::{Material, PublicKeyHint};
use crate::error::{Error, Reason, Result};
use crate::key::{Algorithm, PublicKey, SUPPORTED, pem_sections};
use crate::sign::Signer;
use crate::trust::Authority;

/// The password of a key file, wiped from memory when dropped.
pub type Password = Zeroizing<Vec<u8>>;

/// The label of an encrypted key file, as cosign writes it since version 2.
const ENCRYPTED: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";

/// The label of the same format as older versions of cosign wrote it.
const ENCRYPTED_BEFORE: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// The label of encrypted PKCS#8; OpenSSL's older encryption shows in a header `DEK-Info`.
const ENCRYPTED_BY_OPENSSL: &str = "ENCRYPTED PRIVATE KEY";

/// What `openssl ecparam -genkey` writes before the key; the key says the same.
const EC_PARAMETERS: &str = "EC PARAMETERS";

/// Reads what an encrypted key's section holds, short of decrypting it.
#[cfg(feature = "fuzz")]
pub(crate) fn parse_encrypted(json: &[u8]) -> Result<()> {
    encrypted::parse(json).map(drop)
}

/// A private key that can sign.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(lc::EcdsaKeyPair),
    Ed25519(lc::Ed25519KeyPair),
    Rsa(lc::RsaKeyPair),
}

impl PrivateKey {
    /// Reads a key file: cosign's, PKCS#8, SEC 1 or PKCS#1, in PEM; `what` names it in errors, and
    /// `password` is asked only when the file is encrypted.
    pub fn from_pem(
        text: &[u8],
        password: impl FnOnce() -> Result<Password>,
        what: &str,
    ) -> Result<Self> {
        let place = format!("`{what}`");
        let section = key_section(text).map_err(|error| error.at(&place))?;
        let label = match section.headers().get("DEK-Info") {
            Some(_) => ENCRYPTED_BY_OPENSSL.to_owned(),
            None => section.tag().to_owned(),
        };
        let contents = Zeroizing::new(section.into_contents());
        let key = match label.as_str() {
            ENCRYPTED | ENCRYPTED_BEFORE => {
                // Whoever asks for the password knows better what went wrong than this place.
                let password = password()?;
                encrypted::open(&contents, &password).and_then(|der| Self::from_pkcs8(&der))
            }
            "PRIVATE KEY" => Self::from_pkcs8(&contents),
            "EC PRIVATE KEY" => Self::from_sec1(&contents),
            "RSA PRIVATE KEY" => lc::RsaKeyPair::from_der(&contents)
                .map_err(|error| rejected(Algorithm::Rsa, error))
                .and_then(|pair| Self::new(Pair::Rsa(pair), Algorithm::Rsa)),
            other => Err(not_a_private_key(other)),
        };
        key.map_err(|error| error.at(&place))
    }

    /// Reads an unencrypted PrivateKeyInfo in DER
    /// ([RFC 5958](https://www.rfc-editor.org/rfc/rfc5958#section-2)).
    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let algorithm = pkcs8_algorithm(der)?;
        let pair = match algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => {
                lc::EcdsaKeyPair::from_pkcs8(ecdsa_scheme(algorithm)?, der).map(Pair::Ecdsa)
            }
            Algorithm::Ed25519 => lc::Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519),
            Algorithm::Rsa => lc::RsaKeyPair::from_pkcs8(der).map(Pair::Rsa),
        };
        Self::new(pair.map_err(|error| rejected(algorithm, error))?, algorithm)
    }

    /// Reads an ECPrivateKey in DER, with or without its public key
    /// ([RFC 5915](https://www.rfc-editor.org/rfc/rfc5915#section-3)).
    fn from_sec1(der: &[u8]) -> Result<Self> {
        for algorithm in [
            Algorithm::EcdsaP256,
            Algorithm::EcdsaP384,
            Algorithm::EcdsaP521,
        ] {
            if let Ok(pair) = lc::EcdsaKeyPair::from_private_key_der(ecdsa_scheme(algorithm)?, der)
            {
                return Self::new(Pair::Ecdsa(pair), algorithm);
            }
        }
        let message = "the key is malformed or not on the curve P-256, P-384 or P-521";
        Err(Error::new(Reason::KeyInvalid, message).hint(SUPPORTED))
    }

    /// Returns a new key.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => {
                lc::EcdsaKeyPair::generate(ecdsa_scheme(algorithm)?).map(Pair::Ecdsa)
            }
            Algorithm::Ed25519 => lc::Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::Rsa => {
                lc::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).map(Pair::Rsa)
            }
        };
        Self::new(pair.map_err(failed("generate a key"))?, algorithm)
    }

    fn new(pair: Pair, algorithm: Algorithm) -> Result<Self> {
        let bits = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        };
        let public = PublicKey::from_bits(algorithm, bits)?;
        Ok(Self { pair, public })
    }

    /// Returns the public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the signature on `message`: ECDSA in DER with the curve's own hash, Ed25519 on the
    /// message itself, RSA PKCS#1 v1.5 with SHA-256. Of these, cosign's `--key` (up to 3.1) cannot
    /// verify P-384 and P-521, for which it takes SHA-256.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map(|s| s.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&lc::RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(failed("sign"))
    }

    /// Returns the key file that `cosign generate-key-pair` would write, encrypted with `password`.
    pub fn to_encrypted_pem(&self, password: &[u8]) -> Result<String> {
        let json = encrypted::seal(&self.to_pkcs8()?, password)?;
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new(ENCRYPTED, json), config))
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let document = match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|d| d.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|d| d.as_ref().to_vec()),
            Pair::Rsa(pair) => pair.as_der().map(|d| d.as_ref().to_vec()),
        };
        document
            .map(Zeroizing::new)
            .map_err(failed("write the key"))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private half of {:?}", self.public)
    }
}

/// A signer with a private key in memory.
#[derive(Debug)]
pub struct KeySigner {
    name: String,
    key: PrivateKey,
}

impl KeySigner {
    /// Returns a signer that is called `name`: usually the key's file.
    pub fn new(name: impl Into<String>, key: PrivateKey) -> Self {
        Self {
            name: name.into(),
            key,
        }
    }

    /// Returns the key that verifies what this signs.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }
}

#[async_trait]
impl Signer for KeySigner {
    fn authority(&self) -> Authority {
        Authority::key(self.name.clone(), self.key.public.clone())
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        let hint = PublicKeyHint {
            hint: self.key.public.hint(),
        };
        let material = Material {
            public_key: Some(hint),
            ..Material::default()
        };
        Ok((self.key.sign(message)?, material))
    }
}

/// Returns the one section of a key file that is not about the curve of the one that follows.
fn key_section(text: &[u8]) -> Result<pem::Pem> {
    let mut sections = pem_sections(text)?
        .into_iter()
        .filter(|section| section.tag() != EC_PARAMETERS);
    match (sections.next(), sections.next()) {
        (Some(section), None) => Ok(section),
        _ => Err(Error::new(
            Reason::KeyInvalid,
            "a key file must hold exactly one key",
        )),
    }
}

/// Returns the algorithm that a PrivateKeyInfo names: its version comes first, and what follows is
/// read by the crypto library.
fn pkcs8_algorithm(der: &[u8]) -> Result<Algorithm> {
    let malformed = |error: spki::der::Error| {
        Error::new(Reason::KeyInvalid, "the private key is malformed").because(error)
    };
    let identifier = SliceReader::new(der)
        .and_then(|mut reader| {
            reader.sequence(|fields| {
                u8::decode(fields)?;
                let identifier = AlgorithmIdentifierRef::decode(fields)?;
                fields.read_slice(fields.remaining_len())?;
                Ok(identifier)
            })
        })
        .map_err(malformed)?;
    Algorithm::identified_by(&identifier)
}

fn ecdsa_scheme(algorithm: Algorithm) -> Result<&'static lc::EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::EcdsaP256 => Ok(&lc::ECDSA_P256_SHA256_ASN1_SIGNING),
        Algorithm::EcdsaP384 => Ok(&lc::ECDSA_P384_SHA384_ASN1_SIGNING),
        Algorithm::EcdsaP521 => Ok(&lc::ECDSA_P521_SHA512_ASN1_SIGNING),
        other => Err(Error::new(
            Reason::Internal,
            format!("{other} is not ECDSA"),
        )),
    }
}

fn rejected(algorithm: Algorithm, error: KeyRejected) -> Error {
    let message = format!("the {algorithm} private key is malformed or too weak");
    Error::new(Reason::KeyInvalid, message)
        .because(error)
        .hint(SUPPORTED)
}

/// Names what failed; the library's own error says no more than that something did.
fn failed(action: &str) -> impl FnOnce(Unspecified) -> Error {
    let message = format!("the crypto library cannot {action}");
    |_| Error::new(Reason::Internal, message)
}

/// Says what to do with a PEM section that is not a private key of a known format.
fn not_a_private_key(label: &str) -> Error {
    let refuse = |what: &str, hint: &str| {
        Error::new(Reason::KeyInvalid, format!("this is {what}")).hint(hint)
    };
    match label {
        ENCRYPTED_BY_OPENSSL => refuse(
            "a key that OpenSSL encrypted, which cannot be read",
            "decrypt it with `openssl pkey -in KEY -out PLAIN`, and let \
             `cosign import-key-pair --key PLAIN` encrypt it again",
        ),
        "OPENSSH PRIVATE KEY" => refuse(
            "an OpenSSH key, which cannot be read",
            "make a key pair for signing with `modelctl generate-key-pair`",
        ),
        "PUBLIC KEY" => refuse(
            "a public key, not a private key",
            "signing takes the private key: the `.key` file beside it",
        ),
        other => refuse(
            &format!("a {other:?}, not a private key"),
            "make a key pair with `modelctl generate-key-pair`",
        ),
    }
}
