//! Packing: from a model directory to the artifact that it becomes.
//!
//! The artifact follows from the files alone: their paths and their bytes, not the machine, the
//! directory's name or the times of files. So whoever has the same files gets the same digest, and
//! a release can be reproduced and compared.
//!
//! A [`Plan`] reads the headers of weight files before a byte is sent, so that a model that loaders
//! would choke on is refused at once and not after hours.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::blob::blocking;
use crate::digest::Digest;
use crate::digest_cache::{DigestCache, Key};
use crate::error::{Error, Reason, Result};
use crate::hashing::Hashers;
use crate::limits;
use crate::manifest::{Annotations, Descriptor, Document, Manifest, annotation};
use crate::model::safetensors::{self, ShardIndex};
use crate::model::{
    Kind, ModelConfig, ModelDescriptor, ModelFile, Summary, SummaryBuilder, gguf, layer_descriptor,
    media_type,
};
use crate::path::SafePath;
use crate::progress::Progress;
use crate::sink::Original;
use crate::store::RawDocument;
use crate::walk::{Selection, SourceFile, walk};

/// What the end of a shard index's name is.
const SHARD_INDEX: &str = ".safetensors.index.json";

/// What goes into an artifact beside the files.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// Which files to pack.
    pub selection: Selection,
    /// The manifest's annotations.
    pub annotations: Annotations,
    /// When the model was made, if that is to be said (`SOURCE_DATE_EPOCH`); the present time would
    /// make every artifact another.
    pub created: Option<Timestamp>,
}

/// A model directory that can be packed, not hashed yet.
#[derive(Debug)]
pub struct Plan {
    files: Vec<SourceFile>,
    summary: Summary,
}

/// A model as an artifact.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The manifest.
    pub document: RawDocument,
    /// The config's descriptor.
    pub config: Descriptor,
    /// The config.
    pub config_bytes: Bytes,
    /// The files, in the order of the layers.
    pub files: Vec<ModelFile>,
}

/// Packs the model in `directory` without storing it anywhere: its digest is what a push would
/// make.
pub async fn pack(
    directory: &Path,
    options: &PackOptions,
    progress: Arc<dyn Progress>,
) -> Result<Packed> {
    let plan = Plan::read(directory, options).await?;
    let hashers = Hashers::default();
    let digests: Vec<_> = futures_util::stream::iter(plan.files())
        .map(async |file| hash(file, open(file).await?.original, &hashers, &*progress).await)
        .buffered(hashers.count())
        .try_collect()
        .await?;
    plan.assemble(&digests, options)
}

/// What files hashed to before.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Digests by file.
    pub cache: Arc<DigestCache>,
    /// The clock, by which a file that has just been changed is not remembered.
    pub clock: fn() -> Timestamp,
}

/// A file of a model, opened to be read once.
pub(crate) struct Opened {
    pub(crate) original: Original,
    pub(crate) key: Key,
}

impl Opened {
    /// Opens `file`, which must be what was found in the directory.
    fn new(file: &SourceFile) -> Result<Self> {
        let place = file.place();
        let opened = file.open()?;
        let metadata = opened.metadata();
        let metadata = metadata.map_err(|error| Error::io("look at", &place, error))?;
        Ok(Self {
            key: Key::of(&metadata),
            original: Original {
                file: opened,
                stamp: *file.stamp(),
                place,
            },
        })
    }
}

/// Opens a file, which must be what was found in the directory.
pub(crate) async fn open(file: &SourceFile) -> Result<Opened> {
    let file = file.clone();
    blocking(move || Opened::new(&file)).await
}

/// Returns the digest of one file.
pub(crate) async fn hash(
    file: &SourceFile,
    original: Original,
    hashers: &Hashers,
    progress: &dyn Progress,
) -> Result<Digest> {
    let meter = progress.begin("hash", file.path().as_str(), file.size());
    let Original { file, stamp, place } = original;
    hashers.hash(file, stamp, place, meter).await
}

/// Returns the digests of all `files` if `memory` has every one of them, and reads none.
pub(crate) async fn recall(files: &[SourceFile], memory: &Memory) -> Result<Option<Vec<Digest>>> {
    let (files, cache) = (files.to_owned(), Arc::clone(&memory.cache));
    blocking(move || {
        let remembered = files
            .iter()
            .map(|file| Ok(cache.lookup(&Opened::new(file)?.key)));
        remembered.collect()
    })
    .await
}

impl Plan {
    /// Walks `directory` and reads the headers of its weights.
    pub async fn read(directory: &Path, options: &PackOptions) -> Result<Self> {
        let directory = directory.to_owned();
        let options = options.clone();
        blocking(move || {
            let mut files = walk(&directory, &options.selection)?;
            files.sort_by_cached_key(|file| (Kind::of(file.path()), file.path().clone()));
            let summary = summarise(&files)?;
            let plan = Self { files, summary };
            plan.check_size(&options)?;
            Ok(plan)
        })
        .await
    }

