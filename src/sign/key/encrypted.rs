//! Cosign's encryption of a private key: scrypt makes a key of the password, and NaCl's secretbox
//! (XSalsa20-Poly1305) encrypts with it
//! ([go-securesystemslib, package `encrypted`](https://pkg.go.dev/github.com/secure-systems-lab/go-securesystemslib/encrypted)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Reason, Result};
use crate::json;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const SALT_BYTES: usize = 32;

/// What scrypt may cost for a key file from anywhere: memory is 128·N·r bytes and time grows with
/// 128·N·r·p (RFC 7914, section 2). cosign's own parameters cost 64 MiB; the highest that
/// go-securesystemslib reads, 128 MiB.
const COST: u64 = 256 << 20;

/// What the PEM section holds, in the order in which cosign writes it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

/// What cosign chooses: go-securesystemslib's standard strength.
const PARAMS: Params = Params {
    n: 1 << 16,
    r: 8,
    p: 1,
};

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Decrypts what [`seal`] or cosign encrypted.
pub(super) fn open(json: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let Parsed {
        params,
        salt,
        nonce,
        mut text,
    } = parse(json)?;
    secretbox(password, &salt, &params)?
        .decrypt_in_place(Nonce::from_slice(&nonce), b"", &mut *text)
        .map_err(|_| {
            Error::new(
                Reason::KeyPassword,
                "the password is wrong, or the file is damaged",
            )
            .hint("the password comes from `MODELCTL_PASSWORD`, `COSIGN_PASSWORD` or a prompt")
        })?;
    Ok(text)
}

/// What stands in the section, decoded, before the work of decrypting it is begun.
pub(super) struct Parsed {
    params: scrypt::Params,
    salt: Vec<u8>,
    nonce: [u8; 24],
    text: Zeroizing<Vec<u8>>,
}

/// Reads the section, and refuses parameters that cost too much.
pub(super) fn parse(json: &[u8]) -> Result<Parsed> {
    let sealed: Sealed = json::parse(json, "the encrypted key")
        .map_err(|error| Error::new(Reason::KeyInvalid, error.to_string()))?;
    if sealed.kdf.name != KDF || sealed.cipher.name != CIPHER {
        let (kdf, cipher) = (&sealed.kdf.name, &sealed.cipher.name);
        return Err(invalid(&format!("with {kdf:?} and {cipher:?}")));
    }
    let params = sealed.kdf.params.checked()?;
    let salt = decode(&sealed.kdf.salt)?;
    let nonce = decode(&sealed.cipher.nonce)?;
    let nonce: [u8; 24] = nonce
        .try_into()
        .map_err(|_| invalid("with a nonce of a wrong length"))?;
    Ok(Parsed {
        params,
        salt,
        nonce,
        text: Zeroizing::new(decode(&sealed.ciphertext)?),
    })
}

/// Encrypts `plain` as cosign does.
pub(super) fn seal(plain: &[u8], password: &[u8]) -> Result<Vec<u8>> {
    let salt: [u8; SALT_BYTES] = random()?;
    let nonce: [u8; 24] = random()?;
    // Room for the authenticator, so that no copy of the plain text is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + XSalsa20Poly1305::TAG_SIZE));
    text.extend_from_slice(plain);
    let internal = |_| Error::new(Reason::Internal, "the crypto library cannot encrypt");
    secretbox(password, &salt, &PARAMS.checked()?)?
        .encrypt_in_place(Nonce::from_slice(&nonce), b"", &mut *text)
        .map_err(internal)?;
    let sealed = Sealed {
        kdf: Kdf {
            name: KDF.to_owned(),
            params: PARAMS,
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher {
            name: CIPHER.to_owned(),
            nonce: STANDARD.encode(nonce),
        },
        ciphertext: STANDARD.encode(text.as_slice()),
    };
    serde_json::to_vec(&sealed)
        .map_err(|error| Error::new(Reason::Internal, "cannot write a key").because(error))
}

impl Params {
    /// Returns these parameters for scrypt, unless a hostile file chose them to exhaust memory or
    /// time. The check comes before the library's own, which overflows on some.
    fn checked(self) -> Result<scrypt::Params> {
        let refused = || invalid("with parameters of scrypt that are invalid or cost too much");
        let is_valid = self.n.is_power_of_two() && self.n > 1;
        if !is_valid || self.cost().is_none_or(|cost| cost > COST) {
            return Err(refused());
        }
        let log_n = u8::try_from(self.n.ilog2()).map_err(|_| refused())?;
        scrypt::Params::new(log_n, self.r, self.p).map_err(|_| refused())
    }

    fn cost(self) -> Option<u64> {
        let block = u64::from(self.r).checked_mul(128)?;
        block.checked_mul(self.n)?.checked_mul(self.p.into())
    }
}

/// Returns the cipher with the key that `password` makes.
fn secretbox(password: &[u8], salt: &[u8], params: &scrypt::Params) -> Result<XSalsa20Poly1305> {
    let mut key = Zeroizing::new([0; XSalsa20Poly1305::KEY_SIZE]);
    scrypt::scrypt(password, salt, params, key.as_mut_slice())
        .map_err(|_| Error::new(Reason::Internal, "scrypt refuses to make a key"))?;
    Ok(XSalsa20Poly1305::new(crypto_secretbox::Key::from_slice(
        key.as_slice(),
    )))
}

fn decode(text: &str) -> Result<Vec<u8>> {
    STANDARD
        .decode(text)
        .map_err(|error| invalid("in a way that is malformed").because(error))
}

fn invalid(how: &str) -> Error {
    Error::new(Reason::KeyInvalid, format!("the key is encrypted {how}"))
        .hint("cosign and `modelctl generate-key-pair` write what can be read")
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(Reason::Internal, "the system gives no random bytes"))?;
    Ok(bytes)
}
