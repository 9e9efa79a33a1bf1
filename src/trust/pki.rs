//! Signatures by the holder of a certificate that an authority of one's own choosing issued.
//!
//! In this order, each step on what the one before proved: how many certificates there are; at
//! which time they must have been valid; the path from the signer's to a trusted root; whether
//! anything on it was revoked; whether the signer is one who is meant; and the signature.
//!
//! What a bundle brings along is never trusted for being there: not its root, and no time but one
//! that a trusted timestamp authority signed.

mod path;
mod timestamp;

use jiff::Timestamp;

use crate::bundle::Material;
use crate::certificate::{Certificate, DistinguishedName, RevocationList};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::identity::Match;
use crate::limits;
use crate::trust::signed::Signed;
use crate::trust::{SignerIdentity, Witness};

pub use timestamp::TimestampAuthority;

/// Which certificates are trusted to sign, and at what time.
#[derive(Debug, Clone)]
pub struct Pki {
    anchor: Anchor,
    intermediates: Vec<Certificate>,
    now: Timestamp,
    timestamping: Vec<TimestampAuthority>,
    revocations: Vec<RevocationList>,
}

/// What trust begins with.
#[derive(Debug, Clone)]
pub(super) enum Anchor {
    /// Whoever these authorities say is one of the signers.
    Roots {
        roots: Vec<Certificate>,
        signers: Signers,
    },
    /// The holder of exactly this certificate.
    Leaf(Box<Certificate>),
}

/// Whose certificates are meant, among all that an authority issues. Of each kind of name that is
/// given, one must fit.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    /// Alternative names of the subject: mail addresses, URIs, host names.
    pub identities: Vec<Match>,
    /// The subject's distinguished name.
    pub subjects: Vec<DistinguishedName>,
    /// The SHA-256 of the certificate.
    pub certificates: Vec<Digest>,
}

impl Signers {
    fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.subjects.is_empty() && self.certificates.is_empty()
    }

    /// Checks that `certificate` is one of those that are meant.
    fn check(&self, certificate: &Certificate) -> Result<()> {
        let accepts = |expected: &Match| {
            let mut identities = certificate.identities().iter();
            identities.any(|identity| expected.admits(identity))
        };
        if !self.identities.is_empty() && !self.identities.iter().any(accepts) {
            let found = certificate.identities();
            return Err(mismatch(&format!("{found:?}"), &one_of(&self.identities)));
        }
        if !self.subjects.is_empty() && !self.subjects.contains(certificate.subject()) {
            let found = format!("{:?}", certificate.subject().to_string());
            return Err(mismatch(&found, &one_of(&self.subjects)));
        }
        let fingerprint = certificate.fingerprint();
        if !self.certificates.is_empty() && !self.certificates.contains(&fingerprint) {
            let found = fingerprint.to_string();
            return Err(mismatch(&found, &one_of(&self.certificates)));
        }
        Ok(())
    }
}

fn one_of(expected: &[impl std::fmt::Display]) -> String {
    let shown: Vec<_> = expected.iter().map(ToString::to_string).collect();
    shown.join(" or ")
}

fn mismatch(found: &str, expected: &str) -> Error {
    let message = format!("the signer's certificate is for {found}, not for {expected}");
    Error::new(Reason::IdentityMismatch, message)
}

impl Pki {
    /// Returns what trust begins with.
    pub(super) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Returns trust in what `roots` say of `signers`. Both must be there: a company's authority
    /// issues certificates to more people than release models.
    pub fn with_roots(roots: Vec<Certificate>, signers: Signers, now: Timestamp) -> Result<Self> {
        if roots.is_empty() || signers.is_empty() {
            let message = "certificates are trusted by their root and their holder's name";
            return Err(Error::new(Reason::NothingToVerifyAgainst, message).hint(
                "name both: `--ca-roots root.pem --certificate-identity release@example.com`",
            ));
        }
        for root in &roots {
            check_authority(root)?;
        }
        Ok(Self::new(Anchor::Roots { roots, signers }, now))
    }

    /// Returns trust in the holder of exactly `certificate`, whoever issued it.
    pub fn pinned(certificate: Certificate, now: Timestamp) -> Self {
        Self::new(Anchor::Leaf(Box::new(certificate)), now)
    }

    fn new(anchor: Anchor, now: Timestamp) -> Self {
        Self {
            anchor,
            intermediates: Vec::new(),
            now,
            timestamping: Vec::new(),
            revocations: Vec::new(),
        }
    }

    /// Adds authorities between the roots and the signers, which are not trusted by themselves.
    #[must_use]
    pub fn and_intermediates(mut self, intermediates: Vec<Certificate>) -> Self {
        self.intermediates.extend(intermediates);
        self
    }

    /// Adds authorities whose timestamps prove when something was signed.
    #[must_use]
    pub fn and_timestamping(mut self, authorities: Vec<TimestampAuthority>) -> Self {
        self.timestamping.extend(authorities);
        self
    }

