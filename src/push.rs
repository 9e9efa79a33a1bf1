//! Pushing: storing a model directory as an artifact.
//!
//! Files are hashed and sent side by side, each from its own pieces, so memory does not grow with
//! the model. What the store has already is not sent again. The manifest comes last and without a
//! tag: whoever finds the tag later shall find the signatures too, so the caller signs first and
//! then calls [`Store::put_manifest`] with the tag, unless it is there already.

use std::collections::HashSet;
use std::fs::File;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};

use crate::blob::{Blob, Content, InMemory, blocking, stream_file};
use crate::digest::Digest;
use crate::digest_cache::Key;
use crate::error::{Class, Error, Reason, Result};
use crate::hashing::Hashers;
use crate::manifest::Descriptor;
use crate::model::ModelFile;
use crate::pack::{Memory, Opened, PackOptions, Packed, Plan, hash, open, recall};
use crate::progress::{Progress, Silent};
use crate::reference::{Selector, Tag};
use crate::sink::Original;
use crate::store::{Put, RawDocument, Store};
use crate::walk::SourceFile;

/// How to push.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// What to make of the directory.
    pub pack: PackOptions,
    /// Files on their way at once.
    pub concurrency: usize,
    /// What files hashed to before, so that those are not read again.
    pub memory: Option<Memory>,
    /// The tag that the manifest is going to have: where it names this very manifest already, and
    /// no file has changed, nothing else is asked of the store.
    pub tag: Option<Tag>,
    /// What decides whether the model may be stored. With a gate, every file is hashed before the
    /// first is sent.
    pub gate: Option<Arc<dyn Gate>>,
}

/// What decides, when the files of a model are known by their digests, whether it may be stored.
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Refuses a model that may not be stored.
    fn admit(&self, packed: &Packed) -> Result<()>;
}

/// What a push came to.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The manifest, which is stored.
    pub document: RawDocument,
    /// Whether the tag that was asked for names it already; else that is left to the caller.
    pub is_tagged: bool,
    /// The files, in the order of the layers.
    pub files: Vec<ModelFile>,
    /// The bytes of files that were sent.
    pub uploaded_bytes: u64,
    /// The bytes of files that were there already.
    pub reused_bytes: u64,
    /// The bytes of all files.
    pub total_bytes: u64,
}

/// Stores the model that `plan` found, whose manifest gets no tag here.
///
/// The plan comes first so that a directory that cannot be packed is refused before a store is
/// even opened.
pub async fn push(
    store: &dyn Store,
    plan: &Plan,
    options: &PushOptions,
    progress: Arc<dyn Progress>,
) -> Result<Pushed> {
    if let Some(packed) = remembered(plan, options).await?
        && let Some(is_tagged) = is_there(store, &packed, options.tag.as_ref()).await?
    {
        return Ok(Pushed {
            is_tagged,
            ..Pushed::of(packed, 0)
        });
    }
    let upload = Upload {
        store,
        progress: &*progress,
        memory: options.memory.as_ref(),
        hashers: Hashers::default(),
        begun: Mutex::default(),
    };
    let known = upload.admitted(plan, options).await?;
    let mut sent: Vec<(usize, Sent)> = futures_util::stream::iter(plan.files().iter().enumerate())
        .map(async |(index, file)| {
            let sent = match known.get(index) {
                Some(digest) => upload.hashed(file, *digest).await?,
                None => upload.file(file).await?,
            };
            Ok::<_, Error>((index, sent))
        })
        .buffer_unordered(options.concurrency.max(1))
        .try_collect()
        .await?;
    sent.sort_unstable_by_key(|(index, _)| *index);
    let digests: Vec<_> = sent.iter().map(|(_, sent)| sent.digest).collect();
    let packed = plan.assemble(&digests, &options.pack)?;
    upload.config(&packed).await?;
    store.put_manifest(&packed.document, None).await?;

    Ok(Pushed::of(
        packed,
        sent.iter().map(|(_, sent)| sent.uploaded_bytes).sum(),
    ))
}

/// Returns the artifact, if every file is remembered.
async fn remembered(plan: &Plan, options: &PushOptions) -> Result<Option<Packed>> {
    let Some(memory) = &options.memory else {
        return Ok(None);
    };
    let Some(digests) = recall(plan.files(), memory).await? else {
        return Ok(None);
    };
    let packed = plan.assemble(&digests, &options.pack)?;
    if let Some(gate) = &options.gate {
        gate.admit(&packed)?;
    }
    Ok(Some(packed))
}

