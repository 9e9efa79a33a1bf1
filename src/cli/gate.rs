//! What a directory must be to be pushed: signed by someone, or at least as its own signature says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use modelctl::error::{Reason, Result};
use modelctl::model_signature::{self, FreshSignature, RequiredSignature};
use modelctl::oms::{SIGNATURE_FILE, SIGNATURE_FILES};
use modelctl::pack::Plan;
use modelctl::policy::{Policy, Requirement};
use modelctl::push::Gate;
use modelctl::trust::TrustRoot;

use super::keys;

/// Who must have signed the directory.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model signature")]
pub(super) struct GateArgs {
    /// Push nothing unless DIR is as a model signature (OMS) by a trusted key lists it.
    #[arg(long)]
    pub(super) require_signature: bool,
    /// The model signature that is required (default: `model.sig` in DIR).
    #[arg(long, value_name = "FILE", requires = "require_signature")]
    signature: Option<PathBuf>,
    /// Trust this public key to have made it; without `--sign` and `--attest`, `--key` says so too
    /// (repeatable).
    #[arg(long, value_name = "KEY", requires = "require_signature")]
    signed_by: Vec<String>,
}

impl GateArgs {
    /// Returns what `directory` must be to be pushed at all, if that is demanded; `own` is a
    /// further key that is trusted. What is wrong with keys shows before anything is read.
    pub(super) fn required(
        &self,
        directory: &Path,
        own: Option<&String>,
    ) -> Result<Option<Arc<dyn Gate>>> {
        if !self.require_signature {
            return Ok(None);
        }
        let keys = self.signed_by.iter().chain(own);
        let authorities: Result<Vec<_>> = keys.map(keys::authority).collect();
        let trust = TrustRoot::new(authorities?).map_err(|error| {
            error.hint("name who must have signed the directory: `--signed-by publisher.pub`")
        })?;
        let bundles = match &self.signature {
            Some(file) => model_signature::read(file)?,
            None => match model_signature::read(&directory.join(SIGNATURE_FILE)) {
                Err(error) if error.reason() == Reason::FileNotFound => Vec::new(),
                read => read?,
            },
        };
        Ok(Some(Arc::new(RequiredSignature {
            model: directory.display().to_string(),
            bundles,
            trust,
            policy: Policy::new([Requirement::ModelSignature])?,
        })))
    }
}

/// Returns what makes sure that a signature that travels with the model fits it, if one does.
pub(super) fn fresh(directory: &Path, plan: &Plan) -> Result<Option<Arc<dyn Gate>>> {
    let mut names = plan.files().iter().map(|file| file.path().as_str());
    let Some(file) = names.find(|name| SIGNATURE_FILES.contains(name)) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(FreshSignature {
        file: file.to_owned(),
        bundles: model_signature::read(&directory.join(file))?,
    })))
}
