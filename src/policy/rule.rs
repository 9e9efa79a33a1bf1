//! Rules: what must be attached, by how many of whom, and what it must say.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::conditions::Conditions;
use super::constraint::Constraint;
use crate::error::{Error, Reason, Result};
use crate::oms;
use crate::predicate::SLSA_PROVENANCE_V1;
use crate::slsa::Level;
use crate::statement;
use crate::trust::SignerIdentity;

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
    /// SLSA provenance of at least a level, according to the policy's list of builders.
    Provenance {
        /// The level.
        level: Level,
    },
}

impl Requirement {
    /// Returns the predicate type that meets this, or the first of those that do.
    pub fn predicate_type(&self) -> &str {
        match self {
            Self::Signature | Self::AnySignature => statement::SIGNATURE,
            Self::ModelSignature => oms::PREDICATE,
            Self::Attestation { predicate_type } => predicate_type,
            Self::Provenance { .. } => SLSA_PROVENANCE_V1,
        }
    }

    /// Whether a statement of this predicate type can meet this.
    pub(super) fn accepts(&self, predicate_type: &str) -> bool {
        match self {
            Self::Signature | Self::Attestation { .. } | Self::Provenance { .. } => {
                predicate_type == self.predicate_type()
            }
            Self::ModelSignature => oms::is_model_signature(predicate_type),
            Self::AnySignature => {
                predicate_type == statement::SIGNATURE || oms::is_model_signature(predicate_type)
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("signature"),
            Self::ModelSignature => f.write_str("model signature"),
            Self::AnySignature => f.write_str("signature or model signature"),
            Self::Attestation { predicate_type } => write!(f, "attestation {predicate_type}"),
            Self::Provenance { level } => write!(f, "provenance of {level}"),
        }
    }
}

/// A requirement, who can meet it, how many of them must, and what must hold of what they say.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) requirement: Requirement,
    /// The names of those who can meet it; anyone who is trusted, if nobody is named.
    pub(super) authorities: Option<BTreeSet<String>>,
    /// How many different ones of them must.
    pub(super) threshold: usize,
    pub(super) constraints: Vec<Constraint>,
    pub(super) conditions: Conditions,
}

impl Rule {
    /// Returns the rule that anyone who is trusted meets `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self {
            requirement,
            authorities: None,
            threshold: 1,
            constraints: Vec::new(),
            conditions: Conditions::default(),
        }
    }

    /// Asks for `threshold` different ones of `authorities`; more than there are, or none, is an
    /// error.
    pub fn by(
        mut self,
        authorities: impl IntoIterator<Item = impl Into<String>>,
        threshold: usize,
    ) -> Result<Self> {
        let authorities: BTreeSet<_> = authorities.into_iter().map(Into::into).collect();
        if threshold == 0 || threshold > authorities.len() {
            let message = format!(
                "{threshold} of {} authorities cannot be asked for",
                authorities.len()
            );
            return Err(Error::new(Reason::PolicyInvalid, message)
                .hint("a threshold is at least 1 and at most the number of authorities"));
        }
        self.authorities = Some(authorities);
        self.threshold = threshold;
        Ok(self)
    }

    /// Asks that all of `constraints` hold of the predicate.
    #[must_use]
    pub fn saying(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.constraints.extend(constraints);
        self
    }

    /// Asks that `conditions` hold of each signature.
    #[must_use]
    pub fn provided(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Whether a signature, of whatever kind, is what is required.
    pub(super) fn is_signature(&self) -> bool {
        !matches!(self.requirement, Requirement::Attestation { .. })
    }

    /// Returns what asks the same people, under the same conditions, for an attestation of
    /// `predicate_type`, whatever it says.
    pub(super) fn attesting(&self, predicate_type: &str) -> Self {
        Self {
            requirement: Requirement::Attestation {
                predicate_type: predicate_type.to_owned(),
            },
            constraints: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns what is required.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// Returns the names of those who can meet it, if only some can.
    pub fn authorities(&self) -> Option<&BTreeSet<String>> {
        self.authorities.as_ref()
    }

    /// Returns how many of them must.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Returns what must hold of the predicate.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Returns what must hold of each signature.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Says why `signer` is not asked, if so.
    pub(super) fn asks(&self, signer: &SignerIdentity) -> Result<(), (Reason, String)> {
        let name = signer.authority();
        match &self.authorities {
            Some(asked) if !asked.contains(name) => {
                let message = format!("it is signed by {name:?}, who is not asked for this");
                Err((Reason::UntrustedSigner, message))
            }
            _ => Ok(()),
        }
    }
}
