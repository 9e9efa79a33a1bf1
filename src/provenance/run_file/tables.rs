//! The tables of a run file, field by field as `docs/run.schema.json` has them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::path::SafePath;
use crate::predicate::is_absolute_uri;
use crate::provenance::run::{Approach, BaseRole, DataRole, GitCommit, Kind, Outcome, malformed};
use crate::reference::Reference;

/// A value that is read from a string as the rest of the crate reads it.
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// An absolute URI.
pub(super) struct Uri(pub(super) String);

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match is_absolute_uri(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(malformed(format!(
                "{text:?} is no URI such as `https://example.com/x`"
            ))),
        }
    }
}

/// A time with its offset, as TOML writes it or in a string.
pub(super) struct Moment(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::Datetime(time) => time.to_string(),
            toml::Value::String(text) => text,
            _ => String::new(),
        };
        text.parse().map(Self).map_err(|_| {
            D::Error::custom("this is no time with its offset, such as 2026-01-31T12:00:00Z")
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) schema: Spanned<u32>,
    pub(super) run: Option<RunTable>,
    pub(super) model: Option<ModelTable>,
    pub(super) code: Option<CodeTable>,
    #[serde(default)]
    pub(super) data: Vec<Spanned<DataTable>>,
    #[serde(default)]
    pub(super) base: Vec<Spanned<BaseTable>>,
    pub(super) environment: Option<EnvironmentTable>,
    pub(super) parameters: Option<Spanned<toml::Table>>,
    #[serde(default)]
    pub(super) output: Vec<OutputTable>,
    #[serde(default)]
    pub(super) evaluation: Vec<Spanned<EvaluationTable>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RunTable {
    #[serde(rename = "type")]
    pub(super) kind: Option<Parsed<Kind>>,
    pub(super) builder: Option<Parsed<Uri>>,
    pub(super) pipeline: Option<String>,
    pub(super) workflow: Option<String>,
    pub(super) started: Option<Moment>,
    pub(super) finished: Option<Moment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) license: Option<String>,
    pub(super) description: Option<String>,
    pub(super) task: Option<String>,
    pub(super) approach: Option<Parsed<Approach>>,
    #[serde(default)]
    pub(super) limitations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeTable {
    pub(super) repository: Option<Parsed<Uri>>,
    pub(super) commit: Option<Parsed<GitCommit>>,
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) entry: Option<String>,
    pub(super) dirty: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataTable {
    pub(super) name: Option<String>,
    pub(super) role: Option<Parsed<DataRole>>,
    pub(super) path: Option<String>,
    pub(super) uri: Option<Parsed<Uri>>,
    pub(super) digest: Option<Parsed<Digest>>,
    pub(super) revision: Option<Parsed<GitCommit>>,
    pub(super) digest_file: Option<String>,
    pub(super) license: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaseTable {
    pub(super) role: Option<Parsed<BaseRole>>,
    pub(super) reference: Option<Parsed<Reference>>,
    pub(super) key: Option<String>,
    pub(super) identity: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) trusted_root: Option<String>,
    pub(super) uri: Option<Parsed<Uri>>,
    pub(super) digest: Option<Parsed<Digest>>,
    pub(super) revision: Option<Parsed<GitCommit>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentTable {
    pub(super) image: Option<Parsed<Reference>>,
    pub(super) lock: Option<String>,
    pub(super) python: Option<String>,
    #[serde(default)]
    pub(super) frameworks: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) accelerator: Vec<AcceleratorTable>,
    pub(super) host: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceleratorTable {
    pub(super) name: String,
    pub(super) count: Option<u32>,
    pub(super) driver: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputTable {
    pub(super) path: Parsed<SafePath>,
    pub(super) digest: Option<Parsed<Digest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluationTable {
    pub(super) name: String,
    pub(super) result: Option<Parsed<Outcome>>,
    pub(super) dataset: Option<String>,
    pub(super) suite: Option<Parsed<Uri>>,
    pub(super) report: Option<Parsed<Uri>>,
    #[serde(default)]
    pub(super) metrics: BTreeMap<String, f64>,
    #[serde(default)]
    pub(super) thresholds: BTreeMap<String, ThresholdTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdTable {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}
