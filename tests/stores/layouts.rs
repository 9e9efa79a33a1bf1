//! What is special about image layouts: other tools write them too, and they may be damaged.

mod damage;
mod originals;
mod peers;
mod writing;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use modelctl::digest::Digest;
use modelctl::manifest::{Descriptor, Document, annotation, media_type};
use modelctl::store::RawDocument;
use modelctl::store::layout::{Access, Layout};

/// A directory that holds a layout as somebody else wrote it.
struct Foreign {
    directory: tempfile::TempDir,
}

impl Foreign {
    /// Writes a layout of `documents` and their layers, listed as `index` says.
    fn new(documents: &[&RawDocument], index: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        fs::write(
            root.join("oci-layout"),
            r#"{"imageLayoutVersion": "1.0.0"}"#,
        )
        .unwrap();
        fs::write(root.join("index.json"), index).unwrap();
        let foreign = Self { directory };
        foreign.add(b"{}");
        for document in documents {
            foreign.add(document.bytes());
            if let Document::Manifest(manifest) = document.document() {
                foreign.add(manifest.annotations["name"].as_bytes());
            }
        }
        foreign
    }

    fn add(&self, bytes: &[u8]) {
        fs::write(self.blob(&Digest::of(bytes)), bytes).unwrap();
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs/sha256").join(digest.hex())
    }

    fn index(&self) -> String {
        fs::read_to_string(self.path().join("index.json")).unwrap()
    }

    fn open(&self) -> Layout {
        Layout::open(self.path(), Access::Read).unwrap()
    }
}

/// Returns an entry of an index, with `more` in it.
fn entry(document: &RawDocument, more: &str) -> String {
    let Descriptor {
        media_type,
        digest,
        size,
        ..
    } = document.descriptor();
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// Returns an entry of an index, named `name`.
fn named(document: &RawDocument, name: &str) -> String {
    entry(
        document,
        &format!(r#","annotations":{{"{}":"{name}"}}"#, annotation::REF_NAME),
    )
}

/// Returns an index as oras and crane begin it.
fn index_of(entries: &[String]) -> String {
    let media_type = media_type::INDEX;
    let entries = entries.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{entries}]}}"#)
}

/// Returns everything below `path`, with its content.
fn snapshot(path: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(snapshot(&path)),
            false => drop(all.insert((path.clone(), fs::read(&path).unwrap()))),
        }
        all.insert((path, Vec::new()));
    }
    all
}
