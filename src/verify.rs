//! Verification: from a reference to a proof that the artifact may be used.
//!
//! There is one path, whatever is verified and whoever signed it:
//!
//! 1. [`Artifact::resolve`] turns the tag into a digest, once;
//! 2. the manifest of that digest is fetched, capped, hashed and read as one kind;
//! 3. [`Collected::attached`] fetches everything attached to it, and where that is not enough
//!    [`Collected::tagged`] what cosign stored before version 3;
//! 4. [`TrustRoot::authenticate`] says who signed what, for each bundle;
//! 5. [`Policy::judge`] says whether that is enough, for the whole set.
//!
//! Steps 4 and 5 ([`Verification::of`], [`judge`]) need no store, so a pulled directory is judged
//! again offline by the same code. Only [`Verification::admit`] makes a [`Verified`] from a
//! verdict, and only a [`Verified`] artifact can be unpacked.

mod candidate;
mod collected;
mod refusal;

pub use candidate::{check_subject, lists_unverified};
pub use collected::{Collected, unverified_model_signatures};
pub use refusal::refusal;

pub(crate) use candidate::authenticate;

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::error::Result;
use crate::policy::file::PolicyName;
use crate::policy::{Candidate, Policy, Subject, Verdict};
use crate::reference::Reference;
use crate::referrer::RawBundle;
use crate::store::{RawDocument, Store};
use crate::trust::TrustRoot;

/// An artifact whose manifest was fetched once: nothing after this asks for a tag again.
#[derive(Debug, Clone)]
pub struct Artifact {
    reference: Reference,
    document: RawDocument,
}

impl Artifact {
    /// Returns the artifact at `reference` whose manifest is in hand: it has just been stored.
    pub fn stored(reference: Reference, document: RawDocument) -> Self {
        Self {
            reference,
            document,
        }
    }

    /// Resolves `reference` in `store` and fetches its manifest.
    ///
    /// With both a tag and a digest the digest decides, and the tag is not asked for.
    pub async fn resolve(store: &dyn Store, reference: &Reference) -> Result<Self> {
        let document = store.manifest(&reference.selector()?).await?;
        Ok(Self {
            reference: reference.clone(),
            document,
        })
    }

    /// Returns the reference as it was asked for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns the reference with the digest it was resolved to.
    pub fn pinned(&self) -> Reference {
        let tag = self.reference.tag().cloned();
        Reference::new(
            self.reference.location().clone(),
            tag,
            Some(*self.document.digest()),
        )
    }

    /// Returns the manifest.
    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// Returns the manifest's digest.
    pub fn digest(&self) -> &Digest {
        self.document.digest()
    }

    /// Returns what a policy is to judge.
    fn subject(&self) -> Subject<'_> {
        subject(&self.document, Some(&self.reference))
    }
}

/// What was found out about an artifact, whether it is enough or not.
#[derive(Debug)]
pub struct Verification {
    artifact: Artifact,
    collected: Collected,
    candidates: Vec<Candidate>,
    verdict: Verdict,
}

/// Verifies `artifact` by what is attached to it in `store`.
pub async fn verify(
    store: &dyn Store,
    artifact: Artifact,
    trust: &TrustRoot,
    policy: &Policy,
) -> Result<Verification> {
    let attached = Collected::attached(store, &artifact).await?;
    let verification = Verification::of(artifact, attached, trust, policy);
    // More candidates never make a verdict worse, so that asking only now changes no decision: it
    // spares an artifact that is signed in today's form two requests.
    if verification.verdict.admits() {
        return Ok(verification);
    }
    let tagged = Collected::tagged(store, &verification.artifact).await?;
    Ok(verification.with(tagged, trust, policy))
}

/// Judges the artifact whose manifest is `artifact`, asked for as `reference` if it has a name, by
/// `bundles` alone: steps 4 and 5.
pub fn judge(
    artifact: &RawDocument,
    reference: Option<&Reference>,
    bundles: &[RawBundle],
    trust: &TrustRoot,
    policy: &Policy,
) -> Verdict {
    let candidates = candidate::all(bundles, artifact, trust);
    policy.judge(subject(artifact, reference), &candidates)
}

/// Returns what a policy is to judge.
fn subject<'a>(document: &'a RawDocument, reference: Option<&'a Reference>) -> Subject<'a> {
    Subject::new(document.digest(), document.document(), reference)
}

impl Verification {
    /// Judges `artifact` by what was `collected`, and nothing else.
    pub fn of(
        artifact: Artifact,
        collected: Collected,
        trust: &TrustRoot,
        policy: &Policy,
    ) -> Self {
        let candidates = collected.candidates(artifact.document(), trust);
        let verdict = policy.judge(artifact.subject(), &candidates);
        Self {
            artifact,
            collected,
            candidates,
            verdict,
        }
    }

