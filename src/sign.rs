//! What a signer is: someone who can put a name under bytes.
//!
//! A local key, a certificate, an HSM or a cloud KMS is one implementation of [`Signer`]; nothing
//! else in this crate knows how a signature is made.

pub mod key;

use async_trait::async_trait;

use crate::bundle::{
    Bundle, IN_TOTO, Material, PublicKeyHint, RawCertificate, RawChain, pre_authentication_encoding,
};
use crate::error::{Error, Reason, Result};
use crate::key::Algorithm;
use crate::oms;
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

    /// Returns the certificates between the signer's and a root, for bundles that have a place for
    /// them: those of version 0.3 have none, except model signatures.
    fn intermediates(&self) -> Vec<RawCertificate> {
        Vec::new()
    }
}

/// Signs `statement` and verifies the bundle as anyone else would before handing it out: a signer
/// that is broken, or that signs something else, is noticed here and not by the users.
pub async fn sign_statement(statement: &Statement, signer: &dyn Signer) -> Result<Bundle> {
    let payload = statement.to_bytes()?;
    // Lists of files make long statements: no copy of one lives longer than it is needed.
    let (signature, material) = signer
        .sign(&pre_authentication_encoding(IN_TOTO, &payload))
        .await?;
    let material = match oms::is_model_signature(&statement.predicate_type) {
        true => model_signing_material(material, signer)?,
        false => material,
    };
    let bundle = Bundle::new(&payload, &signature, material);
    drop(payload);
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

/// Whether verifiers of model signatures can verify those of `signer`: of keys they know only ECDSA
/// (OMS, algorithm registry).
pub fn can_sign_models(signer: &dyn Signer) -> bool {
    let authority = signer.authority();
    let algorithm = authority.public_key().map(|key| key.algorithm());
    !matches!(algorithm, Some(Algorithm::Ed25519 | Algorithm::Rsa))
}

/// Returns `material` as model signatures have it (OMS 1.0, section 4.1): they name a key by a hint
/// of their own, without which the reference implementation refuses them, and a certificate that is
/// not in a transparency log as a chain.
fn model_signing_material(mut material: Material, signer: &dyn Signer) -> Result<Material> {
    if !can_sign_models(signer) {
        let message = "model signatures are made with ECDSA keys only";
        return Err(Error::new(Reason::KeyInvalid, message)
            .hint("make a key pair with `modelctl generate-key-pair`"));
    }
    if let (Some(key), Some(_)) = (signer.authority().public_key(), &material.public_key) {
        let hint = key.model_signing_hint();
        material.public_key = Some(PublicKeyHint { hint });
    }
    if material.tlog_entries.is_empty() && material.x509_certificate_chain.is_none() {
        let chain = |leaf| RawChain {
            certificates: std::iter::once(leaf)
                .chain(signer.intermediates())
                .collect(),
        };
        material.x509_certificate_chain = material.certificate.take().map(chain);
    }
    Ok(material)
}
