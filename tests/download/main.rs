//! Downloads that break, lie, stall and crawl, from a registry inside the test process.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod helpers;
mod resume;
#[path = "../support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use modelctl::blob::Check;
use modelctl::download::{Downloads, Retry, Spread, Start};
use modelctl::error::{Reason, Result};
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Silent};
use modelctl::reference::Location;
use modelctl::registry::{Client, Patience, Repository, Settings};
use modelctl::sink::Io;

use crate::support::registry::{Options, Registry};

const NAME: &str = "acme/model";

const RETRY: Retry = Retry {
    tries: 3,
    wait: Duration::ZERO,
};

/// A registry with one blob, a client, and a file to download it to.
struct Scene {
    registry: Registry,
    store: Repository,
    bytes: Vec<u8>,
    blob: Descriptor,
    directory: tempfile::TempDir,
    counted: Arc<AtomicU64>,
}

impl Scene {
    fn new(size: usize) -> Self {
        Self::with(size, Options::default(), Duration::from_secs(10))
    }

    fn with(size: usize, options: Options, stall: Duration) -> Self {
        // No piece of it is like another, so that one in the wrong place is noticed.
        let words = (0..size.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        bytes.truncate(size);
        let registry = Registry::start(options);
        registry.put_blob(NAME, &bytes);
        let settings = Settings {
            patience: Patience {
                stall,
                retry: Duration::from_millis(1),
                ..Patience::default()
            },
            ..Settings::default()
        };
        let location = Location::Registry {
            host: registry.host(),
            repository: NAME.to_owned(),
        };
        let store = Client::new(settings).unwrap().repository(&location);
        Self {
            store: store.unwrap(),
            blob: Descriptor::of("application/octet-stream", &bytes),
            registry,
            bytes,
            directory: tempfile::tempdir().unwrap(),
            counted: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    /// Downloads, and checks that a success is one.
    async fn download(&self, downloads: &Downloads) -> Result<()> {
        self.go_on(downloads, b"").await
    }

    /// Goes on after `prefix`, which is in the file already.
    async fn go_on(&self, downloads: &Downloads, prefix: &[u8]) -> Result<()> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true);
        let mut file = file.open(self.path()).unwrap();
        file.write_all(prefix).unwrap();
        let start = match prefix {
            b"" => Start::Fresh,
            _ => {
                let mut check = Check::new(&self.blob, "it");
                check.update(prefix).unwrap();
                Start::After(check)
            }
        };
        let meter = Counter(Arc::clone(&self.counted));
        meter.0.store(prefix.len() as u64, Ordering::SeqCst);
        let done = downloads.download(&self.store, &self.blob, file, start, Box::new(meter));
        let done = done.await.map(drop);
        let written = std::fs::read(self.path()).unwrap();
        assert!(written.len() <= self.bytes.len());
        if done.is_ok() {
            assert!(written == self.bytes, "the content is not right");
            let counted = self.counted.load(Ordering::SeqCst);
            assert_eq!(counted, self.blob.size);
        }
        done
    }

    /// Returns how many requests for the blob there were, and how many of them were for a range.
    fn asked(&self) -> (usize, usize) {
        let requests = self.registry.requests();
        let ranged = requests.iter().filter(|r| r.header("range").is_some());
        (requests.len(), ranged.count())
    }
}

/// Counts what a meter is told.
struct Counter(Arc<AtomicU64>);

impl Meter for Counter {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }

    fn reset(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

fn downloads(spread: Spread) -> Downloads {
    Downloads::new(RETRY, spread, Io::Direct, Arc::new(Silent))
}

#[track_caller]
fn reason(result: Result<()>) -> Reason {
    result.expect_err("it must not succeed").reason()
}
