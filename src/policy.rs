//! Judgement: is what was signed, by whom, enough? Pure: no clock, no network, no disk.
//!
//! A [`Policy`] is a list of requirements, all of which must be met. [`Policy::judge`] looks at
//! the whole set of candidates, so their order never matters and a bad one never hides a good one.
//! Its [`Verdict`] is data; printing it is someone else's work.

use serde::Serialize;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::oms::{self, Coverage};
use crate::statement::{self, Statement};
use crate::trust::{Authenticated, LogProof, SignerIdentity, Witness};

/// What must be attached to an artifact before it is used. There is no default policy: one that
/// asks for nothing cannot be made.
///
/// ```compile_fail
/// let empty: modelctl::policy::Policy = Default::default();
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    requirements: Vec<Requirement>,
    demands: Vec<Demand>,
}

/// What must be proven about a signature besides whose it is. A keyless signature is always logged;
/// one by a key need not be, unless a policy demands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Demand {
    /// A transparency log holds it, or promised to.
    Logged,
    /// A transparency log proved that it holds it; a promise is not enough.
    Included,
    /// A timestamp authority dated it.
    Timestamped,
}

impl Demand {
    /// Says why `witnesses` do not meet this, if so.
    fn unmet(self, witnesses: &[Witness]) -> Option<(Reason, &'static str)> {
        let is_met = |witness: &Witness| match (self, witness) {
            (Self::Logged, Witness::Log { .. }) => true,
            (Self::Included, Witness::Log { proof, .. }) => *proof == LogProof::Inclusion,
            (Self::Timestamped, Witness::Timestamp { .. }) => true,
            _ => false,
        };
        if witnesses.iter().any(is_met) {
            return None;
        }
        Some(match self {
            Self::Logged => (
                Reason::LogEntryMissing,
                "no transparency log was verified to hold the signature",
            ),
            Self::Included => (
                Reason::LogEntryMissing,
                "no transparency log was proven to include the signature",
            ),
            Self::Timestamped => (
                Reason::TimestampMissing,
                "no timestamp of the signature was verified",
            ),
        })
    }
}

/// One thing that must be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Requirement {
    /// A signature: a statement with the predicate type [`statement::SIGNATURE`]. An attestation
    /// is not one.
    Signature,
    /// A model signature (OMS): a list of files that are exactly the artifact's. It says nothing
    /// about the rest of the manifest.
    ModelSignature,
    /// A signature on the artifact, or a model signature on its files.
    AnySignature,
    /// An attestation of a predicate type.
    Attestation {
        /// The predicate type, exactly.
        #[serde(rename = "predicateType")]
        predicate_type: String,
    },
}

impl Requirement {
    /// Returns the predicate type that meets this, or the first of those that do.
    pub fn predicate_type(&self) -> &str {
        match self {
            Self::Signature | Self::AnySignature => statement::SIGNATURE,
            Self::ModelSignature => oms::PREDICATE,
            Self::Attestation { predicate_type } => predicate_type,
        }
    }

    /// Whether a statement of this predicate type can meet this.
    fn accepts(&self, predicate_type: &str) -> bool {
        match self {
            Self::Signature | Self::Attestation { .. } => predicate_type == self.predicate_type(),
            Self::ModelSignature => oms::is_model_signature(predicate_type),
            Self::AnySignature => {
                predicate_type == statement::SIGNATURE || oms::is_model_signature(predicate_type)
            }
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signature => f.write_str("signature"),
            Self::ModelSignature => f.write_str("model signature"),
            Self::AnySignature => f.write_str("signature or model signature"),
            Self::Attestation { predicate_type } => write!(f, "attestation {predicate_type}"),
        }
    }
}

