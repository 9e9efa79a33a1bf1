//! What a model was made from, as signed provenance names it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::gap::Gap;
use crate::digest::Digest;
use crate::provenance::Role;
use crate::provenance::dependency::{REFERENCE, ROLE};
use crate::reference::Reference;
use crate::statement::Statement;

/// Something that a model was made from: SLSA's `resolvedDependencies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// What it was for, if the provenance says that in words of ours.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "word")]
    pub role: Option<Role>,
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The reference of the artifact that it is, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it hashes to, by algorithm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
}

/// The artifact that an input is.
pub(super) struct Target {
    pub(super) digest: Digest,
    /// Where it is said to be.
    pub(super) reference: Option<Reference>,
}

fn word<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(role.map_or("", Role::word))
}

impl Input {
    /// Returns everything that `provenance` names as taken in, once each. Provenance that another
    /// tool wrote may name no role; such inputs are shown and not followed.
    pub(super) fn all(provenance: &[Statement]) -> Vec<Self> {
        let mut inputs = Vec::new();
        for statement in provenance {
            let named = &statement.predicate["buildDefinition"]["resolvedDependencies"];
            for resource in named.as_array().into_iter().flatten() {
                let input = Self::read(resource);
                if !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
        }
        inputs
    }

    fn read(resource: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let annotations = &resource["annotations"];
        let digest = resource["digest"].as_object().into_iter().flatten();
        Self {
            role: annotations[ROLE].as_str().and_then(Role::of_word),
            name: text(&resource["name"]).unwrap_or_default(),
            uri: text(&resource["uri"]),
            reference: text(&annotations[REFERENCE]),
            digest: digest
                .filter_map(|(algorithm, hex)| Some((algorithm.clone(), text(hex)?)))
                .collect(),
        }
    }

    /// Returns the role of a model, whose own origin is to be looked at.
    pub fn model(&self) -> Option<Role> {
        self.role.filter(|role| role.is_model())
    }

    /// Returns what to call it: where it is, else its name.
    pub fn label(&self) -> String {
        let place = self.reference.as_ref().or(self.uri.as_ref());
        let label = place
            .filter(|place| !place.is_empty())
            .unwrap_or(&self.name);
        match label.is_empty() {
            true => "(without a name)".to_owned(),
            false => label.clone(),
        }
    }

    /// Returns the artifact that this is. Its reference and its digest must not name two.
    pub(super) fn target(&self) -> Result<Target, Gap> {
        let Some(hex) = self.digest.get(Digest::ALGORITHM) else {
            let message = "it is no artifact with a digest, so nothing of it can be verified";
            return Err(Gap::NoArtifact(message.to_owned()));
        };
        let digest: Digest = format!("{}:{hex}", Digest::ALGORITHM)
            .parse()
            .map_err(|_| Gap::Contradiction(format!("its digest {hex:?} is none")))?;
        let Some(text) = &self.reference else {
            let reference = None;
            return Ok(Target { digest, reference });
        };
        let named: Reference = text
            .parse()
            .map_err(|_| Gap::Contradiction(format!("its reference {text:?} cannot be read")))?;
        if named.digest().is_some_and(|other| *other != digest) {
            let message = format!("its digest is {digest}, and its reference names another");
            return Err(Gap::Contradiction(message));
        }
        let (location, tag) = (named.location().clone(), named.tag().cloned());
        Ok(Target {
            digest,
            reference: Some(Reference::new(location, tag, Some(digest))),
        })
    }
}
