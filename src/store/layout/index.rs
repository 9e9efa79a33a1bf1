//! A layout's `index.json`: which manifests there are, and what the tags name.
//!
//! Other tools write into the same file, so it is edited, never made anew: what this crate does
//! not know stays where it is
//! ([image-spec, image layout, "index.json file"](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#indexjson-file)).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::{Descriptor, annotation, media_type};
use crate::reference::{Location, Reference, Tag};
use crate::{json, limits};

/// The entries of `index.json`, beside everything else that stands in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayoutIndex {
    /// The whole document; its `manifests` are stale, `entries` has them.
    rest: Map<String, Value>,
    entries: Vec<Entry>,
}

impl LayoutIndex {
    /// Returns the index of a layout that holds nothing yet.
    pub(super) fn empty() -> Self {
        let mut rest = Map::new();
        rest.insert("schemaVersion".to_owned(), 2.into());
        rest.insert("mediaType".to_owned(), media_type::INDEX.into());
        rest.insert("manifests".to_owned(), Value::Array(Vec::new()));
        let entries = Vec::new();
        Self { rest, entries }
    }

    /// Reads `bytes` strictly; `mediaType` may be absent, as skopeo and others leave it out.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::new(Reason::LayoutInvalid, format!("`index.json` {why}"));
        let rest: Map<String, Value> = json::parse(bytes, "`index.json`")
            .map_err(|error| wrong("cannot be read").because(error))?;
        if rest.get("schemaVersion") != Some(&2.into()) {
            return Err(wrong("does not have `schemaVersion` 2"));
        }
        if rest
            .get("mediaType")
            .is_some_and(|own| own != media_type::INDEX)
        {
            return Err(wrong("is not an image index"));
        }
        if ["config", "layers", "fsLayers"]
            .iter()
            .any(|key| rest.contains_key(*key))
        {
            return Err(wrong("has the fields of a manifest"));
        }
        let Some(Value::Array(manifests)) = rest.get("manifests") else {
            return Err(wrong("has no list of `manifests`"));
        };
        let entries = manifests
            .iter()
            .map(|raw| Entry::parse(raw.clone()))
            .collect::<Result<_, _>>()
            .map_err(|error| wrong("has a malformed entry").because(error))?;
        Ok(Self { rest, entries })
    }

    /// Returns the bytes to be written, refusing to grow beyond what can be read again.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut document = self.rest.clone();
        let manifests = self
            .entries
            .iter()
            .map(|entry| Value::Object(entry.raw.clone()));
        document.insert("manifests".to_owned(), manifests.collect());
        let bytes = serde_json::to_vec(&document).map_err(|error| {
            Error::new(Reason::Internal, "cannot write `index.json`").because(error)
        })?;
        if bytes.len() as u64 > limits::MANIFEST {
            let message = format!("`index.json` would exceed {} bytes", limits::MANIFEST);
            return Err(Error::new(Reason::TooLarge, message)
                .hint("the layout holds too many manifests; use another one"));
        }
        Ok(bytes)
    }

    /// Returns the manifests, in the order in which they are listed.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.entries.iter().map(|entry| &entry.descriptor)
    }

    /// Returns the entry for `digest`.
    pub(super) fn find(&self, digest: &Digest) -> Option<&Descriptor> {
        self.manifests().find(|manifest| manifest.digest == *digest)
    }

    /// Returns what `tag` names: the entry of exactly that name, else the one whose name is a full
    /// reference (`registry.example.com/acme/bert:v1`, as crane writes it) with that tag.
    ///
    /// Entries that repeat each other are one (crane appends on every pull); entries that
    /// contradict each other are an error, as no choice between them would be right.
    pub(super) fn resolve(&self, tag: &Tag) -> Result<Option<&Descriptor>> {
        let mut named: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.holds(tag))
            .collect();
        if named.is_empty() {
            let same = |entry: &&Entry| entry.tag().as_ref() == Some(tag);
            named = self.entries.iter().filter(same).collect();
        }
        let Some((first, others)) = named.split_first() else {
            return Ok(None);
        };
        let first = &first.descriptor;
        match others
            .iter()
            .find(|other| !other.descriptor.same_content(first))
        {
            None => Ok(Some(first)),
            Some(other) => {
                let other = other.descriptor.digest;
                let message = format!("the tag `{tag}` names both {} and {other}", first.digest);
                Err(Error::new(Reason::LayoutInvalid, message)
                    .hint("name one of the two by its digest, or tag it again"))
            }
        }
    }

    /// Returns every tag that [`resolve`](Self::resolve) knows, sorted.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let tags: BTreeSet<Tag> = self.entries.iter().filter_map(Entry::tag).collect();
        tags.into_iter().collect()
    }

    /// Lists `manifest` without a tag, unless it is listed already.
    pub(super) fn list(&mut self, manifest: &Descriptor) -> Result<()> {
        if !self.manifests().any(|listed| listed.same_content(manifest)) {
            self.entries.push(Entry::untagged(manifest)?);
        }
        Ok(())
    }

    /// Lists `manifest` under `tag`. What had the tag before stays listed without it, so that
    /// nothing is lost.
    pub(super) fn tag(&mut self, manifest: &Descriptor, tag: &Tag) -> Result<()> {
        let mut held = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.holds(tag)) {
            if entry.descriptor.same_content(manifest) {
                held = true;
            } else {
                entry.rename(None);
            }
        }
        if held {
            return Ok(());
        }
        let free =
            |entry: &&mut Entry| entry.name().is_none() && entry.descriptor.same_content(manifest);
        if let Some(entry) = self.entries.iter_mut().find(free) {
            entry.rename(Some(tag));
            return Ok(());
        }
        let mut entry = Entry::untagged(manifest)?;
        entry.rename(Some(tag));
        self.entries.push(entry);
        Ok(())
    }
}

