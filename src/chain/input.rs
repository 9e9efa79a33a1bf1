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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::predicate::SLSA_PROVENANCE_V1;
    use serde_json::json;

    const BASE: &str = "registry.example.com/acme/base";

    fn inputs(dependencies: Value) -> Vec<Input> {
        let predicate = json!({ "buildDefinition": { "resolvedDependencies": dependencies } });
        let digest = Digest::of(b"model");
        let statement = Statement::attestation(&digest, "m", SLSA_PROVENANCE_V1, predicate);
        Input::all(&[statement.clone(), statement])
    }

    fn base(hex: &str, reference: &str) -> Input {
        let annotations = json!({ "modelctl_role": "base_model", "modelctl_reference": reference });
        let resource = json!([{ "digest": { "sha256": hex }, "annotations": annotations }]);
        inputs(resource).remove(0)
    }

    #[test]
    fn a_target_has_the_digest_that_was_signed() {
        let (right, other) = (Digest::of(b"base"), Digest::of(b"other"));
        for reference in [format!("{BASE}:v1@{right}"), format!("{BASE}:v1")] {
            let target = base(&right.hex(), &reference).target().ok().unwrap();
            let expected = format!("{BASE}:v1@{right}");
            assert_eq!(target.reference.unwrap().to_string(), expected);
            assert_eq!(target.digest, right);
        }
        for (hex, reference) in [
            (other.hex(), format!("{BASE}@{right}")),
            (right.hex().to_uppercase(), format!("{BASE}@{right}")),
            ("12".to_owned(), format!("{BASE}@{right}")),
            (right.hex(), "base".to_owned()),
            (right.hex(), format!("{BASE}@sha256:12")),
        ] {
            let gap = base(&hex, &reference).target().err().unwrap();
            assert_eq!(gap.reason(), Reason::StatementInvalid, "{hex} {reference}");
        }
    }

    #[test]
    fn what_has_no_digest_of_ours_is_no_artifact() {
        for digest in [json!({}), json!({ "gitCommit": "12" }), json!(null)] {
            let resource = json!([{
                "uri": "https://huggingface.co/a/b",
                "digest": digest,
                "annotations": { "modelctl_role": "teacher" },
            }]);
            let input = inputs(resource).remove(0);
            assert_eq!(input.model(), Some(Role::Teacher));
            let gap = input.target().err().unwrap();
            assert!(matches!(gap, Gap::NoArtifact(_)), "{gap:?}");
        }
    }

    #[test]
    fn another_tools_provenance_is_read_and_not_followed() {
        for dependencies in [json!(null), json!("x"), json!([])] {
            assert_eq!(inputs(dependencies), []);
        }
        let found = inputs(json!([
            1,
            { "uri": "git+https://example.com/x", "digest": { "gitCommit": "12" } },
            { "name": "d", "annotations": { "modelctl_role": "training_data" } },
            { "name": "e", "annotations": { "modelctl_role": "made_up" } },
        ]));
        assert_eq!(found.len(), 4);
        assert!(
            found.iter().all(|input| input.model().is_none()),
            "{found:?}"
        );
    }
}
