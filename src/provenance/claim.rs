//! What a run comes to: predicates, each to be signed and attached on its own.

use serde_json::Value;

use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::model::{Kind, ModelFile};
use crate::predicate::{SLSA_PROVENANCE_V1, TEST_RESULT};
use crate::provenance::dependency::Dependency;
use crate::provenance::run::{Output, Run};
use crate::provenance::{evaluation, slsa};

/// A predicate of a type.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The type.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Value,
    /// The files that it is about, besides the model as a whole.
    pub files: Vec<ModelFile>,
}

/// Returns everything that `run`, which took in `dependencies`, says about the model.
pub fn all(run: &Run, dependencies: &[Dependency]) -> Result<Vec<Claim>> {
    let provenance = Claim {
        predicate_type: SLSA_PROVENANCE_V1.to_owned(),
        predicate: slsa::predicate(run, dependencies)?,
        files: Vec::new(),
    };
    let mut claims = vec![provenance];
    claims.extend(evaluations(run, dependencies)?);
    Ok(claims)
}

/// Returns what came of each test.
pub fn evaluations(run: &Run, dependencies: &[Dependency]) -> Result<Vec<Claim>> {
    let claim = |evaluation| {
        Ok(Claim {
            predicate_type: TEST_RESULT.to_owned(),
            predicate: evaluation::predicate(evaluation, dependencies)?,
            files: Vec::new(),
        })
    };
    run.evaluations.iter().map(claim).collect()
}

/// Returns the files that a run made: those that it names, which must be in the model with the
/// digests that it names, else the weights. So each of them is told by its own digest, too.
pub fn made(run: &Run, files: &[ModelFile]) -> Result<Vec<ModelFile>> {
    let mut made = Vec::new();
    for output in &run.outputs {
        made.push(find(output, files)?.clone());
    }
    if run.outputs.is_empty() {
        let weights = files.iter().filter(|file| file.kind == Kind::Weight);
        made.extend(weights.cloned());
    }
    // One subject is the model as a whole.
    made.truncate(limits::SUBJECTS - 1);
    Ok(made)
}

fn find<'a>(output: &Output, files: &'a [ModelFile]) -> Result<&'a ModelFile> {
    let path = &output.path;
    let Some(file) = files.iter().find(|file| file.path == *path) else {
        let message = format!("the run made `{path}`, which is not in the model");
        return Err(Error::new(Reason::RunFileInvalid, message)
            .hint("name the paths of `[[output]]` as they are in the model"));
    };
    let found = &file.descriptor.digest;
    match output.digest.as_ref().filter(|digest| *digest != found) {
        None => Ok(file),
        Some(said) => {
            let message = format!("the run made `{path}` as {said}, and the model has {found}");
            Err(Error::new(Reason::DigestMismatch, message)
                .hint("push what the run made, or correct the run file"))
        }
    }
}