/// One entry: as it is written, and what it says.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    raw: Map<String, Value>,
    descriptor: Descriptor,
}

impl Entry {
    fn parse(raw: Value) -> Result<Self, serde_json::Error> {
        let descriptor = Descriptor::deserialize(&raw)?;
        let raw = Map::deserialize(raw)?;
        Ok(Self { raw, descriptor })
    }

    /// Returns an entry for `manifest`. A manifest's own annotations stand in its entry, and one
    /// of them may claim to be a tag: that one is dropped, or attaching a signature could retag.
    fn untagged(manifest: &Descriptor) -> Result<Self> {
        let mut entry = serde_json::to_value(manifest)
            .and_then(Self::parse)
            .map_err(|error| {
                Error::new(Reason::Internal, "cannot write an entry of `index.json`").because(error)
            })?;
        entry.rename(None);
        Ok(entry)
    }

    fn name(&self) -> Option<&str> {
        self.descriptor
            .annotations
            .get(annotation::REF_NAME)
            .map(String::as_str)
    }

    /// Whether this is named exactly `tag`.
    fn holds(&self, tag: &Tag) -> bool {
        self.name() == Some(tag.as_str())
    }

    /// Returns the tag in the name, which may be a full reference; other names are no tags.
    fn tag(&self) -> Option<Tag> {
        let name = self.name()?;
        if let Ok(tag) = name.parse() {
            return Some(tag);
        }
        let reference: Reference = name.parse().ok()?;
        match reference.location() {
            Location::Registry { .. } => reference.tag().cloned(),
            Location::Layout(_) => None,
        }
    }

    /// Changes the name and nothing else.
    fn rename(&mut self, tag: Option<&Tag>) {
        let annotations = &mut self.descriptor.annotations;
        match tag {
            Some(tag) => annotations.insert(annotation::REF_NAME.to_owned(), tag.to_string()),
            None => annotations.remove(annotation::REF_NAME),
        };
        if annotations.is_empty() {
            self.raw.shift_remove("annotations");
            return;
        }
        let written = self
            .raw
            .entry("annotations")
            .or_insert_with(|| Map::new().into());
        if let Value::Object(written) = written {
            match tag {
                Some(tag) => written.insert(annotation::REF_NAME.to_owned(), tag.as_str().into()),
                None => written.shift_remove(annotation::REF_NAME),
            };
        }
    }
}
