//! What may be in an artifact, as far as its manifest says.

use super::subject::Subject;
use super::verdict::Objection;
use crate::content::ContentRules;
use crate::error::{Error, Reason, Result};
use crate::manifest::Document;
use crate::model::{self, ModelFile};

/// Returns what `rules` object to in what the manifest of `artifact` says of its files. Where that
/// is not known, what is asked is not met.
pub(super) fn objections(rules: &ContentRules, artifact: &Subject<'_>) -> Vec<Objection> {
    if !rules.asks_of_manifests() {
        return Vec::new();
    }
    let errors = match files(artifact) {
        Ok(files) => rules.judge_claims(&files),
        Err(error) => vec![error],
    };
    let objection = |error: &Error| Objection {
        reason: error.reason(),
        message: error.message().to_owned(),
    };
    errors.iter().map(objection).collect()
}

fn files(artifact: &Subject<'_>) -> Result<Vec<ModelFile>> {
    match artifact.document {
        Some(Document::Manifest(manifest)) => model::files(manifest),
        Some(Document::Index(_)) | None => Err(Error::new(
            Reason::NotAModel,
            "the policy limits its files, and what files it has is not known",
        )),
    }
}
