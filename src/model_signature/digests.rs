//! Hashing the files of a model: small ones many at a time, parts of large ones side by side.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use crate::blob::blocking;
use crate::buffer::Buffer;
use crate::directory::{Directory, Stamp};
use crate::error::{Error, Result};
use crate::hashing::{Hashers, changed};
use crate::limits;
use crate::model_signature::tree::Found;
use crate::oms::{HashType, Method, Resource, Serialization, StreamHasher};
use crate::progress::{Meter, Progress};

/// Files that are opened in one go: handing each to a thread of its own would cost more than
/// hashing it.
const BATCH: usize = 128;

/// Hashes the files of one directory in one way.
pub(super) struct Listing {
    root: Arc<Directory>,
    method: Method,
    hash: HashType,
    hashers: Hashers,
    progress: Arc<dyn Progress>,
}

/// What became of a file when it was opened.
enum Opened {
    /// It was small, and is done.
    Listed(Resource),
    /// It is for one of the threads that hash.
    Large(Found, Stamp),
}

impl Listing {
    pub(super) fn new(
        root: Arc<Directory>,
        serialization: &Serialization,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self {
            root,
            method: serialization.method,
            hash: serialization.hash,
            hashers: Hashers::default(),
            progress,
        }
    }

    /// Returns what a list of `files` has: each file, or each part.
    pub(super) async fn resources(&self, files: Vec<Found>) -> Result<Vec<Resource>> {
        let mut resources = Vec::with_capacity(files.len());
        let large = self.small(files, &mut resources).await?;
        let mut hashed = futures_util::stream::iter(large)
            .map(|part| self.part(part))
            .buffer_unordered(self.hashers.count());
        while let Some(resource) = hashed.try_next().await? {
            resources.push(resource);
        }
        Ok(resources)
    }

    /// Adds the small ones of `files` to `resources`, and returns the parts of the others.
    async fn small(
        &self,
        mut files: Vec<Found>,
        resources: &mut Vec<Resource>,
    ) -> Result<Vec<Part>> {
        let meter: Arc<dyn Meter> = Arc::from(self.progress.begin("hash", "small files", 0));
        let batches = std::iter::from_fn(|| {
            let rest = files.len().saturating_sub(BATCH);
            Some(files.split_off(rest)).filter(|batch| !batch.is_empty())
        });
        let mut opened = futures_util::stream::iter(batches)
            .map(|batch| self.open(batch, Arc::clone(&meter)))
            .buffer_unordered(self.hashers.count());
        let mut large = Vec::new();
        while let Some(batch) = opened.try_next().await? {
            for opened in batch {
                match opened {
                    Opened::Listed(resource) => resources.push(resource),
                    Opened::Large(file, stamp) => large.extend(self.parts(file, stamp)),
                }
            }
        }
        Ok(large)
    }

    /// Opens files, and hashes those at once that fit a buffer.
    async fn open(&self, batch: Vec<Found>, meter: Arc<dyn Meter>) -> Result<Vec<Opened>> {
        let (root, method, hash) = (Arc::clone(&self.root), self.method, self.hash);
        blocking(move || {
            let mut buffer = Buffer::new(limits::PIECE);
            let mut opened = Vec::with_capacity(batch.len());
            for found in batch {
                let place = found.place(&root);
                let file = found.open(&root)?;
                let stamp = Stamp::of(&file, &place)?;
                if method != Method::Files || stamp.size >= limits::PIECE as u64 {
                    opened.push(Opened::Large(found, stamp));
                    continue;
                }
                let bytes = small(&file, &stamp, &place, &mut buffer)?;
                meter.advance(stamp.size);
                let digest = hash.digest(bytes);
                opened.push(Opened::Listed(Resource::of(found.name(), None, digest)));
            }
            Ok(opened)
        })
        .await
    }

    /// Divides a file into what is listed of it.
    fn parts(&self, file: Found, stamp: Stamp) -> Vec<Part> {
        let size = match self.method {
            Method::Files => {
                return vec![Part {
                    file,
                    stamp,
                    start: 0,
                    end: stamp.size,
                }];
            }
            Method::Shards { size } => size,
        };
        let count = stamp.size.div_ceil(size);
        let part = |index: u64| Part {
            file: file.clone(),
            stamp,
            start: index.saturating_mul(size),
            end: stamp.size.min(index.saturating_add(1).saturating_mul(size)),
        };
        (0..count).map(part).collect()
    }

    async fn part(&self, part: Part) -> Result<Resource> {
        let digest = match (self.method, self.hash) {
            (Method::Files, HashType::Sha256) => self.sha256(&part).await?,
            _ => self.stream(part.clone()).await?,
        };
        let range = match self.method {
            Method::Files => None,
            Method::Shards { .. } => Some(part.start..part.end),
        };
        Ok(Resource::of(part.file.name(), range, digest))
    }

    /// Hashes a whole file the way all of this program does.
    async fn sha256(&self, part: &Part) -> Result<Vec<u8>> {
        let (root, file) = (Arc::clone(&self.root), part.file.clone());
        let opened = blocking(move || file.open(&root)).await?;
        let meter = self
            .progress
            .begin("hash", part.file.name(), part.stamp.size);
        let place = part.file.place(&self.root);
        let digest = self.hashers.hash(opened, part.stamp, place, meter).await?;
        Ok(digest.as_bytes().to_vec())
    }

    /// Hashes a part of a file, or all of it with another hash.
    async fn stream(&self, part: Part) -> Result<Vec<u8>> {
        let (root, hash) = (Arc::clone(&self.root), self.hash);
        let length = part.end - part.start;
        let meter = self.progress.begin("hash", part.file.name(), length);
        blocking(move || {
            let place = part.file.place(&root);
            let file = part.file.open(&root)?;
            let mut hasher = StreamHasher::new(hash);
            let mut buffer = Buffer::new(limits::PIECE);
            let mut at = part.start;
            while at < part.end {
                let piece = usize::try_from(part.end - at).unwrap_or(usize::MAX);
                let piece = piece.min(limits::PIECE);
                let piece = buffer.get_mut(..piece).unwrap_or_default();
                file.read_exact_at(piece, at)
                    .map_err(|error| cut_short(error, &place))?;
                hasher.update(piece);
                meter.advance(piece.len() as u64);
                at = at.saturating_add(piece.len() as u64);
            }
            match Stamp::of(&file, &place)? == part.stamp {
                true => Ok(hasher.finish()),
                false => Err(changed(&place)),
            }
        })
        .await
    }
}

/// Part of a file, or all of it.
#[derive(Clone)]
struct Part {
    file: Found,
    stamp: Stamp,
    start: u64,
    end: u64,
}

/// Reads all of a file that fits the buffer.
fn small<'b>(file: &File, stamp: &Stamp, place: &Path, buffer: &'b mut Buffer) -> Result<&'b [u8]> {
    let size = usize::try_from(stamp.size).unwrap_or(usize::MAX);
    let bytes = buffer.get_mut(..size).unwrap_or_default();
    file.read_exact_at(bytes, 0)
        .map_err(|error| cut_short(error, place))?;
    match Stamp::of(file, place)? == *stamp {
        true => Ok(bytes),
        false => Err(changed(place)),
    }
}

fn cut_short(error: std::io::Error, place: &Path) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => changed(place),
        _ => Error::io("read", place, error),
    }
}
