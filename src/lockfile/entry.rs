//! Entries: what one reference was.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signer::{LockedSigner, signers};
use crate::digest::Digest;
use crate::policy::Pin;
use crate::policy::file::PolicyName;
use crate::reference::Reference;
use crate::verify::{Artifact, Proof, Verified};

/// What a reference was when it was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was asked for, without its digest if it has a tag.
    pub reference: Reference,
    /// What it was.
    pub digest: Digest,
    /// What kind of document that is.
    pub media_type: String,
    /// When it was made, as its manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it was locked.
    pub locked: Timestamp,
    /// Whether a policy admitted it: a note for people, which nothing relies on.
    pub verified: bool,
    /// The policy of a file that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// Who vouched for it then.
    #[serde(default, rename = "signer", skip_serializing_if = "BTreeSet::is_empty")]
    pub signers: BTreeSet<LockedSigner>,
}

/// Returns the name under which a reference is locked: its tag without a digest, if it has a tag.
pub(super) fn name(reference: &Reference) -> Reference {
    let location = reference.location().clone();
    match reference.tag() {
        Some(tag) => Reference::new(location, Some(tag.clone()), None),
        None => Reference::new(location, None, reference.digest().copied()),
    }
}

impl Entry {
    /// Returns what is to be recorded of `artifact`.
    pub fn of(artifact: &Verified<Artifact>, now: Timestamp) -> Self {
        let (verified, signers) = match artifact.proof() {
            Proof::Verdict { verdict, .. } => (true, signers(&verdict.evidence())),
            Proof::Unchecked { .. } => (false, BTreeSet::new()),
        };
        let policy = artifact.policy().filter(|_| verified).cloned();
        let artifact = artifact.value();
        let reference = name(artifact.reference());
        Self {
            created: Pin::of(artifact.document(), reference.clone()).created,
            reference,
            digest: *artifact.digest(),
            media_type: artifact.document().descriptor().media_type.clone(),
            locked: now,
            verified,
            policy,
            signers,
        }
    }

    /// Returns the name under which this is found.
    pub(super) fn name(&self) -> String {
        name(&self.reference).to_string()
    }

    /// Returns what a newer artifact of the same name must be newer than.
    pub(super) fn pin(&self) -> Pin {
        Pin {
            reference: self.reference.clone(),
            digest: self.digest,
            created: self.created,
        }
    }

    /// Whether this and `other` are of one artifact, whoever vouched for it.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.media_type == other.media_type
    }

    /// Returns this with what `later` adds to it.
    pub(super) fn with(mut self, later: Self) -> Self {
        if later.verified {
            self.verified = true;
            self.policy = later.policy;
        }
        self.signers = signer_union(self.signers, later.signers);
        self
    }
}

/// Returns everyone of both, each with everything that they state.
fn signer_union(
    mut all: BTreeSet<LockedSigner>,
    more: BTreeSet<LockedSigner>,
) -> BTreeSet<LockedSigner> {
    for mut signer in more {
        let known = all.iter().find(|known| known.who == signer.who).cloned();
        if let Some(known) = known {
            all.remove(&known);
            signer.states.extend(known.states);
        }
        all.insert(signer);
    }
    all
}
