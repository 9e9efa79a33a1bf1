//! Who vouched for a locked artifact, in words that mean the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::policy::Evidence;
use crate::trust::SignerIdentity;

/// Who vouched, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct LockedSigner {
    /// Who.
    pub who: Signatory,
    /// The predicate types of what counted.
    pub states: BTreeSet<String>,
}

/// Who signed: not by the name of a file, which differs from machine to machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signatory {
    /// The holder of the key with this fingerprint.
    Key(Digest),
    /// Someone whom an identity provider knows.
    Identity {
        /// Who.
        identity: String,
        /// The provider.
        issuer: String,
    },
    /// The holder of a certificate.
    Certificate {
        /// Who it is, as the certificate says.
        subject: String,
        /// The SHA-256 of the trusted root it leads to, or of itself where that is trusted.
        anchor: Digest,
    },
}

/// A signer's fields in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<Digest>,
    states: BTreeSet<String>,
}

impl TryFrom<Fields> for LockedSigner {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let named = (fields.identity, fields.issuer);
        let certified = (fields.certificate, fields.anchor);
        let who = match (fields.key, named, certified) {
            (Some(key), (None, None), (None, None)) => Signatory::Key(key),
            (None, (Some(identity), Some(issuer)), (None, None)) => {
                Signatory::Identity { identity, issuer }
            }
            (None, (None, None), (Some(subject), Some(anchor))) => {
                Signatory::Certificate { subject, anchor }
            }
            _ => {
                return Err(
                    "a signer has `key`, or `identity` and `issuer`, or `certificate` and `anchor`",
                );
            }
        };
        let states = fields.states;
        Ok(Self { who, states })
    }
}

impl From<LockedSigner> for Fields {
    fn from(signer: LockedSigner) -> Self {
        let mut fields = Self {
            key: None,
            identity: None,
            issuer: None,
            certificate: None,
            anchor: None,
            states: signer.states,
        };
        match signer.who {
            Signatory::Key(key) => fields.key = Some(key),
            Signatory::Identity { identity, issuer } => {
                fields.identity = Some(identity);
                fields.issuer = Some(issuer);
            }
            Signatory::Certificate { subject, anchor } => {
                fields.certificate = Some(subject);
                fields.anchor = Some(anchor);
            }
        }
        fields
    }
}

impl Signatory {
    fn of(signer: &SignerIdentity) -> Self {
        match signer {
            SignerIdentity::Key { fingerprint, .. } => Self::Key(*fingerprint),
            SignerIdentity::Keyless {
                identity, issuer, ..
            } => Self::Identity {
                identity: identity.clone(),
                issuer: issuer.clone(),
            },
            SignerIdentity::Certificate {
                subject,
                fingerprint,
                root,
                ..
            } => Self::Certificate {
                subject: subject.clone(),
                anchor: root.unwrap_or(*fingerprint),
            },
        }
    }
}

impl fmt::Display for Signatory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "the key {fingerprint}"),
            Self::Identity { identity, issuer } => write!(f, "`{identity}` (known to {issuer})"),
            Self::Certificate { subject, .. } => write!(f, "`{subject}`"),
        }
    }
}

/// Returns who made `evidence`, each once.
pub(super) fn signers(evidence: &[&Evidence]) -> BTreeSet<LockedSigner> {
    let mut signers: BTreeMap<Signatory, BTreeSet<String>> = BTreeMap::new();
    for one in evidence {
        let states = signers.entry(Signatory::of(&one.signer)).or_default();
        states.insert(one.predicate_type.clone());
    }
    let signers = signers.into_iter();
    signers
        .map(|(who, states)| LockedSigner { who, states })
        .collect()
}
