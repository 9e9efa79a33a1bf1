//! What a signer is: someone who can put a name under bytes; and a witness: someone who testifies
//! that they did.
//!
//! A local key, a certificate, an HSM or a cloud KMS is one implementation of [`Signer`]; nothing
//! else in this crate knows how a signature is made. Logs and timestamp authorities are
//! [`Witness`]es, which any signer can have ([`Witnessed`]).

pub mod certificate;
pub mod key;
pub mod keyless;
pub mod pkcs11;
pub mod services;

use std::sync::Arc;

use async_trait::async_trait;

use crate::bundle::{
    Bundle, Envelope, IN_TOTO, Material, PublicKeyHint, RawCertificate, RawChain,
    pre_authentication_encoding,
};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Algorithm, PublicKey};
use crate::oms;
use crate::statement::Statement;
use crate::trust::sigstore::SigstoreRoot;
use crate::trust::{Authority, Blob, TrustRoot};

/// Someone who can sign.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Returns who will be found to have signed.
    fn authority(&self) -> Authority;

    /// Signs `message`, hashing it as the key's scheme asks, and returns the signature with what a
    /// verifier needs.
    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)>;

    /// Returns what must verify everything that this signs.
    fn trust(&self) -> Result<TrustRoot> {
        TrustRoot::new([self.authority()])
    }

    /// Returns the certificates between the signer's and a root, for bundles that have a place for
    /// them: those of version 0.3 have none, except model signatures.
    fn intermediates(&self) -> Vec<RawCertificate> {
        Vec::new()
    }

    /// Whether `bundle`, which is this signer's, is as complete as it would make it now.
    fn is_content_with(&self, _bundle: &Bundle) -> bool {
        true
    }
}

/// Someone who testifies to a signature after it was made: a transparency log, or a timestamp
/// authority.
#[async_trait]
pub trait Witness: Send + Sync {
    /// Shows the witness a signature and adds the testimony to `material`.
    async fn witness(&self, signed: &Signed<'_>, material: &mut Material) -> Result<()>;
}

/// What a witness is shown.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The bytes that were signed: for a statement, their encoding.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// What verifies it.
    pub verifier: Verifier<'a>,
}

/// What verifies a signature.
#[derive(Debug, Clone, Copy)]
pub enum Verifier<'a> {
    /// A key.
    Key(&'a PublicKey),
    /// The key in a certificate, DER.
    Certificate(&'a [u8]),
}

impl<'a> Verifier<'a> {
    /// Returns what verifies a signature that comes with `material`, by a signer found as
    /// `authority`.
    fn of(material: &'a Material, authority: &'a Authority) -> Result<Self> {
        if let Some(certificate) = material.signing_certificate() {
            return Ok(Self::Certificate(&certificate.raw_bytes));
        }
        authority.public_key().map(Self::Key).ok_or_else(|| {
            let message = "a signature cannot be logged without its key or certificate";
            Error::new(Reason::Internal, message)
        })
    }
}

/// A signer whose every signature is shown to witnesses.
pub struct Witnessed {
    signer: Box<dyn Signer>,
    witnesses: Vec<Box<dyn Witness>>,
    root: Option<Arc<SigstoreRoot>>,
}

impl Witnessed {
    /// Returns `signer` with `witnesses`, who are asked in this order. What they say is verified
    /// under `root`, if it is given.
    pub fn new(
        signer: Box<dyn Signer>,
        witnesses: Vec<Box<dyn Witness>>,
        root: Option<Arc<SigstoreRoot>>,
    ) -> Self {
        Self {
            signer,
            witnesses,
            root,
        }
    }
}

#[async_trait]
impl Signer for Witnessed {
    fn authority(&self) -> Authority {
        self.signer.authority()
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        let (signature, signers) = self.signer.sign(message).await?;
        let authority = self.authority();
        let signed = Signed {
            message,
            signature: &signature,
            verifier: Verifier::of(&signers, &authority)?,
        };
        let mut material = signers.clone();
        for witness in &self.witnesses {
            witness.witness(&signed, &mut material).await?;
        }
        Ok((signature, material))
    }

    fn trust(&self) -> Result<TrustRoot> {
        let trust = self.signer.trust()?;
        Ok(match &self.root {
            Some(root) => trust.with_witnesses(Arc::clone(root)),
            None => trust,
        })
    }

    fn intermediates(&self) -> Vec<RawCertificate> {
        self.signer.intermediates()
    }

    fn is_content_with(&self, bundle: &Bundle) -> bool {
        let material = bundle.material();
        let testimonies = material.tlog_entries.len() + material.timestamps().len();
        testimonies >= self.witnesses.len() && self.signer.is_content_with(bundle)
    }
}

/// Signs `statement` and verifies the bundle as anyone else would before handing it out: a signer
/// that is broken, or that signs something else, is noticed here and not by the users.
pub async fn sign_statement(statement: &Statement, signer: &dyn Signer) -> Result<Bundle> {
    sign_payload(statement.to_bytes()?, signer).await
}

/// Signs a statement as it is written, and verifies that as [`sign_statement`] does.
pub async fn sign_written(statement: &[u8], signer: &dyn Signer) -> Result<Bundle> {
    sign_payload(statement.to_vec(), signer).await
}

/// Signs a payload, and verifies that as [`sign_statement`] does. Lists of files make long ones: no
/// copy of it lives longer than it is needed.
pub(crate) async fn sign_payload(payload: Vec<u8>, signer: &dyn Signer) -> Result<Bundle> {
    let predicate_type = oms::read(&payload)?.0.predicate_type;
    let (signature, material) = signer
        .sign(&pre_authentication_encoding(IN_TOTO, &payload))
        .await?;
    let material = match oms::is_model_signature(&predicate_type) {
        true => model_signing_material(material, signer)?,
        false => material,
    };
    let bundle = Bundle::of_envelope(Envelope::new(payload, signature), material);
    let reread = Bundle::parse(&bundle.to_bytes()?)?;
    signer.trust()?.authenticate(&reread).map_err(unverified)?;
    if reread.content() != bundle.content() {
        return Err(Error::new(
            Reason::Internal,
            "the signer signed another statement",
        ));
    }
    Ok(bundle)
}

/// Signs the bytes `blob` themselves, and verifies that as [`sign_statement`] does.
pub async fn sign_blob(blob: &[u8], signer: &dyn Signer) -> Result<Bundle> {
    let (signature, material) = signer.sign(blob).await?;
    let bundle = Bundle::of_message(&Digest::of(blob), &signature, material);
    let reread = Bundle::parse(&bundle.to_bytes()?)?;
    let trust = signer.trust()?;
    trust
        .authenticate_blob(&reread, Blob::Bytes(blob))
        .map_err(unverified)?;
    Ok(bundle)
}

fn unverified(error: Error) -> Error {
    let message = "the signer's own signature does not verify";
    Error::new(Reason::Internal, message).because(error)
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