    /// Adds revocation lists. With the first one, no certificate below a root is good without one
    /// that covers it and is current.
    #[must_use]
    pub fn and_revocations(mut self, revocations: Vec<RevocationList>) -> Self {
        self.revocations.extend(revocations);
        self
    }

    /// Checks that `certificate`, with `others` that came along, is trusted now.
    pub fn check(&self, certificate: &Certificate, others: &[Certificate]) -> Result<()> {
        self.trusted(certificate, others, &[self.now]).map(|_| ())
    }

    /// Returns the root by which `leaf` is trusted at each of `times`, if there is one; a pinned
    /// certificate has none.
    fn trusted(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        times: &[Timestamp],
    ) -> Result<Option<&Certificate>> {
        let (roots, signers) = match &self.anchor {
            Anchor::Leaf(expected) => {
                check_pinned(leaf, expected, times)?;
                return Ok(None);
            }
            Anchor::Roots { roots, signers } => (roots, signers),
        };
        for list in &self.revocations {
            list.check_current(self.now)?;
        }
        leaf.check_may_sign_code()?;
        let pool: Vec<_> = self.intermediates.iter().chain(others).collect();
        let search = path::Search::new(roots, &pool, &self.revocations)?;
        let mut found = None;
        for time in times {
            found = Some(search.find(leaf, *time)?);
        }
        signers.check(leaf)?;
        Ok(found)
    }
}

/// Checks a certificate that is trusted for being `expected`.
fn check_pinned(leaf: &Certificate, expected: &Certificate, times: &[Timestamp]) -> Result<()> {
    if leaf != expected {
        let message = format!("it was signed with the certificate of {}", leaf.subject());
        return Err(Error::new(Reason::UntrustedSigner, message));
    }
    path::check_readable(leaf)?;
    leaf.check_may_sign_code()?;
    match times.iter().find(|time| !leaf.validity().contains(**time)) {
        Some(time) => Err(path::not_valid(leaf, *time)),
        None => Ok(()),
    }
}

/// Refuses a root that is no authority: trusted as one it would be of no use.
fn check_authority(root: &Certificate) -> Result<()> {
    if root.is_authority() {
        return Ok(());
    }
    let message = format!(
        "the certificate of {} is not an authority's",
        root.subject()
    );
    Err(Error::new(Reason::CertificateFileInvalid, message)
        .hint("a signer's own certificate is trusted by `--certificate FILE`"))
}

/// Recognises a signature by the holder of a certificate that `pki`, called `name`, trusts.
pub(super) fn recognise(
    name: &str,
    pki: &Pki,
    signed: &Signed<'_>,
) -> Result<(SignerIdentity, Vec<Witness>)> {
    let presented = presented(signed.material)?;
    let (leaf, others) = presented
        .split_first()
        .ok_or_else(|| invalid("the bundle has an empty certificate chain"))?;
    let key = leaf.public_key().map_err(|error| {
        certificate_invalid("the signer's certificate has a key that cannot be used").because(error)
    })?;
    // Every time at which the signature is known to have been there, or else now.
    let proven = timestamp::proven(&pki.timestamping, signed)?;
    let times = match proven.is_empty() {
        true => vec![pki.now],
        false => proven.iter().map(|(_, time)| *time).collect(),
    };
    let root = pki.trusted(leaf, others, &times)?;
    if !signed.is_by(&key) {
        let message = format!(
            "the signature is not by the key in the certificate of {}",
            leaf.subject()
        );
        return Err(Error::new(Reason::SignatureInvalid, message));
    }
    let signer = SignerIdentity::Certificate {
        name: name.to_owned(),
        subject: leaf.subject().to_string(),
        identities: leaf.identities().to_vec(),
        issuer: leaf.issuer().to_string(),
        fingerprint: leaf.fingerprint(),
        root: root.map(Certificate::fingerprint),
    };
    let witness = |(authority, time)| Witness::Timestamp { authority, time };
    let witnesses = proven.into_iter().map(witness).collect();
    Ok((signer, witnesses))
}

/// Reads the certificates in a bundle, the signer's first. They are counted before they are read.
fn presented(material: &Material) -> Result<Vec<Certificate>> {
    let raw = match (&material.certificate, &material.x509_certificate_chain) {
        (Some(_), Some(_)) => return Err(invalid("the bundle has two signers' certificates")),
        (Some(certificate), None) => std::slice::from_ref(certificate),
        (None, Some(chain)) => chain.certificates.as_slice(),
        (None, None) => {
            let message = "it was signed with a key, and not with a trusted certificate";
            return Err(Error::new(Reason::UntrustedSigner, message));
        }
    };
    if material.public_key.is_some() {
        return Err(invalid(
            "the bundle names a key besides the signer's certificate",
        ));
    }
    if raw.len() > limits::CERTIFICATES {
        let message = format!(
            "the bundle has {} certificates, too many to look at",
            raw.len()
        );
        return Err(invalid(&message));
    }
    raw.iter()
        .map(|certificate| Certificate::from_der(&certificate.raw_bytes))
        .collect()
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::BundleInvalid, message)
}

fn certificate_invalid(message: &str) -> Error {
    Error::new(Reason::CertificateInvalid, message)
}
