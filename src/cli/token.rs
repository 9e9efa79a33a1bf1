//! `pkcs11:` URIs: keys and certificates in tokens.

use std::path::{Path, PathBuf};

use modelctl::certificate::Certificate;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::PublicKey;
use modelctl::limits;
use modelctl::secret::Secret;
use modelctl::sign::pkcs11::{self, Pkcs11Signer, Uri};
use tokio::task::block_in_place;

use super::stores::read;
use super::terminal::Terminal;
use super::{environment, keys};

/// Opens the private key that `text` names, asking for the PIN if the token wants one.
pub(super) fn signer(text: &str, terminal: &Terminal) -> Result<Pkcs11Signer> {
    let uri: Uri = text.parse()?;
    if uri.pin().is_some() {
        terminal.say(
            "warning: `pin-value` shows the PIN to whoever lists processes; use \
             MODELCTL_PKCS11_PIN or `pin-source=file:…`",
        );
    }
    let module = module(&uri)?;
    block_in_place(|| Pkcs11Signer::open(&uri, &module, || pin(&uri)))
}

/// Reads the public key that `text` names.
pub(super) fn public_key(text: &str) -> Result<PublicKey> {
    let uri: Uri = text.parse()?;
    let module = module(&uri)?;
    block_in_place(|| pkcs11::public_key(&uri, &module))
}

/// Reads the certificate that `text` names.
pub(super) fn certificate(text: &str) -> Result<Certificate> {
    let uri: Uri = text.parse()?;
    let module = module(&uri)?;
    block_in_place(|| pkcs11::certificate(&uri, &module))
}

fn module(uri: &Uri) -> Result<PathBuf> {
    let named = uri.module().map(PathBuf::from);
    named.or_else(environment::pkcs11_module).ok_or_else(|| {
        let message = format!("`{uri}` does not say which library speaks to the token");
        Error::new(Reason::KeyInvalid, message).hint(
            "name it: `module-path` in the URI, or MODELCTL_PKCS11_MODULE \
             (SoftHSM's is `libsofthsm2.so`)",
        )
    })
}

/// Returns the PIN from where the user put it, or asks for it. What the URI says comes first.
fn pin(uri: &Uri) -> Result<Secret> {
    match (uri.pin(), uri.pin_source()) {
        (Some(pin), _) => Ok(pin.clone()),
        (None, Some(file)) => pin_in(file),
        (None, None) => match environment::pkcs11_pin() {
            Some(pin) => Ok(pin),
            None => keys::prompt(&format!("PIN for {uri}: ")).map_err(|error| {
                error.hint("set MODELCTL_PKCS11_PIN, or name a file: `pin-source=file:/path`")
            }),
        },
    }
}

fn pin_in(file: &Path) -> Result<Secret> {
    let text = String::from_utf8(read(file, limits::LOCAL_FILE)?).map_err(|_| {
        let message = format!("`{}` holds no PIN: it is not UTF-8", file.display());
        Error::new(Reason::KeyPassword, message)
    })?;
    let text = Secret::new(text);
    let pin = text.expose().trim_end_matches(['\r', '\n']);
    Ok(Secret::new(pin.to_owned()))
}
