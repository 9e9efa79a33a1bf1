//! A link of a chain: an artifact, what is proven about it, and what it was made from.

use serde::{Serialize, Serializer};

use super::gap::Gap;
use super::input::Input;
use crate::digest::Digest;
use crate::policy::{Evidence, Verdict};
use crate::provenance::Role;
use crate::reference::{Location, Reference};
use crate::verify::Verification;

/// An artifact of a chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// What its child took it in as; nothing for the artifact that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub role: Option<Role>,
    /// What its child calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is by what its child says, with its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Its manifest's digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where it was found.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub found_in: Option<Location>,
    /// What the rule for it says.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What is known of how it came to be.
    pub origin: Origin,
    /// What is missing or wrong here; that of the links below is theirs.
    pub gaps: Vec<Gap>,
    /// What it was made from besides models: data, code, images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The models that it was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// What is known of how a model came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Origin {
    /// It was not looked at.
    Unknown,
    /// It stands at another place of the chain.
    Elsewhere,
    /// Somebody who is trusted for it says so.
    Stated {
        /// The provenance that counts, and by whom it is.
        by: Vec<Evidence>,
    },
    /// Somebody whose word is accepted verified it and everything below.
    Vouched {
        /// The verifier, by its own name.
        verifier: String,
        /// The summaries that count, and by whom they are.
        by: Vec<Evidence>,
    },
    /// Nobody who is trusted for it says anything.
    Unstated,
}

fn text<S: Serializer>(
    value: &Option<impl std::fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl Link {
    /// Returns the artifact that was asked for.
    pub(super) fn root(root: &Verification) -> Self {
        let artifact = root.artifact();
        Self {
            role: None,
            name: String::new(),
            reference: Some(artifact.pinned()),
            digest: Some(*artifact.digest()),
            found_in: Some(artifact.reference().location().clone()),
            verdict: Some(root.verdict().clone()),
            origin: Origin::Unknown,
            gaps: Vec::new(),
            inputs: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Returns what was taken in as `role`, of which nothing is known yet.
    pub(super) fn of(input: &Input, role: Role) -> Self {
        Self {
            role: Some(role),
            name: input.label(),
            reference: None,
            digest: None,
            found_in: None,
            verdict: None,
            origin: Origin::Unknown,
            gaps: Vec::new(),
            inputs: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Returns what to call it: its reference with its digest, where it has them.
    pub fn label(&self) -> String {
        match (&self.reference, &self.digest) {
            (Some(reference), _) => reference.to_string(),
            (None, Some(digest)) => format!("{}@{digest}", self.name),
            (None, None) => self.name.clone(),
        }
    }

    /// Whether it holds, whatever is below it.
    pub fn holds(&self) -> bool {
        self.gaps.is_empty()
    }
}
