//! Authentication: who signed what. Whether that is enough is [`crate::policy`]'s to say.
//!
//! A [`TrustRoot`] is the only thing that can make an [`Authenticated`] statement, and it makes
//! one in one way for every kind of authority: find who could have signed, check the signature
//! over the exact bytes, and only then read the statement.

mod fact;
mod key;
mod own;
pub mod pki;
mod signed;
pub mod sigstore;
mod validity;
mod witness;

pub use fact::Trusted;
pub use signed::Blob;
pub use validity::Validity;
pub use witness::{LogProof, Witness};

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::bundle::{Bundle, Content};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::legacy::{self, Layer, SimpleSigning};
use crate::statement::Statement;
pub(crate) use own::OwnCertificate;
use pki::Pki;
use signed::Signed;
use sigstore::{Claim, Keyless, SigstoreRoot};

/// Someone whose signatures can be recognised, under a name that policies use.
#[derive(Debug, Clone)]
pub struct Authority {
    name: String,
    kind: Kind,
    validity: Validity,
    witnesses: Option<Arc<SigstoreRoot>>,
}

/// How an authority is recognised.
#[derive(Debug, Clone)]
enum Kind {
    Key(PublicKey),
    Pki(Box<Pki>),
    Keyless(Box<Keyless>),
    Certificate(Box<OwnCertificate>),
}

impl Authority {
    /// Returns the holder of the private half of `key`, called `name`.
    pub fn key(name: impl Into<String>, key: PublicKey) -> Self {
        Self::new(name.into(), Kind::Key(key))
    }

    /// Returns whoever holds a certificate that `pki` trusts, called `name`.
    pub fn pki(name: impl Into<String>, pki: Pki) -> Self {
        Self::new(name.into(), Kind::Pki(Box::new(pki)))
    }

    /// Returns whoever a Sigstore instance certified to be `keyless`'s identity, called `name`.
    pub fn keyless(name: impl Into<String>, keyless: Keyless) -> Self {
        Self::new(name.into(), Kind::Keyless(Box::new(keyless)))
    }

    fn new(name: String, kind: Kind) -> Self {
        Self {
            name,
            kind,
            validity: Validity::ALWAYS,
            witnesses: None,
        }
    }

    /// Trusts it for signatures of a certain time only. Whether one is of that time is
    /// [`crate::policy`]'s to say, which knows what time it is.
    #[must_use]
    pub fn valid(mut self, validity: Validity) -> Self {
        self.validity = validity;
        self
    }

    /// Checks log entries and timestamps of this authority's signatures under `root`: what is there
    /// must then be right. An identity has its own instance, for which this means nothing.
    #[must_use]
    pub fn with_witnesses(mut self, root: Arc<SigstoreRoot>) -> Self {
        self.witnesses = Some(root);
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key whose holder this is, if it is recognised by a key alone.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.kind {
            Kind::Key(key) => Some(key),
            Kind::Pki(_) | Kind::Keyless(_) | Kind::Certificate(_) => None,
        }
    }

    /// Returns the holder of the key in `certificate`, whoever issued that. It is for a signer's
    /// look at its own work, where there is no root of trust, and not for anybody else's.
    pub(crate) fn certificate(certificate: OwnCertificate) -> Self {
        let name = certificate.identity.clone();
        Self::new(name, Kind::Certificate(Box::new(certificate)))
    }
}

/// Who signed, as it was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[non_exhaustive]
pub enum SignerIdentity {
    /// The holder of a key.
    Key {
        /// What the user calls the key: usually its file.
        name: String,
        /// What kind of key it is.
        algorithm: String,
        /// The SHA-256 of the key's SubjectPublicKeyInfo.
        fingerprint: Digest,
    },
    /// The holder of a certificate.
    Certificate {
        /// What the user calls the authority: usually the file with its root.
        name: String,
        /// Who it is, as the certificate says (RFC 4514).
        subject: String,
        /// The subject's alternative names.
        identities: Vec<String>,
        /// Who issued the certificate (RFC 4514).
        issuer: String,
        /// The SHA-256 of the certificate.
        fingerprint: Digest,
        /// The SHA-256 of the trusted root it leads to; none when the certificate itself is
        /// trusted.
        #[serde(skip_serializing_if = "Option::is_none")]
        root: Option<Digest>,
    },
    /// Someone whom an identity provider knows, by a certificate that lived for minutes.
    Keyless {
        /// What the user calls the identity.
        name: String,
        /// Who, by the certificate: an e-mail address or a URI.
        identity: String,
        /// The identity provider that knows them.
        issuer: String,
        /// What else the provider said, about the build that signed.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        claims: BTreeMap<Claim, String>,
    },
}

impl SignerIdentity {
    /// Returns the name of the authority that this signer is.
    pub fn authority(&self) -> &str {
        match self {
            Self::Key { name, .. }
            | Self::Keyless { name, .. }
            | Self::Certificate { name, .. } => name,
        }
    }

