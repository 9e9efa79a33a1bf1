//! `--key`: private keys that sign, public keys that verify.

use std::io::IsTerminal;

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::{Algorithm, PublicKey};
use modelctl::limits;
use modelctl::secret::Secret;
use modelctl::sign::key::{KeySigner, Password, PrivateKey};

use super::environment;
use super::stores::read;
use super::terminal::Terminal;

/// Who signs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Signing")]
pub(super) struct SignerArgs {
    /// Private key: a PEM file (cosign's encrypted form, PKCS#8 or SEC1), or `env://NAME`. Its
    /// passphrase comes from MODELCTL_PASSWORD, COSIGN_PASSWORD or a prompt.
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
}

impl SignerArgs {
    /// Reads and opens the key, asking for its passphrase if it has one.
    pub(super) fn signer(&self, terminal: &Terminal) -> Result<KeySigner> {
        let Some(key) = &self.key else {
            return Err(Error::new(Reason::Usage, "signing needs a key")
                .hint("name one: `--key cosign.key` (`modelctl generate-key-pair` makes one)"));
        };
        let text = read_key(key)?;
        let private = PrivateKey::from_pem(&text, || passphrase(key), key)?;
        let algorithm = private.public_key().algorithm();
        if matches!(algorithm, Algorithm::EcdsaP384 | Algorithm::EcdsaP521) {
            terminal.say(&format!(
                "note: cosign up to 3.1.3 cannot verify {algorithm} signatures by key; P-256 and \
                 Ed25519 work everywhere",
            ));
        }
        Ok(KeySigner::new(key, private))
    }
}

/// Reads the public key that `key` names.
pub(super) fn public_key(key: &str) -> Result<PublicKey> {
    PublicKey::from_pem(&read_key(key)?, key)
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
    if let Some((scheme, _)) = key.split_once("://").or_else(|| key.split_once("pkcs11:")) {
        let scheme = if scheme.is_empty() { "pkcs11" } else { scheme };
        let message = format!("keys by {scheme:?} are not supported by this version");
        return Err(Error::new(Reason::KeyInvalid, message)
            .hint("`--key` takes a PEM file or `env://NAME`"));
    }
    read(key, limits::LOCAL_FILE).map_err(|error| {
        let message = error.to_string();
        Error::new(
            Reason::KeyInvalid,
            format!("the key cannot be read: {message}"),
        )
        .hint("`--key` takes a PEM file or `env://NAME`")
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
