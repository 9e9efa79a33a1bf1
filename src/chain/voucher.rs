//! Verifiers whose word stands in for a part of a chain
//! ([SLSA verification summary](https://slsa.dev/spec/v1.1/verification_summary)).

use serde_json::Value;

use crate::error::Result;
use crate::policy::constraint::{Constraint, Operator};
use crate::policy::{Circumstances, Evidence, Policy, Requirement, Rule};
use crate::predicate::VERIFICATION_SUMMARY;
use crate::reference::Reference;
use crate::referrer::RawBundle;
use crate::store::RawDocument;
use crate::trust::TrustRoot;
use crate::verify::judge;

/// A verifier whose summary of a link is accepted for everything below that link.
#[derive(Debug, Clone)]
pub struct Voucher {
    /// The verifier, as its summaries name it: `verifier.id`.
    pub verifier: String,
    /// Who signs for it.
    pub trust: TrustRoot,
    /// Under which circumstances its signatures count.
    pub circumstances: Circumstances,
}

impl Voucher {
    /// Returns the summaries among `bundles` that say of the artifact `document`, known as
    /// `reference` and `uri`, that it passed.
    ///
    /// The specification asks for all four: a trusted signature, the subject's digest, the
    /// verifier, and the resource ([How to verify](https://slsa.dev/spec/v1.1/verification_summary#how-to-verify)).
    pub(super) fn vouches(
        &self,
        document: &RawDocument,
        reference: &Reference,
        uri: Option<&str>,
        bundles: &[RawBundle],
    ) -> Result<Vec<Evidence>> {
        let says = |pointer, operator| Constraint::new(pointer, operator);
        let requirement = Requirement::Attestation {
            predicate_type: VERIFICATION_SUMMARY.to_owned(),
        };
        let rule = Rule::new(requirement).saying([
            says(
                "/verifier/id",
                Operator::Equals(self.verifier.as_str().into()),
            )?,
            says("/verificationResult", Operator::Equals("PASSED".into()))?,
            says("/resourceUri", Operator::OneOf(names(reference, uri)))?,
        ]);
        let policy = Policy::of_rules([rule])?.under(self.circumstances.clone());
        let verdict = judge(document, Some(reference), bundles, &self.trust, &policy);
        Ok(match verdict.admits() {
            true => verdict.evidence().into_iter().cloned().collect(),
            false => Vec::new(),
        })
    }
}

/// Returns the names by which a summary may call the artifact: it is bound to its content by the
/// subject's digest, so that the tag is no matter.
fn names(reference: &Reference, uri: Option<&str>) -> Vec<Value> {
    let location = reference.location();
    let tagged = Reference::new(location.clone(), reference.tag().cloned(), None);
    let pinned = Reference::new(location.clone(), None, reference.digest().copied());
    let mut names = vec![
        reference.to_string(),
        tagged.to_string(),
        pinned.to_string(),
        location.to_string(),
    ];
    names.extend(uri.map(str::to_owned));
    names.into_iter().map(Value::String).collect()
}
