//! What a model signature has to be for its directory to be pushed.

use crate::error::{Class, Error, Reason, Result};
use crate::pack::Packed;
use crate::policy::Policy;
use crate::push::Gate;
use crate::referrer::RawBundle;
use crate::trust::TrustRoot;
use crate::verify::{judge, lists_unverified, refusal};

/// Admits a model that someone trusted has signed, exactly as it would be pushed.
#[derive(Debug)]
pub struct RequiredSignature {
    /// What the model is called in a refusal.
    pub model: String,
    /// The signatures that came with it.
    pub bundles: Vec<RawBundle>,
    /// Who is trusted.
    pub trust: TrustRoot,
    /// What is required of a signature.
    pub policy: Policy,
}

impl Gate for RequiredSignature {
    fn admit(&self, packed: &Packed) -> Result<()> {
        let verdict = judge(
            &packed.document,
            None,
            &self.bundles,
            &self.trust,
            &self.policy,
        );
        match refusal(&verdict, &self.model) {
            None => Ok(()),
            Some(error) if error.reason() == Reason::SignatureMissing => {
                let message = format!("`{}` has no model signature", self.model);
                Err(Error::new(Reason::SignatureMissing, message).hint(
                    "name the file that it is in: `--signature model.sig`; or have the model's \
                     publisher sign it: `modelctl sign DIR --key …`",
                ))
            }
            Some(error) => Err(error),
        }
    }
}

/// Refuses a model whose own signature, whoever made it, is on other files than would be pushed:
/// nobody could verify it with that.
#[derive(Debug)]
pub struct FreshSignature {
    /// The signature's file, in the model.
    pub file: String,
    /// The signatures in it.
    pub bundles: Vec<RawBundle>,
}

impl Gate for FreshSignature {
    fn admit(&self, packed: &Packed) -> Result<()> {
        for raw in &self.bundles {
            match lists_unverified(raw, &packed.files) {
                Err(error) if error.reason() == Reason::SubjectMismatch => {
                    return Err(self.stale(&error));
                }
                // What is not a model signature, or lists other digests, says nothing here.
                Err(error) if error.reason().class() == Class::NotVerified => {}
                compared => compared?,
            }
        }
        Ok(())
    }
}

impl FreshSignature {
    fn stale(&self, error: &Error) -> Error {
        let message = format!("`{}` is stale: {}", self.file, error.message());
        Error::new(Reason::FilesMismatch, message).hint(
            "sign the directory again (`modelctl sign DIR --force --key …`), or leave the signature \
             out with `--exclude`",
        )
    }
}
