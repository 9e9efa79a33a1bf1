//! Repositories read through mirrors: mirrors that miss, fail, stall and lie; who is believed
//! about what; and who sees which secret.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod command;
mod faults;
mod secrets;
mod small;
#[path = "../support/mod.rs"]
mod support;
mod trust;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use modelctl::download::{Downloads, Retry, Spread, Start};
use modelctl::error::{Reason, Result};
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Progress, Silent};
use modelctl::reference::Location;
use modelctl::registry::auth::Anonymous;
use modelctl::registry::mirrors::{Mirrored, Mirrors, ResolveAt, Source};
use modelctl::registry::{Client, Patience, Settings};

use crate::support::registry::{Options, Registry};

const NAME: &str = "acme/model";

/// A registry, mirrors of it, and what says where they are.
struct Scene {
    origin: Registry,
    mirrors: Vec<Registry>,
    directory: tempfile::TempDir,
    notes: Notes,
    stall: Duration,
}

impl Scene {
    /// Returns a registry with so many mirrors.
    fn new(mirrors: usize) -> Self {
        let options = (0..mirrors).map(|_| Options::default()).collect();
        Self::with(Options::default(), options)
    }

    /// Returns a registry and mirrors that behave so.
    fn with(origin: Options, mirrors: Vec<Options>) -> Self {
        let scene = Self {
            origin: Registry::start(origin),
            mirrors: mirrors.into_iter().map(Registry::start).collect(),
            directory: tempfile::tempdir().unwrap(),
            notes: Notes::default(),
            stall: Duration::from_secs(10),
        };
        let hosts = scene.mirrors.iter();
        let hosts: Vec<_> = hosts.map(|m| format!("[host.{:?}]\n", m.url())).collect();
        scene.say(&hosts.concat());
        scene
    }

    /// Writes the file that says where the mirrors are.
    fn say(&self, text: &str) {
        self.say_beside("hosts.toml", text);
    }

    /// Writes a file beside it.
    fn say_beside(&self, name: &str, text: &str) {
        let folder = self.directory.path().join(self.origin.host());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }

    /// Puts a blob into the registry and all mirrors.
    fn blob(&self, size: usize) -> (Vec<u8>, Descriptor) {
        // No piece of it is like another, so that one in the wrong place is noticed.
        let words = (0..size.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        bytes.truncate(size);
        for registry in self.mirrors.iter().chain([&self.origin]) {
            registry.put_blob(NAME, &bytes);
        }
        let blob = Descriptor::of("application/octet-stream", &bytes);
        (bytes, blob)
    }

    fn settings(&self) -> Settings {
        Settings {
            patience: Patience {
                stall: self.stall,
                retry: Duration::from_millis(1),
                ..Patience::default()
            },
            progress: Arc::new(self.notes.clone()),
            ..Settings::default()
        }
    }

    fn known(&self) -> Mirrors {
        Mirrors::new(self.directory.path(), Arc::new(Anonymous)).unwrap()
    }

    fn location(&self) -> Location {
        Location::Registry {
            host: self.origin.host(),
            repository: NAME.to_owned(),
        }
    }

    /// Returns the repository, read through the mirrors.
    fn store(&self) -> Mirrored {
        self.open(self.settings(), self.known())
    }

    /// Returns the repository, read through mirrors that are believed.
    fn believing_store(&self) -> Mirrored {
        let mirrors = self.known().resolving_at(ResolveAt::Mirror);
        self.open(self.settings(), mirrors)
    }

    fn open(&self, settings: Settings, mirrors: Mirrors) -> Mirrored {
        let client = Client::new(settings).unwrap();
        client.mirrored(&self.location(), &mirrors).unwrap()
    }

    /// Returns how often the registry itself was asked for a blob, then each mirror.
    fn asked(&self) -> Vec<usize> {
        let all = std::iter::once(&self.origin).chain(&self.mirrors);
        all.map(|registry| registry.count("GET", "/blobs/"))
            .collect()
    }
}

/// Downloads a blob as a pull does.
async fn download(store: &Mirrored, blob: &Descriptor) -> Result<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut options = std::fs::File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    let file = options.open(&path).unwrap();
    let retry = Retry {
        tries: 3,
        wait: Duration::ZERO,
    };
    let downloads = Downloads::new(
        retry,
        Spread::default(),
        modelctl::sink::Io::Buffered,
        Arc::new(Silent),
    );
    let meter = Box::new(Silent);
    downloads
        .download(store, blob, file, Start::Fresh, meter)
        .await?;
    Ok(std::fs::read(path).unwrap())
}

/// Returns what the registry itself gave.
fn origin(store: &Mirrored) -> Source {
    store.sources().into_iter().find(|s| s.origin).unwrap()
}

/// Returns what the first mirror gave.
fn first(store: &Mirrored) -> Source {
    let first = store.sources().into_iter().next().unwrap();
    assert!(!first.origin, "there is no mirror");
    first
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

impl Notes {
    /// Returns how many notes have `part` in them.
    fn count(&self, part: &str) -> usize {
        let notes = self.0.lock().unwrap();
        notes.iter().filter(|note| note.contains(part)).count()
    }
}

impl Progress for Notes {
    fn begin(&self, _action: &'static str, _name: &str, _total: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}
