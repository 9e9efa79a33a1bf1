//! For which name a signature was made, so that it cannot be moved to another.
//!
//! A digest says nothing about names: who can write to a registry can put an artifact with its
//! signatures under another repository or tag. So `modelctl sign` signs the names, too, as
//! annotations of the statement's subject, as `cosign sign -a` does. An attestation has the
//! repository as its subject's name, as `cosign attest` writes it.

use serde_json::{Map, Value};

use super::subject::Subject;
use crate::error::Reason;
use crate::reference::{Location, Reference};
use crate::statement::{self, Statement};

/// The annotation with the repository for which a signature was made.
pub const REPOSITORY: &str = "dev.modelctl.repository";

/// The annotation with the tag for which a signature was made.
pub const TAG: &str = "dev.modelctl.tag";

/// For which name a signature must have been made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Binding {
    /// For any, or none.
    #[default]
    Any,
    /// For the repository that was asked for.
    Repository(Vec<Remap>),
    /// For the repository that was asked for, and for the tag if one was.
    Tag(Vec<Remap>),
}

/// What is asked for below one name must have been signed below another: a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    /// Where it is asked for: a host, or a host and the beginning of a repository.
    pub asked: String,
    /// For where it must have been signed.
    pub signed: String,
}

/// Returns what a signature on the artifact at `reference` says about its name: nothing for a
/// layout on disk, whose path is nobody else's business.
pub fn name_annotations(reference: &Reference) -> Map<String, Value> {
    let mut annotations = Map::new();
    if let Location::Registry { .. } = reference.location() {
        let repository = reference.location().to_string();
        annotations.insert(REPOSITORY.to_owned(), repository.into());
        if let Some(tag) = reference.tag() {
            annotations.insert(TAG.to_owned(), tag.as_str().into());
        }
    }
    annotations
}

impl Remap {
    /// Returns for where `asked` must have been signed, if this is about it. Only whole components
    /// count: `mirror.corp/acme` says nothing about `mirror.corp/acme-evil`.
    fn apply(&self, asked: &str) -> Option<String> {
        let rest = asked.strip_prefix(&self.asked)?;
        let is_whole = rest.is_empty() || rest.starts_with('/');
        is_whole.then(|| format!("{}{rest}", self.signed))
    }
}

impl Binding {
    /// Says why `statement` was not made for the name of `artifact`, if so.
    pub(super) fn check(
        &self,
        statement: &Statement,
        artifact: &Subject<'_>,
    ) -> Result<(), (Reason, String)> {
        let (remaps, binds_tag) = match self {
            Self::Any => return Ok(()),
            Self::Repository(remaps) => (remaps, false),
            Self::Tag(remaps) => (remaps, true),
        };
        let mismatch = |message: String| Err((Reason::NameMismatch, message));
        let named = |r: &&Reference| matches!(r.location(), Location::Registry { .. });
        let Some(reference) = artifact.reference.filter(named) else {
            let message = "a layout on disk has no name that a signature could be made for";
            return mismatch(message.to_owned());
        };
        let expected = expected(&reference.location().to_string(), remaps);
        let names = Names::of(statement, artifact);
        if !names.repositories.contains(&expected.as_str()) {
            return mismatch(format!(
                "it was made for {}, not for {expected:?}",
                shown("repository", &names.repositories)
            ));
        }
        // An attestation is about the content; which tag it goes by is for the signature to say.
        let is_signature = statement.predicate_type == statement::SIGNATURE;
        match reference.tag() {
            Some(tag) if binds_tag && is_signature && !names.tags.contains(&tag.as_str()) => {
                let tags = shown("tag", &names.tags);
                mismatch(format!(
                    "it was made for {tags}, not for {:?}",
                    tag.as_str()
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Returns for where `asked` must have been signed: the longest name that is remapped decides.
fn expected(asked: &str, remaps: &[Remap]) -> String {
    let applying = remaps.iter().filter(|remap| remap.apply(asked).is_some());
    let longest = applying.max_by_key(|remap| remap.asked.len());
    let remapped = longest.and_then(|remap| remap.apply(asked));
    remapped.unwrap_or_else(|| asked.to_owned())
}

/// The names that a statement was made for.
struct Names<'a> {
    repositories: Vec<&'a str>,
    tags: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Returns what `statement` says of those of its subjects that are `artifact`.
    fn of(statement: &'a Statement, artifact: &Subject<'_>) -> Self {
        let is_signature = statement.predicate_type == statement::SIGNATURE;
        let mut names = Self {
            repositories: Vec::new(),
            tags: Vec::new(),
        };
        for subject in &statement.subject {
            if !subject.is(artifact.digest) {
                continue;
            }
            let annotation = |key| subject.annotations.as_ref()?.get(key)?.as_str();
            names.repositories.extend(annotation(REPOSITORY));
            names.tags.extend(annotation(TAG));
            if !is_signature {
                names.repositories.extend(subject.name.as_deref());
            }
        }
        names
    }
}

fn shown(what: &str, names: &[&str]) -> String {
    match names {
        [] => format!("no {what}"),
        names => format!("the {what} {:.200}", format!("{:?}", names.join(", "))),
    }
}