impl Policy {
    /// Returns a policy with these requirements; without any it would admit everything, which is
    /// an error.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Result<Self> {
        let requirements: Vec<_> = requirements.into_iter().collect();
        if requirements.is_empty() {
            return Err(Error::new(
                Reason::NothingToVerifyAgainst,
                "a policy without requirements would admit everything",
            ));
        }
        Ok(Self {
            requirements,
            demands: Vec::new(),
        })
    }

    /// Demands these, too, of every bundle that is to count.
    #[must_use]
    pub fn demanding(mut self, demands: impl IntoIterator<Item = Demand>) -> Self {
        self.demands.extend(demands);
        self
    }

    /// Judges what is attached to the artifact whose manifest has the digest `artifact`.
    pub fn judge(&self, artifact: &Digest, candidates: &[Candidate]) -> Verdict {
        let findings = self
            .requirements
            .iter()
            .map(|requirement| self.judge_one(requirement, artifact, candidates));
        Verdict {
            findings: findings.collect(),
        }
    }

    fn judge_one(
        &self,
        requirement: &Requirement,
        artifact: &Digest,
        candidates: &[Candidate],
    ) -> Finding {
        let mut met_by = Vec::new();
        let mut refused = Vec::new();
        for candidate in candidates {
            let bundle = candidate.bundle;
            match consider(candidate, requirement, artifact, &self.demands) {
                Ok(found) => met_by.push(Evidence {
                    bundle,
                    predicate_type: found.statement().predicate_type.clone(),
                    signer: found.signer().clone(),
                    not_covered: not_covered(candidate),
                    witnesses: found.witnesses().to_vec(),
                }),
                Err((reason, message)) => refused.push(Refusal {
                    bundle,
                    reason,
                    message,
                }),
            }
        }
        // One bundle counts once, however often it is attached; and what a registry lists first must
        // not show.
        met_by.sort_by_key(|evidence| evidence.bundle);
        met_by.dedup();
        refused.sort_by(|a, b| {
            (a.bundle, a.reason, &a.message).cmp(&(b.bundle, b.reason, &b.message))
        });
        refused.dedup();
        let reason = met_by.is_empty().then(|| worst(requirement, &refused));
        Finding {
            requirement: requirement.clone(),
            met_by,
            refused,
            reason,
        }
    }
}

/// A bundle that is attached, and what authentication made of it.
#[derive(Debug)]
pub struct Candidate {
    /// The digest of the bundle's bytes.
    pub bundle: Digest,
    /// The predicate type it claims, for choosing words only.
    pub claims: Option<String>,
    /// Who says what, or why nobody does.
    pub outcome: Result<Authenticated>,
    /// What became of comparing the files that it lists with those there are, if it lists files
    /// and they were compared: without that, a model signature is about nothing.
    pub coverage: Option<Result<Coverage>>,
}

/// What a policy says about an artifact, requirement by requirement.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// One finding for each requirement, in the policy's order.
    pub findings: Vec<Finding>,
}

/// Whether one requirement is met, and by what or why not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was required.
    pub requirement: Requirement,
    /// What meets it.
    pub met_by: Vec<Evidence>,
    /// Candidates that might have met it, and why they did not.
    pub refused: Vec<Refusal>,
    /// Why it is not met; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "code")]
    pub reason: Option<Reason>,
}

/// A bundle that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The digest of the bundle's bytes.
    pub bundle: Digest,
    /// What it says.
    pub predicate_type: String,
    /// Who says it.
    pub signer: SignerIdentity,
    /// What it does not vouch for, in words; nothing if it vouches for the whole artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
    /// The logs and timestamp authorities that saw it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

/// A bundle that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The digest of the bundle's bytes.
    pub bundle: Digest,
    /// Why.
    #[serde(serialize_with = "code_of")]
    pub reason: Reason,
    /// Why, as a sentence.
    pub message: String,
}

fn code<S: serde::Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.map(Reason::code).unwrap_or_default())
}

fn code_of<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}

