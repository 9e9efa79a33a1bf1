//! `--key`: private keys that sign, with or without a certificate, and public keys that verify.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::{Algorithm, PublicKey};
use modelctl::limits;
use modelctl::secret::Secret;
use modelctl::sign::Signer;
use modelctl::sign::certificate::CertificateSigner;
use modelctl::sign::key::{KeySigner, Password, PrivateKey};
use modelctl::sign::pkcs11::Uri;
use modelctl::trust::Authority;
use modelctl::trust::pki::Signing;

use super::stores::read;
use super::terminal::Terminal;
use super::{certificates, environment, token};

/// Who signs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Signing")]
pub(super) struct SignerArgs {
    /// Private key: a PEM file (cosign's encrypted form, PKCS#8 or SEC1), `env://NAME`, or a key in
    /// a token as a `pkcs11:` URI. A file's passphrase comes from MODELCTL_PASSWORD,
    /// COSIGN_PASSWORD or a prompt; a token's PIN from MODELCTL_PKCS11_PIN, `pin-source` or a
    /// prompt.
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Sign as the holder of this certificate of the key: a PEM file, or a `pkcs11:` URI. It goes
    /// along with the signature, for verifiers who trust its issuer.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<String>,
    /// Check before signing that the certificate leads to a root by these, in PEM: from its issuer
    /// up, the root last.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_chain: Option<PathBuf>,
}

impl SignerArgs {
    /// Returns whoever holds this private key.
    pub(super) fn of_key(key: String) -> Self {
        Self {
            key: Some(key),
            certificate: None,
            certificate_chain: None,
        }
    }

    /// Opens the key, asking for its passphrase or PIN if it has one.
    pub(super) fn signer(&self, signing: Signing, terminal: &Terminal) -> Result<Box<dyn Signer>> {
        let Some(key) = &self.key else {
            return Err(Error::new(Reason::Usage, "signing needs a key")
                .hint("name one: `--key cosign.key` (`modelctl generate-key-pair` makes one)"));
        };
        let (signer, public): (Box<dyn Signer>, _) = match Uri::is_one(key) {
            true => {
                let signer = token::signer(key, terminal)?;
                let public = signer.public_key().clone();
                (Box::new(signer), public)
            }
            false => {
                let private = PrivateKey::from_pem(&read_key(key)?, || passphrase(key), key)?;
                let public = private.public_key().clone();
                (Box::new(KeySigner::new(key, private)), public)
            }
        };
        let algorithm = public.algorithm();
        let is_rare = matches!(algorithm, Algorithm::EcdsaP384 | Algorithm::EcdsaP521);
        if self.certificate.is_none() && is_rare {
            terminal.say(&format!(
                "note: cosign up to 3.1.3 cannot verify {algorithm} signatures by key; P-256 and \
                 Ed25519 work everywhere",
            ));
        }
        self.certified(signing, signer, &public)
    }

    /// Returns `signer` as the holder of the certificate, if there is one.
    fn certified(
        &self,
        signing: Signing,
        signer: Box<dyn Signer>,
        key: &PublicKey,
    ) -> Result<Box<dyn Signer>> {
        let Some(certificate) = &self.certificate else {
            return Ok(signer);
        };
        let certificate = match Uri::is_one(certificate) {
            true => token::certificate(certificate)?,
            false => certificates::one(Path::new(certificate))?,
        };
        let signer =
            CertificateSigner::signing(signing, signer, key, certificate, Timestamp::now())?;
        let Some(chain) = &self.certificate_chain else {
            return Ok(Box::new(signer));
        };
        let mut chain = certificates::all(chain)?;
        signer.check_chain(chain.clone())?;
        // Verifiers have the root.
        chain.pop();
        Ok(Box::new(signer.with_intermediates(chain)))
    }
}

/// Returns the holder of the key that `key` names, under that name.
pub(super) fn authority(key: &str) -> Result<Authority> {
    Ok(Authority::key(key, public_key(key)?))
}

/// Reads the public key that `key` names.
pub(super) fn public_key(key: &str) -> Result<PublicKey> {
    match Uri::is_one(key) {
        true => token::public_key(key),
        false => PublicKey::from_pem(&read_key(key)?, key),
    }
}

fn read_key(key: &str) -> Result<Vec<u8>> {
    if let Some(name) = key.strip_prefix("env://") {
        let value = environment::variable(name).ok_or_else(|| {
            Error::new(
                Reason::KeyInvalid,
                format!("the variable `{name}` is not set"),
            )
            .hint(format!("`--key env://{name}` takes the PEM text from it"))
        })?;
        return Ok(value.expose().as_bytes().to_vec());
    }
    if let Some((scheme, _)) = key.split_once("://") {
        let message = format!("keys by {scheme:?} are not supported by this version");
        return Err(Error::new(Reason::KeyInvalid, message)
            .hint("`--key` takes a PEM file, `env://NAME` or a `pkcs11:` URI"));
    }
    read(key, limits::LOCAL_FILE).map_err(|error| {
        let message = error.to_string();
        Error::new(
            Reason::KeyInvalid,
            format!("the key cannot be read: {message}"),
        )
        .hint("`--key` takes a PEM file, `env://NAME` or a `pkcs11:` URI")
    })
}

fn passphrase(key: &str) -> Result<Password> {
    let secret = match environment::key_password() {
        Some(password) => password,
        None => prompt(&format!("Passphrase of {key}: "))?,
    };
    Ok(Password::new(secret.expose().as_bytes().to_vec()))
}

/// Asks for a new key's passphrase, twice if it is typed.
pub(super) fn new_passphrase() -> Result<Password> {
    let secret = match environment::key_password() {
        Some(password) => password,
        None => ask_twice()?,
    };
    Ok(Password::new(secret.expose().as_bytes().to_vec()))
}

fn ask_twice() -> Result<Secret> {
    let password = prompt("Passphrase for the new key (empty for none): ")?;
    if prompt("The same again: ")?.expose() != password.expose() {
        return Err(Error::new(
            Reason::KeyPassword,
            "the two passphrases differ",
        ));
    }
    Ok(password)
}

/// Asks for a secret on the terminal.
pub(super) fn prompt(question: &str) -> Result<Secret> {
    let unasked = |message: &str| {
        Error::new(Reason::KeyPassword, message)
            .hint("set MODELCTL_PASSWORD (it may be empty), or run on a terminal")
    };
    if !std::io::stdin().is_terminal() {
        return Err(unasked(
            "a secret is needed, and there is no terminal to ask on",
        ));
    }
    rpassword::prompt_password(question)
        .map(Secret::new)
        .map_err(|error| unasked("the terminal cannot be asked").because(error))
}
