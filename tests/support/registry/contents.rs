//! What a registry holds and has seen, and how a test looks at it and tampers with it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::{TempDir, TempPath};

use super::Options;
use super::faults::Fault;
use super::tls::Identity;
use super::uploads::Upload;

/// Everything one registry knows.
pub struct State {
    pub(super) host: String,
    pub(super) options: Options,
    pub(super) identity: Option<Identity>,
    pub(super) spill: Option<TempDir>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) uploads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Upload>>>>,
    repositories: Mutex<BTreeMap<String, Repository>>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<Fault>>,
}

/// What a repository holds, by digest or tag.
#[derive(Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeMap<String, Content>,
    pub(super) manifests: BTreeMap<String, Manifest>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A manifest as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The `Content-Type` it was pushed with.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A request that arrived, and how it was answered.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// Whether the client showed a certificate.
    pub client_certificate: bool,
    /// The status of the answer; `None` where it never came or the connection was dropped.
    pub status: Option<u16>,
}

impl Seen {
    /// Returns a header's value, if it was sent and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl State {
    pub(super) fn new(host: String, options: Options) -> Self {
        let spill = options.spill.then(|| TempDir::new().unwrap());
        let identity = options.tls.map(Identity::new);
        Self {
            host,
            options,
            identity,
            spill,
            sent: Arc::default(),
            uploads: Mutex::default(),
            repositories: Mutex::default(),
            seen: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Returns `127.0.0.1:PORT`, as it stands in references.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// Returns `http://127.0.0.1:PORT`, or `https:` where the registry speaks TLS.
    pub fn url(&self) -> String {
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.host)
    }

    /// Returns the certificates in use; panics where the registry speaks plain HTTP.
    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("the registry has no TLS")
    }

    /// Returns every request that has arrived, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns how many requests with `method` (`*` for any) have arrived whose path or query
    /// contains `part`.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| (method == "*" || seen.method == method) && seen.path.contains(part))
            .count()
    }

    /// Forgets the requests that have arrived.
    pub fn forget_requests(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Returns how many bytes have been handed to the network, over all connections.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Returns how many uploads were begun and not ended.
    pub fn open_uploads(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }

    /// Scripts a fault; the first that matches a request, in the order scripted, is used.
    pub fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    /// Forgets every fault.
    pub fn clear_faults(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap()
    }

    pub(super) fn saw(&self, request: Seen) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push(request);
        seen.len() - 1
    }

    pub(super) fn answered(&self, number: usize, status: StatusCode) {
        // The list may have been emptied meanwhile.
        if let Some(seen) = self.seen.lock().unwrap().get_mut(number) {
            seen.status = Some(status.as_u16());
        }
    }
}

