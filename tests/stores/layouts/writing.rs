//! Making a layout, and writing to it beside others.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use modelctl::blob::InMemory;
use modelctl::error::{Reason, Result};
use modelctl::manifest::{Descriptor, Document, annotation};
use modelctl::progress::Silent;
use modelctl::reference::Location;
use modelctl::store::layout::{Access, Layout};
use modelctl::store::{RawDocument, Store};
use serde_json::{Value, json};

use super::{Foreign, entry, index_of, named, snapshot};
use crate::artifact::{LAYER, attach, by_tag, fetch, manifest, put, put_blob, referrers, tags};

#[tokio::test]
async fn a_new_layout_is_what_the_specification_says() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("some/where");
    let layout = Layout::open(&path, Access::ReadOrCreate).unwrap();
    assert_eq!(layout.location(), &Location::Layout(path.clone()));
    assert_eq!(
        fs::read(path.join("oci-layout")).unwrap(),
        br#"{"imageLayoutVersion":"1.0.0"}"#
    );
    assert_eq!(
        fs::read_to_string(path.join("index.json")).unwrap(),
        index_of(&[])
    );
    assert!(path.join("blobs/sha256").is_dir());
    assert!(layout.tags().await.unwrap().is_empty());

    let model = put(&layout, "model", Some("v1")).await;
    let signature = attach(&layout, "signature", &model).await;
    let written = fs::read(path.join("index.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    let of = |document: &RawDocument, annotations| {
        let kind = document.referrer_descriptor().artifact_type;
        let Descriptor {
            media_type,
            digest,
            size,
            ..
        } = document.descriptor();
        json!({"mediaType": media_type, "digest": digest, "size": size, "artifactType": kind,
               "annotations": annotations})
    };
    let expected = [
        of(&model, json!({"name": "model", annotation::REF_NAME: "v1"})),
        of(&signature, json!({"name": "signature"})),
    ];
    assert_eq!(written["manifests"], json!(expected));

    let names: BTreeSet<_> = snapshot(&path).into_iter().map(|(path, _)| path).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains(".ingest-")),
        "{names:?}"
    );
    let again = Layout::open(&path, Access::Read).unwrap();
    assert_eq!(referrers(&again, &model).await, ["application/x.signature"]);
}

#[test]
fn a_directory_that_is_something_else_stays_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("home");
    let open = |access| Layout::open(&path, access).map(drop);
    let reason = |result: Result<()>| result.unwrap_err().reason();
    assert_eq!(reason(open(Access::Read)), Reason::FileNotFound);
    assert!(!path.exists());

    fs::create_dir(&path).unwrap();
    assert_eq!(reason(open(Access::Read)), Reason::LayoutInvalid);
    fs::write(path.join("precious"), "data").unwrap();
    let before = snapshot(parent.path());
    for access in [Access::Read, Access::ReadOrCreate] {
        assert_eq!(reason(open(access)), Reason::LayoutInvalid);
        let file = Layout::open(path.join("precious"), access).map(drop);
        assert_eq!(reason(file), Reason::LayoutInvalid);
    }
    assert_eq!(snapshot(parent.path()), before);

    fs::remove_file(path.join("precious")).unwrap();
    open(Access::ReadOrCreate).unwrap();
    open(Access::Read).unwrap();
}

#[tokio::test]
async fn several_may_make_one_layout_and_write_to_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new");
    let model = manifest("model", None);
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (path, model) = (path.clone(), model.clone());
            tokio::task::spawn_blocking(move || {
                // Each has its own handle, as each process would.
                let layout = Layout::open(path, Access::ReadOrCreate).unwrap();
                let name = format!("r{number}");
                let runtime = tokio::runtime::Handle::current();
                runtime.block_on(async {
                    attach(&layout, &name, &model).await;
                    put(&layout, &name, Some(&name)).await;
                });
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let layout = Layout::open(&path, Access::Read).unwrap();
    let names: Vec<_> = (0..8).map(|number| format!("r{number}")).collect();
    let kinds: Vec<_> = names
        .iter()
        .map(|name| format!("application/x.{name}"))
        .collect();
    assert_eq!(referrers(&layout, &model).await, kinds);
    assert_eq!(tags(&layout).await, names);
}

#[tokio::test]
async fn attaching_cannot_move_a_tag() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let model = put(&layout, "model", Some("v1")).await;
    let Document::Manifest(mut evil) = manifest("evil", Some(&model)).document().clone() else {
        panic!("it is a manifest");
    };
    evil.annotations
        .insert(annotation::REF_NAME.to_owned(), "v1".to_owned());
    let evil = RawDocument::of(Document::Manifest(evil)).unwrap();
    layout.put_manifest(&evil, None).await.unwrap();
    let found = layout.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.digest(), model.digest());
    assert_eq!(referrers(&layout, &model).await, ["application/x.evil"]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let left = directory.path().join(".ingest-left");
    let living = directory.path().join(".ingest-living");
    fs::write(&left, "half").unwrap();
    let file = fs::File::create(&living).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Layout::open(directory.path(), Access::Read).unwrap();
    assert!(left.exists());
    Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    assert!(!left.exists());
    assert!(living.exists());
    put(&layout, "model", Some("v1")).await;
}

#[tokio::test]
async fn a_refused_blob_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let before = snapshot(directory.path());
    let source = tempfile::tempdir().unwrap();
    let source = Layout::open(source.path(), Access::ReadOrCreate).unwrap();
    let blob = put_blob(&source, b"hello").await;
    let Location::Layout(path) = source.location() else {
        panic!("it is a layout");
    };
    let path = path.join("blobs/sha256").join(blob.digest.hex());
    fs::write(&path, "hellO").unwrap();
    struct Stored(Arc<Layout>, Descriptor);
    #[async_trait::async_trait]
    impl modelctl::blob::Content for Stored {
        async fn open(&self) -> Result<modelctl::blob::Blob> {
            self.0.blob(&self.1).await
        }
    }
    let content = Stored(Arc::new(source), blob.clone());
    let error = layout.put_blob(&blob, &content, &Silent).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DigestMismatch);
    assert_eq!(snapshot(directory.path()), before);
    fs::write(&path, "hello").unwrap();
    layout.put_blob(&blob, &content, &Silent).await.unwrap();
    fetch(&layout, &blob).await.unwrap();
}

#[tokio::test]
async fn content_under_a_wrong_digest_or_size_is_refused_before_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let before = snapshot(directory.path());
    let content = InMemory(Bytes::from_static(b"hello"));
    let good = Descriptor::of(LAYER, b"hello");
    let longer = Descriptor::new(LAYER, good.digest, 6);
    for wrong in [Descriptor::of(LAYER, b"hellO"), longer] {
        let error = layout
            .put_blob(&wrong, &content, &Silent)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::DigestMismatch);
    }
    assert_eq!(snapshot(directory.path()), before);
    layout.put_blob(&good, &content, &Silent).await.unwrap();
}

#[tokio::test]
async fn referrers_are_described_by_themselves_and_not_by_the_index() {
    let model = manifest("model", None);
    let signature = manifest("signature", Some(&model));
    let lie = r#","artifactType":"a/lie","annotations":{"name":"lie"}"#;
    let entries = index_of(&[named(&model, "v1"), entry(&signature, lie)]);
    let foreign = Foreign::new(&[&model, &signature], &entries);
    let listed = foreign.open().referrers(model.descriptor()).await.unwrap();
    assert_eq!(listed, [signature.referrer_descriptor()]);
}
