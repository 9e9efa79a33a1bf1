//! Which signer and builder reach which level: the operator's word.

use std::collections::BTreeSet;

use serde_json::Value;

use super::assessment::{Assessment, Ground};
use super::level::Level;
use crate::error::{Error, Reason, Result};
use crate::policy::constraint::Glob;
use crate::predicate::{self, PredicateType, SLSA_PROVENANCE_V1};
use crate::provenance::slsa::SELF_RUN;
use crate::statement::Statement;
use crate::trust::SignerIdentity;

/// The word of whoever wrote a policy that provenance by a signer, naming a builder, is worth a
/// level: that the signer signs for no other builder, and that the builder is of that level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    authority: String,
    id: Glob,
    build_types: BTreeSet<String>,
    level: Level,
}

impl Builder {
    /// Returns the word that what `authority` signs for the builder `id` is of `level`.
    ///
    /// More than level 1 for a run that no platform started is an error: nobody but the signer
    /// made that provenance.
    pub fn new(authority: impl Into<String>, id: Glob, level: Level) -> Result<Self> {
        if level > Level::One && id.matches(SELF_RUN) {
            let message =
                format!("`{id}` is a run that no platform started: it is level 1 at most");
            return Err(Error::new(Reason::PolicyInvalid, message)
                .hint("list the `builder.id` of the platform that runs and signs the build"));
        }
        Ok(Self {
            authority: authority.into(),
            id,
            build_types: BTreeSet::new(),
            level,
        })
    }

    /// Limits it to builds of these types.
    #[must_use]
    pub fn of_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.build_types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Returns the name of the authority whose signatures it is about.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the builder, as it is written.
    pub fn id(&self) -> &Glob {
        &self.id
    }

    /// Returns the level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether `other` is about the same pair and one of the same types, so that it could not be
    /// said which of the two is meant.
    pub fn ties_with(&self, other: &Self) -> bool {
        let any = |one: &Self| one.build_types.is_empty();
        let shares = any(self) || any(other) || !self.build_types.is_disjoint(&other.build_types);
        self.authority == other.authority && self.id == other.id && shares
    }

    fn is_about(&self, authority: &str, builder: &str) -> bool {
        self.authority == authority && self.id.matches(builder)
    }

    fn admits_type(&self, build_type: &str) -> bool {
        self.build_types.is_empty() || self.build_types.contains(build_type)
    }
}

/// All such words of a policy. Without any, nothing is of more than level 1.
#[derive(Debug, Clone, Default)]
pub struct Builders(Vec<Builder>);

impl FromIterator<Builder> for Builders {
    fn from_iter<I: IntoIterator<Item = Builder>>(builders: I) -> Self {
        Self(builders.into_iter().collect())
    }
}

impl Builders {
    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the entries.
    pub fn iter(&self) -> impl Iterator<Item = &Builder> {
        self.0.iter()
    }

    /// Returns the names of those whose provenance can be of `level` because of an entry.
    pub fn authorities_reaching(&self, level: Level) -> BTreeSet<&str> {
        let entries = self.0.iter().filter(|entry| entry.level >= level);
        entries.map(Builder::authority).collect()
    }

    /// Returns these and `other`.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Says of which level `statement`, provenance by `signer`, is. Each entry is a word of its own:
    /// of several that are about it, the highest counts, and with none it is level 1.
    pub(crate) fn assess(
        &self,
        statement: &Statement,
        signer: &SignerIdentity,
    ) -> Result<Assessment, (Reason, String)> {
        let (builder, build_type) = named(statement)?;
        let authority = signer.authority();
        let about = || self.0.iter().filter(|one| one.is_about(authority, builder));
        let counts = about().filter(|one| one.admits_type(build_type));
        let (level, ground) = match counts.max_by_key(|one| one.level) {
            Some(entry) => (
                entry.level,
                Ground::Listed {
                    id: entry.id.to_string(),
                    build_types: entry.build_types.iter().cloned().collect(),
                },
            ),
            None if about().next().is_some() => (Level::One, Ground::OtherBuildType),
            None if self.is_empty() => (Level::One, Ground::NoBuilders),
            None => (Level::One, Ground::Unlisted),
        };
        Ok(Assessment {
            level,
            authority: authority.to_owned(),
            builder: builder.to_owned(),
            build_type: build_type.to_owned(),
            ground,
        })
    }
}

/// Returns the builder and the build type that provenance names; what has not the shape of
/// provenance is none, and of no level.
fn named(statement: &Statement) -> Result<(&str, &str), (Reason, String)> {
    let malformed = |error: Error| (Reason::StatementInvalid, error.to_string());
    let predicate_type: PredicateType = SLSA_PROVENANCE_V1.parse().map_err(malformed)?;
    let predicate = &statement.predicate;
    predicate::check(&predicate_type, predicate).map_err(malformed)?;
    let text = |pointer| predicate.pointer(pointer).and_then(Value::as_str);
    match (
        text("/runDetails/builder/id"),
        text("/buildDefinition/buildType"),
    ) {
        (Some(builder), Some(build_type)) => Ok((builder, build_type)),
        _ => {
            let message = "the provenance names no builder and build type";
            Err((Reason::StatementInvalid, message.to_owned()))
        }
    }
}