    /// Whether this is the same signer as `other`, whatever the authorities are called that
    /// recognise them: nobody counts as two by going under two names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.holder() == other.holder()
    }

    /// Returns what tells signers apart, apart from what the user calls them.
    fn holder(&self) -> (&'static str, String, &str) {
        match self {
            Self::Key { fingerprint, .. } => ("key", fingerprint.to_string(), ""),
            Self::Keyless {
                identity, issuer, ..
            } => ("keyless", issuer.clone(), identity),
            // A renewed certificate is of the same holder.
            Self::Certificate {
                subject, issuer, ..
            } => ("certificate", issuer.clone(), subject),
        }
    }
}

impl std::fmt::Display for SignerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key {
                name,
                algorithm,
                fingerprint,
            } => {
                write!(
                    f,
                    "{algorithm} key {name} ({:.19}…)",
                    fingerprint.to_string()
                )
            }
            Self::Certificate {
                subject,
                identities,
                issuer,
                ..
            } => {
                write!(f, "certificate of {subject}")?;
                if !identities.is_empty() {
                    write!(f, " ({})", identities.join(", "))?;
                }
                write!(f, " by {issuer}")
            }
            Self::Keyless {
                identity, issuer, ..
            } => write!(f, "{identity} (issuer {issuer})"),
        }
    }
}

/// Whose a signature was found to be, and who else saw it.
#[derive(Debug, Clone)]
pub struct Recognised {
    signer: SignerIdentity,
    witnesses: Vec<Witness>,
    validity: Validity,
}

impl Recognised {
    /// Returns who signed.
    pub fn signer(&self) -> &SignerIdentity {
        &self.signer
    }

    /// Returns the logs and timestamp authorities that were verified to have seen the signature.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Returns for signatures of which time the authority is trusted.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns the earliest time at which somebody else is proven to have seen the signature.
    pub fn time(&self) -> Option<Timestamp> {
        self.witnesses.iter().filter_map(Witness::time).min()
    }
}

/// In which form a statement was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// As a Sigstore bundle.
    Bundle,
    /// As cosign did before version 3 ([`crate::legacy`]).
    Legacy,
}

impl Format {
    /// Whether it is the usual form, of which nothing is said.
    pub(crate) fn is_bundle(&self) -> bool {
        *self == Self::Bundle
    }
}

/// A statement whose signature was verified, and who made it. Only
/// [`TrustRoot::authenticate`] and [`TrustRoot::authenticate_legacy`] make one.
///
/// ```compile_fail
/// let forged = modelctl::trust::Authenticated { statement: todo!(), recognised: todo!(), also: vec![] };
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    statement: Statement,
    recognised: Recognised,
    format: Format,
    also: Vec<Recognised>,
}

impl Authenticated {
    /// Returns what was signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Returns in which form it was stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns who signed it, by the first authority that recognises it as its own.
    pub fn signer(&self) -> &SignerIdentity {
        self.recognised.signer()
    }

    /// Returns every authority that recognises the signature as its own: there is one signature,
    /// and one signer, but a policy may ask for any of the authorities that they are.
    pub fn recognised(&self) -> impl Iterator<Item = &Recognised> {
        std::iter::once(&self.recognised).chain(&self.also)
    }

    /// Returns the logs and timestamp authorities that were verified to have seen the signature.
    pub fn witnesses(&self) -> &[Witness] {
        self.recognised.witnesses()
    }
}

/// Everyone whose signatures are recognised. There is no default: nobody is trusted unless named.
#[derive(Debug, Clone)]
pub struct TrustRoot {
    authorities: Vec<Authority>,
    witnesses: Option<Arc<SigstoreRoot>>,
}

impl TrustRoot {
    /// Returns a root that recognises `authorities`; none at all is an error, because it could
    /// only mean that someone forgot to name one.
    pub fn new(authorities: impl IntoIterator<Item = Authority>) -> Result<Self> {
        let authorities: Vec<_> = authorities.into_iter().collect();
        if authorities.is_empty() {
            return Err(Error::new(
                Reason::NothingToVerifyAgainst,
                "there is nothing to verify against",
            )
            .hint("name who is trusted: `--key release.pub`"));
        }
        Ok(Self {
            authorities,
            witnesses: None,
        })
    }

    /// Checks log entries and timestamps under `root`, whoever signed: a key needs none, but what
    /// is there must then be right. Without this they are neither checked nor claimed for keys.
    #[must_use]
    pub fn with_witnesses(mut self, root: Arc<SigstoreRoot>) -> Self {
        self.witnesses = Some(root);
        self
    }