    /// Judges again, by `more` besides what was judged before.
    fn with(mut self, more: Collected, trust: &TrustRoot, policy: &Policy) -> Self {
        let candidates = more.candidates(self.artifact.document(), trust);
        self.candidates.extend(candidates);
        self.collected.extend(more);
        self.verdict = policy.judge(self.artifact.subject(), &self.candidates);
        self
    }

    /// Returns what the policy says.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns the artifact, which this does not make usable.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Returns what was judged.
    pub fn collected(&self) -> &Collected {
        &self.collected
    }

    /// Returns what is worth keeping of what was judged: first what counted, then what another
    /// policy may ask for, and no more than is read again.
    pub(crate) fn kept(&self) -> Vec<RawBundle> {
        collected::kept(self.collected.bundles(), &self.verdict)
    }

    /// Returns the proof that the artifact may be used, or why it may not.
    pub fn admit(self) -> Result<Verified<Artifact>> {
        if let Some(refusal) = refusal(&self.verdict, &self.artifact.reference) {
            return Err(refusal);
        }
        let model_signature = self.model_signature();
        let bundles = self.collected.bundles();
        Ok(admitted(
            self.artifact,
            self.verdict,
            bundles,
            model_signature,
        ))
    }

    /// Returns the model signature by someone trusted that lists exactly the artifact's files: the
    /// first by digest, as what a registry lists first must not show.
    fn model_signature(&self) -> Option<RawBundle> {
        let covers = |candidate: &&Candidate| matches!(candidate.coverage, Some(Ok(_)));
        let listing = self.candidates.iter().filter(covers);
        let mut digests: Vec<_> = listing.map(|candidate| candidate.bundle).collect();
        digests.sort_unstable();
        let bundles = || self.collected.bundles().iter();
        // Other tools are to read it, which a layer at one of cosign's tags is not made for.
        let mut found = digests
            .into_iter()
            .filter_map(|digest| bundles().find(|raw| raw.digest() == digest))
            .filter(|raw| raw.bundle().is_ok());
        found.next().cloned()
    }
}

/// Returns `value`, which `verdict` admits by some of `bundles`.
pub(crate) fn admitted<T>(
    value: T,
    verdict: Verdict,
    bundles: &[RawBundle],
    model_signature: Option<RawBundle>,
) -> Verified<T> {
    let bundles = collected::kept(bundles, &verdict);
    let proof = Proof::Verdict {
        verdict,
        bundles,
        model_signature,
    };
    Verified {
        value,
        proof,
        policy: None,
    }
}

/// A value that a policy admitted, or that someone chose to use without one.
///
/// It cannot be made by hand:
///
/// ```compile_fail
/// let forged = modelctl::verify::Verified { value: (), proof: todo!(), policy: None };
/// ```
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    proof: Proof,
    policy: Option<PolicyName>,
}

/// Why a [`Verified`] value may be used.
#[derive(Debug)]
pub enum Proof {
    /// A policy admitted it.
    Verdict {
        /// What the policy said.
        verdict: Verdict,
        /// What is attached, to be kept with the artifact: first what counted, then what another
        /// policy may ask for.
        bundles: Vec<RawBundle>,
        /// A model signature by someone trusted that lists exactly its files, whether or not one
        /// was asked for.
        model_signature: Option<RawBundle>,
    },
    /// Nobody verified it; integrity and safety are checked all the same.
    Unchecked {
        /// Why not.
        why: String,
        /// What is attached, if anybody looked.
        bundles: Vec<RawBundle>,
    },
}

impl<T> Verified<T> {
    /// Returns `value` as if it were verified: the one way round verification, to be searched for.
    pub fn unchecked(value: T, why: impl Into<String>) -> Self {
        Self {
            value,
            proof: Proof::Unchecked {
                why: why.into(),
                bundles: Vec::new(),
            },
            policy: None,
        }
    }

    /// Names the policy of a file by which the value was judged.
    #[must_use]
    pub fn under(self, policy: Option<PolicyName>) -> Self {
        Self { policy, ..self }
    }

    /// Returns the policy of a file by which the value was judged, if it was one.
    pub fn policy(&self) -> Option<&PolicyName> {
        self.policy.as_ref()
    }

    /// Keeps what was `collected` with a value that nobody verified: someone else may trust it.
    #[must_use]
    pub fn keeping(mut self, collected: &Collected) -> Self {
        if let Proof::Unchecked { bundles, .. } = &mut self.proof {
            *bundles = collected::bounded(collected.bundles(), &BTreeSet::new());
        }
        self
    }

    /// Returns the value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns why it may be used.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }
}
