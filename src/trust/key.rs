//! Signatures by a key that is trusted itself.

use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::trust::signed::Signed;
use crate::trust::sigstore::SigstoreRoot;
use crate::trust::{SignerIdentity, Witness};

/// Recognises a signature by the holder of `key`, called `name`. A key needs no log and no
/// timestamp, but where they can be checked, under `root`, they must be right.
pub(super) fn recognise(
    name: &str,
    key: &PublicKey,
    signed: &Signed<'_>,
    root: Option<&SigstoreRoot>,
) -> Result<(SignerIdentity, Vec<Witness>)> {
    let material = signed.material;
    if material.signing_certificate().is_some() {
        return Err(Error::new(
            Reason::UntrustedSigner,
            "it was signed with a certificate, and no trusted key made it",
        ));
    }
    if !signed.is_by(key) {
        let hint = material.public_key.as_ref().map(|key| key.hint.as_str());
        return Err(refusal(name, key, hint.unwrap_or_default()));
    }
    let witnesses = match root {
        Some(root) => root.witnesses_of_key(key, signed)?,
        None => Vec::new(),
    };
    let signer = SignerIdentity::Key {
        name: name.to_owned(),
        algorithm: key.algorithm().to_string(),
        fingerprint: key.fingerprint(),
    };
    Ok((signer, witnesses))
}

/// Says why `key` did not verify a signature whose bundle has `hint`.
fn refusal(name: &str, key: &PublicKey, hint: &str) -> Error {
    if key.has_hint(hint) {
        let message = format!("the signature names key `{name}` but does not verify with it");
        return Error::new(Reason::SignatureInvalid, message);
    }
    let message = format!("no trusted key made the signature ({})", Hint(hint));
    Error::new(Reason::UntrustedSigner, message)
}

/// Shows a hint without letting it write to the terminal.
struct Hint<'a>(&'a str);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("it does not say whose it is"),
            hint => {
                let shown: String = hint.chars().take(64).collect();
                write!(f, "it names {shown:?}")
            }
        }
    }
}
