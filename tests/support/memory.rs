//! A store in memory, which can be told to misbehave.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::blob::{Blob, ByteStream, Content};
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::manifest::{Descriptor, Manifest};
use modelctl::progress::Meter;
use modelctl::reference::{Location, Reference, Selector, Tag};
use modelctl::store::{Part, RawDocument, Store};
use modelctl::verify::Artifact;

/// What a read of a blob gives instead of the right bytes.
type Serve = Arc<dyn Fn(&Descriptor, Bytes) -> Result<ByteStream> + Send + Sync>;

/// What happens after each piece of a blob that is being stored, by the number of the piece; piece
/// 0 is before the content is opened.
type Receive = Arc<dyn Fn(&Descriptor, usize) -> Result<()> + Send + Sync>;

/// Content by digest, in memory.
pub struct Memory {
    location: Location,
    state: Mutex<State>,
    serve: Serve,
    receive: Receive,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<Digest, Bytes>,
    documents: BTreeMap<Digest, RawDocument>,
    tags: BTreeMap<Tag, Digest>,
    reads: Vec<Digest>,
    writes: Vec<Digest>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            location: "memory.test/model"
                .parse::<Reference>()
                .unwrap()
                .location()
                .clone(),
            state: Mutex::default(),
            serve: Arc::new(|_, bytes| Ok(pieces(vec![Ok(bytes)]))),
            receive: Arc::new(|_, _| Ok(())),
        }
    }
}

/// Returns a body of these pieces.
pub fn pieces(pieces: Vec<Result<Bytes>>) -> ByteStream {
    Box::pin(futures_util::stream::iter(pieces))
}

impl Memory {
    /// Makes reads of blobs give what `serve` returns.
    pub fn serving(
        mut self,
        serve: impl Fn(&Descriptor, Bytes) -> Result<ByteStream> + Send + Sync + 'static,
    ) -> Self {
        self.serve = Arc::new(serve);
        self
    }

    /// Calls `receive` while blobs are stored.
    pub fn receiving(
        mut self,
        receive: impl Fn(&Descriptor, usize) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.receive = Arc::new(receive);
        self
    }

    /// Stores `bytes` and returns what names them.
    pub fn add(&self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.state
            .lock()
            .unwrap()
            .blobs
            .insert(descriptor.digest, bytes);
        descriptor
    }

    /// Stores `manifest` whatever it says, and returns it as if it had been asked for.
    pub async fn artifact(&self, manifest: Manifest) -> Artifact {
        let document = RawDocument::of(modelctl::manifest::Document::Manifest(manifest)).unwrap();
        self.put_manifest(&document, None).await.unwrap();
        self.resolve(document.digest()).await
    }

    /// Returns the artifact whose manifest has this digest.
    pub async fn resolve(&self, digest: &Digest) -> Artifact {
        let reference = Reference::new(self.location.clone(), None, Some(*digest));
        Artifact::resolve(self, &reference).await.unwrap()
    }

    /// Returns a blob's bytes, and remembers that it was read.
    fn read(&self, descriptor: &Descriptor) -> Result<Bytes> {
        let mut state = self.state.lock().unwrap();
        state.reads.push(descriptor.digest);
        let bytes = state.blobs.get(&descriptor.digest).cloned();
        bytes.ok_or_else(|| not_found(Reason::BlobNotFound, descriptor.digest))
    }

    /// Returns the digests of blobs that were read, in order.
    pub fn reads(&self) -> Vec<Digest> {
        self.state.lock().unwrap().reads.clone()
    }

    /// Returns the digests of blobs that were stored, in order.
    pub fn writes(&self) -> Vec<Digest> {
        self.state.lock().unwrap().writes.clone()
    }

    /// Returns how many manifests there are.
    pub fn documents(&self) -> usize {
        self.state.lock().unwrap().documents.len()
    }
}

fn not_found(reason: Reason, what: impl std::fmt::Display) -> Error {
    Error::new(reason, format!("{what} is not there"))
}

#[async_trait]
impl Store for Memory {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn manifest(&self, selector: &Selector) -> Result<RawDocument> {
        let state = self.state.lock().unwrap();
        let missing = || not_found(Reason::ReferenceNotFound, selector);
        let digest = match selector {
            Selector::Digest(digest) => digest,
            Selector::Tag(tag) => state.tags.get(tag).ok_or_else(missing)?,
        };
        state.documents.get(digest).cloned().ok_or_else(missing)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let bytes = self.read(descriptor)?;
        let body = (self.serve)(descriptor, bytes)?;
        Ok(Blob::new(
            descriptor,
            format!("blob {}", descriptor.digest),
            body,
        ))
    }

    async fn blob_part(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Part> {
        let bytes = self.read(descriptor)?;
        let part = bytes.slice(range.start as usize..range.end as usize);
        let (length, what) = (part.len() as u64, format!("blob {}", descriptor.digest));
        Ok(Part::exactly((self.serve)(descriptor, part)?, length, what))
    }

    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        let state = self.state.lock().unwrap();
        let found = state.blobs.get(&descriptor.digest);
        Ok(found.is_some_and(|bytes| bytes.len() as u64 == descriptor.size))
    }

    async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()> {
        (self.receive)(descriptor, 0)?;
        let mut stream = content.open().await?.into_stream();
        let mut bytes = Vec::new();
        let mut count = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            meter.advance(piece.len() as u64);
            bytes.extend_from_slice(&piece);
            count += 1;
            (self.receive)(descriptor, count)?;
        }
        assert_eq!(Digest::of(&bytes), descriptor.digest);
        let mut state = self.state.lock().unwrap();
        state.blobs.insert(descriptor.digest, bytes.into());
        state.writes.push(descriptor.digest);
        Ok(())
    }

    async fn put_manifest(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        state.documents.insert(*document.digest(), document.clone());
        if let Some(tag) = tag {
            state.tags.insert(tag.clone(), *document.digest());
        }
        Ok(())
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let state = self.state.lock().unwrap();
        let names = |document: &&RawDocument| {
            let named = document.document().subject();
            named.is_some_and(|named| named.digest == subject.digest)
        };
        let referrers = state.documents.values().filter(names);
        Ok(referrers.map(RawDocument::referrer_descriptor).collect())
    }

    async fn tags(&self) -> Result<Vec<Tag>> {
        Ok(self.state.lock().unwrap().tags.keys().cloned().collect())
    }
}