    /// Returns the files, in the order of the layers.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Returns what the files tell about the model.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns the artifact, given the digest of each file in the plan's order.
    pub fn assemble(&self, digests: &[Digest], options: &PackOptions) -> Result<Packed> {
        let layers: Vec<_> = std::iter::zip(&self.files, digests)
            .map(|(file, digest)| layer(file, *digest))
            .collect();
        if layers.len() != self.files.len() {
            return Err(Error::new(Reason::Internal, "a file was not hashed"));
        }
        let annotations = annotations(options);
        let config = ModelConfig::new(&self.summary, digests, descriptor(&annotations));
        let config_bytes = Bytes::from(config.to_bytes()?);
        let config = Descriptor::of(media_type::CONFIG, &config_bytes);
        let mut manifest = Manifest::new(media_type::ARTIFACT, config.clone(), layers);
        manifest.annotations = annotations;
        Ok(Packed {
            // Read back as a puller would, so that what cannot be pulled is not pushed.
            files: crate::model::files(&manifest)?,
            document: RawDocument::of(Document::Manifest(manifest))?,
            config,
            config_bytes,
        })
    }

    /// Refuses, before anything is hashed or sent, a model whose manifest no registry would take:
    /// its size does not depend on the digests.
    fn check_size(&self, options: &PackOptions) -> Result<()> {
        let digests = vec![Digest::from_bytes([0; 32]); self.files.len()];
        match self.assemble(&digests, options) {
            Err(error) if error.reason() == Reason::TooLarge => {
                let count = self.files.len();
                let message = format!("the model has too many files for one manifest: {count}");
                Err(Error::new(Reason::ModelUnsuitable, message)
                    .because(error)
                    .hint("leave files out, or pack small ones into an archive"))
            }
            packed => packed.map(drop),
        }
    }
}

fn layer(file: &SourceFile, digest: Digest) -> Descriptor {
    layer_descriptor(file.path(), Kind::of(file.path()), digest, file.size())
}

/// Returns what is said about the artifact: what the user says, and when it was made if that was
/// said.
fn annotations(options: &PackOptions) -> Annotations {
    let mut annotations = Annotations::new();
    if let Some(created) = options.created {
        let created = created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        annotations.insert(annotation::CREATED.to_owned(), created);
    }
    annotations.extend(options.annotations.clone());
    annotations
}

/// Returns what the annotations say in the words of the config, for tools that look only there
/// ([image-spec, annotations](https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md)).
fn descriptor(annotations: &Annotations) -> ModelDescriptor {
    let said = |name: &str| {
        let key = format!("org.opencontainers.image.{name}");
        annotations.get(&key).cloned()
    };
    ModelDescriptor {
        created_at: said("created"),
        authors: said("authors").into_iter().collect(),
        doc_url: said("documentation"),
        source_url: said("source"),
        version: said("version"),
        revision: said("revision"),
        vendor: said("vendor"),
        licenses: said("licenses").into_iter().collect(),
        title: said("title"),
        description: said("description"),
        ..ModelDescriptor::default()
    }
}

/// Tells what the model is from the headers of its weights and its `config.json`, and refuses
/// weights that no loader could read.
fn summarise(files: &[SourceFile]) -> Result<Summary> {
    let mut summary = SummaryBuilder::default();
    let paths: BTreeSet<_> = files.iter().map(SourceFile::path).collect();
    for file in files {
        let path = file.path();
        let read = match path.extension().as_deref() {
            Some("safetensors") => read_safetensors(file, &mut summary),
            Some("gguf") => read_gguf(file, &mut summary),
            _ if path.as_str() == "config.json" => read_config(file, &mut summary),
            _ if path.as_str().ends_with(SHARD_INDEX) => check_shards(file, &paths),
            _ => Ok(()),
        };
        read.map_err(|error| error.at(format_args!("`{path}`")))?;
    }
    Ok(summary.finish())
}

fn read_safetensors(file: &SourceFile, summary: &mut SummaryBuilder) -> Result<()> {
    let header = safetensors::Header::read(&mut file.open()?, file.size())?;
    summary.add_safetensors(&header);
    Ok(())
}

fn read_gguf(file: &SourceFile, summary: &mut SummaryBuilder) -> Result<()> {
    let header = gguf::Header::read(&mut file.open()?, file.size())?;
    summary.add_gguf(&header);
    Ok(())
}

fn read_config(file: &SourceFile, summary: &mut SummaryBuilder) -> Result<()> {
    // A larger one is no config of transformers; it is packed like any other file.
    if file.size() <= limits::CONFIG {
        summary.add_config(&read_small(file)?);
    }
    Ok(())
}

/// Refuses a model that lacks a shard which its own index lists.
fn check_shards(file: &SourceFile, paths: &BTreeSet<&SafePath>) -> Result<()> {
    if file.size() > limits::SHARD_INDEX {
        return Err(Error::new(
            Reason::TooLarge,
            "the index of shards is too large",
        ));
    }
    let index = ShardIndex::parse(&read_small(file)?)?;
    let directory = match file.path().as_str().rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/"),
        None => String::new(),
    };
    for shard in index.shards() {
        let path: SafePath = format!("{directory}{shard}").parse()?;
        if !paths.contains(&path) {
            let message = format!("it lists the shard `{path}`, which is not in the model");
            return Err(Error::new(Reason::ModelUnsuitable, message)
                .hint("add the shard, or leave the index out with `--exclude`"));
        }
    }
    Ok(())
}

/// Reads a whole file, whose size was looked at and cannot change.
fn read_small(file: &SourceFile) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.open()?.take(file.size()).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("read", file.place(), error))?;
    Ok(bytes)
}
