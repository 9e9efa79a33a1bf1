//! Bills of materials of models: what a model consists of and came from, in the formats that
//! inventories read. Generated from the artifact, its config and the run file; whoever has a better
//! one attaches that instead.

mod cyclonedx;
mod spdx;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::model::{ModelConfig, ModelFile};
use crate::predicate::{self, PredicateType};
use crate::provenance::claim::Claim;
use crate::provenance::dependency::Dependency;
use crate::provenance::run::Run;

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// [CycloneDX 1.6](https://cyclonedx.org/docs/1.6/json/), with a model card.
    CycloneDx,
    /// [SPDX 3.0.1](https://spdx.github.io/spdx-spec/v3.0.1/), with its AI and dataset profiles.
    Spdx,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cyclonedx" => Ok(Self::CycloneDx),
            "spdx" => Ok(Self::Spdx),
            _ => Err(
                Error::new(Reason::Usage, format!("{text:?} is no format of an ML-BOM"))
                    .hint("name cyclonedx or spdx"),
            ),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        })
    }
}

/// A model as it is described.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// What it is called if nobody says so: the repository's last component.
    pub name: &'a str,
    /// Its manifest's digest.
    pub digest: &'a Digest,
    /// Its files.
    pub files: &'a [ModelFile],
    /// What its headers and makers say, if the artifact has a config.
    pub config: Option<&'a ModelConfig>,
    /// The run that made it.
    pub run: &'a Run,
    /// What that run took in.
    pub dependencies: &'a [Dependency],
    /// When the bill is written, where the run does not say when it ended.
    pub now: Timestamp,
}

impl Described<'_> {
    fn name(&self) -> &str {
        self.run.model.name.as_deref().unwrap_or(self.name)
    }

    fn version(&self) -> Option<&str> {
        let said = self
            .config
            .and_then(|config| config.descriptor.version.as_deref());
        self.run.model.version.as_deref().or(said)
    }

    fn description(&self) -> Option<&str> {
        let said = self
            .config
            .and_then(|c| c.descriptor.description.as_deref());
        self.run.model.description.as_deref().or(said)
    }

    fn license(&self) -> Option<&str> {
        let said = self.config.and_then(|c| c.descriptor.licenses.first());
        let said = said.map(String::as_str);
        self.run.model.license.as_deref().or(said)
    }

    fn architecture(&self) -> Option<&str> {
        self.config?.config.architecture.as_deref()
    }

    /// Returns what the headers tell, by name.
    fn traits(&self) -> Vec<(&'static str, &str)> {
        let Some(config) = self.config else {
            return Vec::new();
        };
        let traits = &config.config;
        let found = [
            ("format", &traits.format),
            ("paramSize", &traits.param_size),
            ("precision", &traits.precision),
            ("quantization", &traits.quantization),
        ];
        let known = found.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }

    /// Returns when the bill holds: when the run ended, so that the same run gives the same bill.
    fn time(&self) -> Timestamp {
        self.run.finished.unwrap_or(self.now)
    }

    /// Returns every figure, as `test/metric`.
    fn metrics(&self) -> impl Iterator<Item = (String, &str, f64)> {
        self.run.evaluations.iter().flat_map(|evaluation| {
            let metrics = evaluation.metrics.iter();
            metrics.map(|(name, figure)| {
                let full = format!("{}/{name}", evaluation.name);
                (full, evaluation.name.as_str(), *figure)
            })
        })
    }
}

/// Returns a model's bill of materials, to be attached to it.
pub fn claim(format: Format, model: Described<'_>) -> Result<Claim> {
    let predicate = match format {
        Format::CycloneDx => cyclonedx::document(model),
        Format::Spdx => spdx::document(model),
    };
    let predicate_type: PredicateType = match format {
        Format::CycloneDx => "cyclonedx".parse()?,
        Format::Spdx => "spdxjson".parse()?,
    };
    predicate::check(&predicate_type, &predicate)?;
    Ok(Claim {
        predicate_type: predicate_type.into(),
        predicate,
        files: Vec::new(),
    })
}