/// What a test puts, reads and damages directly.
impl State {
    /// Stores a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl AsRef<[u8]>) -> String {
        let digest = digest(bytes.as_ref());
        self.put_blob_as(repository, &digest, bytes);
        digest
    }

    /// Stores `bytes` as the blob `digest`, whether they hash to it or not.
    pub fn put_blob_as(&self, repository: &str, digest: &str, bytes: impl AsRef<[u8]>) {
        let content = Content::Memory(Bytes::copy_from_slice(bytes.as_ref()));
        self.change(repository, |r| r.blobs.insert(digest.to_owned(), content));
    }

    /// Returns a blob's bytes.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let content = self.read(repository, |r| r.blobs.get(digest).cloned())??;
        Some(content.read())
    }

    /// Returns the digests of all blobs.
    pub fn blobs(&self, repository: &str) -> Vec<String> {
        self.read(repository, |r| r.blobs.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Removes a blob; `false` means that there was none.
    pub fn remove_blob(&self, repository: &str, digest: &str) -> bool {
        self.change(repository, |r| r.blobs.remove(digest).is_some())
    }

    /// Stores a manifest without looking at it, and returns its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        media_type: &str,
        bytes: impl AsRef<[u8]>,
    ) -> String {
        let digest = digest(bytes.as_ref());
        self.put_manifest_as(repository, &digest, media_type, bytes);
        digest
    }

    /// Stores `bytes` as the manifest `digest`, whether they hash to it or not.
    pub fn put_manifest_as(
        &self,
        repository: &str,
        digest: &str,
        media_type: &str,
        bytes: impl AsRef<[u8]>,
    ) {
        let manifest = Manifest {
            media_type: media_type.to_owned(),
            bytes: Bytes::copy_from_slice(bytes.as_ref()),
        };
        self.change(repository, |r| {
            r.manifests.insert(digest.to_owned(), manifest)
        });
    }

    /// Returns the manifest that a tag or digest names.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Manifest> {
        self.read(repository, |r| r.manifest(reference).map(|(_, m)| m))?
    }

    /// Returns the digests of all manifests.
    pub fn manifests(&self, repository: &str) -> Vec<String> {
        self.read(repository, |r| r.manifests.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Removes a manifest; `false` means that there was none.
    pub fn remove_manifest(&self, repository: &str, digest: &str) -> bool {
        self.change(repository, |r| r.manifests.remove(digest).is_some())
    }

    /// Returns the digest that a tag names.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.read(repository, |r| r.tags.get(tag).cloned())?
    }

    /// Returns all tags.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.read(repository, |r| r.tags.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Makes a tag name a digest, whether that exists or not.
    pub fn put_tag(&self, repository: &str, tag: &str, digest: &str) {
        self.change(repository, |r| {
            r.tags.insert(tag.to_owned(), digest.to_owned())
        });
    }

    /// Removes a tag; `false` means that there was none.
    pub fn remove_tag(&self, repository: &str, tag: &str) -> bool {
        self.change(repository, |r| r.tags.remove(tag).is_some())
    }

    /// Reads a repository, if it exists.
    pub(super) fn read<T>(&self, name: &str, read: impl FnOnce(&Repository) -> T) -> Option<T> {
        self.repositories.lock().unwrap().get(name).map(read)
    }

    /// Changes a repository, which comes to exist by it.
    pub(super) fn change<T>(&self, name: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut repositories = self.repositories.lock().unwrap();
        change(repositories.entry(name.to_owned()).or_default())
    }
}

impl Repository {
    /// Returns the digest and the manifest that a tag or digest names.
    pub(super) fn manifest(&self, reference: &str) -> Option<(String, Manifest)> {
        let digest = match reference.contains(':') {
            true => reference,
            false => self.tags.get(reference)?,
        };
        let manifest = self.manifests.get(digest)?.clone();
        Some((digest.to_owned(), manifest))
    }
}

/// Returns `sha256:` and the digest of `bytes` in hex.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Returns text that nobody guesses.
pub(super) fn random() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// The bytes of a blob, wherever they are.
#[derive(Clone)]
pub(super) enum Content {
    Memory(Bytes),
    File(Arc<TempPath>, u64),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// Returns `length` bytes from `start` as the body of an answer.
    pub(super) fn body(&self, start: u64, length: u64) -> Body {
        match self {
            Self::Memory(bytes) => {
                let (start, end) = (start as usize, (start + length) as usize);
                Body::from(bytes.slice(start..end))
            }
            Self::File(path, _) => {
                let mut file = File::open(&**path).unwrap();
                file.seek(SeekFrom::Start(start)).unwrap();
                let mut rest = file.take(length);
                // The page cache answers, so that reading here holds nobody up.
                let pieces = std::iter::from_fn(move || {
                    let mut piece = vec![0; 128 << 10];
                    let count = rest.read(&mut piece).unwrap();
                    piece.truncate(count);
                    (count > 0).then(|| Ok::<_, std::io::Error>(Bytes::from(piece)))
                });
                Body::from_stream(futures_util::stream::iter(pieces))
            }
        }
    }

    fn read(&self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => bytes.to_vec(),
            Self::File(path, _) => std::fs::read(&**path).unwrap(),
        }
    }
}