/// Returns, if the store has the artifact's manifest and so all of it, whether `tag` names it.
async fn is_there(store: &dyn Store, packed: &Packed, tag: Option<&Tag>) -> Result<Option<bool>> {
    let digest = *packed.document.digest();
    let by_tag = tag.map(|tag| (Selector::Tag(tag.clone()), true));
    let selectors = by_tag
        .into_iter()
        .chain([(Selector::Digest(digest), false)]);
    for (selector, is_tagged) in selectors {
        match store.manifest(&selector).await {
            Ok(found) if *found.digest() == digest => return Ok(Some(is_tagged)),
            Ok(_) => {}
            // What a tag named until now may be anything; it is about to be replaced.
            Err(error) if error.reason().class() == Class::NotFound => {}
            Err(error) if is_tagged && error.reason().class() == Class::Content => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Pushed {
    fn of(packed: Packed, uploaded_bytes: u64) -> Self {
        let total_bytes = packed.files.iter().map(|file| file.descriptor.size).sum();
        Self {
            document: packed.document,
            is_tagged: false,
            files: packed.files,
            uploaded_bytes,
            reused_bytes: total_bytes - uploaded_bytes,
            total_bytes,
        }
    }
}

/// A file whose content is in the store.
#[derive(Debug)]
struct Sent {
    digest: Digest,
    uploaded_bytes: u64,
}

/// What the uploads of one push share.
struct Upload<'a> {
    store: &'a dyn Store,
    progress: &'a dyn Progress,
    memory: Option<&'a Memory>,
    hashers: Hashers,
    /// Content that is being sent or was, so that equal files are sent once.
    begun: Mutex<HashSet<Digest>>,
}

impl Upload<'_> {
    /// Sends a file if the store does not have it.
    async fn file(&self, file: &SourceFile) -> Result<Sent> {
        let Opened { original, key } = open(file).await?;
        if let Some(digest) = self.memory.and_then(|memory| memory.cache.lookup(&key)) {
            return self.hashed(file, digest).await;
        }
        match self.offer(file, original).await? {
            Put::Stored(digest) => {
                self.remember(key, digest);
                Ok(Sent {
                    digest,
                    uploaded_bytes: file.size(),
                })
            }
            Put::HashFirst(original) => {
                let digest = hash(file, original, &self.hashers, self.progress).await?;
                self.remember(key, digest);
                self.hashed(file, digest).await
            }
        }
    }

    /// Returns the digests of all files if there is a gate, which admits them; without one nothing
    /// is hashed before it is sent.
    async fn admitted(&self, plan: &Plan, options: &PushOptions) -> Result<Vec<Digest>> {
        let Some(gate) = &options.gate else {
            return Ok(Vec::new());
        };
        let digests: Vec<_> = futures_util::stream::iter(plan.files())
            .map(|file| self.digest(file))
            .buffered(self.hashers.count())
            .try_collect()
            .await?;
        gate.admit(&plan.assemble(&digests, &options.pack)?)?;
        Ok(digests)
    }

    /// Returns a file's digest: what is remembered of it, or what it hashes to.
    async fn digest(&self, file: &SourceFile) -> Result<Digest> {
        let Opened { original, key } = open(file).await?;
        if let Some(digest) = self.memory.and_then(|memory| memory.cache.lookup(&key)) {
            return Ok(digest);
        }
        let digest = hash(file, original, &self.hashers, self.progress).await?;
        self.remember(key, digest);
        Ok(digest)
    }

    fn remember(&self, key: Key, digest: Digest) {
        if let Some(memory) = self.memory {
            memory.cache.record(key, digest, (memory.clock)());
        }
    }

    /// Lets the store read the file if it can tell what it is by itself.
    async fn offer(&self, file: &SourceFile, original: Original) -> Result<Put> {
        let path = file.path();
        let begin = || self.progress.begin("upload", path.as_str(), file.size());
        let put = self.store.put_file(original, &begin).await;
        put.map_err(|error| error.at(format_args!("`{path}`")))
    }

    /// Sends a file whose digest is known, if the store does not have it.
    async fn hashed(&self, file: &SourceFile, digest: Digest) -> Result<Sent> {
        // The store does not care what the bytes are for: the media type stands in the manifest.
        let descriptor = Descriptor::new("application/octet-stream", digest, file.size());
        let uploaded_bytes = match self.is_there(&descriptor).await? {
            true => 0,
            false => self.send(file, &descriptor).await?,
        };
        Ok(Sent {
            digest,
            uploaded_bytes,
        })
    }

    /// Whether nothing needs to be done for this content.
    async fn is_there(&self, descriptor: &Descriptor) -> Result<bool> {
        let is_first = match self.begun.lock() {
            Ok(mut begun) => begun.insert(descriptor.digest),
            Err(_) => true,
        };
        Ok(!is_first || self.store.has_blob(descriptor).await?)
    }

    async fn send(&self, file: &SourceFile, descriptor: &Descriptor) -> Result<u64> {
        let meter = self
            .progress
            .begin("upload", file.path().as_str(), file.size());
        let content = FileContent { file, descriptor };
        let sent = self
            .store
            .put_blob(descriptor, &content, meter.as_ref())
            .await;
        match sent {
            Ok(()) => Ok(file.size()),
            // A file that changes while it is sent fails in many ways; this is the one to tell.
            Err(error) => match content.reopen().await {
                Err(changed) if changed.reason() == Reason::FileChanged => Err(changed),
                _ => Err(error.at(format_args!("`{}`", file.path()))),
            },
        }
    }

    async fn config(&self, packed: &Packed) -> Result<()> {
        if self.is_there(&packed.config).await? {
            return Ok(());
        }
        let content = InMemory(packed.config_bytes.clone());
        self.store.put_blob(&packed.config, &content, &Silent).await
    }
}

/// A file of a model as content to be stored: each time it is opened, it must still be the file
/// that was hashed.
struct FileContent<'a> {
    file: &'a SourceFile,
    descriptor: &'a Descriptor,
}

impl FileContent<'_> {
    async fn reopen(&self) -> Result<File> {
        let file = self.file.clone();
        blocking(move || file.open()).await
    }
}

#[async_trait]
impl Content for FileContent<'_> {
    async fn open(&self) -> Result<Blob> {
        let place = format!("`{}`", self.file.path());
        let body = stream_file(self.reopen().await?, place.clone());
        Ok(Blob::of_hashed_file(self.descriptor, place, body))
    }
}
