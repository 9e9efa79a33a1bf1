//! Verification: from a reference to a proof that the artifact may be used.
//!
//! There is one path, whatever is verified and whoever signed it:
//!
//! 1. [`Artifact::resolve`] turns the tag into a digest, once;
//! 2. the manifest of that digest is fetched, capped, hashed and read as one kind;
//! 3. [`referrer::collect`] fetches everything attached to it, and where that is not enough
//!    [`referrer::collect_tagged`] what cosign stored before version 3;
//! 4. [`TrustRoot::authenticate`] says who signed what, for each bundle;
//! 5. [`Policy::judge`] says whether that is enough, for the whole set.
//!
//! Steps 4 and 5 are [`judge`], which needs no store, so a pulled directory is judged again offline
//! by the same code. Only [`Verification::admit`] makes a [`Verified`] from a verdict, and only a
//! [`Verified`] artifact can be unpacked.

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::policy::{Candidate, Policy, Verdict};
use crate::reference::Reference;
use crate::referrer::{self, Content, RawBundle};
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
}

/// What was found out about an artifact, whether it is enough or not.
#[derive(Debug)]
pub struct Verification {
    artifact: Artifact,
    verdict: Verdict,
    bundles: Vec<RawBundle>,
}

/// Verifies `artifact` by what is attached to it in `store`.
pub async fn verify(
    store: &dyn Store,
    artifact: Artifact,
    trust: &TrustRoot,
    policy: &Policy,
) -> Result<Verification> {
    let referrers = referrer::collect(store, artifact.document().descriptor()).await?;
    let mut candidates = Vec::new();
    let mut bundles = Vec::new();
    for referrer in referrers {
        match referrer.content() {
            Content::Bundle(raw) => {
                candidates.push(candidate(raw, trust));
                bundles.push(raw.clone());
            }
            Content::Unusable(error) => {
                candidates.push(unusable(*referrer.document().digest(), error));
            }
            Content::Other => {}
        }
    }
    let mut verdict = policy.judge(artifact.digest(), &candidates);
    // More candidates never make a verdict worse, so that asking only now changes no decision: it
    // spares an artifact that is signed in today's form two requests.
    if !verdict.admits() {
        for tagged in referrer::collect_tagged(store, artifact.digest()).await? {
            for (layer, found) in tagged.layers() {
                match found {
                    Ok(raw) => {
                        candidates.push(candidate(raw, trust));
                        bundles.push(raw.clone());
                    }
                    Err(error) => candidates.push(unusable(layer.digest, error)),
                }
            }
        }
        verdict = policy.judge(artifact.digest(), &candidates);
    }
    Ok(Verification {
        artifact,
        verdict,
        bundles,
    })
}

/// Judges the artifact with the digest `artifact` by `bundles` alone: steps 4 and 5.
pub fn judge(
    artifact: &Digest,
    bundles: &[RawBundle],
    trust: &TrustRoot,
    policy: &Policy,
) -> Verdict {
    let candidates: Vec<_> = bundles.iter().map(|raw| candidate(raw, trust)).collect();
    policy.judge(artifact, &candidates)
}

/// Authenticates one bundle.
fn candidate(raw: &RawBundle, trust: &TrustRoot) -> Candidate {
    match raw.evidence() {
        Err(error) => Candidate {
            bundle: raw.digest(),
            claims: None,
            outcome: Err(error),
        },
        Ok(evidence) => Candidate {
            bundle: raw.digest(),
            claims: evidence.claimed_predicate_type(),
            outcome: evidence.authenticate(trust),
        },
    }
}

/// Returns what could not be read: it stands for no bundle, and says why.
fn unusable(digest: Digest, error: &Error) -> Candidate {
    Candidate {
        bundle: digest,
        claims: None,
        outcome: Err(Error::new(Reason::BundleInvalid, error.to_string())),
    }
}

impl Verification {
    /// Returns what the policy says.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns the artifact, which this does not make usable.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Returns the proof that the artifact may be used, or why it may not.
    pub fn admit(self) -> Result<Verified<Artifact>> {
        if let Some(refusal) = refusal(&self.verdict, &self.artifact.reference) {
            return Err(refusal);
        }
        let evidence = self.verdict.evidence();
        let counts = |raw: &RawBundle| evidence.iter().any(|e| e.bundle == raw.digest());
        let bundles = self
            .bundles
            .iter()
            .filter(|raw| counts(raw))
            .cloned()
            .collect();
        let proof = Proof::Verdict {
            verdict: self.verdict,
            bundles,
        };
        Ok(Verified {
            value: self.artifact,
            proof,
        })
    }
}

/// Says in one error why `verdict` does not admit `what`; nothing if it does.
pub fn refusal(verdict: &Verdict, what: &Reference) -> Option<Error> {
    let (finding, reason) = match verdict.first_unmet() {
        Some(unmet) => unmet,
        None if verdict.admits() => return None,
        None => return Some(Error::new(Reason::SignatureMissing, "nothing was required")),
    };
    let near = finding
        .refused
        .iter()
        .find(|refusal| refusal.reason == reason);
    let detail = match near {
        Some(refusal) => refusal.message.clone(),
        None if finding.refused.is_empty() => "nothing is attached to it".to_owned(),
        None => "what is attached to it states other things".to_owned(),
    };
    let requirement = &finding.requirement;
    let error = Error::new(
        reason,
        format!("`{what}` has no trusted {requirement}: {detail}"),
    );
    Some(
        error.hint(match reason {
            Reason::SignatureMissing => {
                format!("have its publisher sign it: `modelctl sign {what} --key …`")
            }
            Reason::AttestationMissing => {
                format!("see what is attached: `modelctl tree {what}`")
            }
            Reason::UntrustedSigner => {
                "check that `--key` or `--ca-roots` is the publisher's; `modelctl tree` shows who \
                 signed"
                    .to_owned()
            }
            Reason::CertificateExpired => {
                "have it signed anew; a timestamp in it proves an earlier time, under \
                 `--timestamp-certificate-chain`"
                    .to_owned()
            }
            Reason::RevocationUnknown => {
                "name the newest list of each authority below the root: `--crl FILE`".to_owned()
            }
            Reason::IdentityMismatch | Reason::IssuerMismatch | Reason::ClaimMismatch => {
                "check that this is whom you trust; if so, name the identity and issuer as they are"
                    .to_owned()
            }
            _ => "do not use it; ask its publisher, and whoever runs the registry".to_owned(),
        }),
    )
}

/// A value that a policy admitted, or that someone chose to use without one.
///
/// It cannot be made by hand:
///
/// ```compile_fail
/// let forged = modelctl::verify::Verified { value: (), proof: todo!() };
/// ```
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    proof: Proof,
}

/// Why a [`Verified`] value may be used.
#[derive(Debug)]
pub enum Proof {
    /// A policy admitted it.
    Verdict {
        /// What the policy said.
        verdict: Verdict,
        /// The bundles that counted, to be kept with the artifact.
        bundles: Vec<RawBundle>,
    },
    /// Nobody verified it; integrity and safety are checked all the same.
    Unchecked {
        /// Why not.
        why: String,
    },
}

impl<T> Verified<T> {
    /// Returns `value` as if it were verified: the one way round verification, to be searched for.
    pub fn unchecked(value: T, why: impl Into<String>) -> Self {
        Self {
            value,
            proof: Proof::Unchecked { why: why.into() },
        }
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
