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

use std::collections::BTreeSet;
use std::fmt;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::Document;
use crate::model::{self, ModelFile};
use crate::oms::{self, Contents, Coverage};
use crate::policy::{Candidate, Finding, Policy, Subject, Verdict};
use crate::reference::Reference;
use crate::referrer::{self, Content, RawBundle};
use crate::statement::Statement;
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
    model_signature: Option<RawBundle>,
}

/// Verifies `artifact` by what is attached to it in `store`.
pub async fn verify(
    store: &dyn Store,
    artifact: Artifact,
    trust: &TrustRoot,
    policy: &Policy,
) -> Result<Verification> {
    let referrers = referrer::collect(store, artifact.document().descriptor()).await?;
    let files = files(artifact.document());
    let mut candidates = Vec::new();
    let mut bundles = Vec::new();
    for referrer in referrers {
        match referrer.content() {
            Content::Bundle(raw) => {
                candidates.push(candidate(raw, trust, files.as_deref()));
                bundles.push(raw.clone());
            }
            Content::Unusable(error) => {
                candidates.push(unusable(*referrer.document().digest(), error));
            }
            Content::Other => {}
        }
    }
    // The first by digest: what a registry lists first must not show.
    let listing = candidates
        .iter()
        .filter(|c| matches!(c.coverage, Some(Ok(_))));
    let listing = listing.map(|candidate| candidate.bundle).min();
    let model_signature = bundles.iter().find(|raw| Some(raw.digest()) == listing);
    let model_signature = model_signature.cloned();
    let judge = |candidates: &[Candidate]| {
        let subject = subject(artifact.document(), Some(artifact.reference()));
        policy.judge(subject, candidates)
    };
    let mut verdict = judge(&candidates);
    // More candidates never make a verdict worse, so that asking only now changes no decision: it
    // spares an artifact that is signed in today's form two requests.
    if !verdict.admits() {
        for tagged in referrer::collect_tagged(store, artifact.digest()).await? {
            for (layer, found) in tagged.layers() {
                match found {
                    Ok(raw) => {
                        candidates.push(candidate(raw, trust, files.as_deref()));
                        bundles.push(raw.clone());
                    }
                    Err(error) => candidates.push(unusable(layer.digest, error)),
                }
            }
        }
        verdict = judge(&candidates);
    }
    Ok(Verification {
        model_signature,
        artifact,
        verdict,
        bundles,
    })
}

