//! What a signer is: someone who can put a name under bytes.
//!
//! A local key, a certificate, an HSM or a cloud KMS is one implementation of [`Signer`]; nothing
//! else in this crate knows how a signature is made.

pub mod certificate;
pub mod key;
pub mod pkcs11;

use async_trait::async_trait;

use crate::bundle::{Bundle, Material, pre_authentication_encoding};
use crate::error::{Error, Reason, Result};
use crate::statement::Statement;
use crate::trust::{Authority, TrustRoot};

/// Someone who can sign.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Returns who will be found to have signed.
    fn authority(&self) -> Authority;

    /// Signs `message`, hashing it as the key's scheme asks, and returns the signature with what a
    /// verifier needs.
    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)>;
}

/// Signs `statement` and verifies the bundle as anyone else would before handing it out: a signer
/// that is broken, or that signs something else, is noticed here and not by the users.
pub async fn sign_statement(statement: &Statement, signer: &dyn Signer) -> Result<Bundle> {
    let payload = statement.to_bytes()?;
    let message = pre_authentication_encoding(crate::bundle::IN_TOTO, &payload);
    let (signature, material) = signer.sign(&message).await?;
    let bundle = Bundle::new(&payload, &signature, material);
    let reread = Bundle::parse(&bundle.to_bytes()?)?;
    let found = TrustRoot::new([signer.authority()])?
        .authenticate(&reread)
        .map_err(|error| {
            Error::new(
                Reason::Internal,
                "the signer's own signature does not verify",
            )
            .because(error)
        })?;
    if found.statement() != statement {
        return Err(Error::new(
            Reason::Internal,
            "the signer signed another statement",
        ));
    }
    Ok(bundle)
}
