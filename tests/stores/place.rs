//! The stores that the suites run over, each new and empty.

use std::any::Any;
use std::sync::Arc;

use modelctl::digest::Digest;
use modelctl::store::SharedStore;
use modelctl::store::layout::{Access, Layout};

/// Replaces the stored content of a digest.
type Corrupt = Box<dyn Fn(&Digest, &[u8]) + Send + Sync>;

/// A store, and a way to change its bytes behind its back.
pub(crate) struct Place {
    pub(crate) store: SharedStore,
    corrupt: Corrupt,
    /// What lives as long as the store: a directory, a server.
    _keep: Box<dyn Any + Send + Sync>,
}

impl Place {
    /// Makes the store hold `bytes` as the content of `digest`.
    pub(crate) fn corrupt(&self, digest: &Digest, bytes: &[u8]) {
        (self.corrupt)(digest, bytes);
    }
}

/// An image layout in a directory of its own.
pub(crate) async fn layout() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let store = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let blobs = directory.path().join("blobs/sha256");
    Place {
        store: Arc::new(store),
        corrupt: Box::new(move |digest, bytes| {
            let path = blobs.join(digest.hex());
            assert!(path.exists(), "only what is there can be corrupted");
            std::fs::write(path, bytes).unwrap();
        }),
        _keep: Box::new(directory),
    }
}
