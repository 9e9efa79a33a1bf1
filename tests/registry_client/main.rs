//! The registry client against registries that lie, stall, flood, redirect and forget.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how a test fails"
)]

mod blobs;
mod hosted;
mod manifests;
mod names;
mod parts;
mod patience;
mod redirects;
mod referrers;
#[path = "../support/scripted.rs"]
mod scripted;
mod signing_in;
mod tag_schema;
mod tls;
mod token_servers;
mod uploads;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use modelctl::error::{Reason, Result};
use modelctl::manifest::{Descriptor, Document, Manifest};
use modelctl::progress::{Meter, Progress, Silent};
use modelctl::reference::{Location, Tag};
use modelctl::registry::auth::{Credential, Fixed};
use modelctl::registry::{Client, Patience, Repository, Settings};
use modelctl::secret::Secret;
use modelctl::store::RawDocument;

/// What must never be seen anywhere but where it belongs.
const CANARY: &str = "canary-s3cret";

/// Patience for a machine that is busy, with hardly a wait between tries.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(10),
    stall: Duration::from_secs(10),
    retry: Duration::from_millis(1),
};

fn settings() -> Settings {
    Settings {
        patience: PATIENCE,
        ..Settings::default()
    }
}

/// Settings with a user name and the canary as password.
fn known() -> Settings {
    Settings {
        credentials: Arc::new(Fixed(Credential::Basic {
            username: "alice".to_owned(),
            password: Secret::new(CANARY.to_owned()),
        })),
        ..settings()
    }
}

fn location(host: &str) -> Location {
    Location::Registry {
        host: host.to_owned(),
        repository: "m".to_owned(),
    }
}

/// Returns the repository `m` of the registry at `host`.
fn repository(host: &str, settings: Settings) -> Repository {
    Client::new(settings)
        .unwrap()
        .repository(&location(host))
        .unwrap()
}

fn open(host: &str) -> Repository {
    repository(host, settings())
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Returns a manifest that differs by `name`, and refers to `subject`.
fn manifest(name: &str, subject: Option<&Descriptor>) -> RawDocument {
    let layer = Descriptor::of("text/plain", name.as_bytes());
    let mut manifest = Manifest::new("application/x", Descriptor::empty_json(), vec![layer]);
    manifest.subject = subject.map(Descriptor::plain);
    manifest
        .annotations
        .insert("name".to_owned(), name.to_owned());
    RawDocument::of(Document::Manifest(manifest)).unwrap()
}

/// Returns content and its descriptor.
fn content(length: usize) -> (Bytes, Descriptor) {
    let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    let descriptor = Descriptor::of("application/octet-stream", &bytes);
    (bytes.into(), descriptor)
}

/// Returns why something failed.
#[track_caller]
fn reason<T>(result: Result<T>) -> Reason {
    match result {
        Ok(_) => panic!("it must not succeed"),
        Err(error) => error.reason(),
    }
}

/// Progress that keeps the notes.
#[derive(Default, Clone)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Progress for Notes {
    fn begin(&self, _action: &'static str, _name: &str, _total: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}
