//! Signing as the holder of a certificate: with whatever key, the certificate goes along.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::bundle::{Material, RawCertificate};
use crate::certificate::Certificate;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::sign::Signer;
use crate::trust::Authority;
use crate::trust::pki::{Pki, Signers, Signing};

/// A signer whose bundles carry a certificate instead of a hint at the key.
pub struct CertificateSigner {
    signer: Box<dyn Signer>,
    certificate: Certificate,
    intermediates: Vec<Certificate>,
    now: Timestamp,
    signing: Signing,
}

impl CertificateSigner {
    /// Returns the holder of `certificate` who signs by `signer`, whose key is `key`. What nobody
    /// would accept is refused: another key's certificate, one that is not for signing code, or not
    /// valid at `now`.
    pub fn new(
        signer: Box<dyn Signer>,
        key: &PublicKey,
        certificate: Certificate,
        now: Timestamp,
    ) -> Result<Self> {
        Self::signing(Signing::Anything, signer, key, certificate, now)
    }

    /// Returns the same for what is signed, as `signing` says.
    pub fn signing(
        signing: Signing,
        signer: Box<dyn Signer>,
        key: &PublicKey,
        certificate: Certificate,
        now: Timestamp,
    ) -> Result<Self> {
        if certificate.public_key().ok().as_ref() != Some(key) {
            let message = format!(
                "the certificate of {} is for another key",
                certificate.subject()
            );
            return Err(Error::new(Reason::CertificateFileInvalid, message).hint(
                "compare `openssl x509 -in CERTIFICATE -noout -pubkey` with the public key",
            ));
        }
        Pki::pinned(certificate.clone(), now)
            .check(&certificate, &[], signing)
            .map_err(unusable)?;
        Ok(Self {
            signer,
            certificate,
            intermediates: Vec::new(),
            now,
            signing,
        })
    }

    /// Adds the certificates between the signer's and the root, for bundles that have a place for
    /// them.
    #[must_use]
    pub fn with_intermediates(mut self, intermediates: Vec<Certificate>) -> Self {
        self.intermediates = intermediates;
        self
    }

    /// Checks that the certificate leads by `chain` to its last certificate, a root: verifiers who
    /// have that chain will accept what is signed.
    pub fn check_chain(&self, mut chain: Vec<Certificate>) -> Result<()> {
        let signers = Signers {
            certificates: vec![self.certificate.fingerprint()],
            ..Signers::default()
        };
        let root = chain.pop();
        Pki::with_roots(root.into_iter().collect(), signers, self.now)?
            .and_intermediates(chain)
            .check(&self.certificate, &[], self.signing)
            .map_err(unusable)
    }
}

/// A verifier's refusal, told to a signer.
fn unusable(error: Error) -> Error {
    Error::new(Reason::CertificateFileInvalid, error.to_string())
        .hint("a signer's certificate is valid now, and for code signing, under its chain")
}

#[async_trait]
impl Signer for CertificateSigner {
    fn authority(&self) -> Authority {
        let name = self.certificate.subject().to_string();
        Authority::pki(name, Pki::pinned(self.certificate.clone(), self.now))
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        let (signature, _) = self.signer.sign(message).await?;
        // One certificate: a bundle of version 0.3 has no chain (sigstore_common.proto), and cosign
        // refuses one that has. Verifiers know the authorities above, or are given them.
        let certificate = RawCertificate {
            raw_bytes: self.certificate.der().to_vec(),
        };
        let material = Material {
            certificate: Some(certificate),
            ..Material::default()
        };
        Ok((signature, material))
    }

    fn intermediates(&self) -> Vec<RawCertificate> {
        let raw = |certificate: &Certificate| RawCertificate {
            raw_bytes: certificate.der().to_vec(),
        };
        self.intermediates.iter().map(raw).collect()
    }
}