/// Returns what, by `candidate`, is stated about `artifact`, if that meets `requirement` as is
/// demanded.
fn consider<'a>(
    candidate: &'a Candidate,
    requirement: &Requirement,
    artifact: &Digest,
    demands: &[Demand],
) -> Result<&'a Authenticated, (Reason, String)> {
    let other_type = |found: &str| {
        let wanted = requirement.predicate_type();
        let message = format!("it states {found:?}, not {wanted:?}");
        (Reason::PredicateTypeMismatch, message)
    };
    let authenticated = match (&candidate.outcome, &candidate.claims) {
        (Ok(authenticated), _) => authenticated,
        // A bundle that does not even claim to be what is wanted is no reason to talk about its
        // signature.
        (Err(_), Some(claimed)) if !requirement.accepts(claimed) => {
            return Err(other_type(claimed));
        }
        (Err(error), _) => return Err((error.reason(), error.to_string())),
    };
    let statement = authenticated.statement();
    if !requirement.accepts(&statement.predicate_type) {
        return Err(other_type(&statement.predicate_type));
    }
    about(candidate, statement, artifact)?;
    let witnesses = authenticated.witnesses();
    if let Some((reason, message)) = demands.iter().find_map(|d| d.unmet(witnesses)) {
        return Err((reason, message.to_owned()));
    }
    Ok(authenticated)
}

/// Refuses a statement about something else: a model signature by its files, which were compared,
/// any other by the artifact's digest.
fn about(
    candidate: &Candidate,
    statement: &Statement,
    artifact: &Digest,
) -> Result<(), (Reason, String)> {
    let other = |message: String| Err((Reason::SubjectMismatch, message));
    if !oms::is_model_signature(&statement.predicate_type) {
        return match statement.is_about(artifact) {
            true => Ok(()),
            false => other(format!(
                "it is signed, but about another artifact than {artifact}"
            )),
        };
    }
    match &candidate.coverage {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err((error.reason(), error.to_string())),
        None => other("it is signed, but its files were not compared".to_owned()),
    }
}

/// Returns what a model signature that counts does not vouch for.
fn not_covered(candidate: &Candidate) -> Vec<String> {
    match &candidate.coverage {
        Some(Ok(coverage)) => coverage.not_covered().to_vec(),
        _ => Vec::new(),
    }
}

/// Chooses the reason that tells most: what came nearest to meeting the requirement, whatever the
/// order of the candidates.
fn worst(requirement: &Requirement, refused: &[Refusal]) -> Reason {
    let nearness = |reason: Reason| match reason {
        Reason::PredicateTypeMismatch => 0,
        Reason::BundleInvalid | Reason::PayloadTypeMismatch | Reason::TooLarge => 1,
        Reason::BundleUnsupported => 2,
        Reason::UntrustedSigner => 3,
        Reason::IdentityMismatch => 4,
        Reason::IssuerMismatch => 5,
        Reason::ClaimMismatch => 6,
        Reason::SignatureInvalid => 7,
        Reason::SubjectMismatch | Reason::FilesMismatch => 9,
        _ => 8,
    };
    let nearest = refused
        .iter()
        .map(|r| r.reason)
        .max_by_key(|reason| (nearness(*reason), *reason));
    match (nearest, requirement) {
        (Some(reason), _) if nearness(reason) > 0 => reason,
        (_, Requirement::Signature | Requirement::ModelSignature | Requirement::AnySignature) => {
            Reason::SignatureMissing
        }
        (_, Requirement::Attestation { .. }) => Reason::AttestationMissing,
    }
}

impl Verdict {
    /// Whether every requirement is met.
    pub fn admits(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| finding.reason.is_none())
    }

    /// Returns the first unmet requirement and why.
    pub fn first_unmet(&self) -> Option<(&Finding, Reason)> {
        self.findings
            .iter()
            .find_map(|finding| finding.reason.map(|reason| (finding, reason)))
    }

    /// Returns everything that counts, once each.
    pub fn evidence(&self) -> Vec<&Evidence> {
        let mut evidence: Vec<_> = self.findings.iter().flat_map(|f| &f.met_by).collect();
        evidence.sort_by_key(|evidence| evidence.bundle);
        evidence.dedup();
        evidence
    }
}
