//! Who can meet a requirement, as other tools name them.

use std::collections::BTreeSet;

use super::Source;
use crate::certificate::DistinguishedName;
use crate::error::{Error, Reason, Result};
use crate::identity::Match;
use crate::policy::file::{CertificateAnchor, Trusted};

/// One way to be an authority.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Signer {
    /// By a key: its PEM text.
    Key(String),
    /// By an identity that a Sigstore instance certified.
    Keyless {
        issuer: String,
        subject: Name,
        instance: String,
    },
    /// By a certificate of one's own authorities, with this name.
    Certified {
        subject: Option<DistinguishedName>,
        identity: Option<Name>,
    },
    /// By exactly one certificate.
    Pinned,
}

/// A name, or what names are like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Name {
    Exact(String),
    /// A regular expression that matches from beginning to end.
    Pattern(String),
}

impl Name {
    fn of(meant: &Match) -> Self {
        match (meant.exact_text(), meant.pattern_text()) {
            (Some(text), _) => Self::Exact(text.to_owned()),
            // Go's `$` is the end of the text, as long as nobody says `(?m)`.
            (None, pattern) => Self::Pattern(format!("^(?:{})$", pattern.unwrap_or_default())),
        }
    }
}

/// An authority: any one of its signers stands for it.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) signers: Vec<Signer>,
}

impl Party {
    /// Returns the authorities that are called `names`, whether a tool can name them or not.
    pub(super) fn all(source: &Source<'_>, names: &BTreeSet<String>) -> Result<Vec<Self>> {
        let party = |name: &String| {
            let signers = match source.file.authorities.get(name) {
                Some(trusted) => signers(source, trusted)?,
                None => Vec::new(),
            };
            let name = name.clone();
            Ok(Self { name, signers })
        };
        names.iter().map(party).collect()
    }

    /// Returns those of its signers that `can_be_named`, if there are any.
    pub(super) fn nameable(mut self, can_be_named: impl Fn(&Signer) -> bool) -> Option<Self> {
        self.signers.retain(can_be_named);
        (!self.signers.is_empty()).then_some(self)
    }
}

/// Whether somebody might be two of `parties`.
pub(super) fn may_overlap(parties: &[Party]) -> bool {
    let all: Vec<_> = parties.iter().flat_map(|party| &party.signers).collect();
    let repeated = all
        .iter()
        .enumerate()
        .any(|(at, one)| all.iter().take(at).any(|other| one == other));
    // A key is nobody's name: only names can mean the same signer without being the same.
    let named = all
        .iter()
        .filter(|signer| !matches!(signer, Signer::Key(_)));
    let is_vague = |signer: &Signer| match signer {
        Signer::Keyless { subject, .. } => matches!(subject, Name::Pattern(_)),
        Signer::Certified { .. } | Signer::Pinned => true,
        Signer::Key(_) => false,
    };
    repeated || (named.clone().count() > 1 && named.clone().any(|signer| is_vague(signer)))
}

fn signers(source: &Source<'_>, trusted: &Trusted) -> Result<Vec<Signer>> {
    Ok(match trusted {
        Trusted::Keys { keys, .. } => {
            let pem = keys
                .iter()
                .map(|key| text(source, &key.file).map(Signer::Key));
            pem.collect::<Result<_>>()?
        }
        Trusted::Identity {
            identity, instance, ..
        } => match identity.issuer.exact_text() {
            Some(issuer) => vec![Signer::Keyless {
                issuer: issuer.to_owned(),
                subject: Name::of(&identity.identity),
                instance: instance.clone(),
            }],
            None => Vec::new(),
        },
        Trusted::Certificates(certificates) => vec![match &certificates.anchor {
            CertificateAnchor::Leaf(_) => Signer::Pinned,
            CertificateAnchor::Roots {
                identity, subject, ..
            } => Signer::Certified {
                subject: subject.clone(),
                identity: identity.as_ref().map(Name::of),
            },
        }],
    })
}

/// Returns what is in a file that the policy names.
fn text(source: &Source<'_>, path: &std::path::Path) -> Result<String> {
    let bytes = source.files.get(path).cloned().unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().replace('\r', "") + "\n"),
        _ => {
            let message = format!("`{}` is not the text of a public key", path.display());
            Err(Error::new(Reason::PolicyInvalid, message))
        }
    }
}
