//! The config document of a ModelPack artifact
//! ([model-spec, config](https://github.com/modelpack/model-spec/blob/main/docs/config.md)).
//!
//! Its schema allows no field of one's own, so there is none: whatever else is to be said stands in
//! annotations and attestations. Equal content gives equal bytes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::model::summary::Summary;
use crate::{json, limits};

/// What is said about a model as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// What people say about it.
    #[serde(default)]
    pub descriptor: ModelDescriptor,
    /// What its files say about it.
    #[serde(default)]
    pub config: Traits,
    /// The layers.
    pub modelfs: ModelFs,
}

/// What people say about a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelDescriptor {
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Its lineage (`llama3`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "is_none_or_empty")]
    pub name: Option<String>,
    /// Where its documentation is.
    #[serde(rename = "docURL", skip_serializing_if = "Option::is_none")]
    pub doc_url: Option<String>,
    /// Where its source is.
    #[serde(rename = "sourceURL", skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Where the data is that it was trained on.
    #[serde(rename = "datasetsURL", skip_serializing_if = "Vec::is_empty")]
    pub datasets_url: Vec<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The revision of its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who distributes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// SPDX license expressions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// A title for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A description for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The schema wants a name to have at least one character.
fn is_none_or_empty(name: &Option<String>) -> bool {
    name.as_deref().unwrap_or_default().is_empty()
}

/// What a model's files say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Traits {
    /// The architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The format of the weights: Docker Model Runner finds them by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The number of parameters (`8b`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param_size: Option<String>,
    /// The type of the weights (`bf16`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// How the weights were quantised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// What the model can do, as its makers say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
}

/// What a model can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// What it takes: `text`, `image`, `audio`, `video`, `embedding` or `other`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_types: Vec<String>,
    /// What it gives, in the same words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_types: Vec<String>,
    /// Up to when its data reaches, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge_cutoff: Option<String>,
    /// Whether it reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Whether it uses tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_usage: Option<bool>,
    /// Whether it is a reward model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<bool>,
    /// ISO 639 codes of the languages it knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

/// The layers of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What each layer holds when unpacked; for a raw layer its own digest.
    #[serde(alias = "diff_ids")]
    pub diff_ids: Vec<Digest>,
}

impl ModelConfig {
    /// Returns the config of a model whose layers, in order, hold `diff_ids`.
    pub fn new(summary: &Summary, diff_ids: &[Digest], descriptor: ModelDescriptor) -> Self {
        Self {
            descriptor,
            config: Traits {
                architecture: summary.architecture.clone(),
                format: summary.format.clone(),
                param_size: summary.param_size.clone(),
                precision: summary.precision.clone(),
                quantization: summary.quantization.clone(),
                capabilities: None,
            },
            modelfs: ModelFs {
                kind: "layers".to_owned(),
                diff_ids: diff_ids.to_vec(),
            },
        }
    }

    /// Reads a config that any tool wrote; fields that are not known are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > limits::CONFIG {
            let message = format!("the model's config is larger than {} bytes", limits::CONFIG);
            return Err(Error::new(Reason::TooLarge, message));
        }
        json::parse(bytes, "the model's config")
    }

    /// Returns the bytes to be pushed: compact JSON in a fixed order of fields.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(Reason::Internal, "cannot write a model's config").because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"descriptor":{"createdAt":"2025-01-01T00:00:00Z","authors":["a@b.c"],"family":"f","name":"n","docURL":"d","sourceURL":"s","datasetsURL":["u"],"version":"1","revision":"r","vendor":"v","licenses":["MIT"],"title":"t","description":"e"},"config":{"architecture":"a","format":"gguf","paramSize":"8b","precision":"bf16","quantization":"q","capabilities":{"inputTypes":["text"],"outputTypes":["image"],"knowledgeCutoff":"2024-05-21T00:00:00Z","reasoning":true,"toolUsage":false,"reward":false,"languages":["en"]}},"modelfs":{"type":"layers","diffIds":["sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]}}"#;

    #[test]
    fn writes_every_field_of_the_schema_as_it_was_read() {
        let config = ModelConfig::parse(FULL.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(config.to_bytes().unwrap()).unwrap(), FULL);
    }

    #[test]
    fn leaves_out_what_is_not_known() {
        let digest = Digest::of(b"x");
        let descriptor = ModelDescriptor {
            name: Some(String::new()),
            ..ModelDescriptor::default()
        };
        let config = ModelConfig::new(&Summary::default(), &[digest], descriptor);
        let expected = format!(
            r#"{{"descriptor":{{}},"config":{{}},"modelfs":{{"type":"layers","diffIds":["{digest}"]}}}}"#
        );
        assert_eq!(config.to_bytes().unwrap(), expected.as_bytes());
    }

    #[test]
    fn says_what_the_summary_says() {
        let summary = Summary {
            format: Some("safetensors".to_owned()),
            architecture: Some("BertModel".to_owned()),
            parameters: Some(22_713_216),
            param_size: Some("22.7m".to_owned()),
            precision: Some("fp32".to_owned()),
            quantization: None,
            tensors: 104,
        };
        let config = ModelConfig::new(&summary, &[], ModelDescriptor::default());
        assert_eq!(
            serde_json::to_string(&config.config).unwrap(),
            r#"{"architecture":"BertModel","format":"safetensors","paramSize":"22.7m","precision":"fp32"}"#
        );
    }

    #[test]
    fn reads_what_other_tools_write() {
        let digest = Digest::of(b"x");
        for (config, fine) in [
            (
                format!(r#"{{"modelfs":{{"type":"layers","diffIds":["{digest}"]}}}}"#),
                true,
            ),
            (
                format!(r#"{{"modelfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#),
                true,
            ),
            (
                format!(
                    r#"{{"new":1,"config":{{"extra":{{}}}},"modelfs":{{"type":"layers","diffIds":["{digest}"],"x":1}}}}"#
                ),
                true,
            ),
            (
                r#"{"modelfs":{"type":"layers","diffIds":["sha256:0"]}}"#.to_owned(),
                false,
            ),
            (r#"{"modelfs":{"type":"layers"}}"#.to_owned(), false),
            (r#"{"descriptor":{},"config":{}}"#.to_owned(), false),
            (
                format!(r#"{{"modelfs":{{"type":"layers","diffIds":["{digest}"],"diffIds":[]}}}}"#),
                false,
            ),
            (r#"[]"#.to_owned(), false),
        ] {
            match ModelConfig::parse(config.as_bytes()) {
                Ok(read) => {
                    assert!(fine, "{config}");
                    assert_eq!(read.modelfs.diff_ids, [digest]);
                }
                Err(error) => {
                    assert!(!fine, "{config}: {error}");
                    assert_eq!(error.reason(), Reason::JsonInvalid, "{config}");
                }
            }
        }
        let endless = " ".repeat(limits::CONFIG as usize + 1);
        let error = ModelConfig::parse(endless.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), Reason::TooLarge);
    }
}
