//! Signers, as they are told of once it is proven who they are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::trust::sigstore::Claim;

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