    /// Returns a root that recognises everyone whom this or `other` does, each under the instance
    /// that they brought along.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = self.settled().into_iter().chain(other.settled());
        Self {
            authorities: both.collect(),
            witnesses: None,
        }
    }

    /// Returns the authorities, each with what its log entries and timestamps are checked under.
    fn settled(self) -> Vec<Authority> {
        let root = self.witnesses;
        let settle = |mut authority: Authority| {
            authority.witnesses = authority.witnesses.or_else(|| root.clone());
            authority
        };
        self.authorities.into_iter().map(settle).collect()
    }

    /// Returns the names of everyone recognised.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.authorities.iter().map(Authority::name)
    }

    /// Verifies `bundle`'s signature and then reads its statement.
    ///
    /// The hint in a bundle proves nothing; it only chooses the words of a refusal.
    pub fn authenticate(&self, bundle: &Bundle) -> Result<Authenticated> {
        let envelope = bundle.envelope()?;
        let signed = Signed::statement(bundle, envelope, self.witnesses.as_deref());
        let (recognised, also) = self.recognise(&signed)?;
        Ok(Authenticated {
            statement: Statement::parse(envelope.unverified_payload())?,
            recognised,
            format: Format::Bundle,
            also,
        })
    }

    /// Verifies a layer's signature and then reads its statement: that of the envelope, or what the
    /// payload says about an artifact.
    pub fn authenticate_legacy(&self, layer: &Layer) -> Result<Authenticated> {
        let (bundle, format) = (layer.bundle()?, Format::Legacy);
        match layer.kind() {
            legacy::Kind::Attestation => {
                let found = self.authenticate(&bundle)?;
                Ok(Authenticated { format, ..found })
            }
            legacy::Kind::Signature => {
                let payload = layer.content();
                let (recognised, also) = self.recognise_blob(&bundle, Blob::Bytes(payload))?;
                Ok(Authenticated {
                    statement: SimpleSigning::parse(payload)?.into_statement(),
                    recognised,
                    also,
                    format,
                })
            }
        }
    }

    /// Verifies that `bundle` vouches for `blob`: its signature is on the bytes themselves, or on a
    /// statement about their digest.
    pub fn authenticate_blob(&self, bundle: &Bundle, blob: Blob<'_>) -> Result<Recognised> {
        let (recognised, _) = self.recognise_blob(bundle, blob)?;
        Ok(recognised)
    }

    fn recognise_blob(
        &self,
        bundle: &Bundle,
        blob: Blob<'_>,
    ) -> Result<(Recognised, Vec<Recognised>)> {
        let digest = blob.digest();
        let mismatch = || {
            let message = format!("it is signed, but about other content than {digest}");
            Error::new(Reason::SubjectMismatch, message)
        };
        match bundle.content() {
            Content::Statement(_) => {
                let found = self.authenticate(bundle)?;
                match found.statement.is_about(&digest) {
                    true => Ok((found.recognised, found.also)),
                    false => Err(mismatch()),
                }
            }
            Content::Message(message) if message.contradicts(&digest) => Err(mismatch()),
            Content::Message(message) => {
                let witnesses = self.witnesses.as_deref();
                self.recognise(&Signed::blob(bundle, message, blob, witnesses))
            }
        }
    }

    /// Returns who signed: the first authority that recognises the signature as its own, and the
    /// others that do. If none does, the refusal is that of whoever came nearest, whatever their
    /// order.
    fn recognise(&self, signed: &Signed<'_>) -> Result<(Recognised, Vec<Recognised>)> {
        let mut found = Vec::new();
        let mut nearest: Option<Error> = None;
        for authority in &self.authorities {
            match authority.recognise(signed) {
                Ok(recognised) => found.push(recognised),
                Err(error) if nearest.as_ref().is_none_or(|kept| nearer(&error, kept)) => {
                    nearest = Some(error);
                }
                Err(_) => {}
            }
        }
        let mut found = found.into_iter();
        match found.next() {
            Some(first) => Ok((first, found.collect())),
            None => Err(nearest.unwrap_or_else(|| {
                Error::new(Reason::UntrustedSigner, "nobody is trusted to have signed")
            })),
        }
    }
}

impl Authority {
    fn recognise(&self, signed: &Signed<'_>) -> Result<Recognised> {
        let (signer, witnesses) = match &self.kind {
            Kind::Key(key) => {
                let root = self.witnesses.as_deref().or(signed.witnesses);
                key::recognise(&self.name, key, signed, root)?
            }
            Kind::Pki(pki) => pki::recognise(&self.name, pki, signed)?,
            Kind::Keyless(keyless) => sigstore::recognise(&self.name, keyless, signed)?,
            Kind::Certificate(certificate) => own::recognise(&self.name, certificate, signed)?,
        };
        Ok(Recognised {
            signer,
            witnesses,
            validity: self.validity,
        })
    }
}

/// Whether `error` tells more about a signature than `other`: that it is somebody else's says
/// least, and then whose it is.
fn nearer(error: &Error, other: &Error) -> bool {
    let nearness = |error: &Error| match error.reason() {
        Reason::UntrustedSigner => 0,
        Reason::IdentityMismatch => 1,
        Reason::IssuerMismatch => 2,
        Reason::ClaimMismatch => 3,
        _ => 4,
    };
    nearness(error) > nearness(other)
}
