//! Small artifacts to store: what a test needs to say in one line.

use bytes::Bytes;
use modelctl::blob::InMemory;
use modelctl::error::Result;
use modelctl::manifest::{Descriptor, Document, EMPTY_JSON, Index, Manifest};
use modelctl::progress::Silent;
use modelctl::reference::{Selector, Tag};
use modelctl::store::{RawDocument, Store};

/// The layer of every artifact made here is its name.
pub(crate) const LAYER: &str = "text/plain";

/// Returns a tag.
pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Returns a selector by tag.
pub(crate) fn by_tag(text: &str) -> Selector {
    Selector::Tag(tag(text))
}

/// Returns a selector by digest.
pub(crate) fn by_digest(document: &RawDocument) -> Selector {
    Selector::Digest(*document.digest())
}

/// Stores `bytes` as a blob.
pub(crate) async fn put_blob(store: &dyn Store, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(LAYER, bytes);
    let content = InMemory(Bytes::copy_from_slice(bytes));
    store
        .put_blob(&descriptor, &content, &Silent)
        .await
        .unwrap();
    descriptor
}

/// Reads a blob to its end.
pub(crate) async fn fetch(store: &dyn Store, descriptor: &Descriptor) -> Result<Bytes> {
    store.blob(descriptor).await?.into_bytes(1 << 20).await
}

/// Returns the manifest of an artifact called `name`, which is its kind and its layer too.
pub(crate) fn manifest(name: &str, subject: Option<&RawDocument>) -> RawDocument {
    let layer = Descriptor::of(LAYER, name.as_bytes());
    let kind = format!("application/x.{name}");
    let mut manifest = Manifest::new(kind, Descriptor::empty_json(), vec![layer]);
    manifest
        .annotations
        .insert("name".to_owned(), name.to_owned());
    manifest.subject = subject.map(|subject| subject.descriptor().plain());
    RawDocument::of(Document::Manifest(manifest)).unwrap()
}

/// Returns an index of `children`.
pub(crate) fn index(children: &[&RawDocument], subject: Option<&RawDocument>) -> RawDocument {
    let children = children.iter().map(|child| child.descriptor().plain());
    let mut index = Index::new(children.collect());
    index.artifact_type = Some("application/x.index".to_owned());
    index.subject = subject.map(|subject| subject.descriptor().plain());
    RawDocument::of(Document::Index(index)).unwrap()
}

/// Stores an artifact called `name`.
pub(crate) async fn put(store: &dyn Store, name: &str, tagged: Option<&str>) -> RawDocument {
    put_whole(store, manifest(name, None), name, tagged).await
}

/// Stores an artifact called `name` that refers to `subject`.
pub(crate) async fn attach(store: &dyn Store, name: &str, subject: &RawDocument) -> RawDocument {
    put_whole(store, manifest(name, Some(subject)), name, None).await
}

async fn put_whole(
    store: &dyn Store,
    document: RawDocument,
    name: &str,
    tagged: Option<&str>,
) -> RawDocument {
    put_blob(store, EMPTY_JSON).await;
    put_blob(store, name.as_bytes()).await;
    store
        .put_manifest(&document, tagged.map(tag).as_ref())
        .await
        .unwrap();
    document
}

/// Returns the kinds of what refers to `subject`, sorted: as the manifests say, since a list is
/// hearsay.
pub(crate) async fn referrers(store: &dyn Store, subject: &RawDocument) -> Vec<String> {
    let listed = store.referrers(subject.descriptor()).await.unwrap();
    let mut kinds = Vec::new();
    for descriptor in listed {
        let selector = Selector::Digest(descriptor.digest);
        let document = store.manifest(&selector).await.unwrap();
        assert!(document.descriptor().same_content(&descriptor));
        kinds.push(document.referrer_descriptor().artifact_type.unwrap());
    }
    kinds.sort();
    kinds
}

/// Returns the tags, sorted as the store sorts them, without those that a registry without
/// referrers API keeps its lists under.
pub(crate) async fn tags(store: &dyn Store) -> Vec<String> {
    let tags = store.tags().await.unwrap();
    let tags = tags.iter().map(ToString::to_string);
    tags.filter(|tag| !tag.starts_with("sha256-")).collect()
}