/// Returns the attached model signatures that list exactly the files of `artifact`, whoever made
/// them: nobody says that they can be trusted.
pub async fn unverified_model_signatures(
    store: &dyn Store,
    artifact: &Artifact,
) -> Result<Vec<RawBundle>> {
    let Some(files) = files(artifact.document()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for referrer in referrer::collect(store, artifact.document().descriptor()).await? {
        if let Content::Bundle(raw) = referrer.content()
            && lists_unverified(raw, &files).is_ok()
            && !found.contains(raw)
        {
            found.push(raw.clone());
        }
    }
    Ok(found)
}

/// Compares what a bundle claims to be a model signature of, without authenticating it, with
/// `files`.
pub fn lists_unverified(raw: &RawBundle, files: &[ModelFile]) -> Result<()> {
    let bundle = raw.bundle()?;
    let statement = Statement::parse(bundle.envelope()?.unverified_payload())?;
    Contents::read(&statement)?.compare(files).map(drop)
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
    let files = files(artifact);
    let candidates = bundles.iter();
    let candidates: Vec<_> = candidates
        .map(|raw| candidate(raw, trust, files.as_deref()))
        .collect();
    policy.judge(subject(artifact, reference), &candidates)
}

/// Returns what a policy is to judge.
fn subject<'a>(document: &'a RawDocument, reference: Option<&'a Reference>) -> Subject<'a> {
    Subject::new(document.digest(), document.document(), reference)
}

/// Returns the files of the model that an artifact is; nothing if it is none.
fn files(artifact: &RawDocument) -> Option<Vec<ModelFile>> {
    match artifact.document() {
        Document::Manifest(manifest) => model::files(manifest).ok(),
        Document::Index(_) => None,
    }
}

/// Authenticates one bundle, and compares the files that it lists with the artifact's.
fn candidate(raw: &RawBundle, trust: &TrustRoot, files: Option<&[ModelFile]>) -> Candidate {
    let mut candidate = authenticate(raw, trust);
    if let (Ok(authenticated), Some(files)) = (&candidate.outcome, files) {
        let statement = authenticated.statement();
        if oms::is_model_signature(&statement.predicate_type) {
            candidate.coverage = Some(compare(statement, files));
        }
    }
    candidate
}

/// Refuses a statement that is about another artifact than `artifact`: a model signature that is
/// not on exactly its files, any other that does not name its digest.
pub fn check_subject(statement: &Statement, artifact: &RawDocument) -> Result<()> {
    if oms::is_model_signature(&statement.predicate_type) {
        let files = files(artifact).unwrap_or_default();
        return compare(statement, &files).map(drop);
    }
    match statement.is_about(artifact.digest()) {
        true => Ok(()),
        false => Err(Error::new(
            Reason::SubjectMismatch,
            "it is signed, but about another artifact",
        )),
    }
}

/// Compares a model signature with the files of an artifact, of which it covers only those.
fn compare(statement: &Statement, files: &[ModelFile]) -> Result<Coverage> {
    let coverage = Contents::read(statement)?.compare(files)?;
    let rest = ["the manifest's annotations", "its config"].map(str::to_owned);
    Ok(Coverage::new(
        rest.into_iter()
            .chain(coverage.not_covered().iter().cloned())
            .collect(),
    ))
}

/// Authenticates one bundle, whatever it is about.
pub(crate) fn authenticate(raw: &RawBundle, trust: &TrustRoot) -> Candidate {
    match raw.evidence() {
        Err(error) => Candidate {
            bundle: raw.digest(),
            claims: None,
            outcome: Err(error),
            coverage: None,
        },
        Ok(evidence) => Candidate {
            bundle: raw.digest(),
            claims: evidence.claimed_predicate_type(),
            outcome: evidence.authenticate(trust),
            coverage: None,
        },
    }
}

/// Returns what could not be read: it stands for no bundle, and says why.
fn unusable(digest: Digest, error: &Error) -> Candidate {
    Candidate {
        bundle: digest,
        claims: None,
        outcome: Err(Error::new(Reason::BundleInvalid, error.to_string())),
        coverage: None,
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
        match refusal(&self.verdict, &self.artifact.reference) {
            Some(refusal) => Err(refusal),
            None => {
                let (verdict, bundles) = (self.verdict, self.bundles);
                Ok(admitted(
                    self.artifact,
                    verdict,
                    &bundles,
                    self.model_signature,
                ))
            }
        }
    }
}

/// Returns `value`, which `verdict` admits by some of `bundles`.
pub(crate) fn admitted<T>(
    value: T,
    verdict: Verdict,
    bundles: &[RawBundle],
    model_signature: Option<RawBundle>,
) -> Verified<T> {
    let evidence = verdict.evidence();
    let counts = |raw: &&RawBundle| evidence.iter().any(|e| e.bundle == raw.digest());
    let bundles = bundles.iter().filter(counts).cloned().collect();
    let proof = Proof::Verdict {
        verdict,
        bundles,
        model_signature,
    };
    Verified { value, proof }
}

/// Says in one error why `verdict` does not admit `what`; nothing if it does.
pub fn refusal(verdict: &Verdict, what: impl fmt::Display) -> Option<Error> {
    if verdict.admits() {
        return None;
    }
    if let Some(objection) = verdict.objections.first() {
        let message = format!("`{what}` may not be used: {}", objection.message);
        return Some(Error::new(objection.reason, message).hint(advice(objection.reason, &what)));
    }
    let Some((finding, reason)) = verdict.first_unmet() else {
        return Some(Error::new(Reason::SignatureMissing, "nothing was required"));
    };
    let message = format!(
        "`{what}` has {}: {}",
        lack(finding),
        detail(finding, reason)
    );
    let hint = finding.way_out().unwrap_or_else(|| advice(reason, &what));
    Some(Error::new(reason, message).hint(hint))
}

/// Says what an unmet requirement lacks.
fn lack(finding: &Finding) -> String {
    let requirement = &finding.requirement;
    match (finding.signers, finding.threshold) {
        (0, 1) => format!("no trusted {requirement}"),
        (found, wanted) => format!("{found} of {wanted} trusted signers of a {requirement}"),
    }
}

/// Says what came nearest to meeting a requirement.
fn detail(finding: &Finding, reason: Reason) -> String {
    let mut refused = finding.refused.iter();
    if let Some(near) = refused.find(|refusal| refusal.reason == reason) {
        return near.message.clone();
    }
    if reason == Reason::TooFewSigners {
        let signed: BTreeSet<_> = finding
            .met_by
            .iter()
            .map(|e| e.signer.authority())
            .collect();
        let signed: Vec<_> = signed.into_iter().collect();
        let asked = finding.authorities.join(", ");
        return format!("{} signed, of {asked}", signed.join(", "));
    }
    match finding.refused.is_empty() {
        true => "nothing is attached to it".to_owned(),
        false => "what is attached to it states other things".to_owned(),
    }
}

/// Returns what to do about a refusal.
fn advice(reason: Reason, what: &dyn fmt::Display) -> String {
    let text = match reason {
        Reason::SignatureMissing => {
            return format!("have its publisher sign it: `modelctl sign {what} --key …`");
        }
        Reason::AttestationMissing => {
            return format!("see what is attached: `modelctl tree {what}`");
        }
        Reason::TooFewSigners | Reason::ConstraintUnmet => {
            return format!("see each requirement: `modelctl policy explain {what}`");
        }
        Reason::UntrustedSigner => {
            "check that `--key` or `--ca-roots` is the publisher's; `modelctl tree` shows who signed"
        }
        Reason::CertificateExpired => {
            "have it signed anew; a timestamp in it proves an earlier time, under \
             `--timestamp-certificate-chain`"
        }
        Reason::RevocationUnknown => {
            "name the newest list of each authority below the root: `--crl FILE`"
        }
        Reason::IdentityMismatch | Reason::IssuerMismatch | Reason::ClaimMismatch => {
            "check that this is whom you trust; if so, name the identity and issuer as they are"
        }
        Reason::NameMismatch => {
            "it may have been moved there; if that is meant (a mirror), say so in the policy's \
             `remap`, or have it signed there"
        }
        Reason::SignatureTooYoung => "wait; the policy's `min_signature_age` says how long",
        Reason::SignatureTooOld | Reason::OutsideValidity => "have it signed anew",
        Reason::TimeUnproven => "have it signed with a transparency log or a timestamp authority",
        Reason::Downgrade => {
            "if the older one is meant, pull it by its digest, or into another directory"
        }
        Reason::RevocationsUnavailable => "get the newest list from whoever publishes it",
        _ => "do not use it; ask its publisher, and whoever runs the registry",
    };
    text.to_owned()
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
        /// A model signature by someone trusted that lists exactly its files, whether or not one
        /// was asked for.
        model_signature: Option<RawBundle>,
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
