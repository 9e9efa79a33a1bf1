//! Candidates: one bundle, authenticated and compared with the artifact it is attached to.

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::Document;
use crate::model::{self, ModelFile};
use crate::oms::{self, Contents, Coverage};
use crate::policy::Candidate;
use crate::referrer::RawBundle;
use crate::statement::Statement;
use crate::store::RawDocument;
use crate::trust::TrustRoot;

/// Authenticates all of `bundles`, and compares the files that they list with those of `artifact`.
pub(super) fn all(
    bundles: &[RawBundle],
    artifact: &RawDocument,
    trust: &TrustRoot,
) -> Vec<Candidate> {
    let files = files(artifact);
    let candidates = bundles
        .iter()
        .map(|raw| candidate(raw, trust, files.as_deref()));
    candidates.collect()
}

/// Returns the files of the model that an artifact is; nothing if it is none.
pub(super) fn files(artifact: &RawDocument) -> Option<Vec<ModelFile>> {
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
pub(super) fn unusable(digest: Digest, error: &Error) -> Candidate {
    Candidate {
        bundle: digest,
        claims: None,
        outcome: Err(Error::new(Reason::BundleInvalid, error.to_string())),
        coverage: None,
    }
}

/// Compares what a bundle claims to be a model signature of, without authenticating it, with
/// `files`.
pub fn lists_unverified(raw: &RawBundle, files: &[ModelFile]) -> Result<()> {
    let bundle = raw.bundle()?;
    let statement = Statement::parse(bundle.envelope()?.unverified_payload())?;
    Contents::read(&statement)?.compare(files).map(drop)
}
