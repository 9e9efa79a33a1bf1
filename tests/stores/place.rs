//! The stores that the suites run over, each new and empty.

use std::any::Any;
use std::sync::Arc;

use modelctl::digest::Digest;
use modelctl::reference::Location;
use modelctl::registry::{Client, Settings};
use modelctl::store::SharedStore;
use modelctl::store::layout::{Access, Layout};

use crate::support::registry::{Options, Referrers, Registry};

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

/// A registry that lists referrers itself.
pub(crate) async fn registry() -> Place {
    repository(Referrers::Api)
}

/// A registry that lists referrers, wrongly and without saying that it does.
pub(crate) async fn careless_registry() -> Place {
    repository(Referrers::ApiNoSubjectHeader)
}

/// A registry that leaves it to its clients to list referrers.
pub(crate) async fn old_registry() -> Place {
    repository(Referrers::TagSchema)
}

fn repository(referrers: Referrers) -> Place {
    const NAME: &str = "acme/model";
    let registry = Arc::new(Registry::start(Options {
        referrers,
        ..Options::default()
    }));
    let location = Location::Registry {
        host: registry.host(),
        repository: NAME.to_owned(),
    };
    let client = Client::new(Settings::default()).unwrap();
    let stored = Arc::clone(&registry);
    Place {
        store: Arc::new(client.repository(&location).unwrap()),
        corrupt: Box::new(move |digest, bytes| {
            let digest = digest.to_string();
            match stored.manifest(NAME, &digest) {
                Some(manifest) => {
                    stored.put_manifest_as(NAME, &digest, &manifest.media_type, bytes);
                }
                None => {
                    assert!(stored.blob(NAME, &digest).is_some());
                    stored.put_blob_as(NAME, &digest, bytes);
                }
            }
        }),
        _keep: Box::new(registry),
    }
}
