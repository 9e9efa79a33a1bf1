//! Signatures by a signer's own certificate, which it looks at right after making them.
//!
//! Nothing is known of who issued the certificate, so that this proves nothing to anybody else.

use std::collections::BTreeMap;

use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::trust::signed::Signed;
use crate::trust::{SignerIdentity, Witness};

/// A certificate that its owner knows to be its own.
#[derive(Debug, Clone)]
pub(crate) struct OwnCertificate {
    /// The certificate, DER.
    pub(crate) der: Vec<u8>,
    /// Its key.
    pub(crate) key: PublicKey,
    /// Whom it names.
    pub(crate) identity: String,
    /// Who vouched for that.
    pub(crate) issuer: String,
}

/// Recognises a signature that comes with exactly this certificate, by its key.
pub(super) fn recognise(
    name: &str,
    own: &OwnCertificate,
    signed: &Signed<'_>,
) -> Result<(SignerIdentity, Vec<Witness>)> {
    let certificate = signed.material.signing_certificate();
    if certificate.is_none_or(|certificate| certificate.raw_bytes != own.der) {
        let message = "it was not signed with this certificate";
        return Err(Error::new(Reason::UntrustedSigner, message));
    }
    if !signed.is_by(&own.key) {
        let message = "the signature does not verify with its certificate's key";
        return Err(Error::new(Reason::SignatureInvalid, message));
    }
    let signer = SignerIdentity::Keyless {
        name: name.to_owned(),
        identity: own.identity.clone(),
        issuer: own.issuer.clone(),
        claims: BTreeMap::new(),
    };
    Ok((signer, Vec::new()))
}
