//! What a policy says about an artifact, as data.

use jiff::Timestamp;
use serde::Serialize;

use super::Candidate;
use super::rule::{Requirement, Rule};
use crate::digest::Digest;
use crate::error::{Reason, Result};
use crate::slsa::Assessment;
use crate::trust::{Authenticated, Format, Recognised, SignerIdentity, Witness};

/// What a policy says about an artifact, requirement by requirement.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// One finding for each requirement, in the policy's order.
    pub findings: Vec<Finding>,
    /// What stands against the artifact, whatever is attached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objections: Vec<Objection>,
}

/// Whether one requirement is met, and by what or why not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was required.
    pub requirement: Requirement,
    /// Of whom, if not of anyone who is trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<String>,
    /// How many different ones of them had to meet it.
    pub threshold: usize,
    /// How many did.
    pub signers: usize,
    /// What meets it.
    pub met_by: Vec<Evidence>,
    /// Candidates that might have met it, and why they did not.
    pub refused: Vec<Refusal>,
    /// Why it is not met; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "code")]
    pub reason: Option<Reason>,
}

/// A bundle that counts, by one authority that it is by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The digest of the bundle's bytes.
    pub bundle: Digest,
    /// What it says.
    pub predicate_type: String,
    /// Who says it.
    pub signer: SignerIdentity,
    /// In which form it is stored; not said of bundles.
    #[serde(skip_serializing_if = "Format::is_bundle")]
    pub format: Format,
    /// What it does not vouch for, in words; nothing if it vouches for the whole artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
    /// The earliest time at which somebody else is proven to have seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The logs and timestamp authorities that saw it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
    /// Of which SLSA level it is, where one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slsa: Option<Box<Assessment>>,
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
    /// Of which SLSA level it is, if that is too low.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slsa: Option<Box<Assessment>>,
}

/// Why an artifact may not be used, whatever is attached to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// Why.
    #[serde(serialize_with = "code_of")]
    pub reason: Reason,
    /// Why, as a sentence.
    pub message: String,
}

impl Evidence {
    pub(super) fn new(
        candidate: &Candidate,
        authenticated: &Authenticated,
        recognised: &Recognised,
        slsa: Option<Assessment>,
    ) -> Self {
        let not_covered = match &candidate.coverage {
            Some(Ok(coverage)) => coverage.not_covered().to_vec(),
            _ => Vec::new(),
        };
        Self {
            bundle: candidate.bundle,
            not_covered,
            predicate_type: authenticated.statement().predicate_type.clone(),
            signer: recognised.signer().clone(),
            format: authenticated.format(),
            time: recognised.time(),
            witnesses: recognised.witnesses().to_vec(),
            slsa: slsa.map(Box::new),
        }
    }
}

impl Refusal {
    pub(super) fn new(bundle: Digest, (reason, message): (Reason, String)) -> Self {
        Self {
            bundle,
            reason,
            message,
            slsa: None,
        }
    }

    /// Returns the refusal of provenance whose level is too low.
    pub(super) fn of_level(bundle: Digest, slsa: Assessment) -> Self {
        Self {
            slsa: Some(Box::new(slsa.clone())),
            ..Self::new(bundle, (Reason::SlsaLevel, slsa.to_string()))
        }
    }
}

impl Finding {
    /// Returns what to do for the provenance that came nearest to the level that is asked for to
    /// reach it, if that is what is lacking.
    pub fn way_out(&self) -> Option<String> {
        let (Requirement::Provenance { level }, Some(Reason::SlsaLevel)) =
            (&self.requirement, self.reason)
        else {
            return None;
        };
        let mut refused = self.refused.iter();
        let slsa = refused.find_map(|refusal| refusal.slsa.as_deref())?;
        Some(slsa.way_out(*level))
    }
}

impl Verdict {
    /// Whether every requirement is met, and nothing stands against the artifact.
    pub fn admits(&self) -> bool {
        self.objections.is_empty()
            && !self.findings.is_empty()
            && self.findings.iter().all(|finding| finding.reason.is_none())
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
        evidence.sort_by_key(|one| (one.bundle, one.signer.authority()));
        evidence.dedup();
        evidence
    }
}

/// Returns why `rule` is not met by so many different signers, if so: what came nearest to meeting
/// it, whatever the order of the candidates.
pub(super) fn unmet(rule: &Rule, signers: usize, refused: &[Refusal]) -> Option<Reason> {
    if signers >= rule.threshold {
        return None;
    }
    if signers > 0 {
        return Some(Reason::TooFewSigners);
    }
    let nearest = refused
        .iter()
        .map(|r| r.reason)
        .max_by_key(|reason| (nearness(*reason), *reason));
    Some(match (nearest, &rule.requirement) {
        (Some(reason), _) if nearness(reason) > 0 => reason,
        (_, Requirement::Signature | Requirement::ModelSignature | Requirement::AnySignature) => {
            Reason::SignatureMissing
        }
        (_, Requirement::Attestation { .. } | Requirement::Provenance { .. }) => {
            Reason::AttestationMissing
        }
    })
}

/// Returns how much `reason` tells: the nearer to having counted, the more.
pub(super) fn nearness(reason: Reason) -> u8 {
    match reason {
        Reason::PredicateTypeMismatch => 0,
        Reason::BundleInvalid | Reason::PayloadTypeMismatch | Reason::TooLarge => 1,
        Reason::BundleUnsupported => 2,
        Reason::UntrustedSigner => 3,
        Reason::IdentityMismatch => 4,
        Reason::IssuerMismatch => 5,
        Reason::ClaimMismatch => 6,
        Reason::SignatureInvalid => 7,
        Reason::SubjectMismatch | Reason::FilesMismatch => 9,
        Reason::NameMismatch => 10,
        Reason::TimeUnproven | Reason::SignatureTooOld | Reason::SignatureTooYoung => 11,
        Reason::OutsideValidity => 12,
        Reason::ConstraintUnmet => 13,
        Reason::SlsaLevel => 14,
        Reason::Revoked => 15,
        _ => 8,
    }
}

fn code<S: serde::Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.map(Reason::code).unwrap_or_default())
}

fn code_of<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}
