mod claim;
mod collection;
mod ingest;
mod stored;

use super::*;
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::blob::{Blob, ByteStream, Check};
use crate::directory::Directory;
use crate::error::{Error, Reason};
use crate::limits::PIECE;
use crate::progress::{Meter, Silent};

/// The size of a blob that somebody vouches for.
const LARGE: usize = (1 << 20) + 5;

/// A store, and a directory that models are installed in.
struct Bench {
    around: tempfile::TempDir,
    store: ContentStore,
    target: Arc<Directory>,
}

impl Bench {
    fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        std::fs::create_dir(around.path().join("model")).unwrap();
        Self {
            store: ContentStore::open(&around.path().join("store")).unwrap(),
            target: Arc::new(Directory::open(&around.path().join("model")).unwrap()),
            around,
        }
    }

    /// Returns the store as another process would see it.
    fn other(&self) -> ContentStore {
        ContentStore::open(&self.around.path().join("store")).unwrap()
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        self.below("blobs/sha256", content, "")
    }

    fn part(&self, content: &[u8]) -> PathBuf {
        self.below("ingest", content, ".part")
    }

    fn voucher(&self, content: &[u8]) -> PathBuf {
        self.below("stamps", content, "")
    }

    fn below(&self, shelf: &str, content: &[u8], suffix: &str) -> PathBuf {
        let name = descriptor(content).digest.hex() + suffix;
        self.around.path().join("store").join(shelf).join(name)
    }

    fn installed(&self, name: &str) -> PathBuf {
        self.around.path().join("model").join(name)
    }

    /// Every file of the store with its content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut left = vec![self.around.path().join("store")];
        while let Some(directory) = left.pop() {
            for entry in directory.read_dir().unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => left.push(entry.path()),
                    false => {
                        files.insert(entry.path(), std::fs::read(entry.path()).unwrap());
                    }
                }
            }
        }
        files
    }

    async fn ingest(&self, content: &[u8]) -> Ingest {
        match self.store.claim(&descriptor(content)).await.unwrap() {
            Claim::Partial(ingest) => ingest,
            claim => panic!("{claim:?}"),
        }
    }

    async fn stored(&self, content: &[u8]) -> StoredBlob {
        match self.store.claim(&descriptor(content)).await.unwrap() {
            Claim::Stored(stored) => stored,
            claim => panic!("{claim:?}"),
        }
    }

    async fn store(&self, content: &[u8]) -> StoredBlob {
        let ingest = self.ingest(content).await;
        assert_eq!(ingest.have(), 0);
        receive(ingest, body(content)).await.unwrap()
    }

    async fn install(&self, content: &[u8], name: &str, link: Link) -> Result<Materialised> {
        let stored = self.stored(content).await;
        let (path, meter) = (Path::new(name), Box::new(Silent));
        stored.materialise(&self.target, path, link, meter).await
    }
}

/// Adds `rest` to what is there.
async fn receive(ingest: Ingest, rest: ByteStream) -> Result<StoredBlob> {
    receive_counted(ingest, rest, Box::new(Silent)).await
}

async fn receive_counted(
    ingest: Ingest,
    rest: ByteStream,
    meter: Box<dyn Meter>,
) -> Result<StoredBlob> {
    let fetch = |part, check| Blob::continued(check, rest).into_file(part, meter);
    ingest.receive(fetch).await
}

fn descriptor(content: &[u8]) -> Descriptor {
    Descriptor::of("x", content)
}

/// Content that differs from byte to byte and from piece to piece.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// A transfer, in pieces that are aligned to nothing.
fn body(content: &[u8]) -> ByteStream {
    let pieces = content.chunks(PIECE - 7).map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(Ok).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

/// A transfer that breaks after `content`.
fn broken(content: &[u8]) -> ByteStream {
    let error = Error::new(Reason::Connection, "the connection broke");
    Box::pin(body(content).chain(futures_util::stream::iter([Err(error)])))
}

/// A transfer that stalls after `content`.
fn stalled(content: &[u8]) -> ByteStream {
    Box::pin(body(content).chain(futures_util::stream::pending()))
}

fn reason<T>(result: Result<T>) -> Reason {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.reason(),
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn inode(path: &Path) -> u64 {
    path.metadata().unwrap().ino()
}

/// Changes a file as its owner can, whatever its mode, and keeps that.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mode = std::fs::metadata(path).unwrap().permissions();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    let mut file = File::options().write(true).open(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all(&bytes).unwrap();
    std::fs::set_permissions(path, mode).unwrap();
}

/// Changes one bit, and then makes the modification time what it was.
fn edit_secretly(path: &Path) {
    let before = path.metadata().unwrap();
    // Until the kernel's clock has ticked.
    while path.metadata().unwrap().ctime_nsec() == before.ctime_nsec() {
        edit(path, |bytes| bytes[0] ^= 1);
        edit(path, |bytes| bytes[0] ^= 1);
    }
    edit(path, |bytes| bytes[0] ^= 1);
    File::open(path)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
}

/// What a run that was killed left of a blob.
fn leave_part(bench: &Bench, content: &[u8], left: &[u8]) {
    std::fs::write(bench.part(content), left).unwrap();
}
